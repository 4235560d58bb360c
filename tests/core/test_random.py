"""Randomness is a function of seed, step, use and global row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anew.core import random
from anew.core.random import StepContext
from anew.nets.attention import UnpaddedRows


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 50), st.integers(1, 40), st.integers(0, 39), st.integers(0, 5), st.sampled_from([3, random.LONG_ROW])
)
def test_rows_do_not_depend_on_their_batch(first: int, count: int, cut: int, step: int, size: int) -> None:
    cut = min(cut, count - 1)
    whole = StepContext(1, step, first_row=first).normal("noise", (count, size))
    part = StepContext(1, step, first_row=first + cut).normal("noise", (count - cut, size))
    assert torch.equal(whole[cut:], part)


def test_only_long_rows_that_a_batch_has_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def fill(numbers: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        drawn.append(numbers.numel())
        return numbers.uniform_(generator=generator)

    monkeypatch.setattr(torch.Tensor, "normal_", fill)
    StepContext(1, 0, first_row=6).normal("noise", (3, random.LONG_ROW))
    assert drawn == [random.LONG_ROW] * 3


def test_seed_step_phase_and_use_matter() -> None:
    base = StepContext(1, 2, phase="a").normal("x", (4, 4))
    for other in (StepContext(2, 2, phase="a"), StepContext(1, 3, phase="a"), StepContext(1, 2, phase="b")):
        assert not torch.equal(base, other.normal("x", (4, 4)))
    assert not torch.equal(base, StepContext(1, 2, phase="a").normal("y", (4, 4)))


def test_dropout_is_keyed_and_scaled() -> None:
    drop = random.Dropout(0.25).train()
    x = torch.ones(64, 100)
    with random.use_context(StepContext(0, 1, first_row=32)):
        first, again = drop(x), drop(x)
    with random.use_context(StepContext(0, 1, first_row=32)):
        assert torch.equal(first, drop(x))
    assert not torch.equal(first, again)  # the second layer of a pass has a mask of its own
    with random.use_context(StepContext(0, 1, first_row=48)):
        assert torch.equal(first[16:], drop(x[16:]))
    assert abs(float(first.mean()) - 1.0) < 0.03
    assert torch.equal(drop.eval()(x), x)


def test_dropout_draws_from_nothing_but_a_context() -> None:
    drop, x = random.Dropout(0.25), torch.ones(2, 3)
    with pytest.raises(RuntimeError, match="use_context"):
        drop.train()(x)
    assert torch.equal(drop.eval()(x), x)


def test_dropout_of_some_positions_follows_row_and_position_alone() -> None:
    drop = random.Dropout(0.25).train()

    def mask(first_row: int, batch: int, length: int, needed: list[tuple[int, int]]) -> torch.Tensor:
        places = UnpaddedRows(batch, length, torch.tensor([row * length + position for row, position in needed]))
        with random.use_context(StepContext(0, 1, first_row=first_row)):
            return drop(torch.ones(len(needed), 8), places)

    needed = [(0, 0), (0, 1), (1, 0), (3, 19)]
    whole = mask(32, 5, 40, needed)
    assert torch.equal(whole, mask(32, 5, 20, needed))  # padded less
    assert torch.equal(whole[[3, 2]], mask(33, 4, 20, [(2, 19), (0, 0)]))  # in another micro-batch, in another order
    assert 0 < int((whole == 0).sum()) < whole.numel()


def test_samples_with_equal_low_bits_of_their_keys_have_different_noise() -> None:
    noises = []
    for index in (53313, 108501):
        assert random.key(0, "draw", index) & 0xFFFFFFFF == 0x8D78314E
        noises.append(torch.randn(64, generator=random.sample_generator(0, "draw", index)))
    assert not torch.isin(noises[0], noises[1]).any()


def test_noise_of_samples_is_normal_and_independent_of_that_of_others() -> None:
    first = torch.stack([torch.randn(8, generator=random.sample_generator(3, "draw", i)) for i in range(4000)])
    assert float(first.mean(0).abs().max()) < 0.06 and float((first.std(0) - 1).abs().max()) < 0.05
    assert float((torch.corrcoef(first.T) - torch.eye(8)).abs().max()) < 0.06
    assert float(torch.corrcoef(torch.stack([first[:-1, 0], first[1:, 0]]))[0, 1].abs()) < 0.06
    assert len(first[:, 0].unique()) > 3990
    assert torch.equal(first[7], torch.randn(8, generator=random.sample_generator(3, "draw", 7)))


def test_words_of_a_state_lie_where_pytorch_reads_them() -> None:
    words = torch.Generator().manual_seed(5).get_state()[random.STATE_OFFSET :][: 8 * random.STATE_WORDS]
    assert np.array_equal(words.numpy().view(np.uint64), np.random.RandomState(5).get_state()[1])  # type: ignore[index]


def test_keys_are_the_same_everywhere() -> None:
    assert random.key(1, "a", 2.5) == 2379049811018673176


@settings(max_examples=40, deadline=None)
@example(5, 2**60, "label")
@given(st.integers(0, 2**40), st.integers(0, 2**63), st.sampled_from(["label", "component"]))
def test_choices_are_spread_evenly_over_samples(seed: int, first: int, stream: str) -> None:
    sample_keys = [(seed, first + i) for i in range(1000)]
    spread = random.evenly_spread(sample_keys, stream)  # type: ignore[arg-type]
    assert torch.equal(spread[300:310], random.evenly_spread(sample_keys[300:310], stream))  # type: ignore[arg-type]
    counts = torch.histc(spread, bins=20, min=0.0, max=1.0)
    assert float((counts - 50).abs().max()) <= 6  # independent numbers: 7 on average for one bin, 20 for the worst


def test_each_choice_is_uniform_over_seeds_and_both_are_even_together() -> None:
    for stream in ("label", "component"):
        first = random.evenly_spread([(seed, 0) for seed in range(4000)], stream)  # type: ignore[arg-type]
        assert abs(float(first.mean()) - 0.5) < 0.02 and abs(float(first.square().mean()) - 1 / 3) < 0.02
    sample_keys = [(5, i) for i in range(1600)]
    cells = 4 * (4 * random.evenly_spread(sample_keys, "label")).long()
    cells += (4 * random.evenly_spread(sample_keys, "component")).long()
    counts = torch.bincount(cells, minlength=16)
    assert int((counts - 100).abs().max()) <= 8
