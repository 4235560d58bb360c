"""Cutting and choosing: each cut keeps what its paper says, and draws follow the distribution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.functional.token_choice import filter_probabilities, sample_tokens

ROW = torch.tensor([[0.5, 0.3, 0.15, 0.05]])


def test_defaults_change_nothing() -> None:
    assert torch.equal(filter_probabilities(ROW), ROW)


def test_temperature_sharpens_and_zero_takes_the_best() -> None:
    assert torch.allclose(filter_probabilities(ROW, temperature=0.5), ROW**2 / (ROW**2).sum())
    assert filter_probabilities(ROW, temperature=0.0).tolist() == [[1.0, 0.0, 0.0, 0.0]]
    for smallest in (1e-5, 1e-40, 5e-324):
        assert filter_probabilities(ROW, temperature=smallest).tolist() == [[1.0, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("cut", "kept"),
    [
        ({"top_k": 2}, 2),
        ({"top_p": 0.5}, 1),
        ({"top_p": 0.6}, 2),
        ({"min_p": 0.2}, 3),
        ({"top_p": 0.0}, 1),
        ({"top_k": 9}, 4),
    ],
)
def test_each_cut_keeps_the_most_probable(cut: dict[str, float], kept: int) -> None:
    out = filter_probabilities(ROW, **cut)  # type: ignore[arg-type]
    assert int((out > 0).sum()) == kept
    assert torch.allclose(out[0, :kept], ROW[0, :kept] / ROW[0, :kept].sum())


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 3.0), st.integers(0, 12), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_always_a_distribution(seed: int, temperature: float, top_k: int, top_p: float, min_p: float) -> None:
    rows = torch.randn(3, 10, generator=torch.Generator().manual_seed(seed)).mul(3).softmax(-1)
    out = filter_probabilities(rows, temperature, top_k, top_p, min_p)
    assert torch.allclose(out.sum(-1), torch.ones(3), atol=1e-5)
    assert bool((out.gather(1, rows.argmax(-1, keepdim=True)) > 0).all())


def test_choices_follow_the_distribution_and_never_the_impossible() -> None:
    row = np.array([[0.25, 0.0, 0.75, 0.0]], dtype=np.float32)
    uniform = np.arange(1000, dtype=np.float32) / 1000
    choices = sample_tokens(np.repeat(row, 1000, 0), uniform)
    assert np.bincount(choices, minlength=4).tolist() == [250, 0, 750, 0]
    assert sample_tokens(row, np.array([1.0 - 2**-24], dtype=np.float32)).item() == 2
    assert sample_tokens(np.array([[0.0, 1.0]], dtype=np.float32), np.zeros(1, dtype=np.float32)).item() == 1


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.0, 0.999))
def test_one_row_is_chosen_like_many_and_needs_no_sum_of_one(seed: int, number: float) -> None:
    rows = np.random.default_rng(seed).random((2, 40), dtype=np.float32) ** 4 * 3
    rows[rows < 0.5] = 0.0
    rows[:, 7] = 0.1
    uniform = np.full(2, number, dtype=np.float32)
    together = sample_tokens(rows, uniform)
    assert together.tolist() == [sample_tokens(rows[i : i + 1], uniform[:1]).item() for i in range(2)]
    assert (rows[np.arange(2), together] > 0).all()


@pytest.mark.parametrize("temperature", [0.5, 1.5, 10.0])
def test_what_has_no_probability_has_none_at_any_temperature(temperature: float) -> None:
    row = torch.cat((ROW, torch.zeros(1, 50_000)), 1)
    out = filter_probabilities(row, temperature)
    assert not out[0, 4:].any() and torch.allclose(out[:, :4], filter_probabilities(ROW, temperature))
