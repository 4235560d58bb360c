"""Files that are read whole: all of them, up to a limit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from anew.data import limits
from anew.data.formats.file_bytes import read_whole
from anew.data.modalities.image import Image
from anew.data.modalities.text import Text
from anew.data.sources.source import Source
from anew.data.types import Item, SkippedItem


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 2_100_003])
def test_files_of_any_size_are_read_whole(tmp_path: Path, size: int) -> None:
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    (tmp_path / "a").write_bytes(body)
    assert read_whole(tmp_path / "a") == body


def test_what_is_too_large_or_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a regular file"):
        read_whole(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a regular file"):
        read_whole("/dev/zero")
    with pytest.raises(IsADirectoryError):
        read_whole(tmp_path)
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(30 << 30)
    with pytest.raises(ValueError, match=r"larger \(30 GB\) than what is read whole \(256 MB\)"):
        read_whole(tmp_path / "sparse")


def test_a_sparse_picture_is_refused_by_name_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 50)
    with open(tmp_path / "sparse.jpg", "wb") as file:
        file.truncate(30 << 30)
    source = Source.open(tmp_path, {"text": Text, "image": Image})
    records = [item for shard in source.shards("image") for item in source.read(shard)]
    assert [item.name for item in records if isinstance(item, Item)] == ["good.png"]
    assert [item.name for item in source.refusals] == ["sparse.jpg"]


def test_a_file_that_grew_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    source = Source.open(tmp_path, {"text": Text, "image": Image})
    (shard,) = source.shards("image")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 5000)
    monkeypatch.setattr(limits, "FILE_BYTES", 1000)
    (item,) = source.read(shard)
    assert isinstance(item, SkippedItem) and "larger" in item.reason
