"""The names of the files at an address: fetched page by page, and kept for a while if the data is large."""

from __future__ import annotations

import functools
import itertools
import json
import re
import string
import time
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import cast
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from anew.core import files
from anew.core.schema import Flag, Real, Record, Text, checked
from anew.core.stores import addresses
from anew.core.stores.addresses import FileSystem, Info, without_query
from anew.core.stores.direct_store import DirectStore
from anew.core.stores.stored_files import Row, StoredColumns, StoredFiles, size_of, stamp_of
from anew.core.stores.text_column import ChosenTexts, TextColumn
from anew.data.types import SkippedItem
from anew.errors import DataError, RunError

MANIFEST, NAMES, LOCK = ".listing.json", ".names.npz", ".lock"  # files in the folder of an address in the cache
MANIFEST_BYTES, MANIFEST_MEMORY = 1 << 30, 1 << 33  # most bytes of the manifest, and most memory that it takes
NAMES_BYTES = 1 << 32  # most bytes of the names: 40 million
# Data at an address is copied up to so many bytes and files; of more, only what is used is read. A request takes some 10 ms,
# whatever it brings: 20,000 files by 8 streams half a minute.
MAX_COPIED_BYTES, MAX_COPIED_FILES = 1 << 30, 20_000
FRESH_SECONDS = 600.0  # names of larger data are reused for so long: `look` and `train` after it list once
MAX_NAME_BYTES = 240  # length of one part of a path: every file system takes 255 bytes, and temporary names are longer
# Names that are safe without a closer look, as almost all are
_PLAIN_NAME = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_. -]*/)*[A-Za-z0-9_-][A-Za-z0-9_. -]*")
# The same for many names at once, joined by zero bytes: the bytes that they may contain, and the pairs of bytes that they may not
_PLAIN_BYTES = (string.ascii_letters + string.digits + "_. -/\0").encode()
_PAIRS_OF_OTHERS = tuple(first + second for first in (b"\0", b"/") for second in (b".", b" ", b"/", b"\0"))
MARKS_OF_FOLDERS = ("\0\0", "/\0")  # see `numbered_containing`: an empty path, and one that ends with a slash
MAX_STREAMS = 8  # requests at once
MAX_LEVELS = 3  # folders are looked through so deep, until there are as many as streams
# Most folders that are listed one by one; and above FEW_FOLDERS, least objects of each on average. Each folder costs a request, and a
# page holds 1,000 objects.
MAX_FOLDERS, FEW_FOLDERS, MIN_FOLDER_OBJECTS = 4_000, 64, 100
# Objects of a folder that make it worth a request in stores that are asked for one folder after the other, and objects without a
# folder after which S3 is asked for all at once: a page of most stores
PAGE_OBJECTS = 1_000


class _KeptNames(Record):
    """The saved part of a listing besides its columns. keys: see `StoredFiles`; refusals: (name, reason) of each."""

    time: Real
    is_file: Flag
    root: Text
    keys: dict[Text, Text]
    refusals: list[tuple[Text, Text]]


@dataclass(slots=True)
class StoreListing:
    """The files at an address.

    Attributes:
        is_file: Whether the address is a single file.
        refusals: Files whose names cannot be kept on a disk.
        age: Seconds since the listing was made.
    """

    files: StoredFiles
    is_file: bool = False
    refusals: list[SkippedItem] = field(default_factory=list)
    age: float = 0.0

    @property
    def is_large(self) -> bool:
        """Whether it takes long to copy all files."""
        return len(self.files) > MAX_COPIED_FILES or self.files.bytes > MAX_COPIED_BYTES


def list_store(system: FileSystem, path: str, address: str, folder: Path) -> StoreListing:
    """The files at an address; for large data a listing may be reused for FRESH_SECONDS.

    Args:
        system: The store.
        path: The address there.
        address: For sentences.
        folder: Where the names are saved.

    Raises:
        DataError: There is nothing, it may not be read, or the store fails for a minute, also where a listing is kept.
    """
    previous = _read_kept(folder / NAMES)
    if previous is not None:
        _info(system, path, address)  # whoever has lost access is told now, not when something is not in the cache
        return previous
    listing = _list(system, path, address)
    if listing.is_large and not address.startswith("http"):  # a signed address is a secret
        files.write_by(folder / NAMES, functools.partial(_save, listing))
    return listing


def _save(listing: StoreListing, path: Path) -> None:
    """Write a listing as arrays."""
    stored = listing.files
    names = {
        "time": time.time(),
        "is_file": listing.is_file,
        "root": stored.root,
        "keys": stored.keys_elsewhere,
        "refusals": [[item.name, item.reason] for item in listing.refusals],
    }
    columns = stored.columns
    np.savez(
        path,
        names=np.frombuffer(json.dumps(names).encode(), dtype=np.uint8),
        numbers=np.arange(0) if stored.numbers is None else stored.numbers,
        sizes=columns.sizes,
        paths=np.frombuffer(columns.paths.text, dtype=np.uint8),
        path_bounds=columns.paths.bounds,
        stamps=np.frombuffer(columns.stamps.text, dtype=np.uint8),
        stamp_bounds=columns.stamps.bounds,
    )


def _read_kept(path: Path) -> StoreListing | None:
    """The kept listing; None if it is too old, damaged or missing."""
    if not path.exists():
        return None
    try:
        with files.open_checked(path, NAMES_BYTES) as stream, np.load(stream, allow_pickle=False) as saved:
            names = checked(_KeptNames, json.loads(saved["names"].tobytes()), NAMES)
            numbers, sizes = saved["numbers"], saved["sizes"]
            paths = TextColumn.checked(saved["paths"], saved["path_bounds"], len(sizes))
            stamps = TextColumn.checked(saved["stamps"], saved["stamp_bounds"], len(sizes))
        columns = StoredColumns(paths, sizes, stamps)
        stored = StoredFiles(names.root, columns, names.keys, numbers if len(numbers) else None)
        age = time.time() - names.time
        if not (0 <= age < FRESH_SECONDS and are_safe(stored.paths).all()):
            return None
    except (RunError, ValueError, OSError, LookupError, EOFError, NotImplementedError, zipfile.BadZipFile):
        return None  # damaged: everything is listed again
    return StoreListing(stored, names.is_file, [SkippedItem(*refusal) for refusal in names.refusals], age)


def _list(system: FileSystem, path: str, address: str) -> StoreListing:
    public_address = without_query(address)
    info = _info(system, path, address)
    if _is_web_page_of_folder(info):
        raise DataError(
            f"{public_address!r} is a page about a folder, and web servers do not list their files; give the address of one file"
        )
    if info.get("type") != "directory":
        name = unquote(PurePosixPath(urlsplit(public_address).path).name) or "data"
        if not is_safe(name):
            raise DataError(f"the file at {public_address!r} has a name that no file on this disk can have")
        rows: list[Row] = [(name, size_of(info), stamp_of(info))]
        return StoreListing(StoredFiles.of("", rows, {name: path}), is_file=True)
    listed = _objects(system, str(info["name"]).rstrip("/") + "/", public_address)
    marks = listed.paths.numbered_containing(MARKS_OF_FOLDERS)
    are_files = np.ones(len(listed), dtype=bool)
    are_files[[number for number, path in marks if not path or path.endswith("/")]] = False
    listed = listed.where(are_files)
    stored = listed.where(are_safe(listed.paths))
    if not stored:
        raise DataError(f"{public_address!r} holds no files; check the address")
    refused = [path for path in listed if not is_safe(path)] if len(stored) < len(listed) else []
    reason = "it has a name that no file on this disk can have"
    return StoreListing(stored, refusals=[SkippedItem(name, reason) for name in refused])


def _info(system: FileSystem, path: str, address: str) -> Info:
    """What the store itself says of the address now."""
    system.invalidate_cache()
    return addresses.with_retries(lambda: system.info(path), without_query(address))


def _is_web_page_of_folder(info: Info) -> bool:
    """Whether a web server sent a page for an address that ends as a folder does, perhaps after it led there."""
    url, mime_type = str(info.get("url", "")), str(info.get("mimetype", ""))
    return urlsplit(url).scheme in ("http", "https") and urlsplit(url).path.endswith("/") and mime_type == "text/html"


def _objects(system: FileSystem, root: str, shown: str) -> StoredFiles:
    """All objects below a folder."""
    call = getattr(system, "call_s3", None)
    if call is not None:
        bucket, _, prefix = root.partition("/")
        return StoredFiles.joined(root, PagedStore(call, bucket, shown, DirectStore(system)).pages(prefix))
    keys: dict[str, str] = {}  # filled while the pages are joined
    return StoredFiles.joined(root, _pages_by_folder(system, root, shown, keys), keys)


def _pages_by_folder(system: FileSystem, root: str, shown: str, keys: dict[str, str]) -> Iterator[StoredColumns]:
    """All objects below a folder, in the order of paths, one inner folder after the other: a store gives all objects that it is asked
    for as one dictionary. keys: gets the names of those that do not begin with the root."""

    def rows_of(infos: Iterable[tuple[str, Info]]) -> Iterator[Row]:
        for key, info in infos:
            if info.get("type") != "directory":
                path = key.removeprefix(root)
                if key != f"{root}{path}":
                    keys[path] = key
                yield path, size_of(info), stamp_of(info)

    def below(folder: str) -> StoredColumns:
        infos = addresses.with_retries(lambda: system.find(folder.rstrip("/"), detail=True), shown)
        system.invalidate_cache()  # which would hold them as well
        return StoredColumns.of(rows_of(infos.items()))

    listed = addresses.with_retries(lambda: system.ls(root.rstrip("/"), detail=True), shown)
    entries = [(str(info["name"]), info) for info in cast(list[Info], listed)]
    # Some stores list the folder itself, too
    top = [(name, info) for name, info in entries if f"{name.rstrip('/')}/" != root]
    folders = sorted(f"{name.rstrip('/')}/" for name, info in top if info.get("type") == "directory")
    sampled = folders[:: max(1, len(folders) // MAX_STREAMS)][:MAX_STREAMS] if len(folders) > FEW_FOLDERS else []
    if len(folders) > MAX_FOLDERS or sum(len(below(name).paths) for name in sampled) < PAGE_OBJECTS * len(sampled):
        yield below(root)  # a request for each folder would take longer
        return
    rows = deque(sorted(rows_of(top), key=itemgetter(0)))
    for folder in folders:
        yield StoredColumns.of(_taken_before(rows, folder.removeprefix(root)))
        yield below(folder)
    yield StoredColumns.of(rows)


def is_safe(name: str) -> bool:
    """Whether a name in a store may become a path below a folder of the cache."""
    if len(name) <= MAX_NAME_BYTES and _PLAIN_NAME.fullmatch(name) is not None:
        return True
    parts = name.split("/")
    if not name.isprintable() or parts[0] in (MANIFEST, NAMES, LOCK):  # lone surrogates are not printable
        return False
    return all(
        part not in ("", ".", "..") and len(part.encode()) <= MAX_NAME_BYTES and "\\" not in part for part in parts
    )


def are_safe(names: ChosenTexts) -> NDArray[np.bool_]:
    """(n,) whether each name is safe, see `is_safe`."""
    safe = names.are_each(_are_plain)
    suspects = np.flatnonzero(~safe)
    safe[suspects] = [is_safe(name) for name in names.take(suspects)]
    return safe


def _are_plain(block: bytes, count: int) -> bool:
    """Whether all of some names are as _PLAIN_NAME says. block: the names, with a zero byte before and after each."""
    return (
        block.count(b"\0") == count + 1  # none within a name
        and not block.translate(None, _PLAIN_BYTES)
        and not any(pair in block for pair in _PAIRS_OF_OTHERS)
        and max(map(len, block.split(b"\0"))) <= MAX_NAME_BYTES
    )


class PagedStore:
    """A bucket that is listed.

    Args:
        call: Runs a request of S3 by its name.
        address: Its address in sentences.
        direct: Lists whole folders in less time, where it can; None: only `call` does.
    """

    def __init__(
        self, call: Callable[..., object], bucket: str, address: str, direct: DirectStore | None = None
    ) -> None:
        self._call, self._bucket, self._address, self._direct = call, bucket, address, direct

    def pages(self, prefix: str) -> Iterator[StoredColumns]:
        """All objects below a prefix, by their paths there: in the order of paths, where the store lists them so."""
        folders = self._folders(prefix)
        with ThreadPoolExecutor(MAX_STREAMS) as pool:
            try:
                if folders is None or not self._are_worth_a_request(folders[0], pool):
                    yield from self._below(prefix, prefix)
                    return
                names, rows = sorted(folders[0]), deque(sorted(folders[1], key=itemgetter(0)))
                listed = pool.map(lambda name: list(self._below(prefix, name)), names)
                for name, pages in zip(names, listed, strict=True):
                    first = name.removeprefix(prefix)
                    yield StoredColumns.of(_taken_before(rows, first))
                    yield from pages
                yield StoredColumns.of(rows)
            finally:
                pool.shutdown(cancel_futures=True)

    def _folders(self, prefix: str) -> tuple[list[str], list[Row]] | None:
        """(prefixes of folders, objects beside them), at least as many folders as streams where there are; None if too many, or if no
        folder is among the first objects."""
        names, rows = [prefix], list[Row]()
        for _ in range(MAX_LEVELS):
            if len(names) >= MAX_STREAMS:
                break
            inner: list[str] = []
            for page in itertools.chain.from_iterable(self._pages(name, Delimiter="/") for name in names):
                inner += [str(entry["Prefix"]) for entry in cast(list[Info], page.get("CommonPrefixes", []))]
                rows += _contents(page, prefix)
                if len(inner) > MAX_FOLDERS or (not inner and len(rows) >= PAGE_OBJECTS):
                    return None
            names = inner
        return names, rows

    def _are_worth_a_request(self, names: list[str], pool: ThreadPoolExecutor) -> bool:
        """Whether folders hold so much that listing each takes hardly more requests than pages of all, judged by some of them."""
        if len(names) <= FEW_FOLDERS:
            return True
        step = len(names) // MAX_STREAMS
        sizes = [len(rows) for rows in pool.map(self._first_page, names[::step][:MAX_STREAMS])]
        return sum(sizes) >= MIN_FOLDER_OBJECTS * len(sizes)

    def _first_page(self, prefix: str) -> list[Row]:
        return list(_contents(next(self._pages(prefix)), prefix))

    def _below(self, prefix: str, folder: str) -> Iterator[StoredColumns]:
        """All objects below a folder, by their paths below the prefix."""
        pages = None if self._direct is None else self._direct.pages(self._bucket, folder, prefix)
        if pages is None:
            yield from (StoredColumns.of(_contents(page, prefix)) for page in self._pages(folder))
        while pages:
            yield pages.pop(0)  # each goes once it is used: together they may take a gigabyte

    def _pages(self, prefix: str, **more: str) -> Iterator[Info]:
        while True:
            request = functools.partial(self._call, "list_objects_v2", Bucket=self._bucket, Prefix=prefix, **more)
            page = cast(Info, addresses.with_retries(request, self._address))
            yield page
            if not page.get("IsTruncated"):
                return
            more = more | {"ContinuationToken": str(page["NextContinuationToken"])}


def _taken_before(rows: deque[Row], path: str) -> list[Row]:
    """Take those that come before a path from rows, which are in the order of paths."""
    earlier_rows = []
    while rows and rows[0][0] < path:
        earlier_rows.append(rows.popleft())
    return earlier_rows


def _contents(page: Info, prefix: str) -> Iterator[Row]:
    """The objects of a page, by their paths below the prefix."""
    for entry in cast(list[Info], page.get("Contents", [])):
        yield str(entry["Key"]).removeprefix(prefix), size_of({"size": entry.get("Size")}), stamp_of(entry)
