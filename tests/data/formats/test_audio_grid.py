"""Samples are silent in as many places as real clips."""

from __future__ import annotations

import pytest
import torch

from anew.data.formats.audio_clips import Shape
from anew.data.formats.audio_grid import SoundScale

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
