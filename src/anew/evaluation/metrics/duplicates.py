"""Near-duplicates among samples: as close to another sample as only the closest real items are to each other.

Legend for shapes: n items, d features.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from anew.evaluation.metrics.distances import Array, Rows
from anew.evaluation.metrics.feature_sets import FeatureComparison, FeatureMetric
from anew.evaluation.metrics.neighbours import nearest_others, radii, tie
from anew.evaluation.score import Score, share_spec
from anew.functional.intervals import clopper_pearson

DUPLICATE_SHARE = share_spec(
    "duplicate_share",
    "Near-duplicates",
    "Share of samples that are nearly the same as another sample.",
    "{value:.0%} of samples are nearly the same as another (real data: {real:.0%})",
    (0.1, 0.4),
    question="variety",
)
CLOSEST = 0.01  # quantile of held-out items' distances to their nearest other: the threshold of a duplicate; chosen


def compute(comparison: FeatureComparison) -> Iterator[Score]:
    sets = comparison.pair_sets
    threshold = float(np.quantile(nearest_others(sets.held_out), CLOSEST)) ** 2

    def are_duplicates(items: Rows) -> Array:
        # Where real items repeat, the threshold is 0 but for rounding
        return (radii(items, 1) <= threshold + tie(sets.held_out, items)).astype(np.float64)

    rows = are_duplicates(sets.samples)
    low, high = clopper_pearson(float(rows.sum()), len(rows))

    def share(items: Rows, _: Rows) -> float:
        return float(are_duplicates(items).mean())

    method = f"closer to another sample than {1 - CLOSEST:.0%} of held-out {sets.noun} are to each other"
    real, naive = comparison.baselines(sets, share)
    yield Score(
        DUPLICATE_SHARE,
        float(rows.mean()),
        low=low,
        high=high,
        real_baseline=real,
        naive_baseline=naive,
        n=len(rows),
        source=comparison.source(method),
    )


EXPORT = FeatureMetric("near-duplicates", compute, order=50)
