"""Intervals of shares equal those of SciPy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom, binomtest

from anew.functional.intervals import beta_cumulative, beta_quantile, clopper_pearson


@given(st.floats(1e-3, 0.999), st.floats(0.05, 5e4), st.floats(0.05, 5e4))
def test_the_beta_distribution_equals_scipys(p: float, a: float, b: float) -> None:
    assert beta_cumulative(p, a, b) == pytest.approx(float(beta.cdf(p, a, b)), abs=1e-9)
    x = beta_quantile(p, a, b)
    assert x == pytest.approx(float(beta.ppf(p, a, b)), abs=1e-9)


@pytest.mark.parametrize(
    ("hits", "n"), [(0, 1), (1, 1), (0, 50), (3, 50), (50, 50), (1, 200_000), (999_999, 1_000_000)]
)
def test_the_interval_equals_scipys(hits: int, n: int) -> None:
    exact = binomtest(hits, n).proportion_ci(0.95, "exact")
    assert clopper_pearson(hits, n) == pytest.approx((exact.low, exact.high), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98, 1.0])
def test_the_interval_covers_small_and_large_shares(share: float) -> None:
    """Resampled items gave no more than 63% at 2% of 50 items, where most draws have none of them."""
    covered = {hits for hits in range(51) if clopper_pearson(hits, 50)[0] <= share <= clopper_pearson(hits, 50)[1]}
    assert sum(float(binom.pmf(hits, 50, share)) for hits in covered) >= 0.95


def test_the_ends_of_the_distribution() -> None:
    assert [beta_cumulative(x, 2.0, 3.0) for x in (-1.0, 0.0, 1.0, 2.0)] == [0.0, 0.0, 1.0, 1.0]
