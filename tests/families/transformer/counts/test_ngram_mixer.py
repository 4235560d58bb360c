"""The mixer head: one target at a time and many at once see the same, and what a record's recent says counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from anew.families.transformer.counts import ngram_mixer
from anew.families.transformer.counts.fixed_share import FixedShare
from anew.families.transformer.counts.mixer_state import RECENT_DECAY, RECENT_PRIOR, WORST_LOG_PROB, RecentScores
from anew.families.transformer.counts.mixing import softmax
from anew.families.transformer.counts.ngram_mixer import (
    GateInputs,
    NgramMixer,
)


def head(
    vocab_size: int = 7, order: int = 3, aligned: bool = False, end_id: int | None = None
) -> tuple[NgramMixer, np.random.Generator]:
    rng = np.random.default_rng(0)
    mixer = NgramMixer(vocab_size=vocab_size, order=order, aligned=aligned, end_id=end_id)
    mixer.fit_counts(list(rng.integers(0, vocab_size, (10, 40))))
    return mixer, rng


@pytest.mark.parametrize("end_id", [None, 6])
@pytest.mark.parametrize("aligned", [False, True])
def test_a_row_alone_is_joined_as_among_others(aligned: bool, end_id: int | None) -> None:
    mixer, source = head(aligned=aligned, end_id=end_id)
    mixer.gate.normal_()
    if end_id is not None:
        mixer.ends.get_buffer("weights").uniform_()
        mixer.ends.clear_cache()
    mixer.clear_cache()
    ids = np.concatenate((source.integers(0, 7, (5, 9)), np.zeros((1, 9), dtype=np.int64)))
    logits = source.normal(size=(9, 6, 7)).astype(np.float32)
    together, alone = mixer.new_state(6), [mixer.new_state(1) for _ in range(6)]
    for state, rows in ((together, ids), *zip(alone, ids[:, None], strict=True)):
        state.begin(rows[:, 0])
    for place in range(1, 9):
        contexts = mixer.combined.last_contexts(ids[:, :place])
        whole = mixer.step(contexts, logits[place], together)
        together.observe(ids[:, place])
        for row, state in enumerate(alone):
            row_slice = slice(row, row + 1)
            single = mixer.step(contexts.rows(np.array([row])), logits[place, row_slice], state)
            np.testing.assert_allclose(single[0], whole[row], rtol=1e-4)
            state.observe(ids[row_slice, place])


@pytest.mark.parametrize("end_id", [None, 6])
@pytest.mark.parametrize("aligned", [False, True])
def test_a_batch_is_seen_as_its_targets_one_by_one(aligned: bool, end_id: int | None) -> None:
    mixer, source = head(aligned=aligned, end_id=end_id)
    mixer.gate.normal_()
    if end_id is not None:
        mixer.ends.get_buffer("weights").uniform_()
        mixer.ends.clear_cache()
    mixer.clear_cache()
    ids = source.integers(0, 7, (3, 12))
    logits = source.normal(size=(3, 11, 7)).astype(np.float32)
    inputs = mixer.gate_inputs(ids, softmax(logits.reshape(-1, 7))[1], mixer.new_state(len(ids)))
    recent = inputs.recent.reshape(3, 11, mixer.num_models)
    mixed = np.exp(mixer.mix(inputs)).reshape(3, 11, 7)
    joint = np.exp(mixer.joint_log_probs(inputs, ids[:, 1:], np.ones((3, 11), dtype=bool)))
    state, scored = mixer.new_state(3), FixedShare(3, mixer.noise.prior)
    state.begin(ids[:, 0])
    for place in range(11):
        targets, rows = ids[:, place + 1], np.arange(3)
        np.testing.assert_allclose(recent[:, place], state.recent.means, rtol=1e-5, atol=1e-7)
        weights = state.share.weights
        chance = mixer.step(mixer.combined.last_contexts(ids[:, : place + 1]), logits[:, place], state)
        floor = weights[:, 1:2] * softmax(logits[:, place])[0] + weights[:, 2:] / 7
        np.testing.assert_allclose(weights[:, :1] * mixed[:, place] + floor, chance, rtol=1e-4)
        np.testing.assert_allclose(chance.sum(1), 1.0, rtol=1e-5)
        network = softmax(logits[:, place])[1]
        noise = mixer.noise.log_probs(targets, np.full(3, place + 1))
        experts = np.stack((np.log(mixed[rows, place, targets]), network[rows, targets], noise), 1)
        np.testing.assert_allclose(joint[:, place], np.exp(scored.observe(experts)), rtol=1e-4)
        if end_id is None:
            np.testing.assert_allclose(joint[:, place], chance[rows, targets], rtol=1e-4)
        state.observe(targets)


@pytest.mark.parametrize("aligned", [False, True])
def test_one_row_repeated_is_that_row(aligned: bool) -> None:
    mixer, source = head(aligned=aligned)
    ids = source.integers(0, 7, (1, 10))
    network = softmax(source.normal(size=(9, 7)).astype(np.float32))[1]
    log_probs = mixer.target_log_probs(mixer.combined.contexts(ids[:, :-1]), network, ids[:, 1:])
    first, state_of_four = mixer.new_state(1), mixer.new_state(4)
    for state, rows in ((first, 1), (state_of_four, 4)):
        assert len(list(mixer.replay(ids.repeat(rows, 0), log_probs.repeat(rows, 1), state))) == 9
    logits = source.normal(size=(4, 7)).astype(np.float32)
    contexts = mixer.combined.last_contexts(ids.repeat(4, 0))
    chances = [mixer.step(contexts, logits, state) for state in (first.select(np.zeros(4, np.int64)), state_of_four)]
    np.testing.assert_allclose(*chances, rtol=1e-5)


@pytest.mark.parametrize("aligned", [False, True])
def test_prompts_are_read_once_and_in_parts_as_at_once(aligned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    mixer, source = head(aligned=aligned)
    ids = source.integers(0, 7, (5, 12))
    network = softmax(source.normal(size=(55, 7)).astype(np.float32))[1].reshape(5, 11, 7)
    replays: list[int] = []
    replay = mixer.replay

    def counted(*arguments: Any) -> Any:
        replays.append(1)
        return replay(*arguments)

    monkeypatch.setattr(mixer, "replay", counted)
    whole = mixer.read_prompt(ids, 12, lambda rows: network[rows].reshape(-1, 7))
    monkeypatch.setattr(ngram_mixer, "VALUES_AT_ONCE", 2 * 11 * 7)
    parts = mixer.read_prompt(ids, 12, lambda rows: network[rows].reshape(-1, 7))
    assert len(replays) == 1 + 3
    logits = source.normal(size=(5, 7)).astype(np.float32)
    contexts = mixer.combined.last_contexts(ids)
    np.testing.assert_allclose(*(mixer.step(contexts, logits, state) for state in (whole, parts)), rtol=1e-6)
    assert parts.place == whole.place == 12 and len(parts.share.weights) == 5


def test_parts_of_what_is_seen_are_put_together_again() -> None:
    for aligned in (False, True):
        mixer, source = head(aligned=aligned)
        ids = source.integers(0, 7, (3, 12))
        inputs = mixer.gate_inputs(
            ids, softmax(source.normal(size=(33, 7)).astype(np.float32))[1], mixer.new_state(len(ids))
        )
        again = GateInputs.concatenate([inputs.rows(np.arange(10)), inputs.rows(np.arange(33) >= 10)])
        np.testing.assert_allclose(mixer.mix(again), mixer.mix(inputs), rtol=1e-5)


def test_the_past_forgets_and_bounds_a_single_surprise() -> None:
    recent = RecentScores(1)
    assert (recent.means == 0).all()
    recent.add(np.array([-100.0]), np.array([-1.0]))
    np.testing.assert_allclose(recent.means, [[WORST_LOG_PROB / (1 + RECENT_PRIOR), -1 / (1 + RECENT_PRIOR)]])
    for _ in range(1000):
        recent.add(np.array([-1.0]), np.array([-1.0]))
    weight = 1 / (1 - RECENT_DECAY)
    np.testing.assert_allclose(recent.means, -weight / (weight + RECENT_PRIOR), rtol=1e-6)


def test_counts_that_do_badly_on_a_record_lose_weight_there() -> None:
    """Half of the rows follow the counted source, half another one that the network knows as well."""
    rng = np.random.default_rng(1)
    cycle, other = np.arange(2000) % 7, (2 * np.arange(2000)) % 7
    mixer = NgramMixer(vocab_size=7, order=1)
    mixer.fit_counts([cycle])
    rows = np.stack([(cycle if i % 2 else other)[i : i + 60] for i in range(40)])
    network = np.full((40, 59, 7), 0.05, dtype=np.float32)
    np.put_along_axis(network, rows[:, 1:, None], 0.7, 2)
    wrong = rng.random((40, 59)) < 0.3
    network[wrong] = 1 / 7
    log = np.log(network.reshape(-1, 7))
    knowing = mixer.gate_inputs(rows, log, mixer.new_state(len(rows)))
    flat = rows[:, 1:].ravel()
    bits = []
    for inputs in (replace(knowing, recent=np.zeros_like(knowing.recent)), knowing):
        mixer.fit(inputs, flat)
        bits.append(-mixer.mix(inputs)[np.arange(len(flat)), flat].mean())
    assert bits[1] < bits[0] - 0.01


def related(rng: np.random.Generator, n: int, ancestors: np.ndarray) -> np.ndarray:
    """n records that share most of one of the ancestors."""
    own = ancestors[np.arange(n) % len(ancestors)]
    return np.where(rng.random(own.shape) < 0.75, own, rng.integers(0, 20, own.shape))


@pytest.mark.parametrize("relatives", [True, False])
def test_known_records_stay_where_they_help_and_their_absence_is_loaded_too(relatives: bool) -> None:
    rng = np.random.default_rng(0)
    ancestors = rng.integers(0, 20, (30, 60))
    mixer = NgramMixer(vocab_size=20, order=2, aligned=True)
    mixer.fit_counts(list(related(rng, 150, ancestors)))
    held_out = related(rng, 40, ancestors) if relatives else rng.integers(0, 20, (40, 60))
    network = np.full((40 * 59, 20), -np.log(20), dtype=np.float32)
    mixer.fit(mixer.gate_inputs(held_out, network, mixer.new_state(len(held_out))), held_out[:, 1:].ravel())
    assert mixer.aligned is relatives
    assert ("aligned_ids" in mixer.state_dict()) is relatives
    again = NgramMixer(vocab_size=20, order=2, aligned=True)
    again.allocate_buffers({name: value.shape for name, value in mixer.state_dict().items()})
    again.load_state_dict(mixer.state_dict())
    mixed = [
        entry.mix(entry.gate_inputs(held_out, network, entry.new_state(len(held_out)))) for entry in (mixer, again)
    ]
    np.testing.assert_array_equal(*mixed)
    bits = -mixed[0][np.arange(40 * 59), held_out[:, 1:].ravel()].mean() / np.log(2)
    assert bits < 3.9 if relatives else bits < 4.5


def test_near_relatives_teach_the_gate_where_all_records_have_them() -> None:
    """Variants of one ancestor: nearly all places are near, and the gate would know nothing of them."""
    rng = np.random.default_rng(0)
    ancestor = rng.integers(0, 20, 80)

    def variants(n: int) -> np.ndarray:
        return np.where(rng.random((n, 80)) < 0.9, ancestor, rng.integers(0, 20, (n, 80)))

    mixer = NgramMixer(vocab_size=20, order=2, aligned=True)
    mixer.fit_counts(list(variants(100)))
    held_out = variants(40)
    inputs = mixer.gate_inputs(
        held_out, np.full((40 * 79, 20), -np.log(20), dtype=np.float32), mixer.new_state(len(held_out))
    )
    assert inputs.is_near is not None and 0.5 < inputs.is_near.mean() < 1.0
    nats = []
    for is_near in (
        inputs.is_near,
        inputs.is_near & (rng.random(len(inputs.is_near)) < 0.5),
    ):  # with the second, half are left out
        mixer.fit(replace(inputs, is_near=is_near), held_out[:, 1:].ravel())
        nats.append(-mixer.mix(inputs)[np.arange(40 * 79), held_out[:, 1:].ravel()].mean())
    assert mixer.aligned and nats[0] < nats[1]


def test_lengths_of_records_say_where_they_end() -> None:
    """Records of 20 random tokens and an end, which contexts cannot foresee."""
    rng = np.random.default_rng(0)
    ids = np.concatenate((np.full((200, 1), 8), rng.integers(0, 6, (200, 20)), np.full((200, 1), 7)), 1)
    network = np.full((50 * 21, 9), -np.log(9), dtype=np.float32)
    nats = []
    for end_id in (None, 7):
        mixer = NgramMixer(vocab_size=9, order=2, end_id=end_id)
        mixer.fit_counts(list(ids[:150]))
        mixer.fit(mixer.gate_inputs(ids[150:], network, mixer.new_state(len(ids[150:]))), ids[150:, 1:].ravel())
        mixed = mixer.mix(mixer.gate_inputs(ids[150:], network, mixer.new_state(len(ids[150:])))).reshape(50, 21, 9)
        nats.append((-mixed[:, -1, 7].mean(), np.exp(mixed[:, :-1, 7]).sum(1).mean()))
    assert nats[0][0] > 2.0 and nats[0][1] > 0.5
    assert nats[1][0] < 0.05 and nats[1][1] < 0.05


def test_lengths_are_saved_and_a_head_without_them_is_loaded_as_it_was() -> None:
    ids = np.random.default_rng(0).integers(0, 7, (10, 12))
    network = np.full((10 * 11, 7), -np.log(7), dtype=np.float32)
    for saved_end in (6, None):
        mixer = head(end_id=saved_end)[0]
        mixer.gate.add_(0.1)
        if saved_end is not None:
            mixer.ends.get_buffer("weights").add_(0.5)
            mixer.ends.clear_cache()
        mixer.clear_cache()
        again = NgramMixer(vocab_size=7, order=3, end_id=6)
        again.allocate_buffers({name: value.shape for name, value in mixer.state_dict().items()})
        again.load_state_dict(mixer.state_dict())
        again.check()
        assert again.ends.is_counted == (saved_end is not None)
        np.testing.assert_array_equal(
            *(entry.mix(entry.gate_inputs(ids, network, entry.new_state(len(ids)))) for entry in (mixer, again))
        )
    again.ends.register_buffer("lengths", -torch.ones(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="lengths"):
        again.check()


def test_a_prompt_that_is_read_at_once_earns_the_weights_of_one_that_is_drawn() -> None:
    """Both with the uniform distribution as third expert, also where records end."""
    mixer, source = head(end_id=6)
    ids = source.integers(0, 6, (3, 9))
    network = np.log(source.dirichlet(np.ones(7), (3, 8))).astype(np.float32)
    state = mixer.new_state(3)
    state.begin(ids[:, 0])
    for place in range(8):
        contexts = mixer.combined.last_contexts(ids[:, : place + 1])
        mixer.step(contexts, network[:, place], state)
        state.observe(ids[:, place + 1])
    at_once = mixer.read_prompt(ids, 9, lambda rows: network[rows].reshape(-1, 7))
    state.share.restore_uniform()
    np.testing.assert_allclose(at_once.share.weights, state.share.weights, rtol=1e-4)
