"""Scores of shares."""

from __future__ import annotations

import numpy as np
import pytest

from anew.evaluation.metrics.distances import Rows
from anew.evaluation.metrics.shares import Marks, share_score, with_unsure_limits
from anew.evaluation.score import MetricSpec


def test_a_share_has_its_exact_interval_and_baseline() -> None:
    score = share_score(MetricSpec("odd", "Odd"), [True] * 3 + [False] * 7, np.arange(20) < 5, "some items")
    assert (score.value, score.real_baseline, score.n, score.source) == (0.3, 0.25, 10, "some items")
    assert score.low == pytest.approx(0.0667, abs=1e-3) and score.high == pytest.approx(0.6525, abs=1e-3)


def test_the_interval_of_a_share_allows_for_limits_that_few_items_give() -> None:
    """In a report 23% of the samples were usual, 15% to 33%; in another one of the same weights 54%."""
    rng = np.random.default_rng(0)
    samples, reference = rng.normal(-1.5, 1.0, 95), rng.normal(0.0, 1.0, 95)

    def are_usual(values: Rows, others: Rows) -> Marks:
        return np.asarray(values >= np.quantile(others, 0.05))

    fixed = share_score(MetricSpec("usual", "Usual"), are_usual(samples, reference), [True] * 95, "some items")
    score = with_unsure_limits(fixed, samples, reference, are_usual, seed=0)
    assert fixed.low is not None and fixed.high is not None and score.low is not None and score.high is not None
    assert score.value == fixed.value and score.low <= fixed.low and score.high >= fixed.high
    assert score.high - score.low > 1.3 * (fixed.high - fixed.low)
    # The true share is that of N(-1.5, 1) above the 5% quantile of N(0, 1)
    assert score.low < 0.5577 < score.high
