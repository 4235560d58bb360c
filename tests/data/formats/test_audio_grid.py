"""Samples are silent in as many places as real clips, and grids of many clips are made a few at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from anew.data.formats import audio_grid
from anew.data.formats.audio_clips import Shape
from anew.data.formats.audio_grid import SoundScale
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


@pytest.mark.parametrize("channels", [1, 2])
def test_grids_of_many_clips_take_the_memory_of_a_few(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = replace(SCALE.shape, channels=channels)
    rng = np.random.default_rng(0)
    loudness = rng.uniform(0.1, 1.0, (12, 1))
    rows = (rng.normal(0.0, 3000.0 * loudness, (12, shape.length))).astype(np.int16)
    rows = rows if channels == 1 else np.stack([rows, rows[::-1]], 2)
    whole, grids = SoundScale.of(shape, rows, False, 0.95)
    assert torch.equal(grids, whole.grid(rows)) and grids.shape == (12, 1 if channels == 1 else 3, 32, 32)
    sizes: list[int] = []
    stft = Frames.stft
    monkeypatch.setattr(Frames, "stft", lambda self, x: sizes.append(len(x)) or stft(self, x))
    monkeypatch.setattr(audio_grid, "VALUES_AT_ONCE", 5 * shape.frames * shape.window)
    assert torch.allclose(whole.grid(rows), grids, atol=1e-5) and max(sizes) == 5
    sizes.clear()
    SoundScale.of(shape, rows, False, 0.95)
    assert sizes[: 3 * channels] == [5] * 2 * channels + [2] * channels
