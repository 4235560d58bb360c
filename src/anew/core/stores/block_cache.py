"""Blocks of objects of a store, kept on the disk up to a number of bytes, whichever process fetched them.

Small blocks lie together in a database: a file for each would take longer to make than its block to fetch, and a store may have a
million small objects.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from anew.core import files

# Bytes of blocks in the cache, of which the oldest go first: they are on the user's disk; chosen.
MAX_BYTES = 4 * 1024**3
REMAINING_SHARE = 0.8  # share of that which stays when some go, so that not every new block looks for old ones; chosen
SMALL_BLOCK_BYTES = 16 * 1024  # bytes; smaller blocks are kept in the database; chosen
SMALL_SHARE = 0.25  # share of the bytes in the cache that small blocks have; chosen
BATCH_BLOCKS = 128  # small blocks that are written at once: a transaction takes as long as ten of them; chosen
ASKED_NAMES = 500  # that one question names: most builds of SQLite take 999
BUSY_S = 2.0  # seconds that a process waits for another one that writes to the database


class BlockCache:
    """Blocks below a folder. It never fails: what cannot be kept is fetched again.

    Args:
        folder: Its own; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        max_small = round(SMALL_SHARE * MAX_BYTES)
        self._small = _SmallBlocks(folder / "small.sqlite", max_small)
        self._folder, self._max_bytes = folder, MAX_BYTES - max_small
        self._size: int | None = None  # size of the files, as far as this process knows
        self._lock = threading.Lock()

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name

    def held(self, sizes: Mapping[str, int]) -> set[str]:
        """The names of those blocks that are kept. sizes: bytes by name."""
        small = [name for name, size in sizes.items() if size < SMALL_BLOCK_BYTES]
        large = {name for name, size in sizes.items() if size >= SMALL_BLOCK_BYTES and self._path(name).exists()}
        return large | self._small.held(small)

    def load(self, name: str, size: int) -> bytes | None:
        """The block of that name; None where there is none of that size."""
        data = self._small.load(name) if size < SMALL_BLOCK_BYTES else self._read(self._path(name))
        return data if data is not None and len(data) == size else None

    def _read(self, path: Path) -> bytes | None:
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return data

    def store(self, name: str, data: bytes) -> None:
        """Keep a block, unless the disk is nearly full. A small one may reach the disk only by `flush`."""
        if len(data) < SMALL_BLOCK_BYTES:
            self._small.store(name, data)
        else:
            self._write(name, data)

    def flush(self) -> None:
        """Write the small blocks that wait for others."""
        self._small.flush()

    def _write(self, name: str, data: bytes) -> None:
        path = self._path(name)
        temporary = path.with_name(f"{name}.{secrets.token_hex(4)}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not _has_room(self._folder):
                return
            temporary.write_bytes(data)
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            return
        with self._lock:
            self._size = self._measured() if self._size is None else self._size + len(data)
            if self._size > self._max_bytes:
                self._size = self._prune()

    def _entries(self) -> list[tuple[float, int, str]]:
        """(last use, bytes, path) of every block in a file, the longest unused first."""
        entries = []
        for folder, _, names in os.walk(self._folder):
            for name in names if folder != str(self._folder) else ():  # the database is not a block
                with contextlib.suppress(OSError):  # another process removed it
                    status = os.stat(f"{folder}/{name}")
                    entries.append((status.st_mtime, status.st_size, f"{folder}/{name}"))
        return sorted(entries)

    def _measured(self) -> int:
        return sum(size for _, size, _ in self._entries())

    def _prune(self) -> int:
        """Remove what was not used for longest; how many bytes are left."""
        entries = self._entries()
        total = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if total <= REMAINING_SHARE * self._max_bytes:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
            total -= size
        return total


class _SmallBlocks:
    """Small blocks in a database. Thread-safe, and several processes may share it."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path, self._max_bytes = path, max_bytes
        self._waiting: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._owner = 0  # process that opened it: a connection must not pass to a forked one
        self._size: int | None = None  # bytes of its blocks, as far as this process knows
        self._is_broken = False  # the folder cannot hold a database: nothing is kept

    def load(self, name: str) -> bytes | None:
        with self._lock:
            if name in self._waiting:
                return self._waiting[name]
            if self._database is None and not self._path.exists():
                return None
            with self._guarded():
                row = self._opened().execute("SELECT checksum, data FROM blocks WHERE name = ?", (name,)).fetchone()
                return row[1] if row is not None and zlib.crc32(row[1]) == row[0] else None
            return None

    def held(self, names: Sequence[str]) -> set[str]:
        """The names that are kept, by a single query, as one query for each would take most of the time of fetching a block."""
        with self._lock:
            held = {name for name in names if name in self._waiting}
            if self._database is None and not self._path.exists():
                return held
            for first in range(0, len(names), ASKED_NAMES):
                asked = names[first : first + ASKED_NAMES]
                with self._guarded():
                    places = ",".join("?" * len(asked))
                    rows = self._opened().execute(f"SELECT name FROM blocks WHERE name IN ({places})", asked)
                    held.update(name for (name,) in rows)
            return held

    def store(self, name: str, data: bytes) -> None:
        with self._lock:
            self._waiting[name] = data
            if len(self._waiting) >= BATCH_BLOCKS:
                self._write()

    def flush(self) -> None:
        with self._lock:
            self._write()

    def _write(self) -> None:
        rows = [(name, zlib.crc32(data), data) for name, data in self._waiting.items()]
        self._waiting = {}
        if not rows or self._is_broken:
            return
        with self._guarded():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if not _has_room(self._path.parent):
                return
            database = self._opened()
            with database:
                database.executemany("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?)", rows)
            added = sum(len(data) for _, _, data in rows)
            self._size = self._measured() if self._size is None else self._size + added
            if self._size > self._max_bytes:
                self._prune(database)

    def _measured(self) -> int:
        size = self._opened().execute("SELECT sum(length(data)) FROM blocks").fetchone()[0]
        return int(size or 0)

    def _prune(self, database: sqlite3.Connection) -> None:
        """Remove the oldest blocks; their pages are used again for new ones."""
        self._size = self._measured()  # other processes add and remove, too
        surplus = self._size - REMAINING_SHARE * self._max_bytes
        if surplus <= 0:
            return
        last = removed = 0
        for number, size in database.execute("SELECT rowid, length(data) FROM blocks ORDER BY rowid"):
            last, removed = number, removed + size
            if removed >= surplus:
                break
        with database:
            database.execute("DELETE FROM blocks WHERE rowid <= ?", (last,))
        self._size -= removed

    def _opened(self) -> sqlite3.Connection:
        if self._database is None or self._owner != os.getpid():
            database = sqlite3.connect(self._path, timeout=BUSY_S, check_same_thread=False)
            # Nothing is lost that cannot be fetched again, so that the disk need not be waited for. Not a write-ahead log, which
            # maps a file into memory: a process dies if that file is truncated.
            database.execute("PRAGMA journal_mode = TRUNCATE")
            database.execute("PRAGMA synchronous = OFF")
            database.execute("CREATE TABLE IF NOT EXISTS blocks (name TEXT PRIMARY KEY, checksum INTEGER, data BLOB)")
            self._database, self._owner = database, os.getpid()
        return self._database

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Faults of the disk and of the database end the block. A damaged database is removed, and starts anew."""
        try:
            yield
        except sqlite3.OperationalError as error:
            # The low byte of a code is SQLite's primary code. An error of Python's own has none
            primary_code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            self._is_broken = primary_code not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        except (sqlite3.Error, OSError):
            self._database = None
            for suffix in ("", "-journal"):
                with contextlib.suppress(OSError):
                    os.unlink(f"{self._path}{suffix}")


def _has_room(folder: Path) -> bool:
    return shutil.disk_usage(folder).free >= files.FREE_DISK_BYTES
