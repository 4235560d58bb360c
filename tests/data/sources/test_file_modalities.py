"""Content decides what a file is, its ending is a hint."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anew.core.registry import load
from anew.data.dataset import Dataset
from anew.data.formats.video.frames import HEAD_BYTES
from anew.data.sources.file_modalities import sort_files
from anew.data.sources.listing import list_files
from anew.data.sources.selected_data import detect_modality
from anew.data.splitting.split import MANY_RECORDINGS, keep_groups_together
from anew.data.types import DataBudget, FileSlice
from anew.errors import DataError

KINDS = {name: load("data", name) for name in ("text", "image")}


def picture(seed: int = 90) -> bytes:
    out = io.BytesIO()
    values = np.random.default_rng(seed).integers(0, 256, (12, 12), dtype=np.uint8)
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


def sorted_kinds(folder: Path) -> dict[str, list[str]]:
    listing = list_files(folder)
    return {
        modality: [f.path for f in own]
        for modality, own in sort_files(listing.files, listing.root, KINDS).files.items()
    }


def write(folder: Path, **files: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name.replace("__", ".")).write_bytes(data)
    return folder


def test_a_sure_claim_beats_the_ending(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", a__png=picture(), b__txt=picture(1), c__txt=b"some words\n" * 9, d=picture(2))
    assert sorted_kinds(folder) == {"image": ["a.png", "b.txt", "d"], "text": ["c.txt"]}


def test_text_in_one_file_named_as_an_image_is_a_damaged_image(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", a__png=picture(), b__png=b"<html>not found</html>")
    assert sorted_kinds(folder) == {"image": ["a.png", "b.png"]}


def test_a_large_still_gif_that_says_it_repeats_is_a_picture(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (120, 120), dtype=np.uint8)
    still, turned = Image.fromarray(noise), Image.fromarray(noise.T.copy())
    still.save(tmp_path / "still.gif", loop=0, duration=100)
    still.save(tmp_path / "moving.gif", save_all=True, append_images=[turned], duration=100)
    assert b"NETSCAPE2.0" in (tmp_path / "still.gif").read_bytes()[:HEAD_BYTES]
    assert (tmp_path / "still.gif").stat().st_size > 2 * HEAD_BYTES
    listing = list_files(tmp_path)
    kinds = {name: load("data", name) for name in ("image", "video")}
    own = sort_files(listing.files, listing.root, kinds).files
    assert {name: list(table.paths) for name, table in own.items()} == {"image": ["still.gif"], "video": ["moving.gif"]}


def test_unknown_endings_follow_their_content(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", a__q=b"prose " * 50, b__q=b"more prose " * 50, c__q=picture(), e__z=b"\0\1\2" * 50)
    assert sorted_kinds(folder) == {"text": ["a.q", "b.q"], "image": ["c.q"], ".z": ["e.z"]}


def test_pictures_that_are_text_say_what_to_convert_them_to(tmp_path: Path) -> None:
    icon = b'/* XPM */\nstatic char *icon[] = {"2 2 2 1", "a c #ffffff", "b c #000000", "ab", "ba"};\n'
    listing = list_files(write(tmp_path / "d", a__xpm=icon, b__xpm=icon))
    notes = sort_files(listing.files, listing.root, KINDS).notes
    assert notes == [
        "2 .xpm files are counted among the texts, by their content.",
        "To learn .xpm files as images, convert them to PNG or JPEG.",
    ]


def test_pictures_in_jpeg_xl_are_to_be_converted(tmp_path: Path) -> None:
    (tmp_path / "a.jxl").write_bytes(b"\xff\x0a" + bytes(64))
    with pytest.raises(DataError, match=r"1 \.jxl\); convert \.jxl files to PNG or JPEG, which are read"):
        detect_modality(str(tmp_path), None)


def test_files_of_one_unknown_ending_are_of_one_kind(tmp_path: Path) -> None:
    for i in range(9):
        (tmp_path / f"{i}.xx").write_bytes(b'<?xml version="1.0"?><a/>\n' if i else b"<a>no first line</a>\n" * 9)
    (tmp_path / "odd.z").write_bytes(b"\0\1\2" * 50)
    listing = list_files(tmp_path)
    result = sort_files(listing.files, tmp_path, KINDS | {"code": load("data", "code")})
    assert {name: len(files) for name, files in result.files.items()} == {"code": 9, ".z": 1}
    assert result.notes[-1] == "1 .z is not used: nothing that can be learned is recognised in its content."


def test_look_says_what_was_taken_by_content(tmp_path: Path) -> None:
    for i in range(30):
        write(tmp_path / "d", **{f"{i}__dat": picture(i * 8)})
    data = Dataset.open(tmp_path / "d")
    assert data.modality.name == "image"
    assert any("30 .dat files are counted among the images, by their content" in note for note in data.scan.notes)
    data.close()


def test_endings_taken_by_content_are_one_sentence(tmp_path: Path) -> None:
    for i in range(8):
        write(tmp_path, **{f"{i}{j}__e{i}": b"plain words " * 9 for j in range(10 - i)})
    listing = list_files(tmp_path)
    (note,) = sort_files(listing.files, listing.root, KINDS).notes
    assert note.startswith("52 files are counted among the texts, by their content: 10 .e0, 9 .e1, 8 .e2,")
    assert note.endswith("5 .e5 and 7 with 2 other endings.")


def kinds_as_asked(folder: Path, requested: str) -> tuple[dict[str, list[str]], list[str]]:
    listing = list_files(folder)
    modalities = {name: load("data", name) for name in ("text", "image", "code", "protein", "molecule")}
    result = sort_files(listing.files, folder, modalities, requested)
    return {kind: [f.path for f in own] for kind, own in result.files.items()}, result.notes


def test_texts_are_the_programs_that_the_user_says_they_are(tmp_path: Path) -> None:
    prose = {"a__q": b"prose " * 50, "b__q": b"more prose " * 50, "c__txt": b"words " * 50, "README": b"read me " * 9}
    write(tmp_path, **prose, d__png=picture())
    kinds, notes = kinds_as_asked(tmp_path, "code")
    assert kinds == {"code": ["README", "a.q", "b.q", "c.txt"], "image": ["d.png"]}
    assert notes == ["3 files are counted among the source files, as asked: 2 .q and 1 .txt."]


def test_beside_programs_only_a_more_frequent_ending_is_taken_for_one(tmp_path: Path) -> None:
    write(tmp_path, a__q=b"prose " * 50, b__q=b"more prose " * 50, c__txt=b"words " * 50, d__py=b"x = 1\n" * 9)
    kinds, notes = kinds_as_asked(tmp_path, "code")
    assert kinds == {"code": ["a.q", "b.q", "d.py"], "text": ["c.txt"]}
    assert notes == ["2 .q files are counted among the source files, as asked."]
    write(tmp_path, e__py=b"x = 2\n" * 9, f__py=b"x = 3\n" * 9)
    kinds, notes = kinds_as_asked(tmp_path, "code")
    assert kinds == {"code": ["d.py", "e.py", "f.py"], "text": ["a.q", "b.q", "c.txt"]}
    assert notes == ["2 .q files are counted among the texts, by their content."]
    assert kinds_as_asked(tmp_path, "image")[0].keys() == {"code", "text"}


def test_files_of_records_count_as_their_records(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    genes = ["".join(rng.choice(list("ACGT"), 300)) for _ in range(40)]
    for number in range(2):
        fasta = "".join(f">gene{i}\n{gene}\n" for i, gene in enumerate(genes[number::2]))
        (tmp_path / f"genes{number}.fsa").write_text(fasta)
    for number in range(5):
        (tmp_path / f"notes{number}.txt").write_text("They write about what these genes do.\n" * 20)
    chosen = detect_modality(str(tmp_path), None)
    assert chosen.modality == "protein"
    assert chosen.notes[0].startswith("Training on sequences (40 in 2 files), since they are more and take most bytes")
    (tmp_path / "novel.txt").write_text("A novel has many pages, and is no list of names.\n" * 900)
    chosen = detect_modality(str(tmp_path), None)
    assert chosen.modality == "text"
    assert "40 sequences in 2 files (genes0.fsa and genes1.fsa) are ignored" in chosen.notes[0]


def test_why_a_kind_is_learned_is_true(tmp_path: Path) -> None:
    write(tmp_path, a__png=picture(), b__png=picture(1), c__txt=b"some words\n" * 900, d__txt=b"words\n" * 900)
    (note,) = detect_modality(str(tmp_path), None).notes
    assert note == (
        "Training on texts, since they take most bytes; 2 images (a.png and b.png) are ignored "
        "(modality=image would train on the images)."
    )
    write(tmp_path, c__py=b"def f():\n    return 1\n" * 9)
    (note,) = detect_modality(str(tmp_path), None).notes
    assert note.endswith("(modality=image or code would train on those).")
    (tmp_path / "c.py").unlink()
    write(tmp_path, e__txt=b"more words\n" * 90)
    assert (
        detect_modality(str(tmp_path), None).notes[0].startswith("Training on texts, since most items are; 2 images (")
    )


@pytest.mark.parametrize("name", ["zero.txt", "__init__.py", "z.fasta", "z.smi", "z.wav", "z.txt.gz", "z.png"])
def test_empty_files_are_not_counted(tmp_path: Path, name: str) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
    (tmp_path / name).write_bytes(b"")
    selected = detect_modality(str(tmp_path), None)
    assert selected.modality == "image" and selected.source.counts["image"] == 3
    assert not selected.notes and not selected.other
    assert [(item.name, item.reason) for item in selected.source.refusals] == [(name, "it is empty")]


def test_packed_text_is_read_like_plain_text(tmp_path: Path) -> None:
    prose = "".join(f"Line {i} of a page that was packed, naïve and long.\n" for i in range(900)).encode()
    write(tmp_path / "d", a__gz=gzip.compress(prose, mtime=0), b__3__gz=gzip.compress(prose[::-1], mtime=0))
    write(
        tmp_path / "d", c__py__gz=gzip.compress(b"x = 1\n" * 90), d__gz=gzip.compress(picture()), e__gz=b"\x1f\x8b\x08"
    )
    listing = list_files(tmp_path / "d")
    names = ("text", "image", "code", "protein", "molecule")
    files = sort_files(listing.files, listing.root, {name: load("data", name) for name in names}).files
    paths_by_kind = {kind: [f.path for f in own] for kind, own in files.items()}
    assert paths_by_kind == {"text": ["a.gz", "b.3.gz"], "code": ["c.py.gz"], ".gz": ["d.gz", "e.gz"]}
    data = Dataset.open(tmp_path / "d")
    data.fit(DataBudget(None, 0, 0))
    assert "naïve and long.\n" in "".join(data.text("train"))


def test_damaged_packed_text_is_refused_by_name(tmp_path: Path) -> None:
    pages = {
        f"{i}__txt__gz": gzip.compress(f"Page {i} has words of its own. ".encode() * 60, mtime=0) for i in range(60)
    }
    write(
        tmp_path, **pages, x__txt__gz=gzip.compress(bytes(range(32, 127)) * 300)[:-20], y__txt__gz=b"\x1f\x8b\x08none"
    )
    data = Dataset.open(tmp_path)
    assert {r.name: r.reason for r in data.scan.skipped_items} == {
        "x.txt.gz": "it is damaged gzip data", "y.txt.gz": "it is damaged gzip data"
    }  # fmt: skip
    assert data.scan.items == 60


def test_packed_tables_are_to_be_unpacked(tmp_path: Path) -> None:
    write(tmp_path, a__csv__gz=gzip.compress(b"text,label\nwords,1\n" * 50))
    with pytest.raises(DataError, match=r"\(1 \.csv\.gz\); convert \.csv\.gz files to \.csv, which are read"):
        Dataset.open(tmp_path)


def test_large_folders_are_sampled_and_mixed_ones_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from anew.data.sources import file_modalities

    monkeypatch.setattr(file_modalities, "MAX_FILES_TO_OPEN_ALL", 4)
    monkeypatch.setattr(file_modalities, "SAMPLED_FILES", 4)
    for i in range(12):
        write(tmp_path / "d", **{f"{i:02d}__txt": picture(i) if i % 5 else b"words and words " * 4})
        write(tmp_path / "e", **{f"{i:02d}__png": picture(i)})
    assert sorted_kinds(tmp_path / "e") == {"image": [f"{i:02d}.png" for i in range(12)]}
    assert len(sorted_kinds(tmp_path / "d")["text"]) == 3


def test_recordings_stay_whole_or_in_runs() -> None:
    recordings = [f"{i // 3}" for i in range(3 * MANY_RECORDINGS)]
    keys, notes = keep_groups_together(range(len(recordings)), recordings, 0.1)
    assert len(set(keys)) == MANY_RECORDINGS and str(MANY_RECORDINGS) in notes[0]
    keys, notes = keep_groups_together(range(400), ["one"] * 400, 0.1)
    assert len(set(keys)) == 40 and "runs of 10" in notes[0]
    keys, notes = keep_groups_together(range(30), ["one"] * 30, 0.1)
    assert len(set(keys)) == 30 and notes == [
        f"Only 1 file was cut into clips, too few to hold whole ones out (that takes {MANY_RECORDINGS}): its clips are divided one by one."
    ]
    assert keep_groups_together([4, 5], [None, None], 0.1) == ([4, 5], [])


def test_a_handle_stands_for_its_content(tmp_path: Path) -> None:
    write(tmp_path, a=b"x" * 100, b=b"x" * 100, c=b"y" * 100)
    a, b, c = (FileSlice(tmp_path / name) for name in "abc")
    assert a.digest() == b.digest() != c.digest()
    assert FileSlice(tmp_path / "a", 0, 2).digest() != FileSlice(tmp_path / "a", 1, 2).digest()
    assert FileSlice(tmp_path / "gone").digest()  # it is refused where it is read


def test_the_fingerprint_follows_content(tmp_path: Path) -> None:
    for i in range(20):
        write(tmp_path / "d", **{f"{i}__png": picture(i * 8)})
    fingerprint = detect_modality(str(tmp_path / "d"), None).fingerprint
    assert fingerprint == detect_modality(str(tmp_path / "d"), None).fingerprint


@pytest.mark.parametrize("requested", [None, "audio"])
def test_formats_that_are_not_read_are_to_be_converted(tmp_path: Path, requested: str | None) -> None:
    for index in range(3):
        (tmp_path / f"{index}.m4a").write_bytes(b"\0\0\0\x1cftypM4A " + bytes(64))
    with pytest.raises(DataError, match=r"3 \.m4a\); convert \.m4a files to WAV, FLAC, OGG or MP3, which are read"):
        detect_modality(str(tmp_path), requested)
    (tmp_path / "more.txt").write_text("Some words that somebody wrote.")
    with pytest.raises(DataError, match=r"holds no sounds; it holds texts; convert \.m4a files to WAV"):
        detect_modality(str(tmp_path), "audio")


def test_formats_with_one_conversion_share_a_sentence(tmp_path: Path) -> None:
    """Each suffix had a sentence of its own, with the same end."""
    write(tmp_path, a__pdf=b"%PDF-1.4", b__docx=b"PK", c__xls=b"x")
    with pytest.raises(DataError) as caught:
        detect_modality(str(tmp_path), None)
    assert "convert .docx and .pdf files to plain text (.txt), which are read; convert .xls files to CSV" in str(
        caught.value
    )


def test_one_hidden_file_is_one(tmp_path: Path) -> None:
    """It said "1 hidden files are left out"."""
    (tmp_path / ".hidden.txt").write_text("text")
    with pytest.raises(DataError, match="; 1 hidden file is left out; give"):
        detect_modality(str(tmp_path), None)


PROGRAMS = {
    "a.pl": "#!/usr/bin/perl\nprint 1\n",
    "b.pl": "# one\n# two\nuse strict;\nmy $x = 1;\n",
    "c.pl": "parent(tom, bob).\nold(X) :- parent(X, Y), old(Y).\n",
    "d.m": "function y = f(x)\n% doubles\ny = 2 * x\nend\n",
    "e.r": "x <- c(1, 2)\nplot(x)\n",
    "f.s": "\t.globl main\nmain:\n\tmovq %rsp, %rbp\n\tret\n",
    "g.v": "Lemma a : 1 = 1.\nProof.\n  auto.\nQed.\n",
    "h.f": "      PROGRAM MAIN\n      CALL FOO()\n      END PROGRAM\n",
    "j.pl": "/*  Part of a system\n\n"
    + "    A line of its licence\n" * 40
    + "*/\n\n:- module(a,\n    [ b/1,\n      c/2\n    ]).\n",
    "k.pl": "/*  Creator: make/0\n\n    Purpose: an index\n*/\n\n" + "index((re), 2, pcre, pcre).\n" * 20,
    "l.m": "## Copyright\n" * 40
    + "## imread (file)\n" * 40
    + "function varargout = imread (filename, varargin)\n\n  if (nargin < 1)\n",
    "m.m": "% help\n" * 60
    + "function [x, fval, info] = fminbnd (fcn, a, b,\n    options, more)\n  one two\n  three four\n  and five\n",
    "n.m": "% help\n" * 60 + "classdef inputParser < handle\n  properties (Access = pri",
    "o.v": '`timescale 1ns/1ps\n\n`include "cells_ams.v"\n`include "cells_digital.v"\n',
    "p.v": "(* blackbox *)\nmodule altera_pll\n#(\n"
    + "    parameter clock_frequency = 5,\n" * 40
    + ") (\n    input [1:0] clk,\n",
    "i.pl": "# generated\nreturn <<'END';\n" + "65\n91\n" * 50 + "END\n",
}
CHAT = "#debian.pl\nFeb 09 13:47:54 <Kraju> Pheagator: jakie idealy.\nzachecac :)\n%\n[02:37] <marys> po wpisaniu\n" * 9


SERIES = (
    "#The archive of\n#time series\n@problemName Coffee\n@timeStamps false\n@classLabel true 0 1\n@data\n"
    + "0.5,-1.2,0.1:1\n" * 40
)
TRANSLATION = '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE TS>\n<TS version="2.1" language="de">\n<context>\n</context>\n</TS>\n'
TYPESCRIPT = "@Component({ selector: 'app' })\nexport class App {\n  data: string[] = [];\n}\n"


def test_time_series_and_translations_are_not_typescript(tmp_path: Path) -> None:
    """Files of the UCR archive and of Qt Linguist have its suffix."""
    for name, text in {"a.ts": SERIES, "b.ts": "\ufeff" + TRANSLATION, "c.ts": TYPESCRIPT}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    chosen = detect_modality(str(tmp_path), None)
    assert chosen.source.counts == {"text": 2, "code": 1}
    assert "2 .ts files are counted among the texts, by their content." in chosen.source.notes


def test_quotes_with_the_suffix_of_a_language_are_texts_and_programs_stay_programs(tmp_path: Path) -> None:
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "debian.pl").write_text(CHAT)
    chosen = detect_modality(str(tmp_path), None)
    assert chosen.modality == "code" and chosen.other == {"text": 1}
    assert any("; 1 text (debian.pl) is ignored (" in note for note in chosen.notes)
    assert "debian.pl is counted among the texts, by its content." in chosen.source.notes
