"""Encoded shards: in memory while they are used, on disk for the next command, made ahead of use on one background thread."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Numbers
from anew.core.files import FREE_DISK_BYTES

VERSION = 1  # the version of the stored format; each has folders of its own
MEMORY_BYTES = 512 * 1024 * 1024  # bytes of encoded shards kept in memory: eight groups of shards
RESTING_BYTES = 64 * 1024 * 1024  # the same once training has ended: they are read again in a tenth of a second; chosen
DISK_BYTES = 20 * 1024**3  # bytes that all cached sources may take; the longest unused are removed first
FETCHED_AHEAD = 8  # shards whose sources are fetched before their turn, which hides the latency of a store
FETCHED_NEXT = 2  # the same while shards are encoded in turn, perhaps only some of them; chosen
PAUSE_SECONDS = 0.002  # the background thread pauses after each piece of work: training needs the same interpreter


@dataclass(slots=True)
class EncodedShard:
    """One shard.

    Attributes:
        values: (n, *shape) grids, or the ids of all items one after another.
        lengths: (n,) ids of each item.
        labels: (n,) class numbers.
        parts: (n,) part numbers.
        refusals: [name, reason, group] of each item that was left out.
    """

    values: Numbers
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64]
    parts: NDArray[np.uint8]
    refusals: list[list[str | None]] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return int(self.values.nbytes + 32 * len(self.lengths))


def cache_name(*parts: object) -> str:
    """A folder name that changes with any of the parts (JSON values)."""
    text = json.dumps([VERSION, *parts], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


class DiskCache:
    """A folder of arrays, such as encoded shards. Never fails: what cannot be written or read is simply made again."""

    def __init__(self, root: Path, name: str) -> None:
        self._folder = root / name
        self._works = True
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            os.utime(self._folder)
            _prune(root, keep=name)
        except OSError:
            self._works = False

    def _path(self, name: str) -> Path:
        digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()
        return self._folder / f"{digest}.npz"

    def holds(self, shard: str) -> bool:
        """Whether a shard was stored before."""
        return self._works and self._path(shard).exists()

    def load(self, shard: str) -> EncodedShard | None:
        """A shard that was stored before, or None."""
        stored = self.load_arrays(shard)
        try:
            refusals = json.loads(stored["refusals"].tobytes() or b"[]")
            lengths, labels = (np.asarray(stored[name], np.int64) for name in ("lengths", "labels"))
            return EncodedShard(stored["values"], lengths, labels, np.asarray(stored["parts"], np.uint8), refusals)
        except (KeyError, ValueError):
            return None

    def store(self, shard: str, encoded: EncodedShard) -> None:
        """See `store_arrays`."""
        arrays: dict[str, Numbers] = {
            "values": encoded.values,
            "lengths": encoded.lengths,
            "labels": encoded.labels,
            "parts": encoded.parts,
            "refusals": np.frombuffer(json.dumps(encoded.refusals).encode(), dtype=np.uint8),
        }
        self.store_arrays(shard, arrays)

    def load_arrays(self, name: str) -> dict[str, Numbers]:
        """Arrays that were stored before; none if there are none, or their file is damaged."""
        if not self._works:
            return {}
        try:
            # Opened here, because NumPy would leave a damaged file open.
            with open(self._path(name), "rb") as stream, np.load(stream, allow_pickle=False) as stored:
                return dict(stored)
        except (OSError, KeyError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile):
            return {}

    def store_arrays(self, name: str, arrays: Mapping[str, Numbers]) -> None:
        """Write under a temporary name, then rename; a full disk ends caching, not the command."""
        if not self._works:
            return
        temporary = ""
        size = sum(array.nbytes for array in arrays.values())
        try:
            if shutil.disk_usage(self._folder).free < FREE_DISK_BYTES + 2 * size:
                self._works = False
                return
            handle, temporary = tempfile.mkstemp(dir=self._folder, suffix=".part")
            with os.fdopen(handle, "wb") as stream:
                np.savez(stream, **arrays)  # type: ignore[arg-type]  # names of arrays are no other arguments
            os.replace(temporary, self._path(name))
        except OSError:
            self._works = False
            if temporary:
                Path(temporary).unlink(missing_ok=True)


def _prune(root: Path, keep: str) -> None:
    """Remove the longest unused sources until all take at most DISK_BYTES."""
    folders = sorted((f for f in root.iterdir() if f.is_dir()), key=lambda f: f.stat().st_mtime, reverse=True)
    total = 0
    for folder in folders:
        with os.scandir(folder) as entries:
            total += sum(entry.stat().st_size for entry in entries if entry.is_file())
        if total > DISK_BYTES and folder.name != keep and all(f.suffix in (".npz", ".part") for f in folder.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)


class ShardCache:
    """Encoded shards by number: from memory, from disk, or encoded when asked for; `prefetch` encodes ahead.

    Args:
        name_of: Returns the name of a shard in the disk cache, given its number: there may be a million.
        make: Encodes a shard; called from any thread, but never twice at once for one shard.
        fetch: Starts to fetch the source of a shard, without waiting for it.
    """

    def __init__(
        self,
        name_of: Callable[[int], str],
        make: Callable[[int], EncodedShard],
        disk: DiskCache,
        fetch: Callable[[int], object] = lambda number: None,
    ) -> None:
        self._name_of, self._make, self._disk, self._fetch = name_of, make, disk, fetch
        self._kept: OrderedDict[int, EncodedShard] = OrderedDict()
        self._size = 0
        self._making: dict[int, threading.Event] = {}
        self._queue: list[int] = []
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._closed = False

    def get_once(self, number: int) -> EncodedShard:
        """The shard, which is not kept in memory; waits if another thread is encoding it."""
        return self._kept_or_begun(number) or self._build(number, is_kept=False)

    def get(self, number: int) -> EncodedShard:
        """The shard; waits if another thread is encoding it."""
        return self._kept_or_begun(number) or self._build(number)

    def _kept_or_begun(self, number: int) -> EncodedShard | None:
        """The shard if it is in memory. Else None, once nobody else is encoding it: `_build` must follow, for which all others wait."""
        while True:
            with self._lock:
                encoded = self._kept.get(number)
                if encoded is not None:
                    self._kept.move_to_end(number)
                    return encoded
                busy = self._making.get(number)
                if busy is None:
                    self._making[number] = threading.Event()
                    return None
            busy.wait()

    def _claim(self, number: int) -> bool:
        """Claim a shard that is neither kept nor being encoded; False if it is. If True, the caller must `_build` it, as others
        wait for that."""
        with self._lock:
            if number in self._making or number in self._kept:
                return False
            self._making[number] = threading.Event()
            return True

    def _build(self, number: int, is_kept: bool = True) -> EncodedShard:
        try:
            encoded = self._disk.load(self._name_of(number))
            if encoded is None:
                encoded = self._make(number)
                self._disk.store(self._name_of(number), encoded)
            with self._lock:
                if is_kept:
                    self._kept[number] = encoded
                    self._size += encoded.bytes
                while self._size > MEMORY_BYTES and len(self._kept) > 1:
                    self._size -= self._kept.popitem(last=False)[1].bytes
            return encoded
        finally:
            with self._lock:
                self._making.pop(number).set()

    def prefetch(self, numbers: Sequence[int]) -> None:
        """Encode these in this order in the background, in place of earlier requests."""
        with self._wake:
            self._queue = [n for n in numbers if n not in self._kept]
            if not self._queue or self._closed:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="anew-encoder", daemon=True)
                self._thread.start()
            self._wake.notify()

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._closed:
                    self._wake.wait()
                if self._closed:
                    return
                number = self._queue.pop(0)
                coming = self._queue[:FETCHED_AHEAD]
            # The thread that needs the shard meets the same error, and reports it
            with contextlib.suppress(Exception):
                self._fetch_missing(coming)
                if self._claim(number):
                    self._build(number)
            time.sleep(PAUSE_SECONDS)

    def fetching_ahead(self, numbers: Sequence[int]) -> Iterator[int]:
        """These shards by number, while the sources of those that follow each are fetched."""
        for place, number in enumerate(numbers):
            # The others were asked for at the places before
            first = place + FETCHED_NEXT if place else 1
            self._fetch_missing(numbers[first : place + FETCHED_NEXT + 1])
            yield number

    def _fetch_missing(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            if number not in self._kept and not self._disk.holds(self._name_of(number)):
                self._fetch(number)

    def evict(self) -> None:
        """Remove shards that the disk holds from memory, the longest unused first, down to RESTING_BYTES."""
        with self._lock:
            for number in [n for n in self._kept if self._disk.holds(self._name_of(n))]:
                if self._size <= RESTING_BYTES:
                    return
                self._size -= self._kept.pop(number).bytes

    def close(self) -> None:
        """End the background thread."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join()
