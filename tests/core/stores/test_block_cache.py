"""Blocks of a store on the disk: large ones in files, small ones in a database."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from anew.core import files
from anew.core.stores import block_cache
from anew.core.stores.block_cache import BlockCache

SMALL, LARGE = b"s" * 800, b"l" * (2 * block_cache.SMALL_BLOCK_BYTES)


@pytest.fixture(autouse=True)
def ample_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FREE_DISK_BYTES", 0)


def stored(cache: BlockCache, name: str, data: bytes) -> bool:
    return holds(cache, name, data) and cache.load(name, len(data)) == data


def holds(cache: BlockCache, name: str, data: bytes) -> bool:
    return cache.held({name: len(data)}) == {name}


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_a_block_is_there_at_once_and_for_others_after_a_flush(tmp_path: Path, data: bytes) -> None:
    cache = BlockCache(tmp_path / "blocks")
    assert cache.load("ab-0", len(data)) is None and not holds(cache, "ab-0", data)
    assert not (tmp_path / "blocks").exists()
    cache.store("ab-0", data)
    assert stored(cache, "ab-0", data)
    cache.flush()
    again = BlockCache(tmp_path / "blocks")
    assert stored(again, "ab-0", data) and again.load("ab-0", len(data) - 1) is None


def test_no_block_counts_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_cache, "MAX_BYTES", 4 * len(LARGE))  # three quarters of it for large blocks
    cache = BlockCache(tmp_path / "blocks")
    for number in range(3):
        cache.store(f"ab-{number}", LARGE)
    assert all(stored(cache, f"ab-{number}", LARGE) for number in range(3))


def test_small_blocks_are_written_together(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path / "blocks")
    for number in range(2 * block_cache.BATCH_BLOCKS + 1):
        cache.store(f"ab-{number}", SMALL)
    assert [path.suffix for path in (tmp_path / "blocks").rglob("*") if "-" not in path.suffix] == [".sqlite"]
    again = BlockCache(tmp_path / "blocks")
    written = [number for number in range(2 * block_cache.BATCH_BLOCKS + 1) if stored(again, f"ab-{number}", SMALL)]
    assert written == list(range(2 * block_cache.BATCH_BLOCKS))


def test_the_oldest_small_blocks_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = 400 * len(SMALL)  # bytes of all blocks, a quarter of them of small ones
    monkeypatch.setattr(block_cache, "MAX_BYTES", bound)
    cache = BlockCache(tmp_path / "blocks")
    for number in range(3 * block_cache.BATCH_BLOCKS):
        cache.store(f"ab-{number}", SMALL)
    remaining = [
        number
        for number in range(3 * block_cache.BATCH_BLOCKS)
        if stored(BlockCache(tmp_path / "blocks"), f"ab-{number}", SMALL)
    ]
    assert 0 < len(remaining) * len(SMALL) <= block_cache.SMALL_SHARE * bound
    assert remaining == list(range(remaining[0], 3 * block_cache.BATCH_BLOCKS))


def test_several_processes_share_the_small_blocks(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from anew.core.stores.block_cache import BlockCache\n"
        "cache = BlockCache(pathlib.Path(sys.argv[1]))\n"
        "for number in range(640): cache.store(f'{sys.argv[2]}-{number}', b's' * 800)\n"
        "cache.flush()"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "blocks")]
    processes = [subprocess.Popen([*words, name]) for name in "abc"]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    cache = BlockCache(tmp_path / "blocks")
    assert all(stored(cache, f"{name}-{number}", SMALL) for name in "abc" for number in range(0, 640, 37))


def test_many_names_are_asked_for_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_cache, "ASKED_NAMES", 3)
    cache = BlockCache(tmp_path / "blocks")
    sizes = {f"ab-{number}": len((SMALL, LARGE)[number % 2]) for number in range(10)}
    for name in ("ab-0", "ab-1", "ab-6"):
        cache.store(name, b"s" * sizes[name])
    cache.flush()
    cache.store("ab-8", SMALL)
    assert cache.held(sizes) == {"ab-0", "ab-1", "ab-6", "ab-8"} and cache.held({}) == set()
    assert BlockCache(tmp_path / "blocks").held(sizes) == {"ab-0", "ab-1", "ab-6"}


@pytest.mark.parametrize("content", [b"no database" * 500, b""])
def test_a_damaged_database_starts_anew(tmp_path: Path, content: bytes) -> None:
    first = BlockCache(tmp_path / "blocks")
    first.store("ab-0", SMALL)
    first.flush()
    del first
    for path in (tmp_path / "blocks").iterdir():
        path.write_bytes(content)
    cache = BlockCache(tmp_path / "blocks")
    assert cache.load("ab-0", len(SMALL)) is None
    cache.store("ab-1", SMALL)
    cache.flush()
    assert stored(BlockCache(tmp_path / "blocks"), "ab-1", SMALL)


def test_a_database_that_another_process_writes_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_cache, "BUSY_S", 0.0)
    cache = BlockCache(tmp_path / "blocks")
    cache.store("ab-0", SMALL)
    cache.flush()
    with contextlib.closing(sqlite3.connect(tmp_path / "blocks" / "small.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        cache.store("ab-1", SMALL)
        cache.flush()
        other.execute("ROLLBACK")
    cache.store("ab-2", SMALL)
    cache.flush()
    reopened = BlockCache(tmp_path / "blocks")
    assert stored(reopened, "ab-0", SMALL) and stored(reopened, "ab-2", SMALL)


def test_what_cannot_be_kept_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = BlockCache(tmp_path / "file" / "blocks")
    for data in (SMALL, LARGE):
        cache.store("ab-0", data)
        cache.flush()
        assert not holds(cache, "ab-0", data)
    monkeypatch.setattr(files, "FREE_DISK_BYTES", 1 << 60)  # a full disk
    full = BlockCache(tmp_path / "full")
    full.store("ab-0", SMALL)
    full.flush()
    assert not holds(BlockCache(tmp_path / "full"), "ab-0", SMALL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes fork only on POSIX")
def test_a_forked_process_opens_the_database_itself(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib; from anew.core.stores.block_cache import BlockCache\n"
        "cache = BlockCache(pathlib.Path(sys.argv[1])); cache.store('ab-0', b's'); cache.flush()\n"
        "child = os.fork()\n"
        "cache.store(f'ab-{1 if child else 2}', b's'); cache.flush()\n"
        "os.waitpid(child, 0) if child else os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "blocks")], check=True, timeout=60)
    cache = BlockCache(tmp_path / "blocks")
    assert [cache.load(f"ab-{number}", 1) for number in range(3)] == [b"s"] * 3
