"""Figures on features and counts: pure functions on float64 arrays, each checked against an independent computation.

Legend for shapes: n items, m items of another set, d features, k neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Better = Literal["lower", "higher"]
NEIGHBOURS = 5  # Naeem et al. 2020 (arXiv 2002.09797) choose 5 for density and coverage
RESAMPLES = 100


@dataclass(frozen=True, slots=True)
class Score:
    """One figure. low, high: ends of a 95% interval; floor: what real data scores against real data at the same n;
    ceiling: what a naive generator scores there.

    n: items or characters that were measured; source: what it was measured on and with, one clause; p: of the test that
    samples and real items are of one distribution, where there is one; said: what readers should know beside the number.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    floor: float | None = None
    better: Better = "lower"
    n: int = 0
    source: str = ""
    ceiling: float | None = None
    p: float | None = None
    said: str = ""

    def to_json(self) -> dict[str, Any]:
        """The object that report.json holds; a figure that is not finite becomes null, as JSON has no such number."""
        plain: dict[str, Any] = {"name": self.name}
        for name in ("value", "low", "high", "floor", "ceiling"):
            number = getattr(self, name)
            plain[name] = None if number is None or not np.isfinite(number) else float(number)
        plain |= {} if self.p is None else {"p": float(self.p)}
        plain |= {"said": self.said} if self.said else {}
        return plain | {"better": self.better, "n": int(self.n), "source": self.source}


def moments(x: NDArray[Any]) -> tuple[Array, Array]:
    """Mean (d,) and unbiased covariance (d, d) of rows (n, d)."""
    rows = np.asarray(x, dtype=np.float64)
    mean = rows.mean(axis=0)
    centred = rows - mean
    return mean, centred.T @ centred / max(len(rows) - 1, 1)


def gaussian_frechet(mean_a: Array, cov_a: Array, mean_b: Array, cov_b: Array) -> float:
    """Squared Fréchet distance between two Gaussians (Dowson and Landau 1982).

    tr (A B)^1/2 is taken as the sum of root eigenvalues of A^1/2 B A^1/2, which is symmetric: no complex root can appear.
    """
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T  # (d, d)
    inner = np.linalg.eigvalsh(root @ cov_b @ root)  # (d,)
    cross = np.sqrt(np.clip(inner, 0.0, None)).sum()
    return float(((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2.0 * cross)


def frechet_distance(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Fréchet distance of Gaussians fitted to features a (n, d) and b (m, d). Falls as n grows: compare at equal n only."""
    return gaussian_frechet(*moments(a), *moments(b))


def squared_distances(a: NDArray[Any], b: NDArray[Any]) -> Array:
    """Squared Euclidean distances (n, m). float64: in float32 a copy would not be at distance zero."""
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    square = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1)[None, :] - 2.0 * (x @ y.T)
    return np.asarray(np.clip(square, 0.0, None))


def median_bandwidth(x: NDArray[Any], most: int = 1000) -> float:
    """Median distance between different rows of x (the first `most`): the usual width of an RBF kernel."""
    rows = x[:most]
    apart = np.sqrt(squared_distances(rows, rows)[np.triu_indices(len(rows), 1)])
    middle = float(np.median(apart)) if len(apart) else 0.0
    return middle if middle > 0.0 else 1.0


def rbf_kernel(a: NDArray[Any], b: NDArray[Any], bandwidth: float) -> Array:
    """exp(-|a - b|^2 / (2 bandwidth^2)), (n, m)."""
    return np.asarray(np.exp(squared_distances(a, b) / (-2.0 * bandwidth**2)))


def polynomial_kernel(a: NDArray[Any], b: NDArray[Any]) -> Array:
    """(a.b / d + 1)^3, (n, m): the kernel of KID (arXiv 1801.01401)."""
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return np.asarray((x @ y.T / x.shape[1] + 1.0) ** 3)


@dataclass(frozen=True, slots=True)
class Grams:
    """Kernel matrices of two sets, kept so that an interval costs no further kernel: aa (n, n), bb (m, m), ab (n, m)."""

    aa: Array
    bb: Array
    ab: Array

    @classmethod
    def of(cls, a: NDArray[Any], b: NDArray[Any], kernel: Callable[[NDArray[Any], NDArray[Any]], Array]) -> Grams:
        return cls(kernel(a, a), kernel(b, b), kernel(a, b))

    def distance(self) -> float:
        """Unbiased squared maximum mean discrepancy (Gretton et al. 2012, eq. 3); may be slightly negative."""
        one = (np.ones((1, len(self.aa))), np.ones((1, len(self.bb))))
        return float(self.weighted(*one)[0])

    def weighted(self, a: Array, b: Array) -> Array:
        """The distance under item weights a (r, n) and b (r, m), one row a resample. An item is never paired with itself,
        so a row drawn twice adds no bias."""
        total = np.zeros(len(a))
        for weight, gram in ((a, self.aa), (b, self.bb)):
            own = (weight * weight) @ np.diagonal(gram)
            pairs = weight.sum(axis=1) ** 2 - (weight * weight).sum(axis=1)
            total += (((weight @ gram) * weight).sum(axis=1) - own) / pairs
        cross = ((a @ self.ab) * b).sum(axis=1) / (a.sum(axis=1) * b.sum(axis=1))
        return np.asarray(total - 2.0 * cross)

    def permuted(self, source: np.random.Generator, repeats: int = 200) -> float:
        """p of the distance: how often one as large comes about where all items are dealt to two sets by chance."""
        n, m = len(self.aa), len(self.bb)
        whole = np.block([[self.aa, self.ab], [self.ab.T, self.bb]])
        np.fill_diagonal(whole, 0.0)
        one = np.zeros((repeats + 1, n + m))
        one[0, :n] = 1.0
        for row in one[1:]:
            row[source.permutation(n + m)[:n]] = 1.0
        ours = one @ whole  # (r, n + m) sums over the first set
        sums, both = whole.sum(axis=0)[None], (ours * one).sum(axis=1)
        cross = (ours * (1.0 - one)).sum(axis=1)
        others = ((sums - ours) * (1.0 - one)).sum(axis=1)
        found = both / (n * (n - 1)) + others / (m * (m - 1)) - 2.0 * cross / (n * m)
        return float((found[1:] >= found[0] - 1e-12).sum() + 1) / (repeats + 1)


def kernel_distance(a: NDArray[Any], b: NDArray[Any], *, bandwidth: float | None = None) -> float:
    """Unbiased MMD^2 of a (n, d) and b (m, d): RBF of that bandwidth, or the polynomial kernel of KID without one."""
    if bandwidth is None:
        return Grams.of(a, b, polynomial_kernel).distance()
    return Grams.of(a, b, lambda x, y: rbf_kernel(x, y, bandwidth)).distance()


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Precision, recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020), clipped density (Salvy et
    al. 2025, arXiv 2507.01761, before it is divided by what real items get), one value an item: the figure is the mean,
    and the spread over items gives its interval. precision, density, clipped: (m,) over samples; recall, coverage: (n,)
    over real items.
    """

    precision: Array
    recall: Array
    density: Array
    coverage: Array
    clipped: Array


def radii(x: NDArray[Any], k: int = NEIGHBOURS) -> Array:
    """Squared distance of each row to its k-th nearest other row, (n,)."""
    square = squared_distances(x, x)
    np.fill_diagonal(square, np.inf)
    k = min(k, len(x) - 1)
    return np.asarray(np.partition(square, k - 1, axis=1)[:, k - 1])


def neighbourhood(real: NDArray[Any], fake: NDArray[Any], k: int = NEIGHBOURS) -> Neighbourhood:
    """Manifold figures of fake (m, d) against real (n, d); needs at least two rows in each."""
    real_radius, fake_radius = radii(real, k), radii(fake, k)
    square = squared_distances(real, fake)  # (n, m)
    inside = square < real_radius[:, None]
    # An outlier's ball is no larger than the median one, and a sample amid many real items counts no more than one.
    near = square < np.minimum(real_radius, np.median(real_radius))[:, None]
    k = min(k, len(real) - 1)
    return Neighbourhood(
        precision=np.asarray(inside.any(axis=0), dtype=np.float64),
        recall=np.asarray((square < fake_radius[None, :]).any(axis=1), dtype=np.float64),
        density=inside.sum(axis=0) / k,
        coverage=(square.min(axis=1) < real_radius).astype(np.float64),
        clipped=np.minimum(near.sum(axis=0) / k, 1.0),
    )


def nearest_others(x: NDArray[Any]) -> Array:
    """Distance of each row of x (n, d) to its nearest other row, (n,)."""
    return np.asarray(np.sqrt(radii(x, 1)))


def vendi_score(x: NDArray[Any]) -> float:
    """Effective number of different rows of x (n, d), from 1 to min(n, d): exp of the entropy of the eigenvalues of the
    cosine kernel / n (arXiv 2210.02410). Grows with n: compare at equal n only."""
    rows = np.asarray(x, dtype=np.float64)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    small = rows.T @ rows if rows.shape[0] > rows.shape[1] else rows @ rows.T  # same nonzero eigenvalues
    values = np.linalg.eigvalsh(small / len(rows))
    values = values[values > 1e-12]
    values = values / values.sum()
    return float(np.exp(-(values * np.log(values)).sum()))


def jensen_shannon(p: NDArray[Any], q: NDArray[Any]) -> float:
    """Jensen-Shannon divergence in bits (0 to 1) of two count vectors over the same symbols."""
    a, b = p / p.sum(), q / q.sum()
    middle = (a + b) / 2.0

    def against(x: NDArray[Any]) -> float:
        held = x > 0
        return float((x[held] * np.log2(x[held] / middle[held])).sum())

    return max((against(a) + against(b)) / 2.0, 0.0)


def resample(
    statistic: Callable[..., float],
    sets: Sequence[NDArray[Any]],
    *,
    seed: int,
    repeats: int = RESAMPLES,
    late: Callable[[], bool] = lambda: False,
) -> list[float]:
    """`statistic(*sets)` of sets whose rows are drawn with replacement; fewer repeats once `late()` says so."""
    source = np.random.default_rng(seed)
    found: list[float] = []
    while len(found) < repeats and not late():
        found.append(statistic(*(x[source.integers(0, len(x), len(x))] for x in sets)))
    return found


def interval(
    value: float, resampled: Sequence[float] | Array, level: float = 0.95
) -> tuple[float | None, float | None]:
    """Ends of an interval about `value` from resampled figures, None with under 20 of them.

    Centred on `value`: drawing with replacement repeats rows, which shifts a distance upwards as a smaller n would.
    """
    if len(resampled) < 20:
        return None, None
    spread = np.asarray(resampled, dtype=np.float64)
    spread = spread - spread.mean()
    tail = (1.0 - level) / 2.0
    return value + float(np.quantile(spread, tail)), value + float(np.quantile(spread, 1.0 - tail))


def mean_interval(x: NDArray[Any], seed: int, repeats: int = 400) -> tuple[float | None, float | None]:
    """Bootstrap interval of the mean of x (n,)."""
    return ratio_interval(x, np.ones(len(x)), seed, repeats)


def ratio_interval(
    top: NDArray[Any], bottom: NDArray[Any], seed: int, repeats: int = 400
) -> tuple[float | None, float | None]:
    """Bootstrap interval of sum(top) / sum(bottom), both (n,), rows drawn together. Percentiles: nothing is shifted."""
    n = len(top)
    if n < 2:
        return None, None
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=repeats)  # (repeats, n)
    found = (weights @ top) / (weights @ bottom)
    return float(np.quantile(found, 0.025)), float(np.quantile(found, 0.975))
