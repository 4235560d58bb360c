"""The Vendi score on cases with a known answer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anew.evaluation.metrics.diversity import diversity_ratio, vendi_score
from feature_rows import two_sets


def test_vendi_score_of_known_cases() -> None:
    assert vendi_score(np.eye(7)) == pytest.approx(7.0)
    assert vendi_score(np.ones((7, 3))) == pytest.approx(1.0)
    assert vendi_score(np.repeat(np.eye(3), 5, axis=0)) == pytest.approx(3.0)


def test_vendi_score_equals_the_entropy_of_the_whole_kernel() -> None:
    a, _ = two_sets(n=40, d=6)
    unit = a / np.linalg.norm(a, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(unit @ unit.T / 40)
    values = values[values > 1e-12]
    assert vendi_score(a) == pytest.approx(math.exp(-(values * np.log(values)).sum()), rel=1e-8)
    assert vendi_score(a.T) == pytest.approx(vendi_score(a.T.copy()), rel=1e-12)


def test_a_difference_that_all_items_share_is_no_lack_of_variety() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 300, 20))
    assert diversity_ratio(a, b) == pytest.approx(1.0, abs=0.05)
    assert diversity_ratio(a + 10.0, b) == pytest.approx(diversity_ratio(a, b), rel=1e-9)


@pytest.mark.parametrize(("spread", "most"), [(0.5, 0.85), (0.2, 0.5), (0.02, 0.1)])
def test_items_that_are_nearly_alike_are_not_varied(spread: float, most: float) -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 300, 20))
    assert diversity_ratio(spread * a + 10.0, b) < most


def test_a_set_of_few_kinds_is_less_varied() -> None:
    rng = np.random.default_rng(0)
    centres = 3.0 * rng.normal(size=(8, 20))
    b = centres[rng.integers(0, 8, 400)] + rng.normal(size=(400, 20))
    a = centres[rng.integers(0, 2, 400)] + rng.normal(size=(400, 20))
    assert diversity_ratio(a, b) < 0.8
