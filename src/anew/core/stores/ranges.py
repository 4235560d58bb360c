"""Objects of a store read by range: in blocks, several requests at once, ahead of use, through a cache of bounded size.

A block lies in memory while it is new, and in the cache on the disk until others need the room.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import math
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future

from anew.core.stores import addresses
from anew.core.stores.addresses import FileSystem
from anew.core.stores.block_cache import BlockCache
from anew.core.stores.direct_store import DirectStore
from anew.core.stores.internal_hosts import internal_cause
from anew.core.stores.stored_files import StoredFile, stored_file
from anew.core.wording import are, plural
from anew.errors import ChangedDataError

# Bytes; the unit of the cache: a picture or some records, so that little is fetched that nobody reads; chosen.
BLOCK = 128 * 1024
# Bytes of one request at most: by then the time is that of the line, no longer that of asking; chosen.
REQUEST = 8 * 1024 * 1024
STREAMS = 8  # requests at once: they hide the time that each waits for its first byte; chosen
MEMORY = 64 * 1024 * 1024  # bytes of blocks that a process holds: one request of each stream
AHEAD = 128 * 1024 * 1024  # bytes that may be asked for before they are used: two requests for each stream
# Share of the objects that may be gone or changed before the reading ends: one among thousands is skipped like a damaged one; chosen.
MAX_LOST = 0.01
IDLE_S = 30.0  # a thread that nobody asks anything then ends: the Studio opens many sets, each with its store; chosen
# Seconds after the listing or the last look until an object is looked at, whether it is still the same: each look is a request; chosen.
CHECK_S = 60.0


Blocks = dict[str, bytes]  # bytes by the name of the block


class LostObjectError(OSError):
    """An object is gone, or not what was listed any more."""


class RangeStore:
    """Reads objects of one store by range. Thread-safe.

    Args:
        address: Its address, for sentences.
        num_objects: How many objects were listed.
        age: Seconds since they were.
        forget: Called when too many of them are not what was listed any more.

    Attributes:
        requests: How many ranges were asked for.
        bytes_read: How much came.
    """

    def __init__(
        self,
        system: FileSystem,
        address: str,
        cache: BlockCache,
        num_objects: int = 1,
        age: float = 0.0,
        forget: Callable[[], object] = lambda: None,
    ) -> None:
        self._system, self._address, self._cache = system, address, cache
        self._num_objects, self._forget = num_objects, forget
        self._lost: set[str] = set()  # keys of objects that are gone or changed
        self._changed: set[str] = set()  # those of them that changed, which are not read again
        self._objects = DirectStore(system)
        self.requests = self.bytes_read = 0
        self._memory: OrderedDict[str, bytes] = OrderedDict()
        self._held = 0  # bytes in memory
        self._pending: dict[str, Future[Blocks]] = {}  # those that were asked for, by block
        self._ahead = 0  # bytes that were asked for before they are used, and have not come
        self._listed = time.monotonic() - age
        self._checked: dict[str, float] = {}  # when an object was last seen to be the same, since the listing
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[_BlockRequest] = queue.SimpleQueue()
        self._threads = 0

    def read(self, file: StoredFile, start: int, stop: int) -> bytes:
        """The bytes [start, stop) of an object.

        Raises:
            LostObjectError: It is gone, or not the same any more.
            DataError: That is so of more than MAX_LOST of all objects; or it is forbidden, or the store fails for a minute.
        """
        names = _BlockNames(file)
        numbers = range(start // BLOCK, -(-stop // BLOCK)) if stop > start else range(0)
        data = self._read_blocks(names, numbers)
        origin = numbers.start * BLOCK
        return data[start - origin : stop - origin]

    def prefetch(self, file: StoredFile, start: int, stop: int) -> None:
        """Fetch these bytes in the background, as far as they fit."""
        self.prefetch_all([(file, start, stop)])

    def prefetch_all(self, ranges: Iterable[tuple[StoredFile, int, int]]) -> None:
        """The same of many ranges (object, first byte, byte after the last)."""
        requests: list[tuple[_BlockNames, list[int]]] = []
        with self._lock:
            for file, start, stop in ranges:
                names = _BlockNames(file)
                blocks = range(max(start, 0) // BLOCK, -(-min(stop, names.size) // BLOCK))
                requests.append((names, [number for number in blocks if not self._is_here(names[number])]))
        stored = self._cache.held({names[n]: names.bytes_of(n) for names, numbers in requests for n in numbers})
        with self._lock:
            absent = (
                (names, [n for n in numbers if names[n] not in stored and not self._is_here(names[n])])
                for names, numbers in requests
            )
            for names, run in [(names, run) for names, numbers in absent for run in _runs(numbers)]:
                if self._ahead > AHEAD:
                    return
                self._submit(names, run)

    def _is_here(self, name: str) -> bool:
        """Whether a block is in memory, or under way; the lock is held."""
        return name in self._memory or name in self._pending

    def _read_blocks(self, names: _BlockNames, numbers: range) -> bytes:
        """The blocks of these numbers, one after the other."""
        blocks = {names[number]: self._cached_block(names, number) for number in numbers}
        absent = [number for number in numbers if blocks[names[number]] is None]
        with self._lock:
            for number in absent:  # it may have come since
                blocks[names[number]] = self._memory.get(names[number])
            missing = [number for number in absent if blocks[names[number]] is None]
            for run in _runs([number for number in missing if names[number] not in self._pending]):
                self._submit(names, run)
            jobs = {self._pending[names[number]] for number in missing}
        for job in jobs:
            blocks.update({name: block for name, block in job.result().items() if name in blocks})
        return b"".join(block for block in blocks.values() if block is not None)

    def _cached_block(self, names: _BlockNames, number: int) -> bytes | None:
        """A block, where it is in memory or in the cache; None also where it is under way."""
        name = names[number]
        with self._lock:
            if name in self._memory:
                self._memory.move_to_end(name)
                return self._memory[name]
            if name in self._pending:
                return None
        block = self._cache.load(name, names.bytes_of(number))
        if block is not None:
            self._remember({name: block})
        return block

    def _remember(self, blocks: Blocks) -> None:
        with self._lock:
            for name, block in blocks.items():
                self._held += len(block) - len(self._memory.pop(name, b""))
                self._memory[name] = block
            while self._held > MEMORY and len(self._memory) > len(blocks):
                self._held -= len(self._memory.popitem(last=False)[1])

    # -- requests -------------------------------------------------------------------------------------------------------

    def _submit(self, names: _BlockNames, run: range) -> None:
        """Ask for a run of blocks; the lock is held."""
        job = _BlockRequest(names, run, Future())
        self._pending.update({names[number]: job.result for number in run})
        self._ahead += job.bytes
        self._jobs.put(job)
        if self._threads < STREAMS:  # daemons: the end of a program does not wait for a store that fails
            self._threads += 1
            threading.Thread(target=self._work, name="anew-ranges", daemon=True).start()

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            self._do(job)
            if self._jobs.empty():
                self._cache.flush()

    def _next_job(self) -> _BlockRequest | None:
        """The next request; None if there was none for so long that this thread is to end, so that a store of which nobody
        makes use any more is let go."""
        with contextlib.suppress(queue.Empty):
            return self._jobs.get(timeout=IDLE_S)
        with self._lock:  # which is held where requests are added, so none counts on a thread that ends
            with contextlib.suppress(queue.Empty):
                return self._jobs.get_nowait()
            self._threads -= 1
        return None

    def _do(self, job: _BlockRequest) -> None:
        blocks: Blocks | None = None
        fault: BaseException | None = None
        try:
            blocks = self._fetch(job)
        except BaseException as error:  # raised again in the threads that wait for the blocks
            fault = error
        with self._lock:
            self._ahead -= job.bytes
            # Done before the answer: who asks again after a fault starts anew
            for number in job.run:
                self._pending.pop(job.names[number], None)
        if fault is not None:
            job.result.set_exception(fault)
        elif blocks is not None:
            job.result.set_result(blocks)

    def _fetch(self, job: _BlockRequest) -> Blocks:
        file, start = job.names.file, job.run.start * BLOCK
        place = f"{self._address}: {file.key.rpartition('/')[2]}"
        stop = start + job.bytes
        is_whole = start == 0 and stop == file.bytes

        if file.key in self._changed:
            raise self._change(file)

        def fetch() -> bytes | None:
            try:
                if is_whole:
                    return self._objects.read(file.key, stop)
                return self._system.cat_file(file.key, start=start, end=stop)
            except FileNotFoundError as error:
                if addresses.lacks_bucket(error) or internal_cause(error) is not None:
                    raise
                return None

        data = addresses.with_retries(fetch, place)
        if data is None:
            self._checked[file.key] = -math.inf  # if it comes back it may be another one
            raise self._loss(file, "it was removed after the data was listed")
        with self._lock:
            self.requests += 1
            self.bytes_read += len(data)
        if len(data) != job.bytes or not (is_whole or self._is_same(file, place)):
            raise self._change(file)
        blocks = {job.names[number]: data[number * BLOCK - start :][:BLOCK] for number in job.run}
        self._remember(blocks)
        for name, block in blocks.items():
            self._cache.store(name, block)
        return blocks

    def _change(self, file: StoredFile) -> Exception:
        """The error for an object that is another one by now: of both, blocks would be mixed."""
        self._changed.add(file.key)
        return self._loss(file, "it changed after the data was listed")

    def _loss(self, file: StoredFile, reason: str) -> Exception:
        """The error for an object that is not what was listed."""
        with self._lock:
            self._lost.add(file.key)
            count = len(self._lost)
        if count <= MAX_LOST * self._num_objects:
            return LostObjectError(errno.ENOENT, reason)
        self._forget()
        return ChangedDataError(
            f"{self._address!r} changed while it was read: {count:,} of {plural(self._num_objects, 'file')} "
            f"{are(count)} gone or changed, such as {file.key.rpartition('/')[2]!r}"
        )

    def _is_same(self, file: StoredFile, address: str) -> bool:
        """Whether an object is what was listed; one that comes whole in one request shows it by its size instead."""
        now = time.monotonic()
        if now - self._checked.get(file.key, self._listed) < CHECK_S:
            return True

        def look() -> StoredFile | None:
            self._system.invalidate_cache()
            try:
                return stored_file(file.key, self._system.info(file.key))
            except FileNotFoundError as error:
                if addresses.lacks_bucket(error):
                    raise
                return None

        is_same = addresses.with_retries(look, address) == file
        if is_same:
            self._checked[file.key] = now
        return is_same


class _BlockNames:
    """The names of an object's blocks, by number; other content has other names."""

    def __init__(self, file: StoredFile) -> None:
        self.file, self.size = file, file.bytes or 0
        text = f"{file.key}\0{file.bytes}\0{file.stamp}\0{BLOCK}"
        self._digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()

    def __getitem__(self, number: int) -> str:
        return f"{self._digest}-{number}"

    def bytes_of(self, number: int) -> int:
        return min(BLOCK, self.size - number * BLOCK)


class _BlockRequest:
    """A request for neighbouring blocks."""

    def __init__(self, names: _BlockNames, run: range, result: Future[Blocks]) -> None:
        self.names, self.run, self.result = names, run, result
        self.bytes = min(run.stop * BLOCK, names.size) - run.start * BLOCK


def _runs(numbers: Iterable[int]) -> list[range]:
    """The numbers as ranges of neighbours, each of one request."""
    runs: list[range] = []
    for number in numbers:
        if runs and runs[-1].stop == number and len(runs[-1]) < REQUEST // BLOCK:
            runs[-1] = range(runs[-1].start, number + 1)
        else:
            runs.append(range(number, number + 1))
    return runs


class RangeFile(io.RawIOBase):
    """An object as a file that is read. Reads in order are fetched ahead, further and further.

    Args:
        until: Nothing from there on is fetched ahead; None: up to the end.
    """

    def __init__(self, store: RangeStore, file: StoredFile, until: int | None = None) -> None:
        self._store, self._file, self._size = store, file, file.bytes or 0
        self._until = self._size if until is None else until
        self._at = self._next = 0  # place of the next read, and where it is if that goes on in order
        self._reach = self._fetched = 0  # bytes that are fetched ahead, and up to where

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + {0: 0, 1: self._at, 2: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = max(0, min(len(buffer), self._size - self._at))
        buffer[:count] = self._store.read(self._file, self._at, self._at + count)
        in_order = self._at == self._next and self._at > 0
        self._at += count
        self._next = self._at
        if not in_order:  # what was fetched ahead was elsewhere
            self._fetched = 0
        self._reach = min(max(2 * self._reach, 2 * BLOCK), REQUEST) if in_order else 0
        if self._reach and min(self._at + self._reach // 2, self._until) > self._fetched:
            self._fetched = min(self._at + self._reach, self._until)
            self._store.prefetch(self._file, self._at, self._fetched)
        return count
