"""Sequences that are made of others without a copy: in another order, and one after another.

Ten million items in a list of Python take 80 MB for each list that names them, and 600 MB as strings of their own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar, overload

import numpy as np

from anew.core.arrays import Integers

T = TypeVar("T")

AT_ONCE = 4096  # items that are made at once by who goes through a sequence; chosen: 100 names take a quarter more each


class MadeSequence(Sequence[T], ABC, Generic[T]):
    """A sequence whose items are made when they are asked for, best many at once.

    Attributes:
        is_stored: Whether they are read for that from where they are stored, so that those which lie beside each other are quickly made
            together. In memory, all are as near.
    """

    is_stored: bool = True

    @abstractmethod
    def take(self, numbers: Integers) -> list[T]:
        """The items of these numbers, in this order."""

    def places(self) -> Integers:
        """(n,) numbers that say where the items lie: those with neighbouring ones are quickly made together."""
        return numbers_to(len(self))

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        numbers = range(len(self))[index]
        if isinstance(numbers, range):
            return self.take(np.arange(numbers.start, numbers.stop, numbers.step))
        return self.take(np.array([numbers]))[0]

    def __iter__(self) -> Iterator[T]:
        return in_chunks(self)


class Rearranged(MadeSequence[T]):
    """Some of the items of a sequence, in an order of their own."""

    def __init__(self, items: Sequence[T], numbers: Integers) -> None:
        """numbers: (n,) numbers of items."""
        self._items, self._numbers = items, numbers
        self.is_stored = _are_stored(items)

    def __len__(self) -> int:
        return len(self._numbers)

    def take(self, numbers: Integers) -> list[T]:
        return taken(self._items, self._numbers[numbers])

    def places(self) -> Integers:
        return places_of(self._items)[self._numbers]


class Joined(MadeSequence[T]):
    """The items of some sequences, one after another."""

    def __init__(self, *parts: Sequence[T]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])
        self.is_stored = any(map(_are_stored, parts))

    def __len__(self) -> int:
        return int(self._starts[-1])

    def take(self, numbers: Integers) -> list[T]:
        part = np.searchsorted(self._starts, numbers, side="right") - 1
        if len(numbers) and (part == part[0]).all():
            return taken(self._parts[part[0]], numbers - self._starts[part[0]])
        items: list[T | None] = [None] * len(numbers)
        for number in np.unique(part).tolist():
            places = np.flatnonzero(part == number)
            items_of_part = taken(self._parts[number], numbers[places] - self._starts[number])
            for place, item in zip(places.tolist(), items_of_part, strict=True):
                items[place] = item
        return items  # type: ignore[return-value]  # every place has its item

    def places(self) -> Integers:
        dtype = _number_type(len(self))
        shifted = (places_of(part) + dtype(start) for start, part in zip(self._starts, self._parts, strict=False))
        return np.concatenate(list(shifted))


def taken(items: Sequence[T], numbers: Integers) -> list[T]:
    """The items of these numbers, in this order: at once, where a sequence can make them so."""
    return items.take(numbers) if isinstance(items, MadeSequence) else [items[number] for number in numbers.tolist()]


def _are_stored(items: Sequence[T]) -> bool:
    """See `MadeSequence.is_stored`."""
    return isinstance(items, MadeSequence) and items.is_stored


def places_of(items: Sequence[T]) -> Integers:
    """(n,) numbers that say where items lie, see `MadeSequence.places`."""
    return items.places() if isinstance(items, MadeSequence) else numbers_to(len(items))


def numbers_to(count: int) -> Integers:
    """The numbers from 0 on of so many items, in half the room where that suffices."""
    return np.arange(count, dtype=_number_type(count))


def _number_type(count: int) -> type[np.int32] | type[np.int64]:
    return np.int32 if count < 2**31 else np.int64


def in_chunks(items: Sequence[T]) -> Iterator[T]:
    """All items, made AT_ONCE at a time."""
    for first in range(0, len(items), AT_ONCE):
        yield from items[first : first + AT_ONCE]


def by_place(items: Sequence[T]) -> Iterator[tuple[int, T]]:
    """All items with their numbers, in the order in which they lie: in another one, all that is stored would be read for each chunk.

    Items in memory come in their own order: to sort ten million places takes 200 MB."""
    if not _are_stored(items):
        yield from enumerate(in_chunks(items))
        return
    order = np.argsort(places_of(items), kind="stable")
    for first in range(0, len(order), AT_ONCE):
        numbers = order[first : first + AT_ONCE]
        yield from zip(numbers.tolist(), taken(items, numbers), strict=True)
