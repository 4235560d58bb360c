"""Pairs of bands: there and back, and which of their channels say what."""

from __future__ import annotations

import pytest
import torch

from anew.functional.band_pairs import DETAIL, pair_bands, unpair_bands


@pytest.mark.parametrize("maps", [1, 3])
def test_pairs_come_apart_again(maps: int) -> None:
    x = torch.rand(2, maps, 8, 5, generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0
    grids = pair_bands(x)
    assert grids.shape == (2, maps + 1, 4, 5) and float(grids.abs().max()) <= 1.0
    again = unpair_bands(grids)
    assert torch.allclose(again[:, 0], x[:, 0], atol=1e-6)
    means = (x[:, 1:, 0::2] + x[:, 1:, 1::2]) / 2.0
    assert torch.allclose(again[:, 1:, 0::2], means) and torch.equal(again[:, 1:, 0::2], again[:, 1:, 1::2])


def test_silence_is_exact_and_differences_are_small() -> None:
    silent = pair_bands(torch.full((1, 1, 4, 3), -1.0))
    assert torch.equal(silent[:, 0], torch.full((1, 2, 3), -1.0)) and not silent[:, 1].any()
    assert torch.equal(unpair_bands(silent), torch.full((1, 1, 4, 3), -1.0))
    x = torch.zeros(1, 1, 4, 3)
    x[:, :, 2] = 1.0  # the lower band of the second pair
    grid = pair_bands(x)
    assert grid[0, :, 1, 0].tolist() == [0.5, DETAIL / 2.0]
    grid[:, 0], grid[:, 1] = -0.98, 0.4  # a sample that is nearly silent
    assert torch.allclose(unpair_bands(grid).amax((2, 3)), torch.tensor(-0.96), atol=1e-6)
