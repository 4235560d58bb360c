"""Experts that follow known records: they go on where a token differs, end with their record, and know their own hits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.estimators.alignment_experts import BACK, EXPERTS, Aligned, Following, context_of

VOCAB = 20


def bits(known: Aligned, rows: np.ndarray, first: int = 1) -> float:
    """Mean bits of what stands at places from `first` on."""
    following, found = known.follow(len(rows)), []
    following.came(rows[:, 0])
    for place in range(1, rows.shape[1]):
        chance = following.ahead().chance
        np.testing.assert_allclose(chance.sum(1), 1.0, rtol=1e-4)
        found.append(-np.log2(chance[np.arange(len(rows)), rows[:, place]]))
        following.came(rows[:, place])
    return float(np.mean(found[first - 1 :]))


def family(source: np.random.Generator, members: int, length: int, kept: float, ancestor: np.ndarray) -> np.ndarray:
    """Records that share a share `kept` of their ancestor's tokens."""
    other = source.integers(0, VOCAB, (members, length))
    return np.where(source.random((members, length)) < kept, ancestor, other)


def test_distant_relatives_are_foretold_where_counts_of_contexts_are_not() -> None:
    source = np.random.default_rng(0)
    ancestors = source.integers(0, VOCAB, (40, 200))
    known = Aligned.fit([row for a in ancestors for row in family(source, 5, 200, 0.8, a)], VOCAB)
    related = np.concatenate([family(source, 1, 200, 0.7, a) for a in ancestors])
    strangers = source.integers(0, VOCAB, (40, 200))
    assert bits(known, related, 40) < np.log2(VOCAB) - 1.0
    assert bits(known, strangers, 40) < np.log2(VOCAB) + 0.1  # nobody is followed for long


def test_evidence_tells_relatives_from_strangers() -> None:
    source = np.random.default_rng(1)
    records = source.integers(0, VOCAB, (200, 100))
    known = Aligned.fit(list(records), VOCAB)
    following = known.follow(2)
    rows = np.stack([np.where(np.arange(100) % 7 == 3, 0, records[5]), source.integers(0, VOCAB, 100)])
    for place in range(100):
        if place:
            evidence = following.ahead().evidence
        following.came(rows[:, place])
    assert evidence[0] > 2 * evidence[1]


def test_what_stands_in_for_what_is_learned() -> None:
    """Token 2k is often a 2k+1 in a relative, never another one."""
    source = np.random.default_rng(2)
    ancestors = source.integers(0, VOCAB // 2, (60, 100)) * 2
    records = [row + (source.random(100) < 0.2) for row in np.repeat(ancestors, 6, 0)]
    known = Aligned.fit(records, VOCAB)
    partner = np.arange(VOCAB) ^ 1
    assert known.change[np.arange(VOCAB), partner].mean() > 0.5
    np.testing.assert_allclose(known.change.sum(1), 1.0, rtol=1e-4)
    assert (np.diag(known.change) == 0).all()


def test_an_expert_ends_with_its_record() -> None:
    known = Aligned.fit([np.arange(10) % 5, np.arange(10) % 5 + 10], VOCAB)
    following = known.follow(1)
    for token in np.arange(10) % 5:
        following.ahead()
        following.came(np.array([token]))
    following.ahead()
    live = following.places[0][following.scores[0] > -1e8]
    assert not (known.depth[live] == 0).any()


def test_no_place_is_followed_twice() -> None:
    source = np.random.default_rng(3)
    known = Aligned.fit(list(source.integers(0, 4, (30, 50))), 4)
    following = known.follow(3)
    for tokens in source.integers(0, 4, (60, 3)):
        following.ahead()
        for places in following.places:
            live = places[places >= 0]
            assert len(np.unique(live)) == len(live) <= EXPERTS
        following.came(tokens)


@pytest.mark.parametrize("records", [[], [np.array([1])], [np.array([1, 2])], [np.arange(3)] * 2], ids=len)
def test_hardly_any_known_records_foretell_how_common_tokens_are(records: list[np.ndarray]) -> None:
    known = Aligned.fit(records, 5)
    following = known.follow(2)
    for tokens in ((1, 0), (2, 0), (4, 4)):
        chance, evidence, _ = following.ahead()
        assert (chance > 0).all()
        assert np.isfinite(evidence).all()
        following.came(np.array(tokens))


def test_the_context_fits_what_is_known() -> None:
    proteins, bases = np.full(20, 0.05, dtype=np.float32), np.full(4, 0.25, dtype=np.float32)
    assert context_of(2_000_000, proteins) == 4
    assert 8 <= context_of(2_000_000, bases) <= BACK
    assert context_of(0, proteins) == 2


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(1, 40))
def test_any_records_give_probabilities(seed: int, vocab: int, length: int) -> None:
    source = np.random.default_rng(seed)
    known = Aligned.fit([source.integers(0, vocab, source.integers(1, length + 1)) for _ in range(8)], vocab)
    again = Aligned(known.ids, known.lengths, vocab, known.change)
    follows: list[Following] = [known.follow(3), again.follow(3)]
    for tokens in source.integers(0, vocab, (length, 3)):
        (chance, evidence, _), (other, _, _) = (one.ahead() for one in follows)
        assert (chance > 0).all()
        assert np.isfinite(evidence).all()
        np.testing.assert_allclose(chance.sum(1), 1.0, rtol=1e-4)
        np.testing.assert_array_equal(chance, other)
        for one in follows:
            one.came(tokens)
