"""Exact nearest records by edit distance among millions, in bounded memory: the index takes 16 bytes a record besides its characters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Bools, Doubles, Int32s, Integers, Ints
from anew.core.machine.threads import available_threads, map_in_threads
from anew.core.sequences import taken
from anew.evaluation.edits.loops import BLOCK, MAX_COUNT, Places, nearest_records, signatures_of, sort_by_bits
from anew.functional.text_hashes import code_points

AT_ONCE = 65_536  # records whose characters are numbered at once: bounds memory
NUM_BITS = 64  # bits of a signature
MAX_SAMPLED = 2_000  # records by which the bits of signatures are chosen: more hardly change them
NUM_CODE_POINTS = 0x110000  # code points of Unicode


class RecordIndex:
    """Records in an order in which those that follow each other have similar signatures."""

    def __init__(self, records: Sequence[str]) -> None:
        numbers, sampled = _CharacterNumbers(), records[:: max(len(records) // MAX_SAMPLED, 1)]
        bits = _signature_bits(*numbers.coded(sampled), numbers.size)
        lengths, signatures = np.empty(len(records), dtype=np.int32), np.empty(len(records), dtype=np.uint64)
        for first in range(0, len(records), AT_ONCE):
            codes, starts = numbers.coded(records[first : first + AT_ONCE])
            # Those that the sample has not have no bit
            bits = np.concatenate([bits, np.zeros((numbers.size - len(bits), MAX_COUNT), dtype=np.uint64)])
            lengths[first : first + AT_ONCE] = np.diff(starts)
            signatures[first : first + AT_ONCE] = signatures_of(codes, starts, bits)
        items = np.arange(len(records), dtype=np.int32)
        sort_by_bits(signatures, items)
        lengths, edges = lengths[items], np.arange(0, len(items), BLOCK)
        starts = _starts(lengths)
        # The characters are made a second time: in both orders at once they would take as much memory as all else
        codes = np.empty(int(starts[-1]), dtype=numbers.code_type)
        for first in range(0, len(items), AT_ONCE):
            part = numbers.coded(taken(records, items[first : first + AT_ONCE]))[0]
            codes[starts[first] : starts[first] + len(part)] = part
        self._num_characters = numbers.size
        self._places = Places(
            codes=codes,
            starts=starts,
            signatures=signatures,
            items=items,
            common=np.bitwise_and.reduceat(signatures, edges),
            any=np.bitwise_or.reduceat(signatures, edges),
            shortest=np.minimum.reduceat(lengths, edges).astype(np.int64),
            longest=np.maximum.reduceat(lengths, edges).astype(np.int64),
        )

    def nearest(self, queries: Integers, is_allowed: Bools, groups: Int32s) -> tuple[NDArray[np.intp], Doubles]:
        """The nearest record of each query (q,) and its distance: edits divided by the longer length. -1 and inf where there is none.

        Args:
            queries: Numbers of records.
            is_allowed: (n,) whether each record may be the nearest one.
            groups: (n,) the group of each record; records of one group are never each other's nearest.
        """
        places, row_of = self._places_of(queries)
        # Neighbours are searched for one after another: they look at the same blocks
        parts = np.array_split(places, min(available_threads(), max(len(places), 1)))

        def search(part: Ints) -> tuple[Ints, Ints, Ints]:
            return nearest_records(self._places, part, is_allowed, groups, self._num_characters)

        results = list(map_in_threads(search, parts, len(parts)))
        item, edits, size = (np.concatenate(column) for column in zip(*results, strict=True))
        with np.errstate(divide="ignore"):
            # As float32, like the distances of other searches for records
            distance = (edits / size).astype(np.float32)
        return item[row_of].astype(np.intp), distance[row_of].astype(np.float64)

    def _places_of(self, queries: Integers) -> tuple[Ints, Ints]:
        """(different,) the places of records, rising, and (q,) which of these each query has. A table of all places would take 4 bytes
        a record, and few are asked for."""
        is_asked = np.zeros(len(self._places.items), dtype=np.bool_)
        is_asked[queries] = True
        places = np.flatnonzero(is_asked[self._places.items])
        items = self._places.items[places]
        order = np.argsort(items)
        return places, order[np.searchsorted(items, queries, sorter=order)]


class _CharacterNumbers:
    """The characters of records, numbered from 0 on in the order in which they come.

    Attributes:
        size: How many there are.
    """

    def __init__(self) -> None:
        self.size = 0
        self._number = np.full(NUM_CODE_POINTS, -1, dtype=np.int32)

    @property
    def code_type(self) -> np.dtype[np.integer]:
        """The smallest type for their numbers."""
        return np.dtype(np.uint8 if self.size <= 2**8 else np.uint16 if self.size <= 2**16 else np.uint32)

    def coded(self, records: Sequence[str]) -> tuple[Int32s, Integers]:
        """The numbers of all characters of records, of which new ones get one, and where each record begins."""
        points = code_points("".join(records))
        new = np.unique(points[self._number[points] < 0])
        self._number[new] = np.arange(self.size, self.size + len(new))
        self.size += len(new)
        return self._number[points], _starts(np.fromiter(map(len, records), dtype=np.int32, count=len(records)))


def _starts(lengths: Int32s) -> Integers:
    """(n + 1,) where each record begins, and the last one ends. lengths: (n,) of each."""
    total = int(lengths.sum(dtype=np.int64))
    dtype: type[np.int32 | np.int64] = np.int32 if total < 2**31 else np.int64
    starts: Integers = np.zeros(len(lengths) + 1, dtype=dtype)
    np.cumsum(lengths, dtype=dtype, out=starts[1:])
    return starts


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
