"""What a folder holds, whatever lies in it: nothing in it ends the listing."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from anew.data.modalities.image import Image
from anew.data.modalities.text import Text
from anew.data.modality import Modality
from anew.data.sources.listing import File, FileTable, list_files, shorten_path
from anew.data.sources.source import Source
from anew.errors import DataError

KINDS: dict[str, type[Modality]] = {"text": Text, "image": Image}


def refused(folder: Path) -> dict[str, str]:
    (folder / "good.txt").write_text("good")
    listing = list_files(folder)
    assert "good.txt" in [f.path for f in listing.files]
    return {refusal.name: refusal.reason for refusal in listing.refusals}


def test_listing_follows_links_but_no_loops_and_skips_hidden(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_text("hello")
    (tmp_path / ".git").mkdir()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    listing = list_files(tmp_path)
    assert [f.path for f in listing.files] == ["a/x.txt"] and listing.hidden == 1 and not listing.refusals


def test_a_link_to_a_folder_that_holds_the_data_is_left_out(tmp_path: Path) -> None:
    """68 pictures became 9,999 molecules of other folders beside them."""
    inside = tmp_path / "data" / "pictures"
    inside.mkdir(parents=True)
    for place in (tmp_path / "else.txt", tmp_path / "data" / "beside.txt", inside / "own.txt"):
        place.write_text("x")
    (inside / "up").symlink_to("..")
    (inside / "top").symlink_to(tmp_path)
    (inside / "root").symlink_to("/")
    listing = list_files(inside)
    assert [file.path for file in listing.files] == ["own.txt"]
    assert sorted(refusal.name for refusal in listing.refusals) == ["root", "top", "up"]
    assert {refusal.reason for refusal in listing.refusals} == {"it is a link to a folder that holds the data"}


def test_each_file_counts_once_however_many_links_lead_to_it(tmp_path: Path) -> None:
    inside, outside = tmp_path / "data", tmp_path / "elsewhere.txt"
    (inside / "sub").mkdir(parents=True)
    outside.write_text("outside")
    (inside / "sub" / "real.txt").write_text("hello")
    for name in ("a.txt", "b.txt", "sub/c.txt"):
        (inside / name).symlink_to(inside / "sub" / "real.txt")
    os.link(inside / "sub" / "real.txt", inside / "z.txt")
    (inside / "d.txt").symlink_to(outside)
    (inside / "e.txt").symlink_to(inside / "d.txt")
    listing = list_files(inside)
    assert [f.path for f in listing.files] == ["d.txt", "sub/real.txt"]
    assert listing.notes == ["5 links to files of this folder are left out: each file counts once."]
    assert listing.notes[0] in Source.open(inside, KINDS).notes


def test_links_that_lead_nowhere_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "dangling").symlink_to("missing")
    reasons = refused(tmp_path)
    assert "cannot be read" in reasons["itself"] and reasons["dangling"] == "it is a broken link"


def test_what_is_not_a_regular_file_is_refused_by_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "sock.txt"))
        reasons = refused(tmp_path)
    assert reasons == {
        "pipe.txt": "it is a named pipe, not a file",
        "zero.txt": "it is a device, not a file",
        "sock.txt": "it is a socket, not a file",
    }


def test_a_folder_that_cannot_be_read_is_refused_and_the_rest_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def closed(path: str) -> object:
        if "closed" in path:
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert refused(tmp_path) == {"closed": "it cannot be read (Permission denied)"}


def test_a_folder_that_is_too_deep_is_refused_with_a_short_name(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=descriptor)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    ((name, reason),) = refused(tmp_path).items()
    assert "cannot be read" in reason and len(name) < 130 and name.endswith("ddd")


def test_an_entry_that_vanishes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("a")
    scan = os.scandir

    class Late:
        def __init__(self, path: str) -> None:
            self._entries = scan(path)

        def __enter__(self) -> list[os.DirEntry[str]]:
            entries = list(self._entries)
            (tmp_path / "b.txt").unlink()
            return entries

        def __exit__(self, *_: object) -> None:
            self._entries.close()

    monkeypatch.setattr(os, "scandir", Late)
    listing = list_files(tmp_path)
    assert [f.path for f in listing.files] == ["a.txt"]
    assert [r.reason for r in listing.refusals] == ["it vanished while the folder was listed"]


def test_names_that_are_not_utf8_are_listed_and_shown_escaped(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    for number in range(3):
        Path(os.fsdecode(folder + b"/%d.txt" % number)).write_text("some text")
    os.symlink(b"nothing", folder + b"/x\x1b[2J")
    (tmp_path / "bar").mkdir()  # beside it the other folder is a class
    (tmp_path / "bar" / "0.txt").write_text("more text")
    source = Source.open(tmp_path, KINDS)
    assert source.shards("text") and source.labels("text") == ("bar", "caf\udce9")
    assert [r.name for r in source.refusals] == [r"caf\xe9/x\x1b[2J"]


@pytest.mark.parametrize(("make", "message"), [
    (lambda p: os.mkfifo(p / "pipe") or p / "pipe", "is a named pipe; give a folder or a file"),
    (lambda p: "/dev/zero", "is a device"),
    (lambda p: "", "path of the data is empty"),
    (lambda p: "~nobody-of-this-name/x", "unknown user"),
    (lambda p: "x" * 5000, "cannot be read"),
])  # fmt: skip
def test_data_that_is_no_place_to_read_is_one_sentence(tmp_path: Path, make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=message) as refusal:
        Source.open(make(tmp_path), KINDS)
    assert len(str(refusal.value)) < 300


def test_a_folder_without_a_readable_file_says_why(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="holds no files; pipe: it is a named pipe"):
        Source.open(tmp_path, KINDS)


def test_long_paths_are_shortened_in_the_middle() -> None:
    assert shorten_path("a/b.txt") == "a/b.txt"
    assert len(shorten_path("a" * 500 + "/b.txt")) <= 123 and shorten_path("a" * 500 + "/b.txt").endswith("/b.txt")


def test_files_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    paths = ["a-b.txt", "a/x.txt", "a.txt", "b/c/1.txt", "b/c-1.txt", "z/é.txt", "0.txt"]
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    assert list(list_files(tmp_path).files.paths) == sorted(paths)


def test_files_in_columns_are_the_same_files() -> None:
    files = [File(f"{i % 3}/{i}.txt", i, 1 << 62 | i) for i in range(9)]
    table = FileTable.of(files)
    assert list(table) == files and table[4] == files[4] and table[-2:] == files[-2:] and FileTable.of(table) is table
    groups = table.grouped(lambda path: path[0])
    assert {name: list(group) for name, group in groups.items()} == {str(k): files[k::3] for k in range(3)}
    rest = groups["1"].merged(groups["2"])
    assert list(rest) == sorted(files[1::3] + files[2::3], key=files.index)
    assert rest.where(rest.sizes > 4).paths[:2] == ["2/5.txt", "1/7.txt"] and "1/4.txt" in rest.paths
    assert list(groups["0"].merged(FileTable.of(files[1:2]))) == sorted([*files[0::3], files[1]])
