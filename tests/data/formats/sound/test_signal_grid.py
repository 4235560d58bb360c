"""Slow signals: their values are the grid, and what they are read and drawn as."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anew.data.formats.sound.audio_clips import Shape
from anew.data.formats.sound.audio_grid import STORED_SCALE
from anew.data.formats.sound.signal_grid import SignalScale, scale_type, signal_pictures


def _rows(channels: int) -> np.ndarray:  # type: ignore[type-arg]
    """(3, 80) or (3, 80, 2) stored clips; the first one is silent from its middle on."""
    shape = (3, 80) if channels == 1 else (3, 80, 2)
    rows = np.random.default_rng(0).integers(-30_000, 30_000, shape).astype(np.int16)
    rows[0, 40:] = 0
    return rows


@pytest.mark.parametrize("channels", [1, 2])
def test_values_are_the_grid_and_come_back(channels: int) -> None:
    shape, rows = Shape(500, 8, 8, 1, 10, channels), _rows(channels)
    assert scale_type(shape) is SignalScale and shape.length == 80
    scale, grids = SignalScale.of(shape, rows, False, 0.95)
    assert grids.shape == (3, *shape.grid_shape) == (3, channels, 1, 80)
    waves = scale.waves(grids, 2)
    np.testing.assert_allclose(np.stack(waves), rows / STORED_SCALE, atol=1e-6)


def test_the_end_of_a_short_clip_is_known_from_its_levels() -> None:
    scale, grids = SignalScale.of(Shape(500, 8, 8, 1, 10), _rows(1), False, 0.95)
    assert scale.levels(grids).shape == (3, 1, 10)
    lagging = SignalScale(scale.shape, lag=0)
    assert lagging.ends(grids) == [40, 80, 80]


@pytest.mark.parametrize("channels", [1, 2])
def test_samples_get_the_levels_of_clips_in_each_band(channels: int) -> None:
    shape = Shape(500, 8, 8, 1, 10, channels)
    clips = np.random.default_rng(1).normal(0.0, 3000.0, (40, 80) if channels == 1 else (40, 80, 2)).cumsum(1)
    scale, real = SignalScale.of(shape, clips.clip(-30_000, 30_000).astype(np.int16), False, 0.95)
    noisy = real + 0.1 * torch.randn(real.shape, generator=torch.Generator().manual_seed(0))
    matching = scale.as_steady_as(noisy, real)
    assert matching.band_levels is not None and matching.of_clips() == scale

    def roughness(waves: list[np.ndarray]) -> float:  # type: ignore[type-arg]
        return float(np.square(np.diff(np.stack(waves), axis=1)).mean())

    rough, expected = roughness(scale.waves(noisy, 2)), roughness(scale.waves(real, 2))
    assert rough > 3.0 * expected and roughness(matching.waves(noisy, 2)) < 1.5 * expected


def test_opposite_channels_are_not_silent() -> None:
    scale = SignalScale(Shape(500, 8, 8, 1, 10, 2), lag=0)
    grids = torch.full((1, 2, 1, 80), 0.5)
    grids[:, 1] = -0.5
    assert scale.ends(grids) == [80]
    torch.testing.assert_close(scale.levels(grids), scale.levels(grids.abs()))


@pytest.mark.parametrize("channels", [1, 2])
def test_a_curve_is_drawn_whole(channels: int) -> None:
    """A jump is drawn from its lower to its upper value, and each column has ink."""
    x = torch.ones(1, channels, 1, 1000)
    x[..., 500:] = -1.0
    picture = signal_pictures(x)[0, 0]  # (H, W)
    assert picture.shape == (96, 256) and (picture.min(0).values == -1.0).all()
    column = int((picture == -1.0).sum(0).argmax())
    assert column == 128 and (picture[:, column] == -1.0).all()
