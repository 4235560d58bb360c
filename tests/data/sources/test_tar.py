"""Tar shards: samples by stem, nothing extracted, only plain members opened, damage survived."""

from __future__ import annotations

import gzip
import io
import tarfile
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.data import limits
from anew.data.formats import gzip_files
from anew.data.modalities.image import Image
from anew.data.modalities.text import Text
from anew.data.modality import Modality
from anew.data.sources.listing import File
from anew.data.sources.tar import ArchiveReader, members, open_reader, split_name
from anew.data.types import Item, SkippedItem

KINDS: dict[str, type[Modality]] = {"text": Text, "image": Image}


def tar(entries: dict[str, bytes], mode: str = "w", form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form) as archive:  # type: ignore[call-overload]
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def reader(folder: Path, data: bytes, name: str = "shard.tar") -> ArchiveReader:
    (folder / name).write_bytes(data)
    return open_reader([File(name, len(data), 1)], folder, KINDS)


def everything(opened: ArchiveReader, modality: str) -> list[Item | SkippedItem]:
    return [records for shard in opened.shards(modality) for records in opened.read(shard)]


def shard(count: int = 10) -> dict[str, bytes]:
    entries = {}
    for index in range(count):
        entries[f"{index:04d}.png"] = b"png%d" % index
        entries[f"{index:04d}.cls"] = b"%d\n" % (index % 3)
        entries[f"{index:04d}.txt"] = b"caption %d" % index
        entries[f"{index:04d}.pyd"] = b"pickled"
    return entries


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("zipped", [False, True])
def test_samples_by_stem(tmp_path: Path, form: int, zipped: bool) -> None:
    name = "train-0001.tar.gz" if zipped else "train-0001.tar"
    opened = reader(tmp_path, tar(shard(), "w:gz" if zipped else "w", form), name)
    assert opened.counts == {"image": 10, "text": 10, ".pyd": 10}
    assert opened.labels == ("0", "1", "2")
    assert {shard.part for shard in opened.shards("image")} == {"train"}
    images = everything(opened, "image")
    assert [(item.data, item.label) for item in images] == [(b"png%d" % i, str(i % 3)) for i in range(10)]  # type: ignore[union-attr]
    assert [item.data for item in everything(opened, "text")] == [b"caption %d" % i for i in range(10)]  # type: ignore[union-attr]
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names(tmp_path: Path, form: int) -> None:
    name = "ä/" * 80 + "日本.txt"
    (item,) = everything(reader(tmp_path, tar({name: b"text"}, form=form)), "text")
    assert item.name == f"shard.tar/{name}"


def test_names_that_climb_out_stay_names(tmp_path: Path) -> None:
    opened = reader(tmp_path, tar({"../../evil.txt": b"x", "/etc/evil.txt": b"y"}))
    assert len(everything(opened, "text")) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shard.tar"]


def test_links_and_folders_are_no_samples(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        link = tarfile.TarInfo("a.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        folder = tarfile.TarInfo("b.txt")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    assert reader(tmp_path, out.getvalue()).counts == {}


def test_json_describes_an_image_or_holds_a_document(tmp_path: Path) -> None:
    opened = reader(
        tmp_path,
        tar({"a.jpg": b"J", "a.json": b'{"label": "cat"}', "b.json": b'{"text": "words"}', "c.json": b'{"no": 1}', "d.json": b"{"}),
    )  # fmt: skip
    (image,) = everything(opened, "image")
    assert isinstance(image, Item)
    assert image.label == "cat"
    records = {item.name: item for item in everything(opened, "text")}
    assert records["shard.tar/b.json"].data == "words"  # type: ignore[union-attr]
    assert "holds no 'text'" in records["shard.tar/c.json"].reason  # type: ignore[union-attr]
    assert "not valid JSON" in records["shard.tar/d.json"].reason  # type: ignore[union-attr]


def test_a_packed_folder_gives_parts_and_classes_and_fair_blocks(tmp_path: Path) -> None:
    entries = {
        f"{part}/{kind}/{i}.png": b"x" for part in ("train", "test") for kind in ("cat", "dog") for i in range(300)
    }
    opened = reader(tmp_path, tar(entries), "pets.tar")
    assert opened.labels == ("cat", "dog")
    shards = opened.shards("image")
    assert {shard.part for shard in shards} == {"train", "test"}
    assert len({shard.name for shard in shards}) == len(shards)
    first = [item.label for item in opened.read(shards[0])]  # type: ignore[union-attr]
    assert 0.3 < first.count("cat") / len(first) < 0.7


def test_a_packed_folder_named_test_among_others_is_a_class(tmp_path: Path) -> None:
    opened = reader(tmp_path, tar({f"{kind}/{i}.png": b"x" for kind in ("cat", "test") for i in range(9)}), "pets.tar")
    assert opened.labels == ("cat", "test") and {shard.part for shard in opened.shards("image")} == {None}


@pytest.mark.parametrize("most_labelled", [1000, 0])
def test_a_folder_that_holds_all_files_is_no_class(
    most_labelled: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anew.data.sources.tar.MAX_LABELLED", most_labelled)
    names = ["data-1.0/logo.png", *(f"data-1.0/{name}/{i}.png" for name in ("cat", "dog") for i in range(3))]
    opened = reader(tmp_path, tar(dict.fromkeys(names, b"png")))
    assert opened.labels == ("cat", "dog")
    labels = {item.name: item.label for item in everything(opened, "image") if isinstance(item, Item)}
    assert labels["shard.tar/data-1.0/logo.png"] is None and labels["shard.tar/data-1.0/cat/1.png"] == "cat"


def test_a_cut_off_shard_gives_what_stands_before(tmp_path: Path) -> None:
    entries = {f"{i}.txt": bytes([65 + i]) * 1000 for i in range(8)}
    opened = reader(tmp_path, tar(entries, form=tarfile.USTAR_FORMAT)[: 5 * 1536 + 700])
    assert len(everything(opened, "text")) == 5
    assert "truncated" in opened.refusals[0].reason


def test_what_is_no_tar(tmp_path: Path) -> None:
    opened = reader(tmp_path, b"PK" + b"z" * 5000)
    assert opened.counts == {}
    assert "not a tar archive" in opened.refusals[0].reason


def test_a_changed_shard_is_refused(tmp_path: Path) -> None:
    opened = reader(tmp_path, tar(shard()))
    (tmp_path / "shard.tar").write_bytes(b"")
    assert all(isinstance(records, SkippedItem) for records in everything(opened, "image"))
    (tmp_path / "shard.tar").unlink()
    assert all(isinstance(records, SkippedItem) for records in everything(opened, "image"))


def test_stem_ends_at_the_first_dot() -> None:
    assert split_name("a.b/c.seg.PNG") == ("a.b/c", ".seg.png")
    assert split_name("plain") == ("plain", "")


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_altered_archives_raise_only_value_errors(data: st.DataObject) -> None:
    body = bytearray(tar(shard(3)))
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, 2048))] = data.draw(st.integers(0, 255))
    try:
        for _, place in members(io.BytesIO(bytes(body))):
            assert 0 <= place.start <= place.start + place.size <= len(body)
    except ValueError:
        pass


def test_archives_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {f"{i}.txt": b"text" for i in range(8)}
    data = tar(entries, "w:gz")
    for name in ("a.tar.gz", "b.tar.gz"):
        (tmp_path / name).write_bytes(data)
    files = [File(name, len(data), 1) for name in ("a.tar.gz", "b.tar.gz")]
    monkeypatch.setattr(limits, "TAR_MEMBERS", 12)
    opened = open_reader(files, tmp_path, KINDS)
    assert opened.counts == {"text": 12}
    assert [r.reason[:34] for r in opened.refusals] == ["the archives hold more than 12 fil"]
    monkeypatch.setattr(limits, "TAR_MEMBERS", 100)
    monkeypatch.setattr(limits, "TAR_INFLATED_BYTES", 15_000)
    opened = open_reader(files, tmp_path, KINDS)
    assert opened.counts == {"text": 8}
    assert "inflate to more than 14.6 KB" in opened.refusals[0].reason


def test_an_inflated_file_that_is_not_a_tar_is_refused_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gzip_files, "map_file", lambda *_: pytest.fail("it was unpacked"))
    for body in (b"x" * 5000, b"short"):
        assert "not a tar archive" in reader(tmp_path, gzip.compress(body, mtime=0), "a.tar.gz").refusals[0].reason
    assert "damaged gzip" in reader(tmp_path, gzip.compress(b"x" * 5000, mtime=0)[:12], "a.tar.gz").refusals[0].reason


def test_names_that_are_not_utf8_and_deep_descriptions(tmp_path: Path) -> None:
    entries = {"a/caf\udce9.png": b"png", "b/x.png": b"png", "b/x.json": b"[" * 100_000}
    opened = reader(tmp_path, tar(entries, form=tarfile.GNU_FORMAT))
    assert sorted(item.name for item in everything(opened, "image")) == [
        "shard.tar/a/caf\udce9.png",
        "shard.tar/b/x.png",
    ]


def header(size: bytes, flag: bytes) -> bytes:
    head = bytearray(512)
    for at, field in (
        (0, b"a.txt"),
        (100, b"0000644\0"),
        (124, size),
        (156, flag),
        (257, b"ustar\x0000"),
        (148, b" " * 8),
    ):
        head[at : at + len(field)] = field
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


@pytest.mark.parametrize("size", [b"-0000001000", b"-0000000001", b"+0000000001", b"0_000000001", b"0o000000001"])
@pytest.mark.parametrize("flag", [b"0", b"5", b"x", b"g", b"L"])
def test_a_size_that_is_no_octal_number_ends_the_archive(size: bytes, flag: bytes) -> None:
    archive = io.BytesIO(header(size, flag) + b"x" * 2048)
    with pytest.raises(ValueError, match=r"^it is not a tar archive, or damaged"):
        list(islice(members(archive), 5))


@given(st.binary(min_size=12, max_size=12), st.sampled_from([b"0", b"5", b"x", b"g", b"L"]))
def test_members_of_any_header_lie_within_the_archive(size: bytes, flag: bytes) -> None:
    archive = io.BytesIO(header(size, flag) + b"x" * 2048)
    try:
        for _, place in islice(members(archive), 5):
            assert 512 <= place.start <= place.start + place.size <= 2560
    except ValueError as error:
        assert str(error).startswith("it is ")


def test_a_pax_record_with_a_number_of_many_digits_is_left_out() -> None:
    record = b"5020 size=%s\n" % (b"9" * 5009)
    archive = io.BytesIO(
        header(b"%011o" % len(record), b"x")
        + record.ljust(10 * 512, b"\0")
        + header(b"00000000003", b"0")
        + b"abc".ljust(512, b"\0")
    )
    assert [(name, place.size) for name, place in members(archive)] == [("a.txt", 3)]
