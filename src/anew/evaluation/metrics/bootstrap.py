"""Intervals by resampling with replacement (Efron's bootstrap).

Legend for shapes: n items, r resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from anew.core.arrays import Integers
from anew.core.machine.threads import available_threads, map_in_threads
from anew.evaluation.metrics.distances import Array, Rows

RESAMPLES = 100  # resamples for a distance between sets: each costs as much as the distance itself
RATIO_RESAMPLES = 400  # resamples for a ratio of sums, which is computed for many of them at once
WEIGHTS_AT_ONCE = 4_000_000  # weights of rows in resamples that are held at once: bounds memory, to 64 MB; chosen
MIN_RESAMPLES = 20  # with fewer, the ends of an interval would be noise

Interval = tuple[float | None, float | None]


def resample(
    statistic: Callable[..., float],
    sets: Sequence[Rows],
    *,
    seed: int,
    repeats: int = RESAMPLES,
    out_of_time: Callable[[], bool] = lambda: False,
) -> list[float]:
    """Values of `statistic(*sets)` with the rows of each set drawn with replacement; fewer once `out_of_time()`.

    Several are computed at a time, each on one thread: their products are small, and threads that shared them would wait for each other.
    """
    rng = np.random.default_rng(seed)

    def draws() -> Iterator[list[Integers]]:
        while not out_of_time():
            yield [rng.integers(0, len(x), len(x)) for x in sets]

    def value_of(rows: list[Integers]) -> float:
        return statistic(*(x[chosen] for x, chosen in zip(sets, rows, strict=True)))

    return list(map_in_threads(value_of, islice(draws(), repeats), available_threads()))


def interval(
    value: float, resampled: Sequence[float] | Array, *, level: float = 0.95, minimum: float = -np.inf
) -> Interval:
    """The ends of an interval about `value` from resampled values; (None, None) for fewer than MIN_RESAMPLES.

    The interval is centred on `value`: drawing with replacement repeats rows, which shifts a distance upwards as a smaller n
    would.

    Args:
        value: Value of the statistic.
        resampled: Its resampled values.
        level: Confidence level.
        minimum: Smallest possible value of the statistic, which limits the lower end.
    """
    if len(resampled) < MIN_RESAMPLES:
        return None, None
    spread = np.asarray(resampled, dtype=np.float64)
    spread = spread - spread.mean()
    tail = (1.0 - level) / 2.0
    low, high = (float(np.quantile(spread, q)) for q in (tail, 1.0 - tail))
    return max(value + low, minimum), value + high


def log_interval(value: float, resampled: Sequence[float] | Array) -> Interval:
    """The same as `interval` for a positive ratio: its ends are `value` times and divided by factors, so both are positive."""
    low, high = interval(float(np.log(value)), np.log(np.asarray(resampled, dtype=np.float64)))
    return None if low is None else float(np.exp(low)), None if high is None else float(np.exp(high))


def mean_interval(x: Rows, seed: int) -> Interval:
    """Bootstrap interval of the mean of x (n,)."""
    return ratio_interval(x, np.ones(len(x)), seed)


def ratio_interval(numerator: Rows, denominator: Rows, seed: int) -> Interval:
    """Bootstrap percentile interval of sum(numerator) / sum(denominator), both (n,), with rows drawn together."""
    n = len(numerator)
    if n < 2:
        return None, None
    rng, shares, parts = np.random.default_rng(seed), np.full(n, 1.0 / n), []
    at_once = max(WEIGHTS_AT_ONCE // n, 1)
    for first in range(0, RATIO_RESAMPLES, at_once):
        weights = rng.multinomial(n, shares, size=min(at_once, RATIO_RESAMPLES - first))  # (r, n)
        parts.append((weights @ numerator) / (weights @ denominator))
    ratios = np.concatenate(parts)
    return float(np.quantile(ratios, 0.025)), float(np.quantile(ratios, 0.975))
