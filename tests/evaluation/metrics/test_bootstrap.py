"""Intervals that cover as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from anew.evaluation.metrics import bootstrap
from anew.evaluation.metrics.bootstrap import interval, log_interval, mean_interval, ratio_interval, resample
from anew.evaluation.metrics.frechet import frechet_distance
from feature_rows import two_sets


def test_interval_of_a_mean_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(200):
        low, high = mean_interval(rng.normal(size=60), seed=trial)
        assert low is not None and high is not None
        hits += low <= 0.0 <= high
    assert 0.9 <= hits / 200 <= 0.98  # 94% for 60 numbers, and less than three standard errors to each side


def test_interval_is_centred_and_absent_with_few_resamples() -> None:
    low, high = interval(3.0, [10.0 + 0.01 * i for i in range(101)])
    assert low == pytest.approx(3.0 - 0.475) and high == pytest.approx(3.0 + 0.475)
    assert interval(3.0, [1.0] * 19) == (None, None)
    assert ratio_interval(np.ones(1), np.ones(1), 0) == (None, None)


def test_the_interval_of_a_ratio_is_above_zero_and_a_factor_wide() -> None:
    low, high = log_interval(0.8, [10.0**exponent for exponent in np.linspace(-1.0, 1.0, 101)])
    assert low == pytest.approx(0.8 * 10.0**-0.95) and high == pytest.approx(0.8 * 10.0**0.95)
    assert log_interval(3.0, [1.0] * 19) == (None, None)


def test_resample_is_fixed_by_its_seed_and_stops_when_out_of_time() -> None:
    a, b = two_sets(n=30)
    first, second = (resample(frechet_distance, (a, b), seed=4, repeats=5) for _ in range(2))
    assert first == second and len(first) == 5
    assert resample(frechet_distance, (a, b), seed=4, out_of_time=lambda: True) == []


def test_resamples_of_a_ratio_that_are_not_held_at_once_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """All weights of 100,000 samples took 600 MB."""
    rng = np.random.default_rng(3)
    numerator, denominator = rng.normal(size=70), 1.0 + rng.random(70)
    expected = ratio_interval(numerator, denominator, 5)
    monkeypatch.setattr(bootstrap, "WEIGHTS_AT_ONCE", 7 * 70)
    assert ratio_interval(numerator, denominator, 5) == pytest.approx(expected)
