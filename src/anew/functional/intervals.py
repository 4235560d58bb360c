"""Exact intervals of shares, from the beta distribution."""

from __future__ import annotations

import math

TINY = 1e-300  # keeps the continued fraction away from zero (Lentz's method)
PRECISION = 1e-14  # relative precision of quantiles: the cumulative function itself is no more precise
# Largest logarithm of 1 / density in a Newton step: beyond it the step leaves [0, 1] anyway, and exp would overflow
MAX_LOG = 600.0
TAIL = 0.025  # on each side of an interval of 95%
STEPS = 500  # terms of the continued fraction: a few dozen are enough, except for counts in the millions


def clopper_pearson(hits: float, n: float, alpha: float = 2.0 * TAIL) -> tuple[float, float]:
    """The exact interval of a share of items (Clopper and Pearson 1934), which 0 and 1 do not make a point.

    Args:
        hits: Number of items that have the property, from 0 to n; a fraction if items count in part, or for a smaller part of
            independent items.
        n: Number of items, above 0; a fraction for an effective number.
        alpha: How often it misses the share, half of it on each side; 0.05 for an interval of 95%.

    Returns:
        Its ends, in [0, 1].
    """
    low = beta_quantile(alpha / 2.0, hits, n - hits + 1.0) if hits > 0.0 else 0.0
    high = beta_quantile(1.0 - alpha / 2.0, hits + 1.0, n - hits) if hits < n else 1.0
    return low, high


def beta_quantile(p: float, a: float, b: float) -> float:
    """x in [0, 1] below which a Beta(a, b) variable lies with probability p. a, b: above 0."""
    low, high, x = 0.0, 1.0, a / (a + b)
    log_norm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    while True:
        excess = beta_cumulative(x, a, b) - p
        low, high = (x, high) if excess < 0.0 else (low, x)
        log_density = log_norm + (a - 1.0) * math.log(x) + (b - 1.0) * math.log1p(-x)
        newton = x - excess * math.exp(min(-log_density, MAX_LOG))
        x_next = newton if low < newton < high else (low + high) / 2.0
        if abs(x_next - x) <= PRECISION * x or x_next in (low, high):
            return x_next
        x = x_next


def beta_cumulative(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b)."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    if x > (a + 1.0) / (a + b + 2.0):  # the continued fraction converges quickly on the other side only
        return 1.0 - beta_cumulative(1.0 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / a / _continued_fraction(x, a, b)


def _continued_fraction(x: float, a: float, b: float) -> float:
    """1 + d1 x / (1 + d2 x / (1 + ...)) by Lentz's method; equation 8.17.22 of the NIST Digital Library of
    Mathematical Functions."""
    value, c, d = 1.0, 1.0, 0.0
    for step in range(1, STEPS):
        term = _coefficient(step, a, b)
        d = 1.0 / ((1.0 + term * x * d) or TINY)
        c = (1.0 + term * x / c) or TINY
        value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return value


def _coefficient(step: int, a: float, b: float) -> float:
    m = step // 2
    if step % 2:
        return -(a + m) * (a + b + m) / ((a + 2 * m) * (a + 2 * m + 1.0))
    return m * (b - m) / ((a + 2 * m - 1.0) * (a + 2 * m))
