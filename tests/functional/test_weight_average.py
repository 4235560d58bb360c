from __future__ import annotations

import torch

from anew.functional.weight_average import power_decay, power_exponent


def test_power_average_has_the_width_asked_for() -> None:
    exponent = power_exponent(0.1)
    weights = torch.zeros(2000, dtype=torch.float64)
    for step in range(1, 2001):
        keep = power_decay(step, exponent)
        weights *= keep
        weights[step - 1] = 1 - keep
    times = torch.arange(1, 2001, dtype=torch.float64) / 2000
    mean = (weights * times).sum()
    width = ((weights * (times - mean) ** 2).sum()).sqrt()
    assert abs(float(width) - 0.1) < 0.002
