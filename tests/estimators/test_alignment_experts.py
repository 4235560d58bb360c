"""Experts that follow training records: they go on where a token differs, end with their record, and know their own hits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.estimators.alignment_experts import (
    EXPERTS,
    HIT_DECAY,
    LOOK_BACK,
    MAX_TRUST,
    PRIOR_HIT_RATE,
    PRIOR_TRIES,
    SCORE_DECAY,
    AlignmentExperts,
    AlignmentIndex,
    Prediction,
    suggest_context_length,
)

VOCAB = 20


def bits(index: AlignmentIndex, rows: np.ndarray, first: int = 1) -> float:
    """Mean bits of the tokens from place `first` on."""
    experts, result = index.experts(len(rows)), []
    experts.observe(rows[:, 0])
    for place in range(1, rows.shape[1]):
        probabilities = experts.predict().probabilities
        np.testing.assert_allclose(probabilities.sum(1), 1.0, rtol=1e-4)
        result.append(-np.log2(probabilities[np.arange(len(rows)), rows[:, place]]))
        experts.observe(rows[:, place])
    return float(np.mean(result[first - 1 :]))


def family(rng: np.random.Generator, members: int, length: int, kept: float, ancestor: np.ndarray) -> np.ndarray:
    """Records that keep a share `kept` of their ancestor's tokens."""
    other = rng.integers(0, VOCAB, (members, length))
    return np.where(rng.random((members, length)) < kept, ancestor, other)


def test_distant_relatives_are_predicted_where_counts_of_contexts_fail() -> None:
    rng = np.random.default_rng(0)
    ancestors = rng.integers(0, VOCAB, (40, 200))
    index = AlignmentIndex.fit([row for a in ancestors for row in family(rng, 5, 200, 0.8, a)], VOCAB)
    related = np.concatenate([family(rng, 1, 200, 0.7, a) for a in ancestors])
    strangers = rng.integers(0, VOCAB, (40, 200))
    assert bits(index, related, 40) < np.log2(VOCAB) - 1.0
    assert bits(index, strangers, 40) < np.log2(VOCAB) + 0.1  # nobody is followed for long


def test_first_scores_are_those_of_the_tokens_before() -> None:
    """Against a plain loop, for places near the beginning of records, and rows shorter and longer than what is looked back at."""
    rng = np.random.default_rng(3)
    index = AlignmentIndex.fit([rng.integers(0, VOCAB, length) for length in (5, 40, 70, 20)], VOCAB)
    positions = np.array([[0, 3, 30, 44], [60, 100, 114, 134]], dtype=np.int32)
    for length in (0, 7, 50):
        experts = index.experts(2)
        for tokens in rng.integers(0, VOCAB, (length, 2)):
            experts.observe(tokens)
        computed = experts._first_scores(experts.history, positions, np.ones((2, 4), dtype=bool))
        for row, column in np.ndindex(positions.shape):
            expected = _plain_first_scores(index, experts.history[row], int(positions[row, column]))
            assert [array[row, column] for array in computed] == pytest.approx(expected, rel=1e-4, abs=1e-4)


def _plain_first_scores(index: AlignmentIndex, history: np.ndarray, position: int) -> list[float]:
    """Score, hits, tries and matches of a proposal."""
    places = [d for d in range(1, LOOK_BACK + 1) if index.depth[position] >= d and history[-d] >= 0]
    is_hit = {d: index.ids[position - d] == history[-d] for d in places}
    hits = sum(HIT_DECAY ** (d - 1) * is_hit[d] for d in places)
    tries = sum(HIT_DECAY ** (d - 1) for d in places)
    trust = min((hits + PRIOR_HIT_RATE * PRIOR_TRIES) / (tries + PRIOR_TRIES), MAX_TRUST)
    score = 0.0
    for d in places:
        observed = history[-d]
        substituted = max(index.substitution[index.ids[position - d], observed], 1e-9)
        gain = np.log(trust) if is_hit[d] else np.log1p(-trust) + np.log(substituted)
        score += SCORE_DECAY ** (d - 1) * (gain - np.log(index.frequencies[observed]))
    return [score, hits, tries, sum(is_hit.values())]


def test_evidence_tells_relatives_from_strangers() -> None:
    rng = np.random.default_rng(1)
    records = rng.integers(0, VOCAB, (200, 100))
    index = AlignmentIndex.fit(list(records), VOCAB)
    experts = index.experts(2)
    rows = np.stack([np.where(np.arange(100) % 7 == 3, 0, records[5]), rng.integers(0, VOCAB, 100)])
    for place in range(100):
        if place:
            log_odds = experts.predict().log_odds
        experts.observe(rows[:, place])
    assert log_odds[0] > 2 * log_odds[1]


def test_what_stands_in_for_what_is_learned() -> None:
    """In a relative, token 2k is often 2k + 1, and never another one."""
    rng = np.random.default_rng(2)
    ancestors = rng.integers(0, VOCAB // 2, (60, 100)) * 2
    records = [row + (rng.random(100) < 0.2) for row in np.repeat(ancestors, 6, 0)]
    index = AlignmentIndex.fit(records, VOCAB)
    partner = np.arange(VOCAB) ^ 1
    assert index.substitution[np.arange(VOCAB), partner].mean() > 0.5
    np.testing.assert_allclose(index.substitution.sum(1), 1.0, rtol=1e-4)
    assert (np.diag(index.substitution) == 0).all()


def test_a_record_of_any_length_costs_a_bounded_number_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    predict, steps = AlignmentExperts.predict, []

    def counted(experts: AlignmentExperts) -> Prediction:
        steps.append(len(experts.positions))
        return predict(experts)

    monkeypatch.setattr(AlignmentExperts, "predict", counted)
    rng = np.random.default_rng(4)
    AlignmentIndex.fit([rng.integers(0, VOCAB, length) for length in (3_000, 40, 40)], VOCAB, 100)
    assert 0 < sum(steps) <= 100


def test_an_expert_ends_with_its_record() -> None:
    index = AlignmentIndex.fit([np.arange(10) % 5, np.arange(10) % 5 + 10], VOCAB)
    experts = index.experts(1)
    for token in np.arange(10) % 5:
        experts.predict()
        experts.observe(np.array([token]))
    experts.predict()
    live = experts.positions[0][experts.scores[0] > -1e8]
    assert not (index.depth[live] == 0).any()


def test_no_place_is_followed_twice() -> None:
    rng = np.random.default_rng(3)
    index = AlignmentIndex.fit(list(rng.integers(0, 4, (30, 50))), 4)
    experts = index.experts(3)
    for tokens in rng.integers(0, 4, (60, 3)):
        experts.predict()
        for places in experts.positions:
            live = places[places >= 0]
            assert len(np.unique(live)) == len(live) <= EXPERTS
        experts.observe(tokens)


@pytest.mark.parametrize("records", [[], [np.array([1])], [np.array([1, 2])], [np.arange(3)] * 2], ids=len)
def test_with_hardly_any_known_records_the_prediction_is_how_common_tokens_are(records: list[np.ndarray]) -> None:
    index = AlignmentIndex.fit(records, 5)
    experts = index.experts(2)
    for tokens in ((1, 0), (2, 0), (4, 4)):
        probabilities, log_odds, _ = experts.predict()
        assert (probabilities > 0).all()
        assert np.isfinite(log_odds).all()
        experts.observe(np.array(tokens))


def test_the_context_fits_what_is_known() -> None:
    proteins, bases = np.full(20, 0.05, dtype=np.float32), np.full(4, 0.25, dtype=np.float32)
    assert suggest_context_length(2_000_000, proteins) == 4
    assert 8 <= suggest_context_length(2_000_000, bases) <= LOOK_BACK
    assert suggest_context_length(0, proteins) == 2


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(1, 40))
def test_any_records_give_probabilities(seed: int, vocab: int, length: int) -> None:
    rng = np.random.default_rng(seed)
    index = AlignmentIndex.fit([rng.integers(0, vocab, rng.integers(1, length + 1)) for _ in range(8)], vocab)
    again = AlignmentIndex(index.ids, index.lengths, vocab, index.substitution)
    frames: list[AlignmentExperts] = [index.experts(3), again.experts(3)]
    for tokens in rng.integers(0, vocab, (length, 3)):
        (probabilities, log_odds, _), (other, _, _) = (frame.predict() for frame in frames)
        assert (probabilities > 0).all()
        assert np.isfinite(log_odds).all()
        np.testing.assert_allclose(probabilities.sum(1), 1.0, rtol=1e-4)
        np.testing.assert_array_equal(probabilities, other)
        for frame in frames:
            frame.observe(tokens)


def two_classes(rng: np.random.Generator) -> tuple[list[np.ndarray], list[int]]:
    """Records of two ancestors that share their middle third, and the number of their ancestor."""
    ancestors = rng.integers(0, VOCAB, (2, 120))
    ancestors[1, 40:80] = ancestors[0, 40:80]
    records = [row for ancestor in ancestors for row in family(rng, 40, 120, 0.8, ancestor)]
    return records, [0] * 40 + [1] * 40


def test_rows_of_a_class_follow_records_of_their_class() -> None:
    """After the part that both classes share, only the class says which ancestor goes on."""
    rng = np.random.default_rng(5)
    records, classes = two_classes(rng)
    index = AlignmentIndex.fit(records, VOCAB, classes=classes)
    assert index.class_odds > 5.0
    rows = np.stack([records[0], records[0]])[:, 40:]
    experts = index.experts(2, classes=np.array([0, 1]))
    for place in range(40):
        experts.predict()
        experts.observe(rows[:, place])
    experts.predict()
    followed = index.classes[index.record[experts.positions]]
    weights = [experts._weights[row, followed[row] == row].sum() for row in range(2)]
    assert min(weights) > 0.8


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95])
def test_classes_that_say_nothing_change_nothing(share: float) -> None:
    """However rare one of them is: records of the other are followed more often by chance alone."""
    rng = np.random.default_rng(6)
    records, _ = two_classes(rng)
    index = AlignmentIndex.fit(records, VOCAB, classes=(rng.random(len(records)) > share).astype(int).tolist())
    assert index.class_odds == 1.0 and index.num_groups == 1


def test_rows_of_no_known_class_are_predicted_as_without_classes() -> None:
    rng = np.random.default_rng(6)
    records, classes = two_classes(rng)
    without = AlignmentIndex.fit(records, VOCAB)
    rows = family(rng, 3, 120, 0.8, records[0])
    index = AlignmentIndex.fit(records, VOCAB, classes=classes)
    assert index.num_groups == 3
    assert bits(index, rows, 20) == pytest.approx(bits(without, rows, 20), abs=0.02)


def test_one_class_is_as_good_as_none() -> None:
    rng = np.random.default_rng(8)
    records, _ = two_classes(rng)
    assert AlignmentIndex.fit(records, VOCAB, classes=[0] * len(records)).class_odds == 1.0


def test_records_and_rows_without_a_class_are_followed_and_follow_as_before() -> None:
    rng = np.random.default_rng(7)
    records, classes = two_classes(rng)
    mixed = AlignmentIndex.fit(records, VOCAB, classes=[-1 if i % 2 else c for i, c in enumerate(classes)])
    experts = mixed.experts(3, classes=np.array([0, 1, -1]))
    for place, tokens in enumerate(np.stack([records[0], records[-1], records[3]]).T):
        if place:
            assert np.isfinite(experts.predict().probabilities).all()
        experts.observe(tokens)
    experts.predict()
    assert (mixed.classes[mixed.record[experts.positions[0]]] == -1).any()
