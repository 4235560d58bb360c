"""Items of samples: in memory as long as these are few bytes, else in temporary files, which read an item when it is asked for."""

from __future__ import annotations

import itertools
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from anew.core.arrays import Numbers
from anew.core.files import clause
from anew.data.types import DecodedItem
from anew.errors import RunError

MAX_HELD_BYTES = 128 * 1024 * 1024  # bytes of arrays in memory; chosen: 40,000 pictures of 32 x 32 in colour


@dataclass(frozen=True, slots=True)
class _StoredItems:
    """Some arrays of one form in a file.

    Attributes:
        contents: The bytes of these and of others, mapped from the file.
        start: Index in `contents` at which they begin.
        count: How many they are.
        dtype, shape: The form of each.
    """

    contents: NDArray[np.uint8]
    start: int
    count: int
    dtype: DTypeLike
    shape: tuple[int, ...]

    @property
    def item_bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def item(self, number: int) -> Numbers:
        first = self.start + number * self.item_bytes
        values = np.array(self.contents[first : first + self.item_bytes])
        return values.view(self.dtype).reshape(self.shape)

    def part(self, first: int, stop: int) -> _StoredItems:
        return replace(self, start=self.start + first * self.item_bytes, count=stop - first)


class SampleItems(Sequence[DecodedItem]):
    """Items, to which others can be added. Texts are always in memory."""

    def __init__(self, items: Iterable[DecodedItem] = ()) -> None:
        self._stored: list[_StoredItems] = []
        self._ends: list[int] = []  # the number of items up to the end of each
        self._held: list[DecodedItem] = []  # those after all stored ones
        self._held_bytes = 0
        self.extend(items)

    def __len__(self) -> int:
        return self._num_stored + len(self._held)

    @property
    def _num_stored(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> DecodedItem: ...
    @overload
    def __getitem__(self, index: slice) -> SampleItems: ...
    def __getitem__(self, index: int | slice) -> DecodedItem | SampleItems:
        numbers = range(len(self))[index]
        if isinstance(numbers, int):
            return self._item(numbers)
        return self._part(numbers) if numbers.step == 1 else SampleItems(map(self._item, numbers))

    def _item(self, number: int) -> DecodedItem:
        if number >= self._num_stored:
            return self._held[number - self._num_stored]
        place = bisect_right(self._ends, number)
        return self._stored[place].item(number - self._ends[place] + self._stored[place].count)

    def _part(self, numbers: range) -> SampleItems:
        part = SampleItems()
        for end, stored in zip(self._ends, self._stored, strict=True):
            start = end - stored.count
            first, stop = max(numbers.start, start) - start, min(numbers.stop, end) - start
            if first < stop:
                part._add_stored(stored.part(first, stop))
        first, stop = (max(number - self._num_stored, 0) for number in (numbers.start, numbers.stop))
        part.extend(self._held[first:stop])
        return part

    def extend(self, items: Iterable[DecodedItem]) -> None:
        """Add items after these. Raises RunError if there are too many for memory and the disk is full."""
        if items is self:  # it would grow while it is read
            items = self[:]
        if isinstance(items, SampleItems) and items._stored:
            self._store()
            for stored in items._stored:
                self._add_stored(stored)
            items = items._held
        for item in items:
            self._held.append(item)
            self._held_bytes += item.nbytes if isinstance(item, np.ndarray) else 0
            if self._held_bytes > MAX_HELD_BYTES:
                self._store()

    def _add_stored(self, stored: _StoredItems) -> None:
        self._ends.append(self._num_stored + stored.count)
        self._stored.append(stored)

    def _store(self) -> None:
        """Move the items from memory into a file."""
        arrays = [np.ascontiguousarray(item) for item in self._held]
        if not arrays:
            return
        try:
            with tempfile.TemporaryFile() as file:
                for array in arrays:
                    file.write(array.reshape(-1).view(np.uint8).data)
                file.flush()
                # Nothing cannot be mapped
                contents: NDArray[np.uint8] = np.memmap(file, np.uint8, "r") if file.tell() else np.zeros(0, np.uint8)
        except OSError as error:
            raise RunError(
                f"the samples need more memory than {MAX_HELD_BYTES >> 20} MB and cannot be kept in {tempfile.gettempdir()} "
                f"({clause(error)}); free space there, or set TMPDIR to another folder"
            ) from None
        start = 0
        for (dtype, shape), same in itertools.groupby(arrays, lambda array: (array.dtype, array.shape)):
            stored = _StoredItems(contents, start, len(list(same)), dtype, shape)
            self._add_stored(stored)
            start += stored.count * stored.item_bytes
        self._held, self._held_bytes = [], 0
