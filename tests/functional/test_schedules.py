from __future__ import annotations

import itertools

import torch

from anew.functional.schedules import decay_start, power_decay, power_exponent, warmup_stable_decay


def test_schedule_rises_stays_and_lands_on_zero() -> None:
    rate = [warmup_stable_decay(s, s / 100, warmup_steps=5, decay=0.4) for s in range(101)]
    assert rate[0] == 0.2
    assert all(r == 1.0 for r in rate[5:60])
    assert rate[100] == 0.0
    assert all(a >= b for a, b in itertools.pairwise(rate[60:]))


def test_the_decay_begins_within_the_run() -> None:
    assert [decay_start(decay) for decay in (-1.0, 0.0, 0.25, 1.0, 2.0)] == [1.0, 1.0, 0.75, 0.0, 0.0]


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
