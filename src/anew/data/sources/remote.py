"""Data at an address (`s3://...`, `https://...`), through fsspec. It is copied into the cache and read like any folder; of large
data, and of many files, only what is used is fetched, if the formats allow it.

Files that lie in the cache with the same size and stamp are not fetched again, so that a second command reads only the listing,
and an interrupted copy continues. Anew never handles credentials: the provider's own tools do, and an address that contains some
is refused, since runs keep the address.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from anew.core import files
from anew.core.files import JsonValue
from anew.core.machine.allocator import return_freed_memory
from anew.core.stores import addresses, block_cache
from anew.core.stores.addresses import FileSystem, OutageError, without_query
from anew.core.stores.block_cache import BlockCache
from anew.core.stores.internal_hosts import internal_cause
from anew.core.stores.ranges import RangeStore
from anew.core.stores.stored_files import StoredFile, StoredFiles
from anew.core.stores.text_column import ChosenTexts
from anew.core.wording import plural
from anew.data import limits
from anew.data.formats import by_range
from anew.data.sources.listing import FileTable, Listing, LocalCopy, list_files
from anew.data.sources.store_listing import (
    LOCK,
    MANIFEST,
    MANIFEST_BYTES,
    MANIFEST_MEMORY,
    NAMES,
    StoreListing,
    list_store,
)
from anew.data.types import SkippedItem
from anew.errors import DataError, RunError

MAX_STREAMS = 8  # files that are fetched at once, which hides the latency of the requests
SAVE_INTERVAL = 5.0  # seconds after which the manifest is saved, so that a killed copy continues from there
RANGE_SCHEMES = ("s3", "gs", "az", "abfs", "hf", "memory")  # not https: a web server may not support ranges
FIRST_PROGRESS_S = 5.0  # a copy then says how far it is, and again after twice as long each time; chosen
HIDDEN_MARKS = ("\0.", "/.", "__pycache__")  # one of which the path of each hidden file has; see `numbered_containing`
ReadsByRange = Callable[[ChosenTexts], NDArray[np.bool_]]
_log = logging.getLogger("anew.stores")  # see `core.stores.addresses`
_STORE_STAMP = 1 << 62  # later than the time of any file, so that files on the disk never hide a change of the store


def local_copy(address: str, reads_by_range: ReadsByRange | None = None) -> LocalCopy:
    """Copy the files at an address into the cache, unless they are already there.

    Args:
        address: As `address_of` gives it.
        reads_by_range: Function from names to (n,) whether each file can be read by range, so that it need not be copied; None: none can.

    Returns:
        A folder, or the one file.

    Raises:
        DataError: It does not exist, may not be read, holds nothing, does not fit, or the store fails for a minute. A few files
            that fail for so long are skipped.
    """
    public_address = without_query(address)
    address = addresses.signed.get(public_address, address)
    folder = Path(os.path.realpath(_folder_of(public_address)))
    folder.mkdir(parents=True, exist_ok=True)
    system, path = addresses.open_store(address)
    with FileLock(folder / LOCK):
        listing = list_store(system, path, address, folder)
        listed = time.monotonic() - listing.age
        distant = _remaining_in_store(listing, address, reads_by_range)
        copy = _Copy(system, folder, public_address)
        copy.bring(listing.files.without(distant))
    refusals = [*listing.refusals, *copy.refusals]
    if len(copy.refusals) == len(listing.files):
        first = copy.refusals[0]
        if listing.is_file:
            raise DataError(f"{public_address!r} {first.reason.removeprefix('it ')}")
        raise DataError(f"nothing from {public_address!r} could be copied; {first.name}: {first.reason}")
    if distant:
        blocks = BlockCache(files.cache_root(None) / "blocks")
        forget = functools.partial((folder / NAMES).unlink, missing_ok=True)
        store = RangeStore(system, public_address, blocks, len(distant), time.monotonic() - listed, forget)
        by_range.register(folder, store, distant)
    else:
        by_range.unregister(folder)
    place = folder / next(iter(listing.files)) if listing.is_file else folder
    note = _note(public_address, listing, distant)
    local_files = _files_of(folder, place, listing, distant)
    return_freed_memory()  # a listing of 200,000 objects left 32 MB that nothing took again
    return LocalCopy(place, note, local_files, refusals)


def _remaining_in_store(listing: StoreListing, address: str, reads_by_range: ReadsByRange | None) -> StoredFiles:
    """The files that stay in the store."""
    if reads_by_range is None or address.partition("://")[0] not in RANGE_SCHEMES or not listing.is_large:
        return listing.files.where(np.zeros(len(listing.files), dtype=bool))
    # Files that could change unnoticed are copied
    return listing.files.where(listing.files.are_stamped & reads_by_range(listing.files.paths))


def _note(shown: str, listing: StoreListing, distant: StoredFiles) -> str:
    """A sentence on how the data is read."""
    count = f"{plural(len(listing.files), 'file')}, {listing.files.bytes / 1e6:,.1f} MB"
    if not distant:
        return f"{shown} is read from a copy in the cache ({count})."
    others = len(listing.files) - len(distant)
    copied = f", and {others:,} of them from a copy" if others else ""
    age = f", listed {listing.age / 60:.0f} minutes ago" if listing.age else ""
    return f"{shown} is read by range as it is used ({count}{age}){copied}; the cache keeps up to {limits.size(block_cache.MAX_BYTES)}."


def _files_of(folder: Path, place: Path, listing: StoreListing, distant: StoredFiles) -> Listing:
    """The files of a folder, including those that stay in the store."""
    if not distant:
        return list_files(place)
    on_disk = list_files(folder) if len(distant) < len(listing.files) else Listing(folder, FileTable.of([]), 0, [])
    stamp = _STORE_STAMP | (distant.digest() >> 2)
    columns, copied = listing.files.columns, listing.files.rows_of(on_disk.files.paths)
    sizes, stamps = columns.sizes, np.broadcast_to(np.int64(stamp), len(columns.sizes))
    if len(copied):
        sizes, stamps = sizes.copy(), stamps.copy()
        sizes[copied], stamps[copied] = on_disk.files.sizes, on_disk.files.stamps
    is_used = np.zeros(len(columns.sizes), dtype=bool)
    is_used[copied] = is_used[distant.order] = True
    files = FileTable((columns.paths, sizes, stamps), listing.files.numbers).where(is_used[listing.files.order])
    are_hidden = [number for number, path in files.paths.numbered_containing(HIDDEN_MARKS) if _is_hidden(path)]
    shown = files.without(np.array(are_hidden, dtype=np.int64))
    hidden = on_disk.hidden + len(files) - len(shown)
    return Listing(folder, shown, hidden, on_disk.refusals, on_disk.aliases)


def _is_hidden(name: str) -> bool:
    # Looked for in the whole name first, as there may be millions of names.
    return name[0] == "." or "/." in name or ("__pycache__" in name and "__pycache__" in name.split("/"))


def is_known(address: str) -> bool:
    """Whether an address was used on this computer before."""
    return (_folder_of(without_query(address)) / MANIFEST).is_file()


def _folder_of(public_address: str) -> Path:
    return files.cache_root(None) / "remote" / hashlib.blake2b(public_address.encode(), digest_size=12).hexdigest()


def _remove_partial(temporary: Path) -> None:
    if temporary.is_dir():  # some stores fetch a name that is also a folder as one
        shutil.rmtree(temporary, ignore_errors=True)
    with contextlib.suppress(OSError):  # it does not exist, because its folder is a file
        temporary.unlink()


class _CopyProgress:
    """How far a copy is, which is said where it takes long.

    Attributes:
        is_over: Set where the copy is over.
    """

    def __init__(self, address: str, missing: Mapping[str, StoredFile]) -> None:
        self.is_over = threading.Event()
        self._address, self._total = address, sum(file.bytes or 0 for file in missing.values())
        self._received: dict[str, int] = {}  # bytes of each file
        self._begin = time.monotonic()
        self._next = FIRST_PROGRESS_S

    def watch(self, name: str, received: int) -> None:
        """Take note of how much of a file came.

        Raises:
            ValueError: The copy is over.
        """
        if self.is_over.is_set():
            raise ValueError("the copy was cancelled")
        self._received[name] = received

    def show(self) -> None:
        """Say how far it is, now and then."""
        seconds = time.monotonic() - self._begin
        if seconds < self._next:
            return
        self._next = 2 * seconds
        received = sum(list(self._received.values()))
        of = f" of {limits.size(self._total)}" if self._total else ""
        rate = limits.size(round(received / seconds))
        _log.info("copying %s: %s%s so far, %s/s", self._address, limits.size(received), of, rate)


class _Copy:
    """Local copy of an address in a folder. The manifest keeps the size and stamp that each file was fetched with."""

    def __init__(self, system: FileSystem, folder: Path, shown: str) -> None:
        self.system, self.folder, self.shown = system, folder, shown
        self.refusals: list[SkippedItem] = []
        self.manifest = self._read()
        self._saved_at = time.monotonic()

    def bring(self, listing: Mapping[str, StoredFile]) -> None:
        """Fetch files that are missing or have changed, and remove those that are not listed any more."""
        missing = {name: file for name, file in listing.items() if not self._has(name, file)}
        self._check_space(sum(file.bytes or 0 for file in missing.values()))
        for name in self.manifest.keys() - listing.keys():
            self._remove(name)
        try:
            for name, file, reason in self._fetch_all(missing):
                if reason is None:
                    self.manifest[name] = [file.bytes, file.stamp]
                else:
                    self.refusals.append(SkippedItem(name, reason))
                    self._remove(name)  # an older copy is no longer what the store holds
                if time.monotonic() - self._saved_at > SAVE_INTERVAL:
                    self._save()
        finally:
            if missing or not (self.folder / MANIFEST).exists():
                self._save()

    def _remove(self, name: str) -> None:
        """Remove the copy of a file, if there is one."""
        with contextlib.suppress(IsADirectoryError, NotADirectoryError):  # a store may have both `a` and `a/b`
            (self.folder / name).unlink(missing_ok=True)
        for parent in (self.folder / name).parents[: name.count("/")]:
            with contextlib.suppress(OSError):  # not empty
                parent.rmdir()
        self.manifest.pop(name, None)

    def _fetch_all(self, missing: Mapping[str, StoredFile]) -> Iterator[tuple[str, StoredFile, str | None]]:
        """(name, file, why it could not be fetched) of each, as they end.

        Raises:
            OutageError: As many successive files as are fetched at once have failed for good: the store is unreachable.
        """
        jobs, ended = queue.SimpleQueue[str](), queue.SimpleQueue[tuple[str, str | BaseException | None]]()
        for name in missing:
            jobs.put(name)
        progress = _CopyProgress(self.shown, missing)

        def work() -> None:
            with contextlib.suppress(queue.Empty):
                while not progress.is_over.is_set():
                    name = jobs.get_nowait()
                    try:
                        ended.put((name, self._fetch(name, missing[name], progress)))
                    except BaseException as error:  # raised where it is waited for
                        ended.put((name, error))

        for _ in range(min(MAX_STREAMS, len(missing))):
            # Daemons: a process that is stopped does not wait for a slow server
            threading.Thread(target=work, name="anew-copy", daemon=True).start()
        remaining, failures = len(missing), 0
        try:
            while remaining:
                try:
                    name, outcome = ended.get(timeout=1.0)
                except queue.Empty:
                    progress.show()
                    continue
                failures = failures + 1 if isinstance(outcome, OutageError) else 0
                if isinstance(outcome, OutageError) and failures < MAX_STREAMS:
                    outcome = self._clause(name, outcome)
                if isinstance(outcome, BaseException):
                    raise outcome
                remaining -= 1
                progress.show()
                yield name, missing[name], outcome
        finally:
            progress.is_over.set()

    def _fetch(self, name: str, file: StoredFile, progress: _CopyProgress) -> str | None:
        """Fetch a file; returns why it could not be fetched (one clause), or None."""
        place = self.folder / name
        temporary = place.with_name(f".{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}.part")
        max_bytes = limits.FETCHED_BYTES if file.bytes is None else file.bytes

        def fetch() -> bool:
            callback = addresses.size_limit(max_bytes, functools.partial(progress.watch, name))
            try:
                self.system.get_file(file.key, str(temporary), callback=callback)
            except FileNotFoundError as error:
                if addresses.lacks_bucket(error) or internal_cause(error) is not None:
                    raise
                return False
            return True

        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if not addresses.with_retries(fetch, f"{self.shown}: {name}"):
                return "it was removed after it was listed"
            if file.bytes is not None and temporary.stat().st_size != file.bytes:
                return f"it has {temporary.stat().st_size:,} bytes now, and the listing said {file.bytes:,}"
            os.replace(temporary, place)
        except OutageError:
            raise
        except DataError as error:
            return self._clause(name, error)
        except OSError as error:  # a store may have both `a` and `a/b`; a disk can have only one of them
            return f"it cannot be kept ({files.clause(error)})"
        finally:
            if not progress.is_over.is_set():  # else the next copy may be writing there already
                _remove_partial(temporary)
        return None

    def _clause(self, name: str, error: DataError) -> str:
        address = f"{self.shown}: {name}"
        return f"it {str(error).removeprefix(f'{address!r} ')}"

    def _has(self, name: str, file: StoredFile) -> bool:
        # Without a stamp nothing says that the file did not change.
        is_same = self.manifest.get(name) == [file.bytes, file.stamp]
        return bool(file.stamp) and is_same and (self.folder / name).is_file()

    def _check_space(self, size: int) -> None:
        free = shutil.disk_usage(self.folder).free - files.FREE_DISK_BYTES
        if size > free:
            raise DataError(
                f"{self.shown!r} holds {size / 1e9:,.1f} GB that are not in the cache yet, and its disk has room for "
                f"{max(free, 0) / 1e9:,.1f} GB; set the environment variable ANEW_CACHE to a folder on a larger disk"
            )

    def _read(self) -> dict[str, list[JsonValue]]:
        path = self.folder / MANIFEST
        if not path.exists():
            return {}
        try:
            manifest = files.read_json(path, MANIFEST_BYTES, MANIFEST_MEMORY)
        except RunError:  # damaged: everything is fetched again
            return {}
        entries = manifest.items() if isinstance(manifest, dict) else ()
        return {name: entry for name, entry in entries if isinstance(entry, list)}

    def _save(self) -> None:
        files.write_json(self.folder / MANIFEST, self.manifest)
        self._saved_at = time.monotonic()
