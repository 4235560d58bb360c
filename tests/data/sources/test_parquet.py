"""Local copies of parts of stored files: complete where they were asked for, and removed when nobody uses them."""

from __future__ import annotations

import errno
import gc
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from anew.data.formats.by_range import FileInStore
from anew.data.sources.parquet import ABANDONED_SECONDS, PartialFile

CONTENT = bytes(range(256)) * 8


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileInStore:
    monkeypatch.setenv("ANEW_CACHE", str(tmp_path))
    store: Any = SimpleNamespace(prefetch=lambda *_: None, read=lambda file, start, stop: CONTENT[start:stop])
    file: Any = SimpleNamespace(bytes=len(CONTENT))
    return FileInStore(store, file)


def test_a_copy_holds_its_ranges_and_goes_with_its_object(stored: FileInStore) -> None:
    copy = PartialFile(stored, [(10, 20), (2000, len(CONTENT))])
    path = Path(copy.path)
    content = path.read_bytes()
    assert len(content) == len(CONTENT) and content[10:20] == CONTENT[10:20] and content[2000:] == CONTENT[2000:]
    assert not any(content[20:2000])
    del copy
    gc.collect()
    assert not path.exists()


def test_a_copy_that_is_in_use_is_there_whatever_its_age(stored: FileInStore) -> None:
    """A training run of more than a day lost the description of its Parquet file to the next command."""
    used, unused = PartialFile(stored, [(0, 100)]), PartialFile(stored, [(100, 200)])
    paths = used_path, unused_path = Path(used.path), Path(unused.path)
    day_ago = time.time() - ABANDONED_SECONDS - 3600.0
    for path in paths:
        os.utime(path, (day_ago, day_ago))
    assert used.path == str(used_path)  # that is a use
    PartialFile(stored, [(0, 100)])
    assert used_path.exists() and not unused_path.exists()
    assert Path(unused.path).read_bytes()[100:200] == CONTENT[100:200]
    assert sorted(unused_path.parent.iterdir()) == sorted(paths)
    del unused
    gc.collect()
    assert not unused_path.exists()


def test_a_copy_that_cannot_be_made_leaves_nothing_behind(stored: FileInStore) -> None:
    def read(file: Any, start: int, stop: int) -> bytes:
        raise OSError(errno.ENOSPC, "no space left")

    parts = Path(PartialFile(stored, []).path).parent
    broken = FileInStore(SimpleNamespace(prefetch=lambda *_: None, read=read), stored.file)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="no space left"):
        PartialFile(broken, [(0, 100)])
    assert not list(parts.iterdir())
