"""Exact nearest records by edit distance among millions, in bounded memory: the index takes 20 bytes a record besides its characters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Bools, Doubles, Int32s, Integers, Ints
from anew.core.machine.threads import available_threads, map_in_threads
from anew.evaluation.edits.loops import BLOCK, MAX_COUNT, Places, nearest_records, signatures_of
from anew.functional.text_hashes import code_points

AT_ONCE = 65_536  # records whose characters are numbered at once: bounds memory
NUM_BITS = 64  # bits of a signature
MAX_SAMPLED = 2_000  # records by which the bits of signatures are chosen: more hardly change them
NUM_CODE_POINTS = 0x110000  # code points of Unicode


class RecordIndex:
    """Records in the order of their signatures."""

    def __init__(self, records: Sequence[str]) -> None:
        codes, starts, self._num_characters = _coded(records)
        signatures = signatures_of(codes, starts, _signature_bits(codes, starts, self._num_characters))
        order = np.argsort(signatures, kind="stable").astype(np.int32)
        codes, starts = _reordered(codes, starts, order)
        signatures, edges = signatures[order], np.arange(0, len(order), BLOCK)
        lengths = np.diff(starts)
        self._places = Places(
            codes=codes,
            starts=starts,
            signatures=signatures,
            items=order,
            common=np.bitwise_and.reduceat(signatures, edges),
            any=np.bitwise_or.reduceat(signatures, edges),
            shortest=np.minimum.reduceat(lengths, edges),
            longest=np.maximum.reduceat(lengths, edges),
        )
        self._place = np.empty(len(order), dtype=np.int32)  # (n,) the place of each record
        self._place[order] = np.arange(len(order), dtype=np.int32)

    def nearest(self, queries: Integers, is_allowed: Bools, groups: Int32s) -> tuple[NDArray[np.intp], Doubles]:
        """The nearest record of each query (q,) and its distance: edits divided by the longer length. -1 and inf where there is none.

        Args:
            queries: Numbers of records.
            is_allowed: (n,) whether each record may be the nearest one.
            groups: (n,) the group of each record; records of one group are never each other's nearest.
        """
        rows = self._place[queries].astype(np.int64)
        # Neighbours are searched for one after another: they look at the same blocks
        order = np.argsort(rows)
        parts = np.array_split(rows[order], min(available_threads(), max(len(rows), 1)))

        def search(part: Ints) -> tuple[Ints, Ints, Ints]:
            return nearest_records(self._places, part, is_allowed, groups, self._num_characters)

        results = list(map_in_threads(search, parts, len(parts)))
        item, edits, size = (np.concatenate(column) for column in zip(*results, strict=True))
        nearest_item, distance = np.empty(len(rows), dtype=np.intp), np.empty(len(rows))
        with np.errstate(divide="ignore"):
            # As float32, like the distances of other searches for records
            nearest_item[order], distance[order] = item, (edits / size).astype(np.float32)
        return nearest_item, distance


def _coded(records: Sequence[str]) -> tuple[Integers, Integers, int]:
    """The characters of records as numbers from 0 on, where each record begins, and how many different characters there are."""
    number = np.full(NUM_CODE_POINTS, -1, dtype=np.int32)
    coded, dtype = bytearray(), _code_type(0)
    ends = np.empty(len(records), dtype=np.int64)
    count = 0
    for first in range(0, len(records), AT_ONCE):
        texts = records[first : first + AT_ONCE]
        points = code_points("".join(texts))
        new = np.unique(points[number[points] < 0])
        number[new] = np.arange(count, count + len(new))
        count += len(new)
        if (needed := _code_type(count)) != dtype:
            coded, dtype = bytearray(np.frombuffer(coded, dtype=dtype).astype(needed).data), needed
        coded += number[points].astype(dtype).data
        ends[first : first + len(texts)] = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    np.cumsum(ends, out=ends)
    return np.frombuffer(coded, dtype=dtype), _starts(ends), count


def _code_type(count: int) -> np.dtype[np.integer]:
    """The smallest type for the numbers of so many characters."""
    return np.dtype(np.uint8 if count <= 2**8 else np.uint16 if count <= 2**16 else np.uint32)


def _starts(ends: Ints) -> Integers:
    """(n + 1,) where each record begins, and the last one ends. ends: (n,) where each ends."""
    starts = np.concatenate([[0], ends])
    return starts.astype(np.int32) if starts[-1] < 2**31 else starts


def _signature_bits(codes: Integers, starts: Integers, num_characters: int) -> NDArray[np.uint64]:
    """The bits of signatures, (a, MAX_COUNT): those that tell most records of a sample apart, the best of them first."""
    rows = np.arange(0, len(starts) - 1, max((len(starts) - 1) // MAX_SAMPLED, 1))
    shares = np.zeros((num_characters, MAX_COUNT))  # shares of records with at least so many of each character
    for row in rows.tolist():
        counts = np.bincount(codes[starts[row] : starts[row + 1]], minlength=num_characters)
        shares += counts[:, None] > np.arange(MAX_COUNT)
    shares /= len(rows)
    best = np.argsort(-(shares * (1.0 - shares)), axis=None, kind="stable")[:NUM_BITS]
    bits = np.zeros(shares.size, dtype=np.uint64)
    bits[best] = np.uint64(1) << np.arange(NUM_BITS - 1, NUM_BITS - 1 - len(best), -1).astype(np.uint64)
    return bits.reshape(shares.shape)


def _reordered(codes: Integers, starts: Integers, order: Int32s) -> tuple[Integers, Integers]:
    """The characters of records in another order, and where each record begins then."""
    reordered, new_starts = np.empty_like(codes), np.zeros_like(starts)
    np.cumsum(np.diff(starts)[order], dtype=starts.dtype, out=new_starts[1:])
    for first in range(0, len(order), AT_ONCE):
        chosen = order[first : first + AT_ONCE]
        bounds = new_starts[first : first + len(chosen) + 1].astype(np.int64)
        source = np.repeat(starts[chosen] - bounds[:-1], np.diff(bounds)) + np.arange(bounds[0], bounds[-1])
        reordered[bounds[0] : bounds[-1]] = codes[source]
    return reordered, new_starts
