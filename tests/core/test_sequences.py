"""Sequences that are made of others: the items and their order are those of lists."""

from __future__ import annotations

import numpy as np
import pytest

from anew.core import sequences
from anew.core.sequences import Joined, Rearranged, by_place, places_of, taken
from anew.core.stores.text_column import TextColumn


def test_items_and_order_are_those_of_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "AT_ONCE", 3)
    texts, others = [f"text {i}" for i in range(10)], ["a", "b", "c"]
    order = np.random.default_rng(0).permutation(10)
    expected = [*(texts[i] for i in order), *others, *texts]
    joined = Joined(Rearranged(TextColumn.of(texts), order), others, [], texts)
    assert len(joined) == 23 and list(joined) == expected and joined[4:18:3] == expected[4:18:3]
    assert [joined[i] for i in (0, 9, 10, -1)] == [expected[i] for i in (0, 9, 10, -1)]
    with pytest.raises(IndexError):
        joined[23]
    numbers = np.array([22, 3, 11, 3])
    assert taken(joined, numbers) == taken(expected, numbers) == [expected[i] for i in numbers]
    assert taken(joined, numbers[:0]) == [] == list(Joined([], []))
    assert places_of(joined).tolist() == [*order.tolist(), *range(10, 23)]


def test_items_that_lie_together_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "AT_ONCE", 4)
    items = [f"text {i}" for i in range(12)]
    order = np.random.default_rng(0).permutation(12)
    column = TextColumn.of(items)
    column.is_stored = True  # as if each chunk were read from a disk
    pairs = list(by_place(Joined(["first"], Rearranged(column, order))))
    assert sorted(pairs) == list(enumerate(["first", *(items[i] for i in order)]))
    assert [item for _, item in pairs if item != "first"] == items


def test_what_is_in_memory_comes_in_its_own_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """To sort the places of ten million names took 200 MB beside the index of all."""
    monkeypatch.setattr(sequences, "AT_ONCE", 4)
    monkeypatch.setattr(sequences, "places_of", lambda items: pytest.fail("places are sorted"))
    items = [f"text {i}" for i in range(12)]
    column = Rearranged(TextColumn.of(items).narrow(), np.arange(12)[::-1])
    assert list(by_place(Joined(column, items))) == list(enumerate([*items[::-1], *items]))
    assert list(by_place(items)) == list(enumerate(items))
