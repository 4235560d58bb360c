"""Short texts in one block of bytes: ten million paths, or the stamps of as many objects.

Python strings would take 50 bytes each in addition to their characters.
"""

from __future__ import annotations

import heapq
import itertools
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Bools, Integers
from anew.core.sequences import MadeSequence

# Names of files that are not UTF-8 are strings with lone surrogates. The order of the bytes is that of the strings.
_CODING = ("utf-8", "surrogatepass")
CHUNK = 4096  # texts that are encoded or decoded at once: a third of the time of one by one
SEARCHED_TEXTS = 1000  # that are searched at once: a search in each of them takes ten times as long; chosen


class TextColumn(MadeSequence[str]):
    """Texts by number.

    Attributes:
        text: All of them, each with a zero byte after it, which a text may hold, too.
        bounds: (n + 1,) where each begins in `text`, and the end of the last.
    """

    is_stored = False

    def __init__(self, text: bytearray | memoryview, bounds: Integers) -> None:
        self.text, self.bounds = text, bounds
        # Cached, as it is needed several times and each pass over a million texts takes a third of a second
        self._codes: dict[Callable[[str], str], tuple[list[str], NDArray[np.int32]]] = {}
        self._holding: dict[tuple[str, ...], Bools] = {}

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

    def narrow(self) -> TextColumn:
        """The same column with bounds in half the room, where that suffices."""
        return TextColumn(self.text, self.bounds.astype(np.int32)) if len(self.text) < 2**31 else self

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

    def encoded(self, number: int) -> bytes:
        """The bytes of a text, which are in the order of the texts: of these a search takes less time."""
        return bytes(self.text[self.bounds[number] : self.bounds[number + 1] - 1])

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

    def blocks(self) -> Iterator[tuple[slice, bytes]]:
        """Yields (numbers, bytes) of some texts after others, with a zero byte before and after each text."""
        for first in range(0, len(self), SEARCHED_TEXTS):
            stop = min(first + SEARCHED_TEXTS, len(self))
            yield slice(first, stop), b"\0" + self.text[self.bounds[first] : self.bounds[stop]]

    def may_contain(self, words: tuple[str, ...]) -> Bools:
        """(n,) whether each text may hold one of some words: see `numbered_containing`."""
        if words not in self._holding:
            encoded, may_contain = [word.encode() for word in words], np.zeros(len(self), dtype=np.bool_)
            for numbers, block in self.blocks():
                lower = block.lower()
                # Some letters beyond ASCII have one of ASCII as their lower case
                may_contain[numbers] = not block.isascii() or any(word in lower for word in encoded)
            self._holding[words] = may_contain
        return self._holding[words]

    def coded(self, name_of: Callable[[str], str]) -> tuple[list[str], NDArray[np.int32]]:
        """(different names, (n,) the number of that of each text). name_of: gives the name of a text."""
        if name_of not in self._codes:
            self._codes[name_of] = _coded(self, name_of)
        return self._codes[name_of]


class ChosenTexts(Sequence[str]):
    """Texts of a column, each made when it is asked for. numbers: (n,) which of them; None for all."""

    def __init__(self, column: TextColumn, numbers: NDArray[np.int64] | None = None) -> None:
        self._column, self._numbers = column, numbers

    def __len__(self) -> int:
        return len(self._column) if self._numbers is None else len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._column) if self._numbers is None else self._column.iter_take(self._numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if self._numbers is None:
            return self._column[index]
        chosen = self._numbers[index]
        return self._column.take(chosen) if isinstance(index, slice) else self._column[int(chosen)]

    def coded(self, name_of: Callable[[str], str]) -> tuple[list[str], NDArray[np.int32]]:
        """`TextColumn.coded` of these texts; names may include those of texts that are not in this view."""
        names, codes = self._column.coded(name_of)
        return names, codes if self._numbers is None else codes[self._numbers]

    def take(self, numbers: Integers) -> list[str]:
        """The texts of these numbers, in this order."""
        return self._column.take(numbers if self._numbers is None else self._numbers[numbers])

    def are_each(self, holds: Callable[[bytes, int], bool]) -> Bools:
        """(n,) whether something is known to be true of each text. holds: whether it is true of each text of a block, see
        `TextColumn.blocks`, and their number."""
        true = np.zeros(len(self._column), dtype=np.bool_)
        for numbers, block in self._column.blocks():
            true[numbers] = holds(block, numbers.stop - numbers.start)
        return true if self._numbers is None else true[self._numbers]

    def named(self, name_of: Callable[[str], str], is_wanted: Callable[[str], bool]) -> NDArray[np.int64]:
        """The numbers of the texts that have a wanted name. name_of: see `coded`."""
        names, codes = self.coded(name_of)
        return np.flatnonzero(np.fromiter(map(is_wanted, names), dtype=np.bool_, count=len(names))[codes])

    def numbered_containing(self, words: tuple[str, ...]) -> Iterator[tuple[int, str]]:
        """See the function `numbered_containing`."""
        is_near = self._column.may_contain(words)
        places = np.flatnonzero(is_near if self._numbers is None else is_near[self._numbers])
        rows = places if self._numbers is None else self._numbers[places]
        return zip(chunked(places), self._column.iter_take(rows), strict=True)


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


def encoded(text: str) -> bytes:
    """See `TextColumn.encoded`."""
    return text.encode(*_CODING)


def numbered_containing(texts: Iterable[str], words: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """(number, text) of the texts that hold one of some words, and of some others near them.

    words: in lower-case ASCII, which is found in any case; of a word that begins with a zero byte, texts that begin with the rest."""
    if isinstance(texts, ChosenTexts):
        yield from texts.numbered_containing(words)
        return
    remaining = enumerate(texts)
    while searched := list(itertools.islice(remaining, SEARCHED_TEXTS)):
        block = "\0".join(["", *(text for _, text in searched), ""]).lower()
        if any(word in block for word in words):
            yield from searched


def coded(texts: Collection[str], name_of: Callable[[str], str]) -> tuple[list[str], NDArray[np.int32]]:
    """See `TextColumn.coded`."""
    return texts.coded(name_of) if isinstance(texts, ChosenTexts) else _coded(texts, name_of)


def different(texts: Collection[str], name_of: Callable[[str], str]) -> list[str]:
    """The different names of texts."""
    names, codes = coded(texts, name_of)
    return [names[code] for code in np.flatnonzero(np.bincount(codes, minlength=len(names))).tolist()]


def _coded(texts: Collection[str], name_of: Callable[[str], str]) -> tuple[list[str], NDArray[np.int32]]:
    codes: dict[str, int] = {}
    code_of_each = (codes.setdefault(name, len(codes)) for name in map(name_of, texts))
    numbers = np.fromiter(code_of_each, dtype=np.int32, count=len(texts))
    return list(codes), numbers
