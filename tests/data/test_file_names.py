"""What names of files and records say."""

from __future__ import annotations

import pytest

from anew.data.file_names import shared_folder, split_record_name


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("emma.txt", ("emma.txt", "")),
        ("a/b.fasta:seq1", ("a/b.fasta", "seq1")),
        ("a.b.fasta:sp|P1:2#x", ("a.b.fasta", "sp|P1:2#x")),
        ("t.csv@5000#3", ("t.csv", "5000#3")),
        ("t.parquet#0:12", ("t.parquet", "0:12")),
        ("v1.2/names:7", ("v1.2/names", "7")),
        ("names:7", ("names", "7")),
        ("names", ("names", "")),
        ("icon@2x.png", ("icon@2x.png", "")),
        ("12:30.txt", ("12:30.txt", "")),
        ("a/b@c/d.txt", ("a/b@c/d.txt", "")),
        ("a/b@c/d.txt:3", ("a/b@c/d.txt", "3")),
        ("p.fasta:NP_001.2", ("p.fasta", "NP_001.2")),
    ],
)
def test_the_file_in_the_name_of_a_record(name: str, parts: tuple[str, str]) -> None:
    assert split_record_name(name) == parts


@pytest.mark.parametrize(
    ("paths", "folder"),
    [
        (["set/a.wav", "set/cats/b.wav"], "set/"),
        (["set/raw/cats/a.wav", "set/raw/cars/b.wav"], "set/raw/"),
        (["sets/a.wav", "settle/b.wav"], ""),
        (["a.wav", "set/b.wav"], ""),
        (["cats/a.wav"], "cats/"),
        ([], ""),
    ],
)
def test_the_folder_that_holds_everything(paths: list[str], folder: str) -> None:
    assert shared_folder(paths) == folder
