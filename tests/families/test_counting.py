"""The counting head: one target at a time and many at once see the same, and what a record's past says counts."""

from __future__ import annotations

import numpy as np

from anew.families._counting import MEMORY, PRIOR, WORST, Counting, Past, softmax


def head(vocab: int = 7, order: int = 3) -> tuple[Counting, np.random.Generator]:
    source = np.random.default_rng(0)
    counting = Counting(vocab=vocab, order=order)
    counting.learn([source.integers(0, vocab, 400)])
    return counting, source


def past_of(means: np.ndarray) -> Past:
    """A past with these means, whatever led to them."""
    past = Past(len(means))
    past._sums, past._weight = means * (1 + PRIOR), 1.0
    return past


def test_a_single_target_is_joined_as_among_others() -> None:
    counting, source = head()
    counting.gate.normal_()
    counting.forget()
    ids = np.concatenate((source.integers(0, 7, (5, 9)), np.zeros((1, 9), dtype=np.int64)))
    logits = source.normal(size=(6, 7)).astype(np.float32)
    means = -source.uniform(0, 3, (6, 2))
    found = counting.last(ids)
    together = counting.probability(found, logits, past_of(means))
    for row in range(6):
        one = slice(row, row + 1)
        alone = counting.probability(found[:, one], logits[one], past_of(means[one]))
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-4)


def test_the_past_of_a_batch_is_that_of_its_targets_one_by_one() -> None:
    counting, source = head()
    ids = source.integers(0, 7, (3, 12))
    logits = source.normal(size=(3, 11, 7)).astype(np.float32)
    network = softmax(logits.reshape(-1, 7))[1]
    batch = counting.past(counting.contexts(ids[:, :-1]), network, ids[:, 1:]).reshape(3, 11, 2)
    past = Past(3)
    for place in range(11):
        np.testing.assert_allclose(batch[:, place], past.means, rtol=1e-5, atol=1e-7)
        counting.probability(counting.last(ids[:, : place + 1]), logits[:, place], past)
        past.came(ids[:, place + 1])


def test_the_past_forgets_and_bounds_a_single_surprise() -> None:
    past = Past(1)
    assert (past.means == 0).all()
    past.add(np.array([-100.0]), np.array([-1.0]))
    np.testing.assert_allclose(past.means, [[WORST / (1 + PRIOR), -1 / (1 + PRIOR)]])
    for _ in range(1000):
        past.add(np.array([-1.0]), np.array([-1.0]))
    weight = 1 / (1 - MEMORY)
    np.testing.assert_allclose(past.means, -weight / (weight + PRIOR), rtol=1e-6)


def test_counts_that_do_badly_on_a_record_lose_their_say_there() -> None:
    """Half of the rows follow the counted source, half another one that the network knows as well."""
    source = np.random.default_rng(1)
    known, other = np.arange(2000) % 7, (2 * np.arange(2000)) % 7
    counting = Counting(vocab=7, order=1)
    counting.learn([known])
    rows = np.stack([(known if i % 2 else other)[i : i + 60] for i in range(40)])
    network = np.full((40, 59, 7), 0.05, dtype=np.float32)
    np.put_along_axis(network, rows[:, 1:, None], 0.7, 2)
    wrong = source.random((40, 59)) < 0.3
    network[wrong] = 1 / 7
    log = np.log(network.reshape(-1, 7))
    found = counting.contexts(rows[:, :-1])
    past = counting.past(found, log, rows[:, 1:])
    flat = rows[:, 1:].ravel()
    blind = np.zeros_like(past)
    bits = []
    for seen in (blind, past):
        counting.gate.zero_()
        counting.fit(found, log, flat, seen)
        bits.append(-counting.mix(found, log, seen)[np.arange(len(flat)), flat].mean())
    assert bits[1] < bits[0] - 0.01
