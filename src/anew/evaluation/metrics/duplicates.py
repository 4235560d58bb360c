"""Near-duplicates among samples: far closer to another sample than real items usually are to the nearest other.

A quantile of real distances would be a threshold that chance decides, and of few items their smallest one: real items exceeded it
by up to 35% of 40. A share of the usual distance hardly varies, and samples that are only less spread stay below it.

Legend for shapes: n items, d features.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from anew.evaluation.measure import VARIETY
from anew.evaluation.metrics.distances import Array, Rows
from anew.evaluation.metrics.feature_sets import FeatureComparison, FeatureMetric
from anew.evaluation.metrics.neighbours import nearest_others, radii, tie
from anew.evaluation.score import Score, Tolerance, bounded_spec
from anew.functional.intervals import clopper_pearson

DUPLICATE_SHARE = bounded_spec(
    "duplicate_share",
    "Near-duplicates",
    "Share of samples that are nearly the same as another sample: at a third of the usual distance between neighbours, or less.",
    Tolerance(
        "variety",
        small=0.1,
        large=0.4,
        clause="{value:.0%} of samples are nearly the same as another (real data: {real:.0%})",
    ),
)
# Share of the median distance of held-out items from their nearest other, below which two samples are duplicates. 0.1% of digits are so
# close, and 5% of emoji, some of which differ by a skin tone only. Noise that is hardly seen moves an image by a twentieth of that distance
# (docs/log.md, 2026-11-30)
NEAR_SHARE = 1 / 3
MEDIAN_HALF_WIDTH = 0.98  # times the root of n: places among n sorted values between which their median lies (95%)


def compute(comparison: FeatureComparison) -> Iterator[Score]:
    sets = comparison.pair_sets
    distances = np.sort(nearest_others(sets.held_out))
    ranks = 0.5 * len(distances) + MEDIAN_HALF_WIDTH * np.sqrt(len(distances)) * np.array([-1.0, 0.0, 1.0])
    places = np.clip(np.floor(ranks), 0, len(distances) - 1).astype(np.intp)
    below, usual, above = (NEAR_SHARE * distances[places]).tolist()

    def are_duplicates(items: Rows, threshold: float) -> Array:
        # Where real items repeat, the threshold is 0 but for rounding
        return (radii(items, 1) <= threshold**2 + tie(sets.held_out, items)).astype(np.float64)

    def share(items: Rows, _: Rows) -> float:
        return float(are_duplicates(items, usual).mean())

    n = len(sets.samples)
    counts = [float(are_duplicates(sets.samples, threshold).sum()) for threshold in (below, usual, above)]
    method = "share at a third of the median distance of held-out items to their nearest other, or less"
    real, naive = comparison.baselines(sets, share)
    yield Score(
        DUPLICATE_SHARE,
        counts[1] / n,
        low=clopper_pearson(counts[0], n)[0],
        high=clopper_pearson(counts[2], n)[1],
        real_baseline=real,
        naive_baseline=naive,
        n=n,
        source=comparison.source(method),
    )


EXPORT = FeatureMetric("near-duplicates", compute, order=50, questions=VARIETY)
