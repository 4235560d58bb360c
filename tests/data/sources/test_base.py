"""Listing, parts, labels, spans and what cannot be read."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.languages import OLD_ENCODINGS

from anew.data import limits
from anew.data.dataset import Dataset
from anew.data.file_names import label_of, may_name_parts, part_of, parts_of, suffix_of
from anew.data.formats.text.text_decoder import TextDecoder
from anew.data.modalities.image import Image
from anew.data.modalities.text import Text
from anew.data.modality import Modality
from anew.data.sources import base, folder
from anew.data.sources.base import reader_of
from anew.data.sources.listing import File
from anew.data.sources.source import Source
from anew.data.types import Item, SkippedItem
from anew.errors import DataError

KINDS: dict[str, type[Modality]] = {"text": Text, "image": Image}
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("train/a/x.png", "train"), ("Val/x.png", "validation"), ("dev.txt", "validation"), ("test.smi", "test"),
        ("train-00000-of-00002.parquet", "train"), ("names_valid.csv", "validation"), ("testing/x.png", "test"),
        ("greatest.txt", None), ("latest/x.png", None), ("a/b.txt", None),
        ("test.py", None), ("lib/x/test/a.txt", None),
    ],
)  # fmt: skip
def test_part_of(path: str, part: str | None) -> None:
    assert part_of(path) == part


def test_a_word_in_one_of_many_file_names_is_no_part() -> None:
    pictures = [f"items/coin{i}.png" for i in range(20)]
    assert not parts_of([*pictures, "items/coin_test.png", "valid_key.png"])
    assert parts_of([*(f"{i}.png" for i in range(20)), "test/a.png"])["test/a.png"] == "test"
    assert parts_of([*pictures, "train_1.png", "test_1.png"])["test_1.png"] == "test"
    assert parts_of(["novel.txt", "test.txt"])["test.txt"] == "test"


def test_parts_among_many_paths() -> None:
    paths = [f"items/{i}.png" for i in range(2500)]
    assert parts_of([*paths, "Train/1.png", "VAL/2.png"]) == {"Train/1.png": "train", "VAL/2.png": "validation"}
    assert list(may_name_parts([*paths, "Train/1.png"])) == [*paths[2000:], "Train/1.png"]


def test_tests_of_programs_are_no_part_unless_something_says_train() -> None:
    programs = [f"lib/{i}.pm" for i in range(20)]
    assert not parts_of([*programs, "Test/More.pm", "test/all.t"])
    assert not parts_of(["lib/a.lua", "test/a.lua"])
    assert parts_of(["train/a.pm", *programs, "test/b.pm"])["test/b.pm"] == "test"


def test_a_folder_among_others_is_no_part_unless_something_says_train() -> None:
    classes = ["cat/1.png", "dog/1.png", "Test/1.png"]
    assert "Test/1.png" not in parts_of(classes) and label_of("Test/1.png", has_parts=False) == "Test"
    assert parts_of([*classes, "train/cat/1.png"])["Test/1.png"] == "test"
    assert parts_of(["cat/1.png", "cat/test/1.png"])["cat/test/1.png"] == "test"
    assert not parts_of(["a/cat/1.png", "a/test/1.png"])
    assert parts_of(["test/cat/1.png", "val/cat/1.png"]) == {"test/cat/1.png": "test", "val/cat/1.png": "validation"}


def test_a_class_folder_named_test_is_a_class(tmp_path: Path) -> None:
    for name in ("cat", "test"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(PNG)
    source = Source.open(tmp_path, KINDS)
    shards = source.shards("image")
    assert {shard.part for shard in shards} == {None} and source.labels("image") == ("cat", "test")
    assert "The folder 'test' is read like the other files" in source.notes[-1]


@pytest.mark.parametrize(
    ("path", "label"), [("cat/1.png", "cat"), ("train/dog/1.png", "dog"), ("1.png", None), ("a/b/1.png", "b")]
)
def test_label_of(path: str, label: str | None) -> None:
    assert label_of(path) == label


def test_a_folder_that_holds_everything_is_no_class(tmp_path: Path) -> None:
    paths = ["voice/a.png", "voice/digits/b.png", "voice/letters/c.png"]
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"x")
    reader = folder.open_reader([File(path, 1, 1) for path in paths], tmp_path, {"image": Image})
    items = [item for shard in reader.shards("image") for item in reader.read(shard)]
    classes = {item.name: item.label for item in items if isinstance(item, Item)}
    assert classes == {paths[0]: None, paths[1]: "digits", paths[2]: "letters"}
    assert reader.labels == ("digits", "letters")


def test_readers_and_suffixes() -> None:
    assert reader_of("a.JSONL") == "tables" and reader_of("x/shard.tar.gz") == "tar"
    assert reader_of("train-images-idx3-ubyte.gz") == "idx" and reader_of("a.txt") == "folder"
    assert suffix_of("A.TXT") == ".txt" and suffix_of("a.tar.gz") == ".tar.gz" and suffix_of("LICENSE") == ""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "missing", "does not exist"),
        (lambda p: p, "holds no files"),
        (lambda p: ((p / "e.txt").write_bytes(b"") and None) or p, "is empty"),
    ],
)
def test_nothing_to_list(tmp_path: Path, make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=message):
        Source.open(make(tmp_path), KINDS)


def test_an_empty_file_is_named_as_it_was_given(tmp_path: Path) -> None:
    place = tmp_path / "bad" / "empty.csv"
    place.parent.mkdir()
    place.touch()
    # Not "to learn": other commands read data, too
    with pytest.raises(DataError, match=rf"^'{re.escape(str(place))}' is empty; give a file with something in it$"):
        Source.open(place, KINDS)
    (place.parent / "too.csv").touch()
    with pytest.raises(DataError, match=r"^all files of '.*bad' are empty; give files with something in them$"):
        Source.open(place.parent, KINDS)


def test_unreadable_folder_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.txt").write_text("a")

    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match="cannot be read"):
        Source.open(tmp_path, KINDS)


def test_unknown_endings_are_known_by_content(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("just words\n")
    (tmp_path / "a.smi").write_text("CCO\n")
    (tmp_path / "pic").write_bytes(PNG + b"\0" * 20)
    (tmp_path / "b.bin").write_bytes(b"\0\1\2\3" * 10)
    source = Source.open(tmp_path, KINDS)
    assert source.counts == {"text": 2, "image": 1, ".bin": 1}


def test_file_that_vanishes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("hello")
    source = Source.open(tmp_path, KINDS)
    shards = source.shards("text")
    (tmp_path / "x.txt").unlink()
    (item,) = source.read(shards[0])
    assert isinstance(item, SkippedItem) and "cannot be read" in item.reason


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_spans_cover_a_large_file_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    text = "".join(f"line {i} naïve 東京\n" for i in range(3000)) + "x" * 9000
    (tmp_path / "big.txt").write_bytes(text.encode(encoding))
    monkeypatch.setattr(folder, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(folder, "SHARD_BYTES", 4096)
    size, stamp = (tmp_path / "big.txt").stat().st_size, 0
    reader = folder.open_reader([File("big.txt", size, stamp)], tmp_path, KINDS)
    shards = reader.shards("text")
    assert len(shards) > 10 and sum(b.bytes for b in shards) == size
    items = [item for shard in shards for item in reader.read(shard)]
    assert all(isinstance(item, Item) for item in items)
    from anew.data.formats.text.text_encoding import decode_text

    assert "".join(decode_text(item.data)[0] for item in items) == text  # type: ignore[union-attr]
    assert [item.begins for item in items if isinstance(item, Item)].count(True) == 1
    assert isinstance(items[-1], Item) and items[-1].ends


@pytest.mark.parametrize(("text", "encoding"), OLD_ENCODINGS)
@pytest.mark.parametrize("line_end", ["\n", " "])
def test_spans_of_any_encoding_hold_whole_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, encoding: str, line_end: str
) -> None:
    whole = "".join(text.replace("\n", line_end) for _ in range(60))
    (tmp_path / "big.txt").write_bytes(whole.encode(encoding))
    for name in ("WHOLE_BYTES", "SHARD_BYTES", "MAX_LINE_SEARCH"):
        monkeypatch.setattr(folder, name, 1000)
    size = (tmp_path / "big.txt").stat().st_size
    reader = folder.open_reader([File("big.txt", size, 0)], tmp_path, KINDS)
    items = [item for shard in reader.shards("text") for item in reader.read(shard) if isinstance(item, Item)]
    assert len(items) > 5
    decoder = TextDecoder("auto")
    decoder.survey(item.sample for item in items[:1] if item.sample is not None)
    assert "".join(decoder.decode(item.name, item.content, item.sample) for item in items) == whole


def test_image_blocks_mix_the_classes(tmp_path: Path) -> None:
    files = [File(f"{name}/{i}.png", 10, 0) for name in "ab" for i in range(600)]
    reader = folder.open_reader(files, tmp_path, KINDS)
    shards = reader.shards("image")
    assert reader.labels == ("a", "b") and sum(b.items for b in shards) == 1200
    assert all(90 < sum(p.startswith("a/") for p in b.where) < 170 for b in shards if b.items == base.SHARD_ITEMS)
    assert len({b.name for b in shards}) == len(shards)


def test_files_are_read_in_the_order_of_hashes_of_their_paths(tmp_path: Path) -> None:
    files = [File(f"{part}/c{i % 3}/{i}.png", 10 + i, i) for part in ("test", "train") for i in range(300)]
    for file in files:
        (tmp_path / file.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file.path).write_bytes(PNG)
    shards = folder.open_reader(files, tmp_path, KINDS).shards("image")
    assert [(shard.part, shard.items) for shard in shards] == [
        (part, n) for part in ("test", "train") for n in (256, 44)
    ]
    by_path = {file.path: file for file in files}
    for part in ("test", "train"):
        chosen = [shard for shard in shards if shard.part == part]
        order = [path for shard in chosen for path in shard.where]  # type: ignore[attr-defined]
        digests = [hashlib.blake2b(path.encode(), digest_size=8).digest() for path in order]
        assert digests == sorted(digests) and len(set(order)) == 300
        for shard in chosen:
            members = [by_path[path] for path in shard.where]  # type: ignore[attr-defined]
            assert shard.bytes == sum(file.bytes for file in members)
            assert shard.stamp == max(file.stamp for file in members)
            assert shard.members == base.members_digest(label_of(file.path) for file in members)


def test_a_mistyped_path_in_a_folder_never_asks_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="'d/nosuch' does not exist in the folder 'd'"):
        Source.open("d/nosuch", KINDS)


def test_one_damaged_table_of_several_is_named_and_left_out(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        (tmp_path / name / "metadata.csv").write_bytes(
            b"file_name,label\n0.png,red\n" if name == "a" else b"file_name\n"
        )
    opened = Source.open(tmp_path, KINDS)
    assert opened.counts == {"image": 2}
    (shard,) = opened.shards("image")
    assert [item.label for item in opened.read(shard) if isinstance(item, Item)] == ["red", None]
    assert any("b/metadata.csv" in note and "no class" in note for note in opened.notes)
    (tmp_path / "a" / "metadata.csv").unlink()
    with pytest.raises(DataError, match="fix or remove it"):  # now nothing says what the classes are
        Source.open(tmp_path, KINDS)


def test_metadata_that_names_missing_files_says_so(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(PNG)
    rows = "file_name,label\na.png,x\n./sub/../b.png,y\nc.png,x\n../../../etc/passwd,y\n"
    (tmp_path / "metadata.csv").write_text(rows)
    source = Source.open(tmp_path, KINDS)
    shards = source.shards("image")
    assert {item.name: item.label for item in source.read(shards[0]) if isinstance(item, Item)} == {
        "a.png": "x",
        "b.png": "y",
    }
    (note,) = source.notes
    assert "2 files that metadata.csv names are not in the folder and are left out, 1 of them outside" in note
    (tmp_path / "c.png").write_bytes(PNG)
    (note,) = Source.open(tmp_path, KINDS).notes
    assert note.startswith("1 file that metadata.csv names is not in the folder and is left out, 1 of them outside")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("fake.parquet", b"nothing of the kind", ": fake.parquet: "),
        (
            "train-images-idx3-ubyte",
            b"\0\0\x08\x03\0\0",
            "train-images-idx3-ubyte: its header is truncated",
        ),
    ],
)
def test_what_was_refused_is_named_where_nothing_is_left(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    from anew.data.sources.selected_data import detect_modality

    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=f"nothing that can be learned.*{reason}") as refusal:
        detect_modality(str(tmp_path), None)
    assert "\n" not in str(refusal.value)


def test_a_single_file_that_cannot_be_learned_is_named_once(tmp_path: Path) -> None:
    """It was "'t.csv' cannot be learned as it is (1 .csv): t.csv: its columns hold ..."."""
    from anew.data.sources.selected_data import detect_modality

    path = tmp_path / "t.csv"
    path.write_text("age,size\n" + "".join(f"{i % 80},{i % 7}\n" for i in range(300)))
    with pytest.raises(DataError, match=f"^'{path}' cannot be learned as it is: its columns hold numbers"):
        detect_modality(str(path), None)


def test_content_outweighs_an_ending_and_says_so(tmp_path: Path) -> None:
    for index in range(3):
        (tmp_path / f"{index}.txt").write_bytes(PNG + bytes(40))
    (tmp_path / "words.txt").write_text("plain words\n" * 20)
    (tmp_path / "odd.bin").write_bytes(bytes(range(200)))
    source = Source.open(tmp_path, KINDS)
    assert source.counts == {"image": 3, "text": 1, ".bin": 1}
    assert "3 .txt files are counted among the images, by their content" in source.notes[0]


def test_spans_of_records_hold_whole_records(tmp_path: Path) -> None:
    class Headed(Text):
        traits = replace(Text.traits, record_start=b">")

    lines = "".join(f">{i}\n" + "ACGT" * 40_000 + "\n" + "TT\n" * 3 for i in range(110))
    (tmp_path / "a.txt").write_text(lines)
    source = Source.open(tmp_path, {"text": Headed})
    texts = [
        item.data.decode() for shard in source.shards("text") for item in source.read(shard) if isinstance(item, Item)
    ]
    assert "".join(texts) == lines and len(texts) > 5 and all(text[0] == ">" for text in texts)


def test_small_files_may_not_expand_to_any_amount_of_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SMALL_FILES_TEXT_BYTES", 20_000)
    (tmp_path / "a.fasta").write_text("".join(f">s{i}\nACDE{'FGHIKLMN'[i % 8]}ACD{i % 7 * 'W'}Y\n" for i in range(200)))
    (tmp_path / "z.fasta.gz").write_bytes(gzip.compress(b">a\n" + b"ACDE\n" * 10_000, mtime=0))
    data = Dataset.open(tmp_path)
    assert data.scan.items == 200 and data.scan.skipped == 1
    assert "beyond the 19.5 KB of text" in data.scan.skipped_items[0].reason
