"""Files written whole or not at all and never through a link; and files read only where they are ordinary ones.

A folder may come from a stranger, so names in it may be links, pipes or devices.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TextIO, TypeAlias

import platformdirs

from anew.errors import ConfigError, RunError, UserError

# A JSON value. The values of a file may be anybody's, so a field's type is looked at before it is used.
JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]
Stamp = tuple[int, int, int]  # see `change_stamp`
SUFFIX = r"(\.[A-Za-z0-9]{1,8}){1,2}"  # what the name of a sample file may end with
JSON_BYTES = 64 * 2**20  # largest JSON file: those of a run are far smaller, however many its labels; chosen
JSON_MEMORY = 2**28  # bytes that its values may take, about: 64 MB of `[],` would take 1.6 GB (docs/log.md, 2026-11-27)
MAX_CLAUSE = 120  # characters of an error that a sentence repeats; chosen

# Bytes of the disk that stay free, for checkpoints, for logs and for other programs; chosen
FREE_DISK_BYTES = 2 * 1024**3

# Folders that hold no data, nor does anything in them
SYSTEM_FOLDERS = ("/proc", "/sys", "/dev", "/etc", "/boot", "/run", "/System", "/Library")
MOUNTED_FOLDERS = ("/run/media", "/dev/shm")  # folders in those: discs that were plugged in, and a disc in memory
# Folders that hold more than data
BROAD_FOLDERS = ("/", "/home", "/Users", "/Volumes", "/root", "/usr", "/var", "/opt", "/mnt", "/media", "/srv", "/tmp")
# Hidden folders of a home that do hold data: what was dropped into a page, and downloads
DATA_FOLDERS = (".anew-studio", ".cache")

_VALUE_BYTES = {b"{": 240, b"[": 64, b",": 40}  # about what CPython takes for an object, a list, and a value in them
# What Windows needs to leave line ends alone; elsewhere no child process inherits the file.
_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # absent on Windows
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # opening a pipe would wait for its other end


def temporary_name(name: str) -> str:
    """A name in the same folder that nobody can foresee; see `is_temporary`."""
    return f".{name}.{secrets.token_hex(8)}.tmp"


def is_temporary(name: str) -> bool:
    """Whether a kill may have left this behind."""
    return name.startswith(".") and name.endswith(".tmp")


def make_folder(folder: Path, error: type[UserError] = ConfigError) -> None:
    """Make a folder, unless it is there, and those above it; `error` where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise error(f"cannot make the folder {str(folder)!r} ({clause(cause)}); give another folder") from None


def write(path: Path, data: bytes, *, sync: bool = True) -> None:
    """The file is either the old one or the new one, whole, also after a power cut. Where a link has its name, the link is
    replaced and what it points to stays. RunError where the disk is full or the folder is gone.

    sync: False for one of many files, after which `sync_all` makes sure that they outlast a power cut.
    """
    write_parts(path, (data,), sync=sync)


def write_parts(path: Path, parts: Iterable[bytes], *, sync: bool = True) -> None:
    """Write a file from bytes that come one after another, whole or not at all, as `write` does."""
    file = GrowingFile(path, sync=sync)
    try:
        for part in parts:
            file.add(part)
        file.finish()
    except OSError as error:
        raise _write_error(path, error) from error
    finally:
        file.discard()


class GrowingFile:
    """A file that is written in pieces and has its name once it is finished; RunError as in `write`.

    Args:
        path: Its name.
        sync: See `write`.
    """

    def __init__(self, path: Path, *, sync: bool = True) -> None:
        self.path = path
        self._sync = sync
        self._temporary = path.with_name(temporary_name(path.name))
        try:
            handle = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _BINARY, 0o666)
        except OSError as error:
            raise _write_error(path, error) from error
        self._file = open(handle, "wb")  # noqa: SIM115  closed by finish or discard

    def add(self, data: bytes) -> None:
        """Write a piece."""
        try:
            self._file.write(data)
        except OSError as error:
            raise _write_error(self.path, error) from error

    def finish(self) -> None:
        """Give it its name, in place of a file that has it."""
        try:
            with self._file:
                self._file.flush()
                if self._sync:
                    os.fsync(self._file.fileno())
            os.replace(self._temporary, self.path)
            if self._sync:
                sync_folder(self.path.parent)
        except OSError as error:
            raise _write_error(self.path, error) from error

    def discard(self) -> None:
        """Delete what was written, unless it is finished."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._temporary.unlink(missing_ok=True)


def write_by(path: Path, fill: Callable[[Path], object]) -> None:
    """Let a library write a file, whole or not at all, as `write` does: in a temporary folder, where it may make files next to it,
    of whatever rights."""
    folder = path.with_name(temporary_name(path.name))
    temporary = folder / path.name
    try:
        folder.mkdir()
        fill(temporary)
        temporary.chmod(stat.S_IMODE(folder.stat().st_mode) & 0o666)
        handle = os.open(temporary, os.O_RDWR | _NO_LINK | _BINARY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, path)
        folder.rmdir()
        sync_folder(path.parent)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise _write_error(path, error) from error


def _write_error(path: Path, error: OSError) -> RunError:
    return RunError(f"cannot write {str(path)!r} ({clause(error)}); {_remedy(error)}")


def _remedy(error: OSError) -> str:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "its folder is gone; do not move or delete it while anew is at work"
    return "free some space or choose another folder"


def sync_folder(folder: Path) -> None:
    """Make a rename last, where the system can open folders (Windows cannot)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def syncs_all() -> bool:
    """Whether the system has `sync_all` (Windows has not)."""
    return hasattr(os, "sync")


def sync_all() -> None:
    """Make sure that all that was written outlasts a power cut, at once: of thousands of files a sync of each takes far longer."""
    os.sync()


def write_text(path: Path, text: str) -> None:
    """UTF-8, atomically. A lone surrogate, which a sampler of bytes may make, is replaced."""
    write(path, text.encode("utf-8", "replace"))


def write_json(path: Path, value: object, indent: int | None = 2) -> None:
    """JSON in ASCII, atomically, so that a name that is not UTF-8 comes back as it was. indent: None for large values, which then
    take an eighth of the time and half of the memory."""
    write(path, (json.dumps(value, indent=indent, ensure_ascii=True, allow_nan=False) + "\n").encode())


def open_to_append(path: Path) -> TextIO:
    """A text file to append to; made if missing. RunError where its name is that of a link or no ordinary file."""
    check_regular(path, missing_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINK | _BINARY, 0o666)
    except OSError as error:
        raise _write_error(path, error) from error
    return open(handle, "a", encoding="utf-8", newline="\n")


def sha256(*paths: Path) -> str:
    """The SHA-256 of what files hold, one after another."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def change_stamp(status: os.stat_result) -> Stamp:
    """Values that change whenever a file does: its time, whose resolution may be two seconds, its size, and its identity."""
    return status.st_mtime_ns, status.st_size, status.st_ino


def check_regular(path: Path, max_bytes: int | None = None, missing_ok: bool = False) -> None:
    """RunError where a file is missing, a link, a pipe or another special file, or larger than `max_bytes` bytes."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        if missing_ok:
            return
        raise RunError(f"{str(path)!r} is missing, so the folder is incomplete; restore it or train again") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{str(path)!r} cannot be read ({clause(error)}); give another folder") from None
    _check(path, status, max_bytes)


def _check(path: Path, status: os.stat_result, max_bytes: int | None) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise RunError(f"{str(path)!r} is a link; put the file itself there, as `cp -rL` does for a whole folder")
    if not stat.S_ISREG(status.st_mode):
        raise RunError(f"{str(path)!r} is not an ordinary file; restore it or train again")
    if max_bytes is not None and status.st_size > max_bytes:
        raise RunError(
            f"{str(path)!r} has {status.st_size:,} bytes, more than such a file may have ({max_bytes:,}); restore it"
        )


def read(path: Path, max_bytes: int) -> bytes:
    """All bytes of an ordinary file; RunError as in `check_regular`."""
    with open_checked(path, max_bytes) as file:
        return file.read(max_bytes + 1)


@contextlib.contextmanager
def open_checked(path: Path, max_bytes: int) -> Iterator[BinaryIO]:
    """An ordinary file of at most `max_bytes` bytes, open to be read; RunError as in `check_regular`."""
    check_regular(path, max_bytes)
    try:
        with open(os.open(path, os.O_RDONLY | _NO_LINK | _NO_WAIT | _BINARY), "rb") as file:
            _check(path, os.fstat(file.fileno()), max_bytes)
            yield file
    except OSError as error:
        raise RunError(f"{str(path)!r} cannot be read ({clause(error)}); restore it or train again") from None


def read_json(path: Path, max_bytes: int = JSON_BYTES, max_memory: int = JSON_MEMORY) -> JsonValue:
    """The JSON value in an ordinary file; RunError where it is missing or damaged, or holds so many values that they would take
    more memory than that."""
    data = read(path, max_bytes)
    if sum(data.count(mark) * size for mark, size in _VALUE_BYTES.items()) > max_memory:
        raise RunError(f"{str(path)!r} holds more values than such a file may have; restore it or train again")
    try:
        value: JsonValue = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # brackets may be nested deeper than the interpreter goes
        raise RunError(f"{str(path)!r} cannot be read as JSON ({clause(error)}); restore it or train again") from None
    return value


def check_folder(path: Path) -> None:
    """RunError where a folder is a link or a file; a missing one is in order."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise RunError(f"{str(path)!r} cannot be read ({clause(error)}); give another folder") from None
    if not stat.S_ISDIR(status.st_mode):
        obstacle = "a link" if stat.S_ISLNK(status.st_mode) else "not a folder"
        raise RunError(
            f"{str(path)!r} is {obstacle}; a run holds its own folders: restore it or copy the run with `cp -rL`"
        )


def write_inside(folder: Path, name: str, data: bytes, *, sync: bool = True) -> Path:
    """Write a file straight into a folder, see `place_inside`. sync: see `write`."""
    path = place_inside(folder, name)
    write(path, data, sync=sync)
    return path


def place_inside(folder: Path, name: str) -> Path:
    """The path of a file straight in a folder, whatever made its name; RunError where the name leads elsewhere."""
    path = folder / name
    if path.parent != folder or not re.fullmatch(rf"[^/\\\0]+{SUFFIX}", name):
        raise RunError(f"{name!r} is not the name of a sample file; restore the run it comes from")
    return path


def clause(error: BaseException) -> str:
    """The reason, on one line."""
    strerror = getattr(error, "strerror", None)
    lines = str(strerror or error).strip().splitlines() or [""]
    text = lines[0].strip().rstrip(".")
    if len(text) > MAX_CLAUSE:  # cut between words, where there are any
        text = text[:MAX_CLAUSE].rpartition(" ")[0] or text[:MAX_CLAUSE]
        text += " ..."
    return text or type(error).__name__


def cache_root(folder: Path | None) -> Path:
    """`folder`, else $ANEW_CACHE, else the user's cache folder."""
    if folder is not None:
        return Path(folder)
    return Path(os.environ.get("ANEW_CACHE") or platformdirs.user_cache_dir("anew", appauthor=False))


def is_private(path: Path) -> bool:
    """Whether a path is one of the system's folders, the user's home or what is above it, or in a hidden folder there (keys,
    settings)."""
    place, home = Path(os.path.realpath(path)), Path(os.path.realpath(Path.home()))
    # macOS: /etc, /var and /tmp are links into /private
    system, mounted, broad = (
        [Path(os.path.realpath(folder)) for folder in folders]
        for folders in (SYSTEM_FOLDERS, MOUNTED_FOLDERS, BROAD_FOLDERS)
    )
    if place in (home, *home.parents, *broad) or place == Path(place.anchor):
        return True
    if any(place.is_relative_to(folder) for folder in system):
        return not any(place.is_relative_to(folder) and place != folder for folder in mounted)
    top = place.relative_to(home).parts[0] if place.is_relative_to(home) else ""
    return top.startswith(".") and top not in DATA_FOLDERS
