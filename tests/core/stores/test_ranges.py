"""Objects read by range: the right bytes, few requests, a bounded cache, and sentences for what goes wrong."""

from __future__ import annotations

import gc
import io
import threading
import time
import weakref
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from anew.core import files
from anew.core.stores import addresses, block_cache, ranges
from anew.core.stores.block_cache import BlockCache
from anew.core.stores.ranges import LostObjectError, RangeFile, RangeStore
from anew.core.stores.stored_files import StoredFile, stored_file
from anew.errors import ChangedDataError, DataError

BODY = np.random.default_rng(0).bytes(3_000_000)
FILE = StoredFile("bucket/a.bin", len(BODY), "v1")


class Store:
    """A store in memory that counts what it is asked for."""

    def __init__(self, body: bytes = BODY) -> None:
        self.body, self.stamp = body, "v1"
        self.asked: list[tuple[int, int]] = []
        self.faults: list[BaseException] = []
        self.barrier: threading.Barrier | None = None

    def info(self, path: str) -> Mapping[str, object]:
        return {"size": len(self.body), "ETag": self.stamp}

    def cat_file(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        if self.faults:
            raise self.faults.pop()
        if self.barrier is not None:
            self.barrier.wait(10)
        self.asked.append((start or 0, end or 0))
        return self.body[start:end]

    def invalidate_cache(self) -> None:
        pass

    def find(self, path: str, *, detail: bool) -> Mapping[str, Mapping[str, object]]:
        raise NotImplementedError

    def get_file(self, rpath: str, lpath: str) -> object:
        raise NotImplementedError

    put_file = get_file

    def pipe_file(self, path: str, value: bytes) -> object:
        raise NotImplementedError

    def rm_file(self, path: str) -> object:
        raise NotImplementedError


def opened(tmp_path: Path, store: Store) -> RangeStore:
    return RangeStore(store, "s3://bucket", BlockCache(tmp_path / "blocks"))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FREE_DISK_BYTES", 0)
    monkeypatch.setattr(addresses, "RETRY_S", 0.0)


def test_any_range_is_read_and_none_twice(tmp_path: Path) -> None:
    store = Store()
    reader = opened(tmp_path, store)
    generator = np.random.default_rng(1)
    for start, stop in np.sort(generator.integers(0, len(BODY), (40, 2)), axis=1).tolist():
        assert reader.read(FILE, start, stop) == BODY[start:stop]
    assert reader.bytes_read <= len(BODY) and reader.requests == len(store.asked)
    before = len(store.asked)
    again = opened(tmp_path, store)  # another process
    assert again.read(FILE, 5, len(BODY)) == BODY[5:] and len(store.asked) == before
    assert again.read(StoredFile("bucket/a.bin", len(BODY), "v2"), 0, 9) == BODY[:9] and len(store.asked) == before + 1


def test_a_store_that_nobody_uses_any_more_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its threads held it, with 64 MB of blocks, for as long as the process lived."""
    monkeypatch.setattr(ranges, "IDLE_S", 0.1)
    readers = [opened(tmp_path, Store())]
    for start in (0, 20 * ranges.BLOCK):
        assert readers[0].read(FILE, start, start + 9) == BODY[start : start + 9]
        wait_until(lambda: readers[0]._threads == 0)  # a new one is started where all have ended
    reference = weakref.ref(readers.pop())
    wait_until(lambda: gc.collect() >= 0 and reference() is None)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_stamp_is_the_same_however_a_store_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listings of rclone have no quotes around an ETag, and fractions of seconds that the object itself has not."""
    monkeypatch.setattr(ranges, "CHECK_S", 0.0)
    monkeypatch.setattr(ranges, "REQUEST", 4 * ranges.BLOCK)
    store = Store()
    store.stamp = '"v1"'
    listed = stored_file("bucket/a.bin", {"size": len(BODY), "ETag": "v1"})
    reader = opened(tmp_path, store)
    assert reader.read(listed, 0, len(BODY)) == reader.read(listed, 0, len(BODY)) == BODY
    at = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
    stamps = {stored_file("a", {"size": 1, "LastModified": time}).stamp for time in (at, at.replace(microsecond=0))}
    assert len(stamps) == 1
    assert stored_file("a", {"size": 1, "ETag": '""', "LastModified": at}).stamp == stamps.pop()


def test_a_large_range_takes_several_requests_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "REQUEST", 4 * ranges.BLOCK)
    store = Store()
    count = -(-len(BODY) // (4 * ranges.BLOCK))
    store.barrier = threading.Barrier(count)  # broken unless all of them are under way together
    assert opened(tmp_path, store).read(FILE, 0, len(BODY)) == BODY
    assert len(store.asked) == count <= ranges.STREAMS


def test_a_file_that_is_read_in_order_is_fetched_ahead(tmp_path: Path) -> None:
    store = Store()
    stream = io.BufferedReader(RangeFile(opened(tmp_path, store), FILE), 4096)
    pieces = []
    while piece := stream.read(10_000):
        pieces.append(piece)
    assert b"".join(pieces) == BODY and stream.seek(0, 2) == len(BODY) and stream.read(1) == b""
    assert len(store.asked) < len(BODY) / ranges.BLOCK and sum(b - a for a, b in store.asked) == len(BODY)


def test_many_objects_are_asked_for_once(tmp_path: Path) -> None:
    store = Store()
    reader, objects = opened(tmp_path, store), [StoredFile(f"bucket/{i}", len(BODY), "v1") for i in range(6)]
    reader.prefetch_all([(file, 0, 100) for file in objects[:4]])
    reader.prefetch_all([(file, 0, 100) for file in objects])  # under way, or here already
    assert [reader.read(file, 0, 9) for file in objects] == 6 * [BODY[:9]] and len(store.asked) == 6
    deadline = time.monotonic() + 60  # what is in memory is written a moment later
    while len([p for p in (tmp_path / "blocks").rglob("*-*") if p.suffix != ".tmp"]) < 6:
        assert time.monotonic() < deadline
    again = opened(tmp_path, store)
    again.prefetch_all([(file, 0, 100) for file in objects])  # in the cache
    assert again.read(objects[5], 0, 9) == BODY[:9] and len(store.asked) == 6


def test_a_place_here_and_there_moves_little(tmp_path: Path) -> None:
    store = Store()
    stream = io.BufferedReader(RangeFile(opened(tmp_path, store), FILE))
    for at in (2_500_000, 1_000_000, 40):
        stream.seek(at)
        assert stream.read(512) == BODY[at : at + 512]
    assert len(store.asked) == 3 and sum(b - a for a, b in store.asked) <= 3 * ranges.BLOCK


def test_the_cache_is_bounded_and_memory_alone_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = 10 * ranges.BLOCK
    monkeypatch.setattr(block_cache, "MAX_BYTES", bound)
    assert opened(tmp_path, Store()).read(FILE, 0, len(BODY)) == BODY
    assert sum(path.stat().st_size for path in (tmp_path / "blocks").rglob("*") if path.is_file()) <= bound
    monkeypatch.setattr(files, "FREE_DISK_BYTES", 1 << 60)  # a full disk
    monkeypatch.setattr(ranges, "MEMORY", 2 * ranges.BLOCK)
    assert opened(tmp_path / "other", Store()).read(FILE, 0, len(BODY)) == BODY
    assert not list((tmp_path / "other" / "blocks").rglob("*-*"))


def test_a_damaged_block_is_fetched_again(tmp_path: Path) -> None:
    opened(tmp_path, Store()).read(FILE, 0, 9)
    (path,) = (path for path in (tmp_path / "blocks").rglob("*") if path.is_file())
    path.write_bytes(b"cut")
    assert opened(tmp_path, Store()).read(FILE, 0, 9) == BODY[:9]


def test_a_store_that_stutters_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "RETRY_S", 60.0)
    monkeypatch.setattr(addresses.time, "sleep", lambda seconds: None)
    store = Store()
    store.faults = [ConnectionResetError("connection reset"), TimeoutError("too slow")]
    assert opened(tmp_path, store).read(FILE, 0, 100) == BODY[:100]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            FileNotFoundError("gone"),
            "'s3://bucket' changed while it was read: 1 of 1 file is gone or changed, such as 'a.bin'",
        ),
        (PermissionError("Access Denied"), "check your permissions"),
        (ConnectionResetError("connection reset"), "check the address and the network"),
    ],
)
def test_what_goes_wrong_is_said_to_who_reads(tmp_path: Path, fault: Exception, message: str) -> None:
    store = Store()
    store.faults = [fault]
    reader = opened(tmp_path, store)
    with pytest.raises(DataError, match=message):
        reader.read(FILE, 0, 100)
    assert reader.read(FILE, 0, 100) == BODY[:100]  # once it is back


def test_a_store_that_fails_for_long_is_told_from_one_that_refuses(tmp_path: Path) -> None:
    store = Store()
    for fault, is_outage in (
        (ConnectionResetError("connection reset"), True),
        (PermissionError("Access Denied"), False),
    ):
        store.faults = [fault]
        with pytest.raises(DataError) as caught:
            opened(tmp_path, store).read(FILE, 0, 100)
        assert isinstance(caught.value, addresses.OutageError) == is_outage


def test_a_request_that_is_cancelled_leaves_nobody_waiting(tmp_path: Path) -> None:
    store = Store()
    store.faults = [CancelledError()]
    reader = opened(tmp_path, store)
    with pytest.raises(CancelledError):
        reader.read(FILE, 0, 100)
    assert reader.read(FILE, 0, 100) == BODY[:100]


def test_one_object_among_many_may_go_and_more_may_not(tmp_path: Path) -> None:
    store, forgotten = Store(BODY[:50]), list[int]()
    reader = RangeStore(store, "s3://bucket", BlockCache(tmp_path / "blocks"), 250, forget=lambda: forgotten.append(1))
    many = [StoredFile(f"bucket/{number}.png", 50, "v1") for number in range(4)]
    for _ in range(2):  # it counts once
        store.faults = [FileNotFoundError("gone")]
        with pytest.raises(LostObjectError, match="removed after the data was listed"):
            reader.read(many[0], 0, 50)
    assert reader.read(many[1], 0, 50) == BODY[:50]
    store.body = BODY[:40]
    with pytest.raises(LostObjectError, match="changed after the data was listed"):
        reader.read(many[2], 0, 50)
    assert not forgotten
    with pytest.raises(ChangedDataError, match=r"3 of 250 files are gone or changed, such as '3\.png'"):
        reader.read(many[3], 0, 50)
    assert forgotten == [1]


@pytest.mark.parametrize("size", [50, len(BODY) - 7])  # one block, and several
def test_an_object_that_was_overwritten_by_a_longer_one_is_noticed(tmp_path: Path, size: int) -> None:
    store = Store()
    with pytest.raises(DataError, match="changed while it was read"):
        opened(tmp_path, store).read(StoredFile("bucket/a.bin", size, "v1"), 0, size)
    assert store.asked == [(0, size + 1)]


def test_an_object_that_changes_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="changed while it was read"):
        opened(tmp_path, Store(BODY[:50])).read(FILE, 0, 100)
    monkeypatch.setattr(ranges, "REQUEST", ranges.BLOCK)
    monkeypatch.setattr(ranges, "CHECK_S", 0.0)
    store = Store()
    reader = opened(tmp_path, store)
    reader.read(FILE, 0, 100)
    store.stamp = "v2"
    with pytest.raises(DataError, match="changed while it was read"):
        reader.read(FILE, 1_000_000, 1_000_100)


def test_an_object_that_changed_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look that said so counted as one that had agreed, so for a minute items were read from both."""
    monkeypatch.setattr(ranges, "REQUEST", ranges.BLOCK)
    store = Store()
    reader = RangeStore(store, "s3://bucket", BlockCache(tmp_path / "blocks"), 1_000, age=ranges.CHECK_S)
    old = reader.read(FILE, 0, 100)
    monkeypatch.setattr(ranges, "CHECK_S", 0.0)
    store.stamp, store.body = "v2", BODY[::-1]
    for place in (1_000_000, 1_500_000, 2_000_000):
        with pytest.raises(LostObjectError, match="changed after the data was listed"):
            reader.read(FILE, place, place + 100)
    assert len(store.asked) == 2 and reader.read(FILE, 0, 100) == old == BODY[:100]


def test_an_object_that_changed_after_an_old_listing_is_noticed_at_once(tmp_path: Path) -> None:
    store = Store()
    store.stamp = "v2"
    cache = BlockCache(tmp_path / "blocks")
    assert RangeStore(store, "s3://bucket", cache, 1_000).read(FILE, 0, 9) == BODY[:9]
    with pytest.raises(LostObjectError, match="changed after the data was listed"):
        RangeStore(store, "s3://bucket", cache, 1_000, age=ranges.CHECK_S).read(FILE, 1_000_000, 1_000_009)


def test_an_object_that_comes_back_is_looked_at(tmp_path: Path) -> None:
    store = Store()
    reader = RangeStore(store, "s3://bucket", BlockCache(tmp_path / "blocks"), 1_000)
    store.faults = [FileNotFoundError("gone")]
    with pytest.raises(LostObjectError, match="removed"):
        reader.read(FILE, 0, 100)
    store.stamp = "v2"
    with pytest.raises(LostObjectError, match="changed"):
        reader.read(FILE, 0, 100)


def test_reading_in_order_is_ahead_after_the_end_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of contents at the end, read in order, ended all reading ahead."""
    reader = opened(tmp_path, Store())
    starts: list[int] = []
    monkeypatch.setattr(reader, "prefetch", lambda file, start, stop: starts.append(start))
    stream, buffer = RangeFile(reader, FILE), memoryview(bytearray(64 * 1024))
    stream.seek(-256 * 1024, 2)
    while stream.readinto(buffer):
        pass
    starts.clear()
    stream.seek(0)
    for _ in range(8):
        stream.readinto(buffer)
    assert starts
