"""The names of the files at an address: fetched page by page, and kept for a while if the data is large."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from anew.core import addresses, files
from anew.core.addresses import FileSystem, Info, without_query
from anew.core.direct_store import DirectStore
from anew.core.ranges import StoredFile, stored_file
from anew.core.schema import Flag, Real, Record, Text, Whole, checked
from anew.data.sources.paged_listing import PagedStore
from anew.data.types import SkippedItem
from anew.errors import DataError, RunError

MANIFEST, NAMES, LOCK = ".listing.json", ".names.json", ".lock"  # files in the folder of an address in the cache
MANIFEST_BYTES, MANIFEST_MEMORY = 1 << 30, 1 << 33  # most bytes of these files, and most memory that they take
# Data at an address is copied up to so many bytes and files; of more, only what is used is read. A request takes some 10 ms,
# whatever it brings: 20,000 files by 8 streams half a minute.
MAX_COPIED_BYTES, MAX_COPIED_FILES = 1 << 30, 20_000
FRESH_SECONDS = 600.0  # names of larger data are reused for so long: `look` and `train` after it list once
MAX_NAME_BYTES = 240  # of one part of a path: every file system takes 255, and temporary names are longer
# Names that are safe without a closer look, as almost all are
_PLAIN_NAME = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_. -]*/)*[A-Za-z0-9_-][A-Za-z0-9_. -]*")


class _KeptNames(Record):
    """A listing as it is kept. files: (name, key, bytes, stamp) of each; refusals: (name, reason) of each."""

    time: Real
    is_file: Flag
    files: list[tuple[Text, Text, Whole | None, Text]]
    refusals: list[tuple[Text, Text]]


@dataclass(slots=True)
class StoreListing:
    """The files at an address.

    Attributes:
        files: Files by relative path.
        is_file: Whether the address is a single file.
        refusals: Files whose names cannot be kept on a disk.
        age: Seconds since the listing was made.
    """

    files: dict[str, StoredFile]
    is_file: bool = False
    refusals: list[SkippedItem] = field(default_factory=list)
    age: float = 0.0

    @property
    def bytes(self) -> int:
        """Bytes of all files whose size is known."""
        return sum(file.bytes or 0 for file in self.files.values())

    @property
    def is_large(self) -> bool:
        """Whether it takes long to copy all files."""
        return len(self.files) > MAX_COPIED_FILES or self.bytes > MAX_COPIED_BYTES


def list_store(system: FileSystem, path: str, address: str, folder: Path) -> StoreListing:
    """The files at an address; for large data a listing may be reused for FRESH_SECONDS.

    Args:
        system: The store.
        path: The address there.
        address: For sentences.
        folder: Where the names are kept.
    """
    previous = _read_kept(folder / NAMES)
    if previous is not None:
        return previous
    listing = _list(system, path, address)
    if listing.is_large and not address.startswith("http"):  # a signed address is a secret
        entries = [[name, file.key, file.bytes, file.stamp] for name, file in listing.files.items()]
        refusals = [[item.name, item.reason] for item in listing.refusals]
        names = {"time": time.time(), "is_file": listing.is_file, "files": entries, "refusals": refusals}
        files.write_json(folder / NAMES, names, indent=None)
    return listing


def _read_kept(path: Path) -> StoreListing | None:
    """The kept listing; None if it is too old, damaged or missing."""
    if not path.exists():
        return None
    try:
        names = checked(_KeptNames, files.read_json(path, MANIFEST_BYTES, MANIFEST_MEMORY), NAMES)
    except (RunError, ValueError):  # damaged: everything is listed again
        return None
    age = time.time() - names.time
    stored = {name: StoredFile(key, size, stamp) for name, key, size, stamp in names.files}
    listing = StoreListing(stored, names.is_file, [SkippedItem(*refusal) for refusal in names.refusals], age)
    return listing if 0 <= age < FRESH_SECONDS and all(map(is_safe, stored)) else None


def _list(system: FileSystem, path: str, address: str) -> StoreListing:
    public_address = without_query(address)
    system.invalidate_cache()
    info = addresses.reached(lambda: system.info(path), public_address)
    if _is_web_page_of_folder(info):
        raise DataError(
            f"{public_address!r} is a page about a folder, and web servers do not list their files; give the address of one file"
        )
    if info.get("type") != "directory":
        name = unquote(PurePosixPath(urlsplit(public_address).path).name) or "data"
        if not is_safe(name):
            raise DataError(f"the file at {public_address!r} has a name that no file on this disk can have")
        return StoreListing({name: stored_file(path, info)}, is_file=True)
    root = str(info["name"]).rstrip("/") + "/"
    listing = StoreListing({})
    for key, about in _objects(system, root, public_address):
        name = key.removeprefix(root)
        if about.get("type") == "directory" or name.endswith("/") or not name:
            continue
        if is_safe(name):
            listing.files[name] = stored_file(key, about)
        else:
            listing.refusals.append(SkippedItem(name, "it has a name that no file on this disk can have"))
    if not listing.files:
        raise DataError(f"{public_address!r} holds no files; check the address")
    listing.files = dict(sorted(listing.files.items()))
    return listing


def _is_web_page_of_folder(info: Info) -> bool:
    """Whether a web server sent a page for an address that ends as a folder does, perhaps after it led there."""
    url, mime_type = str(info.get("url", "")), str(info.get("mimetype", ""))
    return urlsplit(url).scheme in ("http", "https") and urlsplit(url).path.endswith("/") and mime_type == "text/html"


def _objects(system: FileSystem, root: str, shown: str) -> Iterator[tuple[str, Info]]:
    """(key, description) of all objects below a folder."""
    call = getattr(system, "call_s3", None)
    if call is None:
        yield from addresses.reached(lambda: system.find(root.rstrip("/"), detail=True), shown).items()
        return
    bucket, _, prefix = root.partition("/")
    yield from PagedStore(call, bucket, shown, DirectStore(system)).entries(prefix)


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
