"""idx files, the format of MNIST and similar datasets: images and labels in two files, gzipped or not."""

from __future__ import annotations

import math
import re
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import cast

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Integers
from anew.core.files import clause
from anew.data import limits
from anew.data.file_names import part_of
from anew.data.formats import gzip_files
from anew.data.formats.by_range import Range
from anew.data.modality import Modality
from anew.data.sources.base import SHARD_ITEMS, Shard
from anew.data.sources.listing import File
from anew.data.types import Item, SkippedItem

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_ROLE = re.compile(r"images?|labels?", re.IGNORECASE)
_ENDING = re.compile(r"[-.]?(idx\d)?[-.]?(ubyte|byte|int)?(\.idx)?(\.gz)?$", re.IGNORECASE)


@dataclass(slots=True)
class _Pair:
    """Images of one part with their labels.

    Attributes:
        file: The file of the images.
        shape: (n, H, W) or (n, H, W, C).
        start: Bytes before the first image.
        part: "train", "validation" or "test" if the name of the file says so.
        labels: (n,) labels.
        lock: Held while the images are read.
        body: All bytes after `start` that could be read; None before reading.
    """

    file: File
    shape: tuple[int, ...]
    start: int
    part: str | None
    labels: Integers | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    body: NDArray[np.uint8] | None = None


class IdxReader:
    """See `anew.data.sources.base.Reader`. Shards are runs of consecutive images."""

    def __init__(self, files: Sequence[File], root: Path) -> None:
        self.refusals: list[SkippedItem] = []
        self.notes: list[str] = []
        self._root = root
        self._pairs: dict[str, _Pair] = {}
        heads = {file.path: head for file in files if (head := self._head(file)) is not None}
        by_path = {file.path: file for file in files}
        self._inflated = limits.IDX_INFLATED_BYTES  # bytes that further packed images may take
        labels = {key_of(path): path for path, (_, shape, _) in heads.items() if len(shape) == 1}
        for path, (code, shape, start) in heads.items():
            if len(shape) == 1:
                continue
            if len(shape) not in (3, 4) or code != 0x08 or (len(shape) == 4 and shape[3] not in (1, 3, 4)):
                self._refuse(path, f"it holds no 8-bit images (type 0x{code:02x}, shape {'x'.join(map(str, shape))})")
                continue
            pair = _Pair(by_path[path], self._shape_in_file(by_path[path], shape, start), start, _part(path))
            pair.labels = self._labels(labels.pop(key_of(path), None), heads, shape[0])
            self._pairs[path] = pair
        for path in labels.values():
            self._refuse(path, "its images are missing: no idx file of the same name contains them")
        items = sum(pair.shape[0] for pair in self._pairs.values())
        self.counts: Mapping[str, int] = {"image": items} if items else {}
        self.bytes: Mapping[str, int] = (
            {"image": sum(math.prod(p.shape) for p in self._pairs.values())} if items else {}
        )
        names = {str(v) for p in self._pairs.values() if p.labels is not None for v in np.unique(p.labels)}
        self.labels: tuple[str, ...] | None = tuple(sorted(names))

    def shards(self, modality: str) -> list[Shard]:
        if modality != "image":
            return []
        shards = []
        for path, pair in self._pairs.items():
            item_size = math.prod(pair.shape[1:])
            for start in range(0, pair.shape[0], SHARD_ITEMS):
                count = min(SHARD_ITEMS, pair.shape[0] - start)
                name = f"{path}#{start}+{count}"
                shards.append(Shard(name, count, count * item_size, (path, start, count), pair.part, pair.file.stamp))
        return shards

    def ranges(self, shard: Shard) -> list[Range]:
        return []

    def read(self, shard: Shard) -> Iterator[Item | SkippedItem]:
        path, start, count = cast(tuple[str, int, int], shard.where)
        pair = self._pairs[path]
        try:
            body = self._body(pair)
        except OSError as error:
            reason = f"it cannot be read ({clause(error)})"
            yield from (SkippedItem(f"{path}#{index}", reason) for index in range(start, start + count))
            return
        image_bytes = math.prod(pair.shape[1:])
        for index in range(start, start + count):
            pixels = body[index * image_bytes : (index + 1) * image_bytes]
            if len(pixels) < image_bytes:
                yield SkippedItem(f"{path}#{index}", "the file is damaged or ends before this image")
                continue
            label = None if pair.labels is None else str(pair.labels[index])
            yield Item(f"{path}#{index}", np.array(pixels).reshape(pair.shape[1:]), label)

    def _refuse(self, name: str, reason: str) -> None:
        self.refusals.append(SkippedItem(name, reason))

    def _head(self, file: File) -> tuple[int, tuple[int, ...], int] | None:
        try:
            with gzip_files.open_file(self._root / file.path) as stream:
                head = stream.read(4)
                code, axes = (head[2], head[3]) if len(head) == 4 and head[:2] == b"\0\0" else (0, 0)
                if code not in _TYPES or not 1 <= axes <= 4:
                    raise ValueError("its header is not that of an idx file")
                sizes = stream.read(4 * axes)
                if len(sizes) < 4 * axes:
                    raise ValueError("its header is truncated")
                shape = struct.unpack(f">{axes}I", sizes)
                if math.prod(shape) == 0:
                    raise ValueError("its header says that it is empty")
        except (*gzip_files.DAMAGE, ValueError) as error:
            self._refuse(file.path, str(error) if type(error) is ValueError else f"it cannot be read ({error})")
            return None
        return code, shape, 4 + 4 * axes

    def _labels(
        self, path: str | None, heads: Mapping[str, tuple[int, tuple[int, ...], int]], images: int
    ) -> Integers | None:
        if path is None:
            return None
        code, shape, start = heads[path]
        dtype = np.dtype(_TYPES[code])
        if shape[0] != images or dtype.kind not in "iu":
            self._refuse(path, f"it holds {shape[0]} labels of type 0x{code:02x} for {images} images")
            return None
        if shape[0] * dtype.itemsize > limits.IDX_LABELS_BYTES:
            self._refuse(path, f"it holds labels of more than {limits.size(limits.IDX_LABELS_BYTES)}")
            return None
        try:
            with gzip_files.open_file(self._root / path) as stream:
                data = stream.read(start + shape[0] * dtype.itemsize)[start:]
        except gzip_files.DAMAGE as error:
            self._refuse(path, f"it cannot be read ({error})")
            return None
        if len(data) < shape[0] * dtype.itemsize:
            self._refuse(path, "it is truncated: fewer labels than its header says")
            return None
        return np.frombuffer(data, dtype)

    def _body(self, pair: _Pair) -> NDArray[np.uint8]:
        with pair.lock:
            if pair.body is None:
                end = pair.start + math.prod(pair.shape)
                pair.body = gzip_files.map_file(self._root / pair.file.path, end)[pair.start :]
        return pair.body

    def _shape_in_file(self, file: File, shape: tuple[int, ...], start: int) -> tuple[int, ...]:
        """The shape with no more images than the file can hold, whatever its header says."""
        image_bytes = math.prod(shape[1:])
        if image_bytes > limits.IDX_IMAGE_BYTES:
            self._refuse(file.path, f"its images are larger than {limits.size(limits.IDX_IMAGE_BYTES)} each")
            return (0, *shape[1:])
        packed = gzip_files.is_gzip(self._root / file.path)
        max_images = (file.bytes * (limits.GZIP_RATIO if packed else 1) - start) // image_bytes
        images = min(shape[0], max(max_images, 0))
        if images < shape[0]:
            missing = shape[0] - images
            self._refuse(
                file.path, f"it is truncated: {missing} of the {shape[0]} images that its header names are missing"
            )
        if packed and images * image_bytes > self._inflated:
            self._refuse(
                file.path, f"packed images of more than {limits.size(limits.IDX_INFLATED_BYTES)} in all; unpack them"
            )
            return (0, *shape[1:])
        self._inflated -= images * image_bytes if packed else 0
        return (images, *shape[1:])


def key_of(path: str) -> str:
    """The key that the two files of a pair share: the path without its suffix and without the word images or labels."""
    pure = PurePosixPath(path)
    stem = _ROLE.sub("*", _ENDING.sub("", pure.name), count=1)
    return str(pure.with_name(stem or "*")).lower()


def _part(path: str) -> str | None:
    return "test" if PurePosixPath(path).name.lower().startswith("t10k") else part_of(path)


def open_reader(files: Sequence[File], root: Path, modalities: Mapping[str, type[Modality]]) -> IdxReader:
    """See `anew.data.sources.base.OpenReader`."""
    return IdxReader(files, root)
