"""Upper bound of the share of samples that can be copies: those as near to a real item as copies of it are.

The tests tell copies from chance. In a family of variants chance brings many samples near to real items, so that a few copies among
hundreds prove nothing. But a copy is near to its original whatever the tests say. Where few samples are that near to any real item, copies
are at most as many, and no test has to find them. Planted copies that were lightly changed say how near that is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anew.evaluation.memorization.copying_test import LabelPermutations, NearestReal
from anew.evaluation.memorization.match_test import binomial_tail
from anew.evaluation.memorization.thresholds import DETECTION_POWER, LABEL_ALPHA, PLANTED_RATES
from anew.functional.intervals import clopper_pearson

LEVEL = 0.05  # how often the share is above the bound: that of an interval of 95%


def near_share(
    nearests: Sequence[NearestReal],
    labels: LabelPermutations,
    num_samples: int,
    num_planted: int,
    group_share: float,
    visible_share: float,
) -> float | None:
    """The upper end of the interval of the share of samples that are as near to a real item as lightly changed copies are.

    Args:
        nearests: Nearest items of samples, then exact, then changed copies, by each distance.
        labels: Labels of the real items.
        num_samples: Number of samples, each of which is independent of the others.
        num_planted: Number of copies of each kind.
        group_share: Share of the real items (in groups) that are training items.
        visible_share: Share of the training items that were compared.

    Returns:
        The bound, by the distance with the lowest one; None if it is above the highest planted rate, or if samples near to real items
        are near to training items more often than chance has it, so that copies may be among them.
    """
    if not num_planted or not num_samples:
        return None
    level = LEVEL / len(nearests)
    shares = [
        _share(nearest, labels, num_samples, num_planted, group_share, level) / visible_share for nearest in nearests
    ]
    lowest = min(shares)
    return lowest if lowest <= PLANTED_RATES[-1] else None


def _share(
    nearest: NearestReal,
    labels: LabelPermutations,
    num_samples: int,
    num_planted: int,
    group_share: float,
    level: float,
) -> float:
    """The upper end by one distance; 1 if copies may be among these samples."""
    copies = nearest.distance[num_samples + num_planted :]
    farthest = np.quantile(copies, DETECTION_POWER, method="higher")
    near = np.flatnonzero(nearest.distance[:num_samples] <= farthest)
    column = labels.columns(nearest.item[near])
    is_train = labels.rows.first(column)
    num_train, num_held_out = (len(np.unique(column[members])) for members in (is_train, ~is_train))
    if num_train and binomial_tail(num_train, num_train + num_held_out, group_share) <= LABEL_ALPHA:
        return 1.0
    return clopper_pearson(len(near), num_samples, level)[1] / DETECTION_POWER
