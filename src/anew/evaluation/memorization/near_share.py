"""Upper bound of the share of samples that can be copies: those as near to a real item as copies of it are.

The tests tell copies from chance. In a family of variants chance brings many samples near to real items, so that a few copies among
hundreds prove nothing. But a copy is near to its original whatever the tests say. Where few samples are that near to any real item, copies
are at most as many, and no test has to find them. Planted copies that were lightly changed say how near that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anew.evaluation.memorization.copying_test import Indices, LabelPermutations, NearestReal
from anew.evaluation.memorization.match_test import binomial_tail
from anew.evaluation.memorization.thresholds import DETECTION_POWER, LABEL_ALPHA
from anew.functional.intervals import clopper_pearson

# Of 400 crops of photographs, 3% to 5% were training items in other colours, and the bound was 8.9% (docs/log.md, 2026-12-03)
MAX_SHARE = 0.05
LEVEL = 0.05  # how often the share is above the bound: that of an interval of 95%


@dataclass(frozen=True, slots=True)
class NearShares:
    """Shares of items that are as near to a real item as lightly changed copies are.

    Attributes:
        samples: That of the samples.
        real: That of real items, each without itself.
        bound: The upper end of the 95% interval of the share of samples that can be copies, at most MAX_SHARE; None if it is higher, or if
            these samples are near to training items more often than chance has it, so that copies may be among them.
    """

    samples: float
    real: float
    bound: float | None


def near_shares(
    nearests: Sequence[NearestReal],
    real: Sequence[NearestReal],
    labels: LabelPermutations,
    num_samples: int,
    num_planted: int,
    group_share: float,
    visible_share: float,
) -> NearShares | None:
    """The shares by the distance by which the bound is lowest; None without planted copies, which say how near copies are, or if by no
    distance they are near.

    Args:
        nearests: Nearest items of samples, then exact copies, then those of each alteration, by each distance.
        real: Nearest items of real ones, by each distance.
        labels: Labels of the real items.
        num_samples: Number of samples, each of which is independent of the others.
        num_planted: Number of exact copies, and of those of each alteration.
        group_share: Share of the real items (in groups) that are training items.
        visible_share: Share of the training items that were compared.
    """
    if not num_planted or not num_samples:
        return None
    shares = []
    for nearest, real_nearest in zip(nearests, real, strict=True):
        copies = nearest.distance[num_samples + num_planted :].reshape(-1, num_planted)
        farthest = np.quantile(copies, DETECTION_POWER, axis=1, method="higher").max()
        if not np.isfinite(farthest):
            continue  # copies have nothing in common with one item alone, as where most passages of a text are in others, too
        near = np.flatnonzero(nearest.distance[:num_samples] <= farthest)
        high = clopper_pearson(len(near), num_samples, LEVEL / len(nearests))[1] / DETECTION_POWER / visible_share
        is_bound = high <= MAX_SHARE and not _leans(nearest.item[near], labels, group_share)
        real_share = float((real_nearest.distance <= farthest).mean()) if len(real_nearest.distance) else 0.0
        shares.append(NearShares(len(near) / num_samples, real_share, high if is_bound else None))
    return min(shares, key=lambda share: (share.bound is None, share.samples), default=None)


def _leans(items: Indices, labels: LabelPermutations, group_share: float) -> bool:
    """Whether real items that samples are near to are training items more often than chance has it."""
    column = labels.columns(items)
    is_train = labels.rows.first(column)
    num_train, num_held_out = (len(np.unique(column[members])) for members in (is_train, ~is_train))
    return num_train > 0 and binomial_tail(num_train, num_train + num_held_out, group_share) <= LABEL_ALPHA
