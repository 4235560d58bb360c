"""What data holds beyond its listing: files of the same names and sizes may hold something else, or have other classes."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

import numpy as np

from anew.data.formats import by_range
from anew.data.formats.by_range import Range
from anew.data.sources.base import Shard, evenly_spaced
from anew.data.types import FileSlice, Item, SkippedItem

# Up to so much is digested whole: 32 MB take .05 s, and a file .03 ms. Of more, blocks from shards all over it.
WHOLE_BYTES, WHOLE_RANGES = 32 * 1024 * 1024, 8192
SAMPLED_SHARDS, SAMPLED_RANGES, BLOCK = 64, 4, 64 * 1024
# Of sources that only give whole items, which is slow
DECODED_BYTES, DECODED_SHARDS, DECODED_ITEMS = 4 * 1024 * 1024, 8, 4
# Multiples of the golden ratio spread evenly: here in units of 1 / STRIDE_MODULUS
STRIDE, STRIDE_MODULUS = 40503, 65536


class ReadableSource(Protocol):
    """The part of a `Source` that is used here."""

    def ranges(self, shard: Shard) -> Sequence[Range]: ...

    def read(self, shard: Shard, limit: int | None = None) -> Iterator[Item | SkippedItem]: ...


def content_digest(source: ReadableSource, shards: Sequence[Shard]) -> str | None:
    """A hash of names, sizes, classes and bytes of the items, as far as they are known or cheap to read: of all bytes of small
    data, of blocks from all over large data. None if the data stays in a store, where each block is a request."""
    ordered = sorted(shards, key=lambda shard: shard.name)
    ranges: dict[str, Sequence[Range]] = {}
    for shard in ordered:
        ranges[shard.name] = source.ranges(shard)
        if by_range.has_stores() and any(by_range.find_stored(place.path) for place in ranges[shard.name]):
            return None
    digest = hashlib.blake2b(digest_size=16)
    for shard in ordered:
        digest.update(f"{shard.name}\0{shard.members}\n".encode("utf-8", "surrogateescape"))
    total, count = sum(shard.bytes for shard in ordered), sum(map(len, ranges.values()))
    is_small = total <= WHOLE_BYTES and count <= WHOLE_RANGES
    read = ordered if is_small else evenly_spaced(ordered, SAMPLED_SHARDS)
    places = [ranges[shard.name] if is_small else evenly_spaced(ranges[shard.name], SAMPLED_RANGES) for shard in read]
    for block in _blocks(itertools.chain.from_iterable(places), are_whole=is_small):
        digest.update(block)
    decoded = [shard for shard in ordered if not ranges[shard.name]]
    is_small = sum(shard.bytes for shard in decoded) <= DECODED_BYTES
    for shard in decoded if is_small else evenly_spaced(decoded, DECODED_SHARDS):
        for item in source.read(shard, None if is_small else DECODED_ITEMS):
            digest.update(item_bytes(item))
            digest.update(repr(None if isinstance(item, SkippedItem) else item.label).encode("utf-8", "replace"))
    return digest.hexdigest()


def item_bytes(item: Item | SkippedItem) -> bytes:
    """What an item holds, or why it was refused; of a file that is read in its place, a hash."""
    data = item.reason if isinstance(item, SkippedItem) else item.data
    if isinstance(data, FileSlice):
        return data.digest()
    if isinstance(data, np.ndarray):
        return data.tobytes()
    return data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)


def _blocks(places: Iterable[Range], are_whole: bool) -> Iterator[bytes]:
    """What is at these places, or a block of each, which lies elsewhere in each."""
    for path, numbered in itertools.groupby(enumerate(places), lambda pair: pair[1].path):
        yield from _blocks_of_file(path, numbered, are_whole)


def _blocks_of_file(path: str | Path, numbered: Iterable[tuple[int, Range]], are_whole: bool) -> Iterator[bytes]:
    """See `_blocks`: those of one file, which is opened once."""
    try:
        with by_range.open_file(path) as stream:
            size = stream.seek(0, 2)
            for number, place in numbered:
                yield _block(stream, place, size, None if are_whole else number)
    except OSError:  # it vanished, and will be refused when it is read
        yield b""


def _block(stream: IO[bytes], place: Range, size: int, number: int | None) -> bytes:
    """What is at a place in a file of this size, or a block of it, which lies elsewhere for each number."""
    start, stop = place.start, size if place.stop is None else place.stop
    if number is not None:
        start += max(0, stop - start - BLOCK) * (number * STRIDE % STRIDE_MODULUS) // STRIDE_MODULUS
        stop = min(stop, start + BLOCK)
    stream.seek(start)
    return stream.read(max(0, stop - start))
