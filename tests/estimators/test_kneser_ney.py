"""The counting model against a slow one written with dictionaries, and the laws that any distribution keeps."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.estimators.kneser_ney import KneserNey, discounts

SEQUENCES = st.lists(st.lists(st.integers(0, 4), max_size=30), min_size=1, max_size=4)


def _slow(
    sequences: list[list[int]], vocab: int, order: int, first_is_given: bool = False
) -> dict[tuple[int, ...], np.ndarray]:
    """Context (oldest first) -> distribution, by the definition of interpolated modified Kneser-Ney."""
    counts: list[dict[tuple[int, ...], dict[int, int]]] = [
        defaultdict(lambda: defaultdict(int)) for _ in range(order + 1)
    ]
    for row in sequences:
        for i, token in enumerate(row):
            for k in range(min(i, order) + 1):
                if k in (order, i) and not (first_is_given and i == 0):
                    counts[k][tuple(row[i - k : i])][token] += 1
    for k in range(order, 0, -1):
        for context, tokens in counts[k].items():
            for token in tokens:
                counts[k - 1][context[1:]][token] += 1
    result: dict[tuple[int, ...], np.ndarray] = {}
    for k in range(order + 1):
        discount = discounts(np.array([c for tokens in counts[k].values() for c in tokens.values()], dtype=np.int64))
        for context, tokens in counts[k].items():
            below = result[context[1:]] if k else np.full(vocab, 1.0 / vocab)
            total, discounted = sum(tokens.values()), np.zeros(vocab)
            for token, count in tokens.items():
                discounted[token] = (count - discount[min(count, 3)]) / total
            result[context] = discounted + (1.0 - discounted.sum()) * below
    return result or {(): np.full(vocab, 1.0 / vocab)}


@settings(max_examples=40, deadline=None)
@given(SEQUENCES, st.integers(0, 3), st.booleans())
def test_equals_the_definition(sequences: list[list[int]], order: int, first_is_given: bool) -> None:
    slow = _slow(sequences, 5, order, first_is_given)
    model = KneserNey.fit(sequences, 5, order, first_is_given=first_is_given)
    for row in [*sequences, [4, 3, 2, 1, 0, 1, 2]]:
        scores = model.score(row)
        for i, token in enumerate(row):
            for k in range(min(i, order), -1, -1):
                if tuple(row[i - k : i]) in slow and all(tuple(row[i - j : i]) in slow for j in range(k)):
                    assert scores[i] == pytest.approx(slow[tuple(row[i - k : i])][token], rel=1e-4)
                    break


@settings(max_examples=25, deadline=None)
@given(SEQUENCES, st.integers(0, 4))
def test_distributions_sum_to_one_and_agree_with_single_probabilities(sequences: list[list[int]], order: int) -> None:
    model = KneserNey.fit(sequences, 6, order)
    row = np.array([0, 1, 5, 2, 3, 0, 1, 4], dtype=np.int64)
    result = model.walk(row, np.arange(len(row)))
    full = model.distribution(result)
    assert np.allclose(full.sum(1), 1.0, atol=1e-5)
    assert (full > 0).all()
    assert np.allclose(full[np.arange(len(row)), row], model.score(row), rtol=1e-4)
    for i in range(len(row)):
        assert model.tail(row[:i].tolist()) == result[:, i].tolist()
        assert np.allclose(model.distribution(result[:, i : i + 1])[0], full[i], rtol=1e-5)
        for num_rows in (1, 9):  # few rows are walked one by one
            rows = np.tile(row[:i], (num_rows, 1))
            assert model.last_contexts(rows).T.tolist() == [result[:, i].tolist()] * num_rows


def test_last_contexts_are_those_of_each_row() -> None:
    rows = np.random.default_rng(0).integers(0, 5, (30, 12))
    model = KneserNey.fit(rows, 5, 4)
    for length in (0, 1, 3, 12):
        expected = [model.tail(row[:length].tolist()) for row in rows]
        assert model.last_contexts(rows[:, :length]).T.tolist() == expected


def test_each_class_has_counts_of_its_own() -> None:
    rows = [[0, 1, 0, 1, 0], [2, 3, 2], [0, 3, 0, 3], [1, 2]]
    classes = np.array([0, 0, 6, 6])  # more classes than tokens
    model = KneserNey.fit(rows, 4, 3, classes, 7)
    for row, label in (([0, 1, 2, 3, 0], 0), ([3, 0, 3], 6), ([1, 0], 5)):
        ids = np.array(row, dtype=np.int64)
        contexts = model.walk(ids, np.arange(len(ids)), classes=np.full(len(ids), label))
        full = model.distribution(contexts)
        assert np.allclose(full.sum(1), 1.0, atol=1e-5)
        assert np.allclose(full[np.arange(len(ids)), ids], model.probability(contexts, ids), rtol=1e-4)
        assert all(model.tail(row[:i], label) == contexts[:, i].tolist() for i in range(len(row)))
        for num_rows in (1, 9):
            last = model.last_contexts(np.tile(ids[:-1], (num_rows, 1)), np.full(num_rows, label))
            assert last.T.tolist() == [contexts[:, -1].tolist()] * num_rows
    after_zero = [model.distribution(np.array([model.tail([0], label)]).T)[0] for label in (0, 6)]
    assert after_zero[0].argmax() == 1 and after_zero[1].argmax() == 3
    assert model.tail([0, 1], 5)[1:] == [-1, -1, -1]  # a class that was not seen
    again = KneserNey.restore(4, model.arrays(), 7)
    assert again.tail([0, 1, 0], 0) == model.tail([0, 1, 0], 0) and again.tail([0, 1, 0], 0)[-1] >= 0


def test_restored_arrays_give_the_same_model() -> None:
    rows = np.random.default_rng(0).integers(0, 9, (3, 200))
    model = KneserNey.fit(rows, 9, 3)
    again = KneserNey.restore(9, model.arrays())
    assert np.array_equal(model.score(rows[0]), again.score(rows[0]))


@pytest.mark.parametrize(
    ("name", "value"), [("tokens_0", 9), ("tokens_1", -1), ("starts_1", -5), ("values_2", -0.5), ("backoff_0", np.nan)]
)
def test_arrays_that_do_not_fit_are_refused(name: str, value: float) -> None:
    """A token beyond the vocabulary was an IndexError of NumPy."""
    arrays = KneserNey.fit(np.random.default_rng(0).integers(0, 9, (3, 200)), 9, 2).arrays()
    arrays[name] = arrays[name].copy()
    arrays[name][0] = value
    with pytest.raises(ValueError, match="the counts are inconsistent"):
        KneserNey.restore(9, arrays)


def test_no_context_reaches_across_sequences() -> None:
    apart = KneserNey.fit([[0, 1] * 20, [2, 3] * 20], 4, 2)
    result = apart.walk(np.array([1, 2, 0], dtype=np.int64), np.arange(3))
    assert result[2, 2] == -1  # "1 2" was never seen: the sequences do not continue each other


def test_a_beginning_is_counted_as_often_as_it_occurs_and_the_begin_token_never() -> None:
    """In one stream, a token after a begin token always counted once, since one and the same token stood before: a line end."""
    rows = [[4, token, 3, 5] for token in [0] * 30 + [1] * 6 + [2]]
    apart = KneserNey.fit(rows, 6, 3, first_is_given=True)
    after_begin = apart.distribution(apart.walk_rows(np.array([[4]])))[0]
    assert np.allclose(after_begin[:3], [30 / 37, 6 / 37, 1 / 37], atol=0.03)
    assert apart.unigram[4] < 0.1
    stream = KneserNey.fit([np.concatenate(rows)], 6, 3)
    assert stream.distribution(stream.walk_rows(np.array([[4]])))[0, 0] < 0.5


def test_a_rule_of_the_data_is_learned() -> None:
    model = KneserNey.fit([[0, 1, 2, 3] * 200], 4, 3)
    assert model.score([0, 1, 2, 3] * 5)[4:].min() > 0.95


def test_nothing_counted_is_uniform() -> None:
    assert np.allclose(KneserNey.fit([], 4, 2).score([0, 1, 2]), 0.25)
