from __future__ import annotations

import pytest
import torch

from anew.functional.noise import karras_sigmas, lognormal_sigmas


def test_levels_follow_the_truncated_distribution() -> None:
    uniform = (torch.arange(100_000) + 0.5) / 100_000
    level = lognormal_sigmas(uniform, log_mean=-0.5, log_std=1.0, sigma_min=0.01, sigma_max=80.0)
    assert float(level.log().mean()) == pytest.approx(-0.5, abs=0.01)
    assert float(level.log().std()) == pytest.approx(1.0, abs=0.01)
    cut = lognormal_sigmas(uniform, log_mean=-0.5, log_std=1.0, sigma_min=0.5, sigma_max=1.0)
    assert float(cut.min()) >= 0.5 and float(cut.max()) <= 1.0
    assert float((cut < 0.7).float().mean()) == pytest.approx(0.47, abs=0.05)


def test_grid_of_levels_falls_to_zero() -> None:
    levels = karras_sigmas(6, 0.02, 3.0, 5.0)
    assert levels.shape == (7,)
    assert float(levels[0]) == pytest.approx(3.0)
    assert float(levels[-2]) == pytest.approx(0.02)
    assert float(levels[-1]) == 0
    assert bool((levels.diff() < 0).all())
    assert karras_sigmas(1, 0.02, 3.0, 5.0).tolist() == pytest.approx([3.0, 0.0])
