"""Exact nearest records by edit distance among millions, in bounded memory: the index takes about 35 bytes a record."""

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
        bits = _signature_bits(codes, starts, self._num_characters)
        signatures = signatures_of(codes, starts, bits)
        order = np.argsort(signatures, kind="stable").astype(np.int32)
        lengths = np.diff(starts)[order]
        ends = np.cumsum(lengths)
        self._place = np.empty(len(order), dtype=np.int32)  # (n,) the place of each record
        self._place[order] = np.arange(len(order), dtype=np.int32)
        signatures, edges = signatures[order], np.arange(0, len(order), BLOCK)
        self._places = Places(
            codes=_reordered(codes, starts, order, ends),
            starts=np.append(0, ends).astype(np.int32 if ends[-1] < 2**31 else np.int64),
            signatures=signatures,
            items=order,
            common=np.bitwise_and.reduceat(signatures, edges),
            any=np.bitwise_or.reduceat(signatures, edges),
            shortest=np.minimum.reduceat(lengths, edges),
            longest=np.maximum.reduceat(lengths, edges),
        )

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


def _coded(records: Sequence[str]) -> tuple[Integers, Ints, int]:
    """The characters of records as numbers from 0 on, where each record begins, and how many different characters there are."""
    number = np.full(NUM_CODE_POINTS, -1, dtype=np.int32)
    parts: list[Integers] = []
    lengths: list[Ints] = []
    count = 0
    for first in range(0, len(records), AT_ONCE):
        texts = records[first : first + AT_ONCE]
        points = code_points("".join(texts))
        new = np.unique(points[number[points] < 0])
        number[new] = np.arange(count, count + len(new))
        count += len(new)
        parts.append(number[points].astype(np.min_scalar_type(max(count - 1, 0))))
        lengths.append(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)))
    starts = np.concatenate([[0], *lengths])
    np.cumsum(starts, out=starts)
    codes = np.empty(starts[-1], dtype=np.min_scalar_type(max(count - 1, 0)))
    end = 0
    for part in parts:
        codes[end : end + len(part)] = part
        end += len(part)
    return codes, starts, count


def _signature_bits(codes: Integers, starts: Ints, num_characters: int) -> NDArray[np.uint64]:
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


def _reordered(codes: Integers, starts: Ints, order: Int32s, ends: Ints) -> Integers:
    """The characters of records in another order. ends: (n,) where each ends then."""
    reordered = np.empty_like(codes)
    for first in range(0, len(order), AT_ONCE):
        chosen = order[first : first + AT_ONCE]
        begin, stops = ends[first - 1] if first else 0, ends[first : first + AT_ONCE]
        sizes = starts[chosen + 1] - starts[chosen]
        source = np.repeat(starts[chosen] - (stops - sizes), sizes) + np.arange(begin, stops[-1])
        reordered[begin : stops[-1]] = codes[source]
    return reordered
