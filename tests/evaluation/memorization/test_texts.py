"""Longest verbatim passages and edit distances, against plain loops."""

from __future__ import annotations

from difflib import SequenceMatcher

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.evaluation.memorization.nearest import edit_distances
from anew.evaluation.memorization.texts import EditDistance, PassageDistance

few = st.lists(st.text(alphabet="abé", max_size=14), min_size=2, max_size=8)


def shared(a: str, b: str) -> int:
    one, two = (t.encode("latin-1").decode("latin-1") for t in (a, b))
    return SequenceMatcher(None, one, two, autojunk=False).find_longest_match().size


@given(few, st.data())
@settings(max_examples=200, deadline=None)
def test_longest_passage_equals_difflib(texts: list[str], data: st.DataObject) -> None:
    n = len(texts)
    groups = np.array(data.draw(st.lists(st.integers(-2, 2), min_size=n, max_size=n)))
    pool = np.array(sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1))), dtype=np.intp)
    queries = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=6)), dtype=np.intp)
    item, length = PassageDistance(texts, groups).longest(queries, pool)
    raw = [t.encode().decode("latin-1") for t in texts]  # lengths are in bytes
    for query, found, size in zip(queries, item, length, strict=True):
        others = [j for j in pool if groups[j] != groups[query]]
        assert size == max((shared(raw[query], raw[j]) for j in others), default=0)
        if size:
            assert found in others and shared(raw[query], raw[found]) == size
        else:
            assert found == -1


def test_a_match_never_crosses_two_texts() -> None:
    distance = PassageDistance(["abcd", "efgh", "cdef"], np.arange(3))
    item, length = distance.longest(np.array([2]), np.array([0, 1]))
    assert length[0] == 2 and item[0] in (0, 1)
    apart = distance.nearest(np.array([2]), np.array([0, 1]))[1]
    assert apart[0] == 0.5


def test_texts_without_characters() -> None:
    distance = PassageDistance(["", ""], np.arange(2))
    item, apart = distance.nearest(np.array([0]), np.array([1]))
    assert item.tolist() == [-1] and np.isinf(apart[0])
    near = distance.near(np.array([0]), np.array([1]))
    assert near.item.tolist() == [1] and np.isinf(near.distance[0])


@pytest.mark.parametrize("cells", [8_000_000, 7])
def test_edit_distance_equals_the_table(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    monkeypatch.setattr("anew.evaluation.memorization.texts.CELLS", cells)
    source = np.random.default_rng(0)
    records = ["".join(source.choice(list("abc"), source.integers(1, 8))) for _ in range(40)]
    groups = np.arange(40) // 2
    pool = np.arange(10, 40)
    item, apart = EditDistance(records, groups).nearest(np.arange(40), pool)
    longest = np.array([len(r) for r in records])
    for query in range(40):
        table = edit_distances(records[query], records) / np.maximum(longest, longest[query])
        table[groups == groups[query]] = np.inf
        assert apart[query] == pytest.approx(table[pool].min())
        assert table[item[query]] == pytest.approx(apart[query])
