"""Scores of shares."""

from __future__ import annotations

import numpy as np
import pytest

from anew.evaluation.metrics.shares import share_score
from anew.evaluation.score import MetricSpec


def test_a_share_has_its_exact_interval_and_baseline() -> None:
    score = share_score(MetricSpec("odd", "Odd"), [True] * 3 + [False] * 7, np.arange(20) < 5, "some items")
    assert (score.value, score.real_baseline, score.n, score.source) == (0.3, 0.25, 10, "some items")
    assert score.low == pytest.approx(0.0667, abs=1e-3) and score.high == pytest.approx(0.6525, abs=1e-3)
