"""Samples are silent in as many places as real clips, bands are paired where tones need it, and grids of many clips are made a few
at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from anew.core.reading_time import ReadingTime
from anew.data.formats.sound import audio_grid
from anew.data.formats.sound.audio_clips import Shape
from anew.data.formats.sound.audio_grid import SoundScale
from anew.functional.spectrogram import Frames

SCALE = SoundScale(Shape(rate=8000, hop=64, window=256, bands=32, frames=32))


def grids(seed: int, silent: float) -> torch.Tensor:
    """(20, 1, 32, 32) levels, of which a share is silent."""
    rng = torch.Generator().manual_seed(seed)
    loud = torch.rand((20, 1, 32, 32), generator=rng) * 1.7 - 0.7
    return torch.where(torch.rand(loud.shape, generator=rng) < silent, -torch.ones_like(loud), loud)


def test_faint_noise_becomes_silence() -> None:
    real, samples = grids(0, 0.5), grids(1, 0.5)
    noisy = samples + 0.02 * torch.rand(samples.shape, generator=torch.Generator().manual_seed(2))
    scale = SCALE.as_silent_as(noisy, real)
    assert -0.981 < scale.floor <= -0.92
    silent = scale.levels(noisy) == -1.0
    assert float((silent == (samples[:, 0] == -1.0)).float().mean()) > 0.97
    assert float(scale.levels(noisy)[~silent].min()) > -0.8  # nothing that is heard is lost


@pytest.mark.parametrize("silent", [0.0, 1.0])
def test_only_what_is_next_to_silence_can_become_silent(silent: float) -> None:
    floor = SCALE.as_silent_as(grids(1, 0.0), grids(0, silent)).floor
    assert floor == (-0.92 if silent else -1.0)


def test_samples_of_steady_tones_become_steady() -> None:
    real = torch.full((20, 1, 32, 32), -1.0)
    real[:, :, ::4] = 0.6
    samples = (real + 0.1 * torch.randn(real.shape, generator=torch.Generator().manual_seed(0))).clamp(-1.0, 1.0)
    scale = SCALE.as_steady_as(samples, real).as_silent_as(samples, real)
    assert float((scale.levels(samples) - real[:, 0]).square().mean()) < 0.002
    assert SCALE.as_steady_as(real, samples) == SCALE
    numbers = scale.numbers()
    assert numbers["steadiness"] == scale.steadiness


@pytest.mark.parametrize("channels", [1, 2])
def test_grids_of_many_clips_take_the_memory_of_a_few(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = replace(SCALE.shape, channels=channels, bands=64)  # as many as the window resolves, so that none are paired
    rng = np.random.default_rng(0)
    loudness = rng.uniform(0.1, 1.0, (12, 1))
    rows = (rng.normal(0.0, 3000.0 * loudness, (12, shape.length))).astype(np.int16)
    rows = rows if channels == 1 else np.stack([rows, rows[::-1]], 2)
    whole, grids = SoundScale.of(shape, rows, False, 0.95)
    assert torch.equal(grids, whole.grid(rows)) and grids.shape == (12, 1 if channels == 1 else 3, 64, 32)
    sizes: list[int] = []
    stft = Frames.stft
    monkeypatch.setattr(Frames, "stft", lambda self, x: sizes.append(len(x)) or stft(self, x))
    monkeypatch.setattr(audio_grid, "VALUES_AT_ONCE", 5 * shape.frames * shape.window)
    assert torch.allclose(whole.grid(rows), grids, atol=1e-5) and max(sizes) == 5
    sizes.clear()
    SoundScale.of(shape, rows, False, 0.95)
    assert sizes[: 3 * channels] == [5] * 2 * channels + [2] * channels


def _harmonics(shape: Shape, pitches: NDArray[np.float64]) -> NDArray[np.int16]:
    """Steady tones of twelve harmonics each, as stored clips (n, N)."""
    time = np.arange(shape.length) / shape.rate
    waves = [sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 13)) for hertz in pitches]
    return np.stack([wave / np.abs(wave).max() * 30_000 for wave in waves]).astype(np.int16)


def test_bands_are_paired_where_tones_would_be_lost() -> None:
    shape, rng = Shape(rate=8000, hop=128, window=512, bands=32, frames=32), np.random.default_rng(0)
    tones = _harmonics(shape, rng.uniform(150.0, 300.0, 12))
    noise = rng.normal(0.0, 6000.0, tones.shape).clip(-32_000, 32_000).astype(np.int16)
    scale, grids = SoundScale.of(shape, tones, False, 0.95)
    assert (scale.shape.bands, scale.shape.bands_per_row) == (64, 2)
    assert grids.shape[1:] == scale.shape.grid_shape == (2, 32, 32)
    assert sum(scale.round_trip_losses(tones)) < 0.75 * sum(SoundScale(shape, scale.top).round_trip_losses(tones))
    assert SoundScale.of(shape, noise, False, 0.95)[0].shape == shape
    over = ReadingTime(1e-9)
    assert SoundScale.of(shape, tones, False, 0.95, over)[0].shape == scale.shape  # four clips tell it, too
    crowded = replace(shape, bands=128)  # twice as many would be finer than the frequencies of the window
    assert SoundScale.of(crowded, tones, False, 0.95)[0].shape == crowded


def test_pairs_of_stereo_keep_their_place() -> None:
    shape = Shape(rate=8000, hop=128, window=512, bands=32, frames=32, channels=2)
    left = _harmonics(shape, np.linspace(150.0, 300.0, 8))
    rows = np.stack([left, left // 4], 2)
    scale, grids = SoundScale.of(shape, rows, False, 0.95)
    assert scale.shape.bands_per_row == 2 and grids.shape[1:] == (4, 32, 32)
    for wave in scale.waves(grids, 2):
        power = np.square(wave).mean(0)
        assert 10 * np.log10(power[0] / power[1]) == pytest.approx(12.0, abs=1.5)
    assert scale.deviation(grids) > float(grids[:, 1].std())


def test_clips_do_not_share_their_noise() -> None:
    scale = replace(SCALE, noise_from=500.0)
    levels = torch.stack([torch.full((1, 32, 32), level) for level in (0.5, 0.4, 0.5)])
    first, second, again = scale.waves(levels, rounds=0)
    assert abs(float(np.corrcoef(first, second)[0, 1])) < 0.2
    assert np.array_equal(first, again)  # a clip does not depend on those beside it
    assert np.allclose(first, scale.waves(levels[:1], rounds=0)[0], atol=1e-5)
