"""Large tar shards in spans: each sample in one span, whatever the bounds, and nothing read but what is used."""

from __future__ import annotations

import io
import itertools
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from anew.data import limits
from anew.data.dataset import Dataset
from anew.data.modalities.image import Image
from anew.data.modalities.text import Text
from anew.data.modality import Modality
from anew.data.sources import tar, tar_spans
from anew.data.sources.listing import File
from anew.data.splitting import streaming_split
from anew.data.types import DataBudget, SkippedItem

KINDS: dict[str, type[Modality]] = {"text": Text, "image": Image}
OWNERS = tar.owners_of(KINDS)


def archive(count: int, form: int, generator: np.random.Generator, folder: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as stream:
        for index in range(count):
            stem = folder + "n" * int(generator.integers(1, 150)) + f"{index:04d}"
            for ending in (".png", ".cls", ".txt", ".pyd"):
                info = tarfile.TarInfo(stem + ending)
                data = b"1" if ending == ".cls" else bytes(int(generator.integers(0, 3000)))
                info.size = len(data)
                stream.addfile(info, io.BytesIO(data))
    return out.getvalue()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 30),
    st.integers(1, 40),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.integers(0, 1 << 20),
)
def test_every_sample_is_in_one_span(count: int, spans: int, form: int, seed: int) -> None:
    body = archive(count, form, np.random.default_rng(seed))
    bounds = [len(body) * i // spans for i in range(spans + 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tar_spans, "SEARCH_BYTES", 2048)
        stream = io.BytesIO(body)
        samples_of_spans = [
            (sample.stem, sample.places)
            for start, stop in itertools.pairwise(bounds)
            for sample in tar_spans.samples_in(stream, start, stop, OWNERS)
        ]
    whole = [(sample.stem, sample.places) for sample in tar_spans.samples_in(io.BytesIO(body), 0, len(body), OWNERS)]
    assert samples_of_spans == whole and len(whole) == count
    listed = {name: place for name, place in tar.members(io.BytesIO(body)) if not name.endswith(".pyd")}
    assert {f"{stem}{ending}": place for stem, places in samples_of_spans for ending, place in places.items()} == listed


def test_an_archive_in_an_archive_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    inner = archive(40, tarfile.GNU_FORMAT, generator)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as stream:
        for name, data in (("a.txt", b"first"), ("b.dat", inner), ("c.txt", b"last")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            stream.addfile(info, io.BytesIO(data))
    size = len(out.getvalue())
    monkeypatch.setattr(tar_spans, "SEARCH_BYTES", size)
    halves = [(0, size // 2), (size // 2, size)]
    stems = [s.stem for start, stop in halves for s in tar_spans.samples_in(out, start, stop, OWNERS)]
    assert stems == ["a", "b", "c"]  # b holds nothing that is taken


def test_parts_in_the_names_of_members_are_kept(tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar"):
        (tmp_path / name).write_bytes(archive(8, tarfile.PAX_FORMAT, np.random.default_rng(0), "test/"))
    files = [File(path.name, path.stat().st_size, 1) for path in sorted(tmp_path.iterdir())]
    opened = tar_spans.open_reader(files, tmp_path, KINDS)
    assert isinstance(opened, tar.ArchiveReader) and {shard.part for shard in opened.shards("text")} == {"test"}


def test_damage_and_what_is_gone_cost_their_span(tmp_path: Path) -> None:
    body = bytearray(archive(30, tarfile.GNU_FORMAT, np.random.default_rng(1)))
    (tmp_path / "a.tar").write_bytes(body)
    opened = tar_spans.open_reader([File("a.tar", len(body), 1)], tmp_path, KINDS)
    assert isinstance(opened, tar_spans.SpanReader)
    (shard,) = opened.shards("text")
    assert len(list(opened.read(shard))) == 30
    (tmp_path / "a.tar").write_bytes(body[: len(body) // 2])
    *items, last = opened.read(shard)
    assert 5 < len(items) < 30 and isinstance(last, SkippedItem) and "truncated" in last.reason
    (tmp_path / "a.tar").unlink()
    assert [type(item) for item in opened.read(shard)] == [SkippedItem]


def test_the_spans_of_all_archives_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 10 TB, spans of 256 pictures took more than 2 GB of memory."""
    body = archive(300, tarfile.PAX_FORMAT, np.random.default_rng(0))
    files = [File(f"{name}.tar", len(body), 1) for name in "abc"]
    for file in files:
        (tmp_path / file.path).write_bytes(body)
    monkeypatch.setattr(tar_spans, "MIN_SPAN", 1 << 12)
    monkeypatch.setattr(tar_spans, "SHARD_ITEMS", 8)
    counts = {}
    for most in (10**6, 9):
        monkeypatch.setattr(tar_spans, "MAX_SPANS", most)
        opened = tar_spans.open_reader(files, tmp_path, KINDS)
        assert isinstance(opened, tar_spans.SpanReader)
        shards = opened.shards("image")
        counts[most] = len(shards), sum(len(list(opened.read(shard))) for shard in shards)
    assert 9 <= counts[9][0] <= 12 < counts[10**6][0]
    assert counts[9][1] == counts[10**6][1] > 0


def archive_of_pictures(count: int, generator: np.random.Generator) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as stream:
        for index in range(count):
            data = io.BytesIO()
            Pillow.fromarray(generator.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(data, "PNG")
            info = tarfile.TarInfo(f"{index:04d}.png")
            info.size = len(data.getvalue())
            stream.addfile(info, io.BytesIO(data.getvalue()))
    return out.getvalue()


@pytest.mark.parametrize(("place", "most_held_out"), [("c.tar", 3 * 16), ("test/c.tar", 12 * 16)])
def test_no_more_is_held_out_of_long_spans_than_of_others(
    place: str, most_held_out: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 10 TB, held-out spans had 36,000 pictures instead of 6,000: with its report, a training took 3.7 GB."""
    monkeypatch.setattr(limits, "TAR_LISTED_BYTES", 0)
    monkeypatch.setattr(streaming_split, "MAX_PASS_ITEMS", 0)
    for name, value in (("MIN_SPAN", 1 << 12), ("SHARD_ITEMS", 8), ("MAX_SPANS", 30)):
        monkeypatch.setattr(tar_spans, name, value)
    for name in ("a.tar", "b.tar", place):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive_of_pictures(400, np.random.default_rng(len(list(path.parent.iterdir())))))
    data = Dataset.open(str(tmp_path / "data"), cache=tmp_path / "cache")
    data.fit(DataBudget(3600.0, 0, 0))
    numbers = {part: data.part_size(part) for part in ("validation", "test")}
    data.close()
    assert 4 <= numbers["validation"] <= 3 * 16 and 4 <= numbers["test"] <= most_held_out
