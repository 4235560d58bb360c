"""The passages that end a text are those that a search of the whole training text finds, and rates are those of held-out text."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from anew.estimators import passages as module
from anew.estimators.passages import MAX_PASSAGE, MIN_MATCH, NO_PASSAGE, PassageIndex, continuation_rates


def searched(text: NDArray[np.int32], ids: NDArray[np.int64]) -> tuple[int, list[int]]:
    """Length and places of the longest passage, by a look at every place, token by token backwards."""
    longest: tuple[int, list[int]] = (0, [])
    ends = np.arange(1, len(text))
    for length in range(1, min(MAX_PASSAGE, len(ids)) + 1):
        ends = ends[ends >= length]
        ends = ends[text[ends - length] == ids[len(ids) - length]]
        if len(ends) and length >= MIN_MATCH:
            longest = length, ends.tolist()
    return longest


@pytest.mark.parametrize("many", [3, 20, 1024], ids="sorted above {}".format)
@pytest.mark.parametrize("alphabet", [2, 3, 5])
def test_passages_are_those_of_a_search(alphabet: int, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MANY_OCCURRENCES", many)
    rng = np.random.default_rng(alphabet)
    text = rng.integers(0, alphabet, 300).astype(np.int32)
    index = PassageIndex(text)
    # A text that copies long stretches, the last of the training text among them
    parts = [text[250:], rng.integers(0, alphabet, 20), text[20:90], text[:30], text[100:105]]
    rows = np.stack((np.concatenate(parts), rng.integers(0, alphabet, 175))).astype(np.int64)
    passages = [NO_PASSAGE] * 2
    for place in range(1, rows.shape[1] + 1):
        recent = rows[:, max(0, place - MAX_PASSAGE) : place]
        passages = index.after(passages, recent)
        for row, passage, at_once in zip(recent, passages, index.endings(recent), strict=True):
            length, places = searched(text, row)
            assert passage.length == at_once.length == length
            assert sorted(passage.places.tolist()) == sorted(at_once.places.tolist()) == places
            assert index.followers(passage).tolist() == sorted({int(text[end]) for end in places})


def test_what_begins_a_text_is_not_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MANY_OCCURRENCES", 1)
    text = np.array([0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 7], dtype=np.int32)
    for size in range(MIN_MATCH, 9):
        ids = np.zeros((1, size), dtype=np.int64)
        (passage,) = PassageIndex(text).endings(ids)
        assert (passage.length, sorted(passage.places.tolist())) == searched(text, ids[0])


def test_an_empty_or_short_text_has_no_passages() -> None:
    for size in (0, 1, MIN_MATCH):
        index = PassageIndex(np.zeros(size, dtype=np.int32))
        assert index.endings(np.zeros((1, 10), dtype=np.int64)) == [NO_PASSAGE]
        assert continuation_rates(index, [np.zeros(10, dtype=np.int64)]) is None


def test_rates_are_those_at_which_held_out_text_goes_on() -> None:
    rng = np.random.default_rng(0)
    text = rng.integers(0, 1000, 5000).astype(np.int32)
    documents = []
    for _ in range(40):  # copies of 10 tokens, then of 30
        starts = rng.integers(0, 4900, 20)
        documents.append(
            np.concatenate([text[s : s + 10 + 20 * (i % 2)] for i, s in enumerate(starts)]).astype(np.int64)
        )
    rates = continuation_rates(PassageIndex(text), documents)
    assert rates is not None and (np.diff(rates) >= 0).all()
    assert rates[9] < 1.0 and np.isclose(
        rates[5], rates[MIN_MATCH]
    )  # lengths 4 to 9 together: all but those left after 10
    assert 0.85 < rates[MIN_MATCH] < 1.0 and 0.9 < rates[MAX_PASSAGE] <= 1.0
