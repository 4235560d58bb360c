"""The counting head: one target at a time and many at once see the same, and what a record's past says counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anew.families.transformer.mixing import softmax
from anew.families.transformer.ngram_mixer import MEMORY, PRIOR, WORST, Counting, Past, Seen, Watch


def head(vocab: int = 7, order: int = 3, aligned: bool = False) -> tuple[Counting, np.random.Generator]:
    source = np.random.default_rng(0)
    counting = Counting(vocab=vocab, order=order, aligned=aligned)
    counting.learn(list(source.integers(0, vocab, (10, 40))))
    return counting, source


@pytest.mark.parametrize("aligned", [False, True])
def test_a_row_alone_is_joined_as_among_others(aligned: bool) -> None:
    counting, source = head(aligned=aligned)
    counting.gate.normal_()
    counting.forget()
    ids = np.concatenate((source.integers(0, 7, (5, 9)), np.zeros((1, 9), dtype=np.int64)))
    logits = source.normal(size=(9, 6, 7)).astype(np.float32)
    together, alone = Watch(counting, 6), [Watch(counting, 1) for _ in range(6)]
    for watch, rows in ((together, ids), *zip(alone, ids[:, None], strict=True)):
        watch.begin(rows[:, 0])
    for place in range(1, 9):
        found = counting.last(ids[:, :place])
        whole = counting.probability(found, logits[place], together)
        together.came(ids[:, place])
        for row, watch in enumerate(alone):
            one = slice(row, row + 1)
            single = counting.probability(found[:, one], logits[place, one], watch)
            np.testing.assert_allclose(single[0], whole[row], rtol=1e-4)
            watch.came(ids[one, place])


@pytest.mark.parametrize("aligned", [False, True])
def test_a_batch_is_seen_as_its_targets_one_by_one(aligned: bool) -> None:
    counting, source = head(aligned=aligned)
    counting.gate.normal_()
    counting.forget()
    ids = source.integers(0, 7, (3, 12))
    logits = source.normal(size=(3, 11, 7)).astype(np.float32)
    seen = counting.look(ids, softmax(logits.reshape(-1, 7))[1])
    past = seen.past.reshape(3, 11, counting.sides)
    mixed = np.exp(counting.mix(seen)).reshape(3, 11, 7)
    watch = Watch(counting, 3)
    watch.begin(ids[:, 0])
    for place in range(11):
        np.testing.assert_allclose(past[:, place], watch.past.means, rtol=1e-5, atol=1e-7)
        chance = counting.probability(counting.last(ids[:, : place + 1]), logits[:, place], watch)
        np.testing.assert_allclose(mixed[:, place], chance / chance.sum(1, keepdims=True), rtol=1e-4)
        watch.came(ids[:, place + 1])


@pytest.mark.parametrize("aligned", [False, True])
def test_one_row_repeated_is_that_row(aligned: bool) -> None:
    counting, source = head(aligned=aligned)
    ids = source.integers(0, 7, (1, 10))
    network = softmax(source.normal(size=(9, 7)).astype(np.float32))[1]
    told = counting.told(counting.contexts(ids[:, :-1]), network, ids[:, 1:])
    one, many = Watch(counting, 1), Watch(counting, 4)
    for watch, rows in ((one, 1), (many, 4)):
        assert len(list(counting.watched(ids.repeat(rows, 0), told.repeat(rows, 1), watch))) == 9
    logits = source.normal(size=(4, 7)).astype(np.float32)
    found = counting.last(ids.repeat(4, 0))
    chances = [counting.probability(found, logits, watch) for watch in (one.repeated(4), many)]
    np.testing.assert_allclose(*chances, rtol=1e-5)


def test_parts_of_what_is_seen_are_put_together_again() -> None:
    for aligned in (False, True):
        counting, source = head(aligned=aligned)
        ids = source.integers(0, 7, (3, 12))
        seen = counting.look(ids, softmax(source.normal(size=(33, 7)).astype(np.float32))[1])
        again = Seen.joined([seen.rows(np.arange(10)), seen.rows(np.arange(33) >= 10)])
        np.testing.assert_allclose(counting.mix(again), counting.mix(seen), rtol=1e-5)


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
    knowing = counting.look(rows, log)
    flat = rows[:, 1:].ravel()
    bits = []
    for seen in (replace(knowing, past=np.zeros_like(knowing.past)), knowing):
        counting.fit(seen, flat)
        bits.append(-counting.mix(seen)[np.arange(len(flat)), flat].mean())
    assert bits[1] < bits[0] - 0.01


def related(source: np.random.Generator, n: int, ancestors: np.ndarray) -> np.ndarray:
    """n records that share most of one of the ancestors."""
    own = ancestors[np.arange(n) % len(ancestors)]
    return np.where(source.random(own.shape) < 0.75, own, source.integers(0, 20, own.shape))


@pytest.mark.parametrize("relatives", [True, False])
def test_known_records_stay_where_they_help_and_their_absence_is_loaded_too(relatives: bool) -> None:
    source = np.random.default_rng(0)
    ancestors = source.integers(0, 20, (30, 60))
    counting = Counting(vocab=20, order=2, aligned=True)
    counting.learn(list(related(source, 150, ancestors)))
    held = related(source, 40, ancestors) if relatives else source.integers(0, 20, (40, 60))
    network = np.full((40 * 59, 20), -np.log(20), dtype=np.float32)
    counting.fit(counting.look(held, network), held[:, 1:].ravel())
    assert counting.aligned is relatives
    assert ("aligned_ids" in counting.state_dict()) is relatives
    again = Counting(vocab=20, order=2, aligned=True)
    again.make_room({name: value.shape for name, value in counting.state_dict().items()})
    again.load_state_dict(counting.state_dict())
    mixed = [one.mix(one.look(held, network)) for one in (counting, again)]
    np.testing.assert_array_equal(*mixed)
    bits = -mixed[0][np.arange(40 * 59), held[:, 1:].ravel()].mean() / np.log(2)
    assert bits < 3.9 if relatives else bits < 4.5
