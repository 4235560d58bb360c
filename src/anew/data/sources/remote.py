"""Data at an address (`s3://...`, `https://...`), through fsspec: copied into the cache, then read like any folder.

The address is listed at every start. What lies in the cache with the same size and stamp is not fetched again, so a second
command reads nothing but the listing, and a copy that was cut off goes on. Credentials are the provider's own business: nothing
of them passes through here, and an address that carries some is refused, since runs keep the address.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from anew.core import files
from anew.core.extras import require
from anew.data.types import SkippedItem
from anew.errors import DataError, RunError, did_you_mean

# The extra of each scheme, and the package that it brings.
SCHEMES = {
    "s3": ("s3", "s3fs"),
    "gs": ("gcs", "gcsfs"),
    "az": ("azure", "adlfs"),
    "abfs": ("azure", "adlfs"),
    "https": ("http", "aiohttp"),
    "http": ("http", "aiohttp"),
    "hf": ("hub", "huggingface_hub"),
    "memory": ("", ""),  # of this process: for tests
}
STAMPS = ("ETag", "etag", "md5Hash", "content_md5", "md5", "oid", "LastModified", "last_modified", "mtime", "created")
STREAMS = 8  # files that are fetched at once
RETRY_S = 60.0  # a store that fails for so long is given up
MANIFEST, LOCK = ".listing.json", ".lock"
MANIFEST_BYTES = 1 << 30
SAVE_S = 5.0  # seconds between two notes of what is there, so that a copy that is killed goes on from there
LONGEST_NAME = 240  # bytes of one part of a path that every disk takes
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*):/{1,2}(?=[^/])(.+)", re.DOTALL)
R = TypeVar("R")
_signed: dict[str, str] = {}  # signed addresses of this process by what runs keep of them


class FileSystem(Protocol):
    """What is used of an `fsspec.AbstractFileSystem`."""

    def info(self, path: str) -> Mapping[str, object]: ...

    def find(self, path: str, *, detail: bool) -> Mapping[str, Mapping[str, object]]: ...

    def get_file(self, rpath: str, lpath: str) -> object: ...

    def invalidate_cache(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of the listing. key: its name in the store; bytes: None where the store does not say."""

    key: str
    bytes: int | None
    stamp: str


@dataclass(slots=True)
class LocalCopy:
    """Where the data lies now, a sentence on it, and what could not be copied."""

    place: Path
    note: str
    refusals: list[SkippedItem] = field(default_factory=list)


def address_of(text: str) -> str | None:
    """The text as an address, or None where it is none. `Path("s3://a/b")` says `s3:/a/b`, which counts too.

    Raises:
        DataError: The scheme is none that is read, or the address carries credentials.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or len(match[1]) == 1:  # one letter is a drive
        return None
    scheme, remainder = match[1], match[2]
    if scheme == "hf" and not remainder.startswith("datasets/"):  # the name of a data set, which is read by its rows
        return None
    if scheme not in SCHEMES:
        schemes = ", ".join(f"{name}://" for name in SCHEMES if name != "memory")
        raise DataError(
            f"addresses of {scheme}:// are not supported{did_you_mean(scheme, SCHEMES)}; give one of {schemes}"
        )
    if "::" in remainder:
        raise DataError(f"the address {without_query(text)!r} holds '::'; give one address")
    if "@" in remainder.partition("/")[0] and scheme in ("s3", "gs", "http", "https"):
        raise DataError(
            f"an address of {scheme}:// must hold no user or key, since runs keep it; leave them to the provider's own "
            "settings (environment variables or its configuration file)"
        )
    address = f"{scheme}://{remainder}"
    if without_query(address) != address:
        _signed[without_query(address)] = address
    return address


def without_query(address: str) -> str:
    """The address without what may be secret in it: a signed address carries its key behind the question mark."""
    scheme, _, remainder = address.partition("://")
    return (
        f"{scheme}://{remainder.partition('?')[0].partition('#')[0]}"
        if remainder and scheme in ("http", "https")
        else address
    )


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
    address = _signed.get(public_address, address)
    folder = _folder_of(public_address)
    folder.mkdir(parents=True, exist_ok=True)
    system, path = _opened(address)
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


def _opened(address: str) -> tuple[FileSystem, str]:
    scheme = address.partition("://")[0]
    extra, package = SCHEMES[scheme]
    if package:
        require(package, extra=extra, purpose=f"reading {scheme}:// addresses")
    from fsspec.core import url_to_fs

    for name in ("fsspec", "s3fs", "gcsfs", "adlfs", "aiobotocore"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they report what is retried here
    opened: tuple[FileSystem, str] = _reached(lambda: url_to_fs(address), without_query(address))
    return opened


def _reached(action: Callable[[], R], public_address: str) -> R:
    """What an action on a store returns. It is tried again for RETRY_S.

    Raises:
        DataError: It failed for so long, or nothing is there, or it is not allowed.
    """
    begin, pause = time.monotonic(), 0.5
    while True:
        try:
            return action()
        except FileNotFoundError:
            raise DataError(f"there is nothing at {public_address!r}; check the address") from None
        except PermissionError as error:
            raise DataError(
                f"{public_address!r} cannot be read ({_reason(error)}); check your permissions there"
            ) from None
        except Exception as error:  # each provider's client has errors of its own, with no base in common
            if "Credentials" in type(error).__name__:
                raise DataError(
                    f"{public_address!r} cannot be read ({_reason(error)}); set those of the provider"
                ) from None
            if _is_settled(error) or time.monotonic() - begin + pause > RETRY_S:
                raise DataError(
                    f"{public_address!r} cannot be read ({_reason(error)}); check the address and the network"
                ) from None
        time.sleep(pause)
        pause = min(2 * pause, 8.0)


def _is_settled(error: Exception) -> bool:
    """Whether trying again cannot help: a malformed address, a refusal, a name that the disk cannot hold beside another."""
    status = getattr(error, "status", None)
    refused = isinstance(status, int) and 400 <= status < 500 and status not in (408, 429)
    return refused or isinstance(error, ValueError | IsADirectoryError | NotADirectoryError)


def _reason(error: BaseException) -> str:
    """Why, in a few words, without an address that may carry a key."""
    return re.sub(r"\?\S+", "", files.clause(error))


def _listed(system: FileSystem, path: str, address: str) -> tuple[dict[str, RemoteFile], bool, list[SkippedItem]]:
    """(files by relative path, whether the address is one file, what has a name that cannot be kept)."""
    public_address = without_query(address)
    system.invalidate_cache()
    info = _reached(lambda: system.info(path), public_address)
    if info.get("type") != "directory":
        name = unquote(PurePosixPath(urlsplit(public_address).path).name) or "data"
        if not _is_safe(name):
            raise DataError(f"the file at {public_address!r} has a name that no file on this disk can have")
        return {name: _remote_file(path, info)}, True, []
    if address.startswith("http"):
        raise DataError(
            f"{public_address!r} is a folder, and web servers do not list theirs; give the address of one file"
        )
    entries = _reached(lambda: system.find(path, detail=True), public_address)
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
    """What of an address lies in a folder. The manifest says of each file the size and stamp that it was fetched with."""

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
            _reached(lambda: self.system.get_file(file.key, str(temporary)), f"{self.shown}: {name}")
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
