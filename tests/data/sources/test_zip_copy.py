"""Zip archives as data: unpacked once into the cache, whatever strangers put into them."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.core import files
from anew.data import limits
from anew.data.dataset import Dataset
from anew.data.modalities.text import Text
from anew.data.sources import zip_copy
from anew.data.sources.source import Source
from anew.data.sources.tables import column_names
from anew.data.sources.zip_copy import unpacked, zip_at
from anew.errors import DataError

WORDS = {f"songs/{n:02d}.txt": f"Song number {n} of the sea.\n" * 20 for n in range(30)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANEW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def archive(path: Path, members: dict[str, str], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as out:
        for name, text in members.items():
            out.writestr(zipfile.ZipInfo(name), text, method)
    return path


def names(place: Path) -> list[str]:
    return sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())


def reasons(path: Path) -> dict[str, str]:
    return {refusal.name: refusal.reason for refusal in unpacked(path, path.name).refusals}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_is_read_like_the_folder_in_it(tmp_path: Path, method: int) -> None:
    added = {"__MACOSX/._a.txt": "x", ".DS_Store": "x", "songs/.hidden": "x"}
    path = archive(tmp_path / "Songs.ZIP", WORDS | added, method)
    folder = tmp_path / "folder"
    for name, text in WORDS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    assert Dataset.open(path).fingerprint == Dataset.open(folder).fingerprint
    (note,) = Source.open(path, {"text": Text}).notes
    assert "Songs.ZIP is read from an unpacked copy in the cache (30 files, " in note


def test_tables_in_an_archive_have_columns(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.csv": "quote,author\n" + "be brief,someone\n" * 30})
    assert column_names(path) == ["quote", "author"]


def test_it_is_unpacked_again_only_if_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "a.zip", WORDS)
    first = unpacked(path, "a.zip")
    stamps = {name: (first.place / name).stat().st_mtime_ns for name in names(first.place)}
    assert set(stamps.values()) == {path.stat().st_mtime_ns}
    monkeypatch.setattr(zip_copy, "_unpack", None)
    second = unpacked(path, "a.zip")
    assert (second.place, second.note, names(second.place)) == (first.place, first.note, sorted(WORDS))
    monkeypatch.undo()
    monkeypatch.setenv("ANEW_CACHE", str(tmp_path / "cache"))
    archive(path, {"new.txt": "new"})
    assert names(unpacked(path, "a.zip").place) == ["new.txt"]


def test_an_interrupted_unpacking_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "a.zip", WORDS)
    extract, calls = zip_copy._extract, []

    def interrupted(*arguments: object) -> str | None:
        calls.append(arguments)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return extract(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(zip_copy, "_extract", interrupted)
    with pytest.raises(KeyboardInterrupt):
        unpacked(path, "a.zip")
    copy = unpacked(path, "a.zip")
    assert names(copy.place) == sorted(WORDS) and not copy.refusals


def test_nothing_is_written_outside_and_no_link_is_followed(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.zip",
        {**WORDS, "../out.txt": "x", "/etc/out.txt": "x", "C:\\out.txt": "x", "a/../../o": "x", "": "x"},
    )
    link = zipfile.ZipInfo("songs/link.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as out:
        out.writestr(link, "/etc/passwd")
    assert reasons(path) == {
        **dict.fromkeys(
            ["../out.txt", "/etc/out.txt", "C:\\out.txt", "a/../../o", ""], "its name leads out of the archive"
        ),
        "songs/link.txt": "it is a link",
    }
    assert names(unpacked(path, "a.zip").place) == sorted(WORDS)
    assert names(tmp_path / "cache") == sorted(
        f"unpacked/{unpacked(path, 'a').place.parent.name}/{name}"
        for name in ("contents.json", "lock", *(f"files/{name}" for name in WORDS))
    )


def test_members_that_cannot_be_unpacked_are_named(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.zip", {**WORDS, "b": "a file", "b/c.txt": "in it", "x" * 300 + ".txt": "long"}, zipfile.ZIP_STORED
    )
    with zipfile.ZipFile(path, "a") as out, pytest.warns(UserWarning, match="Duplicate name"):
        out.writestr("songs/00.txt", "again")
    data = bytearray(path.read_bytes())
    data[data.index(b"Song number 7 ")] ^= 1  # a bit of a stored file
    with zipfile.ZipFile(path) as opened:
        header = data.index(b"PK\1\2", opened.start_dir)
    at = data.index(b"songs/09.txt", header) - 46  # its entry in the list
    data[at + 8] |= 1  # encrypted
    path.write_bytes(data)
    reason_of = reasons(path)
    assert reason_of.pop("songs/00.txt") == "it is in the archive twice"
    assert reason_of.pop("songs/09.txt") == "it is encrypted"
    assert "Bad CRC-32" in reason_of.pop("songs/07.txt")
    assert all(reason.startswith("it cannot be unpacked (") for reason in reason_of.values())
    assert {name[:3] for name in reason_of} == {"b/c", "xxx"}
    source = Source.open(path, {"text": Text})
    assert {refusal.name for refusal in source.refusals} >= {"songs/09.txt", "songs/07.txt"}


def test_what_is_no_whole_archive_is_refused(tmp_path: Path) -> None:
    whole = archive(tmp_path / "a.zip", WORDS).read_bytes()
    for number, data in enumerate((b"", b"PK\3\4 and nothing", whole[:-30])):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(data)
        with pytest.raises(DataError, match="is not a zip archive, or not a whole one; download it again"):
            unpacked(path, path.name)
    with pytest.raises(DataError, match=r"nothing of 'b\.zip' could be unpacked; \.\./a\.txt: its name leads out"):
        unpacked(archive(tmp_path / "b.zip", {"../a.txt": "x"}), "b.zip")
    with pytest.raises(DataError, match="holds no files"):
        Source.open(archive(tmp_path / "c.zip", {}), {"text": Text})
    (tmp_path / "folder.zip").mkdir()
    assert zip_at(tmp_path / "folder.zip") is None and zip_at(tmp_path) is None


def test_the_only_archive_in_a_folder_is_the_data(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    (folder / "sub").mkdir(parents=True)
    path = archive(folder / "songs.zip", WORDS)
    assert zip_at(folder) is None
    (folder / "sub").rmdir()
    (folder / ".DS_Store").write_bytes(b"x")
    assert zip_at(folder) == zip_at(path) == path
    assert Source.open(folder, {"text": Text}).counts["text"] == len(WORDS)


def test_archives_made_to_fill_disk_or_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "a.zip", WORDS)
    data = bytearray(path.read_bytes())
    at = data.index(b"songs/00.txt", data.index(b"PK\1\2")) - 46
    data[at + 24 : at + 28] = (2**31).to_bytes(4, "little")  # its size, says the list
    bomb = tmp_path / "bomb.zip"
    bomb.write_bytes(data)
    with pytest.raises(DataError, match=r"says that it unpacks to 2 GB, which .* KB cannot hold"):
        unpacked(bomb, "bomb.zip")
    monkeypatch.setattr(files, "FREE_DISK_BYTES", 2**62)
    with pytest.raises(
        DataError, match=r"the disk of the cache has room for 0 bytes; set the environment variable ANEW_CACHE"
    ):
        unpacked(path, "a.zip")
    monkeypatch.setattr(limits, "ZIP_DIRECTORY_BYTES", 100)
    with pytest.raises(DataError, match=r"cannot be unpacked \(the list of its files takes more than 100 bytes\)"):
        unpacked(path, "a.zip")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_anywhere_loses_members_or_is_a_sentence(data: st.DataObject) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, text in list(WORDS.items())[:4]:
            opened.writestr(zipfile.ZipInfo(name), text)
    body = bytearray(out.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    path = Path(os.environ["ANEW_CACHE"]) / "damaged.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body[: data.draw(st.integers(0, len(body)))])
    try:
        copy = unpacked(path, "damaged.zip")
    except DataError as error:
        assert "damaged.zip" in str(error) and "\n" not in str(error)
        return
    assert len(names(copy.place)) + len(copy.refusals) <= 4 + copy.listing.hidden
    assert not [path for path in path.parent.parent.glob("*.txt")]


def test_an_archive_at_an_address_is_fetched_and_unpacked(tmp_path: Path) -> None:
    system = fsspec.filesystem("memory")
    system.pipe("/bucket/a.zip", archive(tmp_path / "a.zip", WORDS).read_bytes())
    try:
        source = Source.open("memory://bucket/a.zip", {"text": Text})
    finally:
        system.rm("/bucket/a.zip")
    assert source.path == "memory://bucket/a.zip" and source.counts["text"] == len(WORDS)
    assert source.notes[0].startswith("memory://bucket/a.zip is read from an unpacked copy")
