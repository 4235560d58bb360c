"""Bands of samples of signals, as loud as those of clips."""

from __future__ import annotations

import itertools

import pytest
import torch

from anew.functional.band_levels import fit_band_levels, levels_of, match_band_levels

LENGTH = 200


def _signals(n: int, seed: int, noise_db: float, deviation_db: float, channels: int = 1) -> torch.Tensor:
    """(n, channels, LENGTH) loud slow tones, and white noise of this mean level and deviation of it."""
    rng = torch.Generator().manual_seed(seed)
    level = 10.0 ** ((noise_db + deviation_db * torch.randn(n, channels, 1, generator=rng)) / 20.0)
    slow = torch.sin(0.05 * torch.arange(LENGTH) + 6.0 * torch.rand(n, channels, 1, generator=rng))
    return slow + level * torch.randn(n, channels, LENGTH, generator=rng)


def test_noise_of_one_level_becomes_as_faint_and_as_varied_as_in_clips() -> None:
    samples, clips = _signals(96, 0, -25.0, 1.0, channels=2), _signals(256, 1, -40.0, 6.0, channels=2)
    band_levels = fit_band_levels(samples, clips)
    assert band_levels is not None and band_levels[0][-1] == LENGTH + 1
    matched = match_band_levels(samples, band_levels)
    level, clip_level = (levels_of(x)[..., -4:] for x in (matched, clips))
    assert (level.mean(0) - clip_level.mean(0)).abs().max() < 1.0
    assert (level.std(0) / clip_level.std(0) - 1.0).abs().max() < 0.3
    # What is loud stays
    assert (matched - samples).square().mean() < 0.02 * samples.square().mean()
    # A sample with more noise than others still has more
    before = levels_of(samples)[:, 0, -1]
    assert torch.corrcoef(torch.stack([before, level[:, 0, -1]]))[0, 1] > 0.95


def test_what_chance_explains_is_left() -> None:
    assert fit_band_levels(_signals(96, 2, -30.0, 4.0), _signals(96, 2, -30.0, 4.0)) is None
    band_levels = fit_band_levels(_signals(96, 2, -30.0, 4.0), _signals(256, 3, -30.0, 4.0))
    if band_levels is not None:
        _, _, shifts, factors = (torch.tensor(row) for row in band_levels)
        assert shifts.abs().max() < 1.0 and (factors - 1.0).abs().max() < 0.2


def test_halves_of_the_same_signals_are_left_as_they_are() -> None:
    """Some of many bands always are beyond two errors, so all of them are looked at together."""
    signals = _signals(200, 4, -30.0, 4.0)
    rng = torch.Generator().manual_seed(0)
    orders = [torch.randperm(200, generator=rng) for _ in range(8)]
    assert [fit_band_levels(signals[order[:100]], signals[order[100:]]) for order in orders] == [None] * 8


def test_the_mean_of_a_signal_stays() -> None:
    samples, clips = _signals(96, 5, -20.0, 1.0) + 3.0, _signals(256, 6, -40.0, 4.0) - 1.0
    band_levels = fit_band_levels(samples, clips)
    assert band_levels is not None
    matched = match_band_levels(samples, band_levels)
    torch.testing.assert_close(matched.mean(2), samples.mean(2), atol=1e-4, rtol=0.0)
    assert (matched - samples).abs().max() > 0.05


@pytest.mark.parametrize("length", [3, 4, 8, 13, 200, 256, 8192])
def test_bands_are_at_least_so_wide_that_gains_stay_smooth(length: int) -> None:
    noise = torch.randn(40, 1, length, generator=torch.Generator().manual_seed(0))
    band_levels = fit_band_levels(noise[:20], noise[20:].cumsum(2) + 5.0)
    assert band_levels is not None
    widths = [high - low for low, high in itertools.pairwise(band_levels[0])]
    assert widths[0] == 1 and sum(widths) == length + 1 and len(widths) <= 33
    assert min(widths[1:]) >= min(4, length)


def test_silence_and_a_few_values_stay_finite() -> None:
    for length in (8, LENGTH):
        silent, steady = torch.zeros(9, 1, length), torch.ones(9, 1, length)
        rising = steady.cumsum(2)
        assert (
            fit_band_levels(silent, rising)
            is fit_band_levels(rising, silent)
            is fit_band_levels(rising, steady[:7])
            is None
        )
        for samples, clips in ((torch.cat([silent, rising]), steady), (steady, rising)):
            band_levels = fit_band_levels(samples, clips)
            assert band_levels is not None
            assert match_band_levels(torch.cat([samples, clips, silent]), band_levels).isfinite().all()
