"""Samples fluctuate no more than real clips at any level, and what is as steady as they are stays as it is."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from anew.functional.steadiness import _fluctuation, _running_median, fit_factors, steady


def levels(seed: int, faint: float, loud: float) -> torch.Tensor:
    """(20, 8, 64) levels: a faint half and a loud half of the bands, each with fluctuations of its own."""
    normal = torch.randn((20, 8, 64), generator=torch.Generator().manual_seed(seed))
    base = torch.tensor([-0.75] * 4 + [0.7] * 4)[:, None]
    return base + torch.tensor([faint] * 4 + [loud] * 4)[:, None] * normal


def test_tones_become_steady_and_noise_stays() -> None:
    real, samples = levels(0, 0.05, 0.01), levels(1, 0.05, 0.05)
    factors = fit_factors(samples, real)
    steadied = steady(samples, factors)
    assert (_fluctuation(steadied, 3) / _fluctuation(real, 3))[[1, 4]].tolist() == pytest.approx([1.0, 1.0], rel=0.15)
    assert torch.allclose(steadied[:, :4], samples[:, :4], atol=0.02)
    assert steadied[:, 4:].std() < 0.5 * samples[:, 4:].std()


def test_specks_in_silence_vanish_and_attacks_stay() -> None:
    real = -torch.ones(20, 8, 64)
    real[:, :, 20:] = 0.5  # a sound that begins at once
    samples = real.clone()
    samples[:, :, 5] = -0.5
    samples[:, :, 30::8] = 0.6  # and flutters
    steadied = steady(samples, fit_factors(samples, real))
    assert torch.allclose(steadied, real, atol=0.02)


def test_samples_as_steady_as_clips_stay_as_they_are() -> None:
    samples = levels(0, 0.02, 0.02)
    assert fit_factors(samples, levels(1, 0.02, 0.02)) == fit_factors(samples, levels(1, 0.01, 0.04)) == ()
    assert steady(samples, ()) is samples


@pytest.mark.parametrize("window", [3, 5, 9])
def test_running_medians_are_medians(window: int) -> None:
    x = levels(0, 0.3, 0.3)[:2]
    padded = functional.pad(x, (window // 2, window // 2), mode="replicate")
    assert torch.equal(_running_median(x, window), padded.unfold(2, window, 1).median(3).values)
