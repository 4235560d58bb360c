"""Short texts in one block of bytes: ten million paths, or the stamps of as many objects.

As strings of Python they would take 50 bytes each beside what they say.
"""

from __future__ import annotations

import heapq
import itertools
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Integers
from anew.core.sequences import MadeSequence

# Names of files that are not UTF-8 are strings with lone surrogates. The order of the bytes is that of the strings.
_CODING = ("utf-8", "surrogatepass")
CHUNK = 4096  # texts that are encoded or decoded at once: a third of the time of one by one


class TextColumn(MadeSequence[str]):
    """Texts by number.

    Attributes:
        text: All of them, each with a zero byte after it, which a text may hold, too.
        bounds: (n + 1,) where each begins in `text`, and the end of the last.
    """

    def __init__(self, text: bytearray | memoryview, bounds: NDArray[np.int64]) -> None:
        self.text, self.bounds = text, bounds

    @classmethod
    def checked(cls, text: NDArray[np.uint8], bounds: NDArray[np.int64], count: int) -> TextColumn:
        """A column that was saved. Raises ValueError where it is damaged, or has another number of texts than `count`."""
        if text.dtype != np.uint8 or bounds.dtype != np.int64 or bounds.shape != (count + 1,):
            raise ValueError("the columns differ in length")
        if bounds[0] != 0 or bounds[-1] != len(text) or (bounds[1:] <= bounds[:-1]).any() or text[bounds[1:] - 1].any():
            raise ValueError("the texts of a column do not begin where its bounds say")
        column = cls(text.data, bounds)
        for _ in column:  # raises UnicodeDecodeError, a ValueError
            pass
        return column

    @classmethod
    def of(cls, texts: Iterable[str]) -> TextColumn:
        """A column of these texts."""
        builder = TextColumnBuilder()
        remaining = iter(texts)
        while chunk := list(itertools.islice(remaining, CHUNK)):
            builder.extend(chunk)
        return builder.column()

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        number = range(len(self))[index]
        return str(self.text[self.bounds[number] : self.bounds[number + 1] - 1], *_CODING)

    def __iter__(self) -> Iterator[str]:
        return self.iter_range(0, len(self))

    def iter_range(self, start: int, stop: int) -> Iterator[str]:
        """The texts of these numbers."""
        for first in range(start, stop, CHUNK):
            yield from self._chunk(first, min(first + CHUNK, stop))

    def _chunk(self, start: int, stop: int) -> list[str]:
        texts = str(self.text[self.bounds[start] : self.bounds[stop] - 1], *_CODING).split("\0")
        # Unless a text holds a zero itself
        return texts if len(texts) == stop - start else [self[number] for number in range(start, stop)]

    def iter_take(self, numbers: NDArray[np.int64]) -> Iterator[str]:
        """The texts of these numbers, in this order, made a few at a time."""
        for first in range(0, len(numbers), CHUNK):
            yield from self.take(numbers[first : first + CHUNK])

    def take(self, numbers: Integers) -> list[str]:
        """The texts of these numbers, in this order."""
        if len(numbers) and numbers[-1] - numbers[0] == len(numbers) - 1 and (np.diff(numbers) == 1).all():
            return self._chunk(int(numbers[0]), int(numbers[-1]) + 1)
        starts, stops = self.bounds[numbers].tolist(), (self.bounds[numbers + 1] - 1).tolist()
        text = self.text
        return [str(text[start:stop], *_CODING) for start, stop in zip(starts, stops, strict=True)]


class TextColumnBuilder:
    """Makes a column of texts that come one after another."""

    def __init__(self) -> None:
        self._text = bytearray()
        self._bounds = array("q", [0])

    def extend(self, texts: Sequence[str]) -> None:
        """Add texts."""
        if not texts:
            return
        encoded = ("\0".join(texts) + "\0").encode(*_CODING)
        lengths = list(map(len, texts))
        if sum(lengths) + len(texts) != len(encoded):  # not all of it is ASCII
            lengths = [len(text.encode(*_CODING)) for text in texts]
        bounds = np.cumsum(np.array(lengths, dtype=np.int64) + 1) + len(self._text)
        self._bounds.frombytes(bounds.tobytes())
        self._text += encoded

    def add_column(self, column: TextColumn) -> None:
        """Add the texts of a column."""
        self._bounds.frombytes((column.bounds[1:] + len(self._text)).tobytes())
        self._text += column.text

    def column(self) -> TextColumn:
        """The column, after which nothing can be added."""
        return TextColumn(self._text, np.frombuffer(self._bounds, dtype=np.int64))


def chunked(values: NDArray[np.int64]) -> Iterator[int]:
    """The values as integers of Python, a few at a time."""
    for first in range(0, len(values), CHUNK):
        yield from values[first : first + CHUNK].tolist()


def argsort_texts(column: TextColumn, starts: Sequence[int]) -> NDArray[np.int64]:
    """The numbers of the texts in the order of these; of equal ones the last. starts: where runs begin within which the texts are in
    order, from 0."""
    runs = itertools.pairwise([*starts, len(column)])
    merged = heapq.merge(*(zip(column.iter_range(a, b), range(a, b), strict=True) for a, b in runs))
    last = (max(number for _, number in same) for _, same in itertools.groupby(merged, key=lambda pair: pair[0]))
    return np.fromiter(last, dtype=np.int64)
