"""Large data at an address: learned from by range, in the same order as from a disk, moving what is used."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

import samples
from anew.core import files
from anew.core.stores import ranges
from anew.core.stores.block_cache import BlockCache
from anew.core.stores.stored_files import StoredFile
from anew.data import limits
from anew.data.dataset import Dataset
from anew.data.formats import by_range
from anew.data.loading import streaming
from anew.data.sources import delimited_rows, selected_data, store_listing, tar_spans
from anew.data.sources import parquet as sources_parquet
from anew.data.types import DataBudget
from anew.errors import DataError

SIZE = DataBudget(seconds=None, items=0, bytes=0)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    monkeypatch.setattr(store_listing, "MAX_COPIED_BYTES", 1000)
    monkeypatch.setattr(limits, "TAR_LISTED_BYTES", 1000)
    monkeypatch.setattr(files, "FREE_DISK_BYTES", 0)
    yield system
    by_range._folders.clear()
    system.store.clear()
    system.pseudo_dirs[:] = [""]


@pytest.fixture
def transfers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(key, bytes) of every request."""
    requests: list[tuple[str, int]] = []
    original = fsspec.get_filesystem_class("memory").cat_file

    def counted(self: object, path: str, start: int | None = None, end: int | None = None, **more: object) -> bytes:
        data: bytes = original(self, path, start=start, end=end, **more)
        requests.append((path, len(data)))
        return data

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "cat_file", counted)
    return requests


def upload(system: fsspec.AbstractFileSystem, folder: Path, key: str) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            system.pipe(f"{key}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def rows(path: Path, count: int, seed: int) -> None:
    words = samples.prose(path.with_suffix(".txt"), count, seed).read_text().split(". ")
    path.with_suffix(".txt").unlink()
    path.write_text("".join(json.dumps({"text": f"{i} {word}"}) + "\n" for i, word in enumerate(words)))


def batches(data: Dataset) -> list[np.ndarray]:
    data.fit(SIZE)
    batches = [data.batch(step, "main", 0, 8, 8).x.numpy() for step in range(6)]
    data.close()
    return batches


def test_rows_come_in_the_order_of_a_local_folder(
    tmp_path: Path, store: fsspec.AbstractFileSystem, transfers: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    for number in range(2):
        rows(folder / f"part-{number}.jsonl", 1500, number)
    (folder / "README.md").write_text("described")
    upload(store, folder, "/bucket/rows")
    monkeypatch.setattr(selected_data, "WHOLE_BYTES", 0)
    monkeypatch.setattr(delimited_rows, "SHARD_BYTES", 1 << 13)
    monkeypatch.setattr(streaming, "FIT_BYTES", 1 << 14)
    local, distant = Dataset.open(folder), Dataset.open("memory://bucket/rows")
    assert any("read by range as it is used" in note for note in distant.scan.notes)
    assert local.fingerprint == distant.fingerprint and local.scan.parts == distant.scan.parts
    for left, right in zip(batches(local), batches(distant), strict=True):
        assert np.array_equal(left, right)
    copied = {path.name for path in (files.cache_root(None) / "remote").rglob("*.jsonl")}
    assert not copied & {"part-0.jsonl", "part-1.jsonl"}
    total = sum(path.stat().st_size for path in folder.glob("*.jsonl"))
    assert sum(size for _, size in transfers) <= 1.05 * total + 2 * ranges.BLOCK


def test_pictures_and_archives_move_what_is_used(
    tmp_path: Path, store: fsspec.AbstractFileSystem, transfers: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = samples.shapes(tmp_path / "shapes", 300)
    upload(store, folder, "/bucket/shapes")
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as stream:
        for number, path in enumerate(sorted(folder.rglob("*.png"))):
            for ending, data in ((".png", path.read_bytes()), (".cls", path.parent.name.encode())):
                info = tarfile.TarInfo(f"{number:04d}{ending}")
                info.size = len(data)
                stream.addfile(info, io.BytesIO(data))
    store.pipe("/bucket/packed/a.tar", body.getvalue())
    monkeypatch.setattr(tar_spans, "MIN_SPAN", 1 << 16)
    local, distant = Dataset.open(folder), Dataset.open("memory://bucket/shapes")
    assert local.fingerprint == distant.fingerprint
    assert len(transfers) == 300  # one request a picture, for looking at it, dividing and encoding
    for left, right in zip(batches(local), batches(distant), strict=True):
        assert np.array_equal(left, right)
    assert len(transfers) == 300
    packed = Dataset.open("memory://bucket/packed")
    assert packed.scan.labels == local.scan.labels and packed.scan.items == 300
    assert sum(size for key, size in transfers if key.endswith(".tar")) <= len(body.getvalue())


def test_many_small_files_stay_in_the_store(
    tmp_path: Path, store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(store, samples.shapes(tmp_path / "shapes", 60), "/bucket/shapes")
    monkeypatch.setattr(store_listing, "MAX_COPIED_BYTES", 1 << 30)
    assert any("from a copy" in note for note in Dataset.open("memory://bucket/shapes").scan.notes)
    monkeypatch.setattr(store_listing, "MAX_COPIED_FILES", 59)
    assert any("read by range" in note for note in Dataset.open("memory://bucket/shapes").scan.notes)


def test_names_are_kept_and_a_change_counts(
    tmp_path: Path, store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    rows(folder / "a.jsonl", 2000, 0)
    upload(store, folder, "/bucket/kept")
    listings: list[str] = []
    original = type(store).ls

    def counted(self: object, path: str, **more: object) -> object:
        listings.append(path)
        return original(self, path, **more)

    monkeypatch.setattr(type(store), "ls", counted)
    first = Dataset.open("memory://bucket/kept")
    again = Dataset.open("memory://bucket/kept")
    assert len(listings) == 1 and first.fingerprint == again.fingerprint
    assert any("listed 0 minutes ago" in note for note in again.scan.notes)
    rows(folder / "b.jsonl", 2000, 1)
    upload(store, folder, "/bucket/kept")
    monkeypatch.setattr(store_listing, "FRESH_SECONDS", 0.0)
    assert Dataset.open("memory://bucket/kept").fingerprint != first.fingerprint and len(listings) == 2


def test_data_that_vanishes_is_said(
    tmp_path: Path, store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    rows(folder / "a.jsonl", 2000, 5)
    rows(folder / "b.jsonl", 2000, 6)
    upload(store, folder, "/bucket/gone")
    Dataset.open("memory://bucket/gone")
    store.rm("/bucket/gone/a.jsonl")
    monkeypatch.setattr(BlockCache, "load", lambda self, name, size: None)  # the cache was emptied
    with pytest.raises(DataError, match="changed while it was read: 1 of 2 files is gone"):
        Dataset.open("memory://bucket/gone")
    store.rm("/bucket/gone/b.jsonl")
    with pytest.raises(DataError, match="there is nothing at 'memory://bucket/gone'"):  # its names are kept
        Dataset.open("memory://bucket/gone")


def test_parquet_is_read_by_row_group(
    tmp_path: Path, store: fsspec.AbstractFileSystem, transfers: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    generator = np.random.default_rng(0)
    folder = tmp_path / "rows"
    folder.mkdir()
    texts = [f"{i} " + " ".join(map(str, generator.integers(0, 9999, 120))) for i in range(1600)]
    unused = [generator.bytes(1000).hex() for _ in texts]
    table = pyarrow.table({"text": texts, "unused": unused})
    parquet.write_table(table, folder / "a.parquet", row_group_size=200)
    upload(store, folder, "/bucket/parquet")
    monkeypatch.setattr(selected_data, "WHOLE_BYTES", 0)
    monkeypatch.setattr(sources_parquet, "SAMPLED_BYTES", 1 << 16)
    local, distant = Dataset.open(folder), Dataset.open("memory://bucket/parquet")
    assert local.fingerprint == distant.fingerprint and local.scan.parts == distant.scan.parts
    size = (folder / "a.parquet").stat().st_size
    assert 0 < sum(count for _, count in transfers) < 0.6 * size  # not the column that nobody asks for
    shards = distant._chosen.shards
    rows = [item.data for shard in shards for item in distant._chosen.source.read(shard)]  # type: ignore[union-attr]
    assert rows == texts
    assert len(list((files.cache_root(None) / "parts").glob("*.part"))) <= 2 + sources_parquet.MAX_LOCAL_GROUPS
    body = store.cat_file("/bucket/parquet/a.parquet")
    store.pipe("/bucket/cut/a.parquet", body[: len(body) // 2])
    with pytest.raises(DataError, match="its end is not that of a Parquet file"):
        Dataset.open("memory://bucket/cut")


def test_what_vanishes_while_a_training_reads_ends_it(
    tmp_path: Path, store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    rows(folder / "a.jsonl", 1500, 7)
    upload(store, folder, "/bucket/leaving")
    monkeypatch.setattr(selected_data, "WHOLE_BYTES", 0)
    monkeypatch.setattr(delimited_rows, "SHARD_BYTES", 1 << 13)
    monkeypatch.setattr(streaming, "FIT_BYTES", 1 << 14)
    monkeypatch.setattr(BlockCache, "load", lambda self, name, size: None)
    data = Dataset.open("memory://bucket/leaving")
    data.fit(SIZE)
    (stood_in,) = by_range._folders.values()
    stood_in.store._memory.clear()
    store.rm("/bucket/leaving/a.jsonl")
    with pytest.raises(DataError, match="changed while it was read: 1 of 1 file is gone"):
        for step in range(2000):
            data.batch(step, "main", 0, 64, 64)
    data.close()


def test_files_are_found_where_they_were_registered_last(tmp_path: Path, store: fsspec.AbstractFileSystem) -> None:
    path = f"{tmp_path}/data/a.png"
    for key in ("first/a.png", "second/a.png"):
        reader = ranges.RangeStore(store, "memory://", BlockCache(tmp_path / "blocks"))
        by_range.register(tmp_path / "data", reader, {"a.png": StoredFile(key, 1, "s")})
        for _ in range(2):
            stored = by_range.find_stored(path)
            assert stored is not None and stored.file.key == key and stored.store is reader
    assert by_range.find_stored(f"{tmp_path}/data/b.png") is None
    by_range.unregister(tmp_path / "data")
    assert by_range.find_stored(path) is None
