"""Data at an address (`s3://...`, `https://...`), through fsspec: copied into the cache, then read like any folder.

The address is listed at every start. What lies in the cache with the same size and stamp is not fetched again, so a second
command reads nothing but the listing, and a copy that was cut off goes on. Credentials are the provider's own business: nothing
of them passes through here, and an address that carries some is refused, since runs keep the address.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from anew.core import addresses, files
from anew.core.addresses import FileSystem, without_query
from anew.data.types import SkippedItem
from anew.errors import DataError, RunError

STAMPS = ("ETag", "etag", "md5Hash", "content_md5", "md5", "oid", "LastModified", "last_modified", "mtime", "created")
STREAMS = 8  # files that are fetched at once
MANIFEST, LOCK = ".listing.json", ".lock"
MANIFEST_BYTES = 1 << 30
SAVE_S = 5.0  # seconds between two notes of what is there, so that a copy that is killed goes on from there
LONGEST_NAME = 240  # bytes of one part of a path that every disk takes


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of the listing. key: its name in the store; bytes: None where the store does not say."""

    key: str
    bytes: int | None
    stamp: str


@dataclass(slots=True)
class LocalCopy:
    """Local copy of remote data: its place, a sentence about it, and what could not be copied."""

    place: Path
    note: str
    refusals: list[SkippedItem] = field(default_factory=list)


def local_copy(address: str) -> LocalCopy:
    """Bring what lies at an address into the cache, as far as it is not there yet.

    Args:
        address: From `address_of`.

    Returns:
        A folder, or the one file.

    Raises:
        DataError: It does not exist, may not be read, holds nothing, does not fit, or the store fails for a minute.
    """
    public_address = without_query(address)
    address = addresses.signed.get(public_address, address)
    folder = _folder_of(public_address)
    folder.mkdir(parents=True, exist_ok=True)
    system, path = addresses.opened(address)
    listing, is_file, refusals = _listed(system, path, address)
    with FileLock(folder / LOCK):
        copy = _Copy(system, folder, public_address)
        copy.bring(listing)
    refusals += copy.refusals
    if len(copy.refusals) == len(listing):
        first = f" ({refusals[0].name}: {refusals[0].reason})" if refusals else ""
        raise DataError(
            f"nothing from {public_address!r} could be copied{first}; check the address and your permissions"
        )
    size = sum(file.bytes or 0 for file in listing.values())
    note = f"{public_address} is read from a copy in the cache ({len(listing):,} file{'s' * (len(listing) > 1)}, {size / 1e6:,.1f} MB)"
    return LocalCopy(folder / next(iter(listing)) if is_file else folder, note, refusals)


def is_known(address: str) -> bool:
    """Whether something of an address was copied before, so that somebody here has named it."""
    return (_folder_of(without_query(address)) / MANIFEST).is_file()


def _folder_of(public_address: str) -> Path:
    return files.cache_root(None) / "remote" / hashlib.blake2b(public_address.encode(), digest_size=12).hexdigest()


def _listed(system: FileSystem, path: str, address: str) -> tuple[dict[str, RemoteFile], bool, list[SkippedItem]]:
    """(files by relative path, whether the address is one file, what has a name that cannot be kept)."""
    public_address = without_query(address)
    system.invalidate_cache()
    info = addresses.reached(lambda: system.info(path), public_address)
    if info.get("type") != "directory":
        name = unquote(PurePosixPath(urlsplit(public_address).path).name) or "data"
        if not _is_safe(name):
            raise DataError(f"the file at {public_address!r} has a name that no file on this disk can have")
        return {name: _remote_file(path, info)}, True, []
    if address.startswith("http"):
        raise DataError(
            f"{public_address!r} is a folder, and web servers do not list theirs; give the address of one file"
        )
    entries = addresses.reached(lambda: system.find(path, detail=True), public_address)
    root = str(info["name"]).rstrip("/") + "/"
    listing, refusals = {}, []
    for key, about in sorted(entries.items()):
        name = key.removeprefix(root)
        if about.get("type") == "directory" or name.endswith("/"):
            continue
        if _is_safe(name):
            listing[name] = _remote_file(key, about)
        else:
            refusals.append(SkippedItem(name, "has a name that no file on this disk can have"))
    if not listing:
        raise DataError(f"{public_address!r} holds no files; check the address")
    return listing, False, refusals


def _is_safe(name: str) -> bool:
    """Whether a name of a store may become a path below a folder of ours."""
    parts = name.split("/")
    if not name.isprintable() or parts[0] in (MANIFEST, LOCK):  # no lone surrogates either, which cannot be encoded
        return False
    return all(
        part not in ("", ".", "..") and len(part.encode()) <= LONGEST_NAME and "\\" not in part for part in parts
    )


def _remote_file(key: str, info: Mapping[str, object]) -> RemoteFile:
    size = info.get("size")
    stamp = next((str(info[name]) for name in STAMPS if info.get(name) is not None), "")
    return RemoteFile(key, size if isinstance(size, int) else None, stamp)


class _Copy:
    """Local copy of an address in a folder. The manifest keeps the size and stamp that each file was fetched with."""

    def __init__(self, system: FileSystem, folder: Path, shown: str) -> None:
        self.system, self.folder, self.shown = system, folder, shown
        self.refusals: list[SkippedItem] = []
        self.known = self._read()
        self._saved_at = time.monotonic()

    def bring(self, listing: Mapping[str, RemoteFile]) -> None:
        """Fetch what is missing or has changed; what is not listed any more is removed."""
        missing = {name: file for name, file in listing.items() if not self._has(name, file)}
        self._check_space(sum(file.bytes or 0 for file in missing.values()))
        for name in self.known.keys() - listing.keys():
            (self.folder / name).unlink(missing_ok=True)
            for parent in (self.folder / name).parents[: name.count("/")]:
                with contextlib.suppress(OSError):  # not empty
                    parent.rmdir()
            del self.known[name]
        try:
            for name, file, reason in self._fetched(missing):
                if reason is None:
                    self.known[name] = [file.bytes, file.stamp]
                else:
                    self.refusals.append(SkippedItem(name, reason))
                if time.monotonic() - self._saved_at > SAVE_S:
                    self._save()
        finally:
            if missing:
                self._save()

    def _fetched(self, missing: Mapping[str, RemoteFile]) -> Iterator[tuple[str, RemoteFile, str | None]]:
        with ThreadPoolExecutor(STREAMS) as pool:
            jobs = {pool.submit(self._fetch, name, file): name for name, file in missing.items()}
            try:
                for job in as_completed(jobs):
                    yield jobs[job], missing[jobs[job]], job.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _fetch(self, name: str, file: RemoteFile) -> str | None:
        """Why a file could not be fetched; None where it is there now."""
        place = self.folder / name
        temporary = place.with_name(f".{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}.part")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            addresses.reached(lambda: self.system.get_file(file.key, str(temporary)), f"{self.shown}: {name}")
            if file.bytes is not None and temporary.stat().st_size != file.bytes:
                return f"has {temporary.stat().st_size:,} bytes now, and the listing said {file.bytes:,}"
            os.replace(temporary, place)
        except DataError as error:
            return str(error).removeprefix(f"{f'{self.shown}: {name}'!r} ")
        except OSError as error:  # a store may hold `a` and `a/b`; a disk holds one of them
            return f"cannot be kept ({files.clause(error)})"
        finally:
            if temporary.is_dir():  # some stores fetch a name that is also a folder as one
                shutil.rmtree(temporary, ignore_errors=True)
            with contextlib.suppress(OSError):  # not there, as its folder is a file
                temporary.unlink()
        return None

    def _has(self, name: str, file: RemoteFile) -> bool:
        # Without a stamp a store cannot say that nothing changed.
        return bool(file.stamp) and self.known.get(name) == [file.bytes, file.stamp] and (self.folder / name).is_file()

    def _check_space(self, size: int) -> None:
        free = shutil.disk_usage(self.folder).free - files.SPARE
        if size > free:
            raise DataError(
                f"{self.shown!r} holds {size / 1e9:,.1f} GB that are not in the cache yet, and its disk has room for "
                f"{max(free, 0) / 1e9:,.1f} GB; set the environment variable ANEW_CACHE to a folder on a larger disk"
            )

    def _read(self) -> dict[str, list[object]]:
        path = self.folder / MANIFEST
        if not path.exists():
            return {}
        try:
            manifest = files.read_json(path, MANIFEST_BYTES)
            return {str(name): list(entry) for name, entry in manifest.items()}
        except (RunError, AttributeError, TypeError):  # damaged: everything is fetched again
            return {}

    def _save(self) -> None:
        files.write_json(self.folder / MANIFEST, self.known)
        self._saved_at = time.monotonic()
