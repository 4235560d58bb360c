"""Descriptions and leftovers are not data; what cannot be read says what to convert it to."""

from __future__ import annotations

from pathlib import Path

import pytest

from anew.data.dataset import Dataset
from anew.data.sources.beside_data import drop_side_files
from anew.data.sources.listing import File
from anew.errors import DataError

PROSE = "\n".join(f"Line {i} tells of {i * i} small boats and the sea." for i in range(400))


def test_descriptions_beside_a_document_are_not_learned(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text(PROSE)
    for name in ("SOURCE.txt", "README.md", "LICENSE", "Thumbs.db"):
        (tmp_path / name).write_text("where this comes from, and what may be done with it\n")
    data = Dataset.open(tmp_path)
    assert data.scan.bytes == len(PROSE)
    assert "LICENSE, README.md, SOURCE.txt are ignored" in " ".join(data.scan.notes)


@pytest.mark.parametrize(
    ("paths", "kept"),
    [
        (["README.md"], ["README.md"]),
        (["a/README.md", "b/README.md"], ["a/README.md", "b/README.md"]),
        (["README.md", "empty.txt"], ["README.md", "empty.txt"]),
        (["readme_of_2020.txt", "x.txt"], ["x.txt"]),
        (["COPYING", "NOTICE.txt", "Sources.md", "LICENSE-MIT", "x.txt"], ["x.txt"]),
        (["COPYING-MIT", "COPYING3.LIB.txt", "NOTICE-binary", "SOURCES_en.txt", "x.txt"], ["x.txt"]),
        (["Copying Beethoven.txt", "Sources of Chinese Tradition.txt"],) * 2,
        (["sourcery.txt", "license.png", "x.txt"], ["sourcery.txt", "license.png", "x.txt"]),
    ],
)
def test_what_counts_as_a_description(paths: list[str], kept: list[str]) -> None:
    files = [File(path, 0 if path.startswith("empty") else 9, 1) for path in paths]
    assert [file.path for file in drop_side_files(files)[0]] == kept


def test_office_documents_say_what_to_convert_them_to(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(b"PK\3\4" + bytes(range(256)) * 9)
    (tmp_path / "b.xlsx").write_bytes(b"PK\3\4" + bytes(range(256)) * 9)
    with pytest.raises(DataError, match=r"convert \.docx files to plain text \(\.txt\).*\.xlsx files to CSV"):
        Dataset.open(tmp_path)


def test_archives_that_are_not_read_are_to_be_unpacked(tmp_path: Path) -> None:
    for name in ("faces.zip", "more.zip"):
        (tmp_path / name).write_bytes(b"PK\3\4" + bytes(range(256)) * 9)
    with pytest.raises(DataError, match=r"\(2 \.zip\); unpack \.zip files, or give one of them by itself"):
        Dataset.open(tmp_path)


def test_files_of_arrays_say_what_to_convert_them_to(tmp_path: Path) -> None:
    (tmp_path / "images.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 9)
    with pytest.raises(
        DataError, match=r"\(1 \.h5\); convert \.h5 files to PNG, WAV, text, or images in a NumPy array"
    ):
        Dataset.open(tmp_path)


def test_a_table_without_a_known_column_says_how_to_name_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("quote,author\nbe brief and clear,someone\nbe kind to all,another\n")
    with pytest.raises(
        DataError, match=r"the setting text_column, as in text_column=quote, or .* \(columns: quote, author\)"
    ):
        Dataset.open(tmp_path)
