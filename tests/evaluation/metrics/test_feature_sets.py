"""One score of a distance between two sets, with its interval and baselines."""

from __future__ import annotations

import numpy as np
import pytest

from anew.core.arrays import Numbers
from anew.evaluation.metrics.feature_sets import FeatureSets, bootstrap_score
from anew.evaluation.score import MetricSpec

SPEC = MetricSpec("gap", "Gap", "How far the means are apart.")


def gap(a: Numbers, b: Numbers) -> float:
    return abs(float(a.mean()) - float(b.mean()))


def rows(mean: float, n: int = 400) -> Numbers:
    return np.random.default_rng(round(100 * mean)).normal(mean, 0.1, n)


def test_real_and_naive_items_stand_in_for_the_samples() -> None:
    score = bootstrap_score(SPEC, gap, FeatureSets(rows(1.0), rows(0.8), rows(0.82), rows(3.0)), seed=0, source="means")
    assert score.value == pytest.approx(0.2, abs=0.03) and score.n == 400
    assert score.real_baseline == pytest.approx(0.02, abs=0.03)
    assert score.naive_baseline == pytest.approx(2.2, abs=0.03)
    assert score.low is not None and score.high is not None and score.low < score.value < score.high


def test_an_interval_ends_where_the_distance_does_and_a_naive_generator_may_be_missing() -> None:
    near = FeatureSets(rows(1.0), rows(1.01), rows(1.02))
    score = bootstrap_score(SPEC, gap, near, seed=0, source="means", minimum=0.0)
    assert score.low == 0.0 and score.naive_baseline is None
