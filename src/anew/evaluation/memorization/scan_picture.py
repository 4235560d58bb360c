"""A picture of the scan for copies: the share of the most suspicious samples that are nearest to a training item, and the
share at which the test would alarm.

Legend for shapes: g ranks that are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anew.evaluation.memorization.copying_test import (
    FIRST_STEP,
    Array,
    Indices,
    LabelPermutations,
    NearestReal,
    ScanResult,
    count_earlier,
    deviance_root,
)

SHOWN_RANKS = 60  # points of the curve, chosen: smooth at the width of a report
HALVINGS = 30  # of the interval in which the line is looked for: the error is below 1e-9


@dataclass(frozen=True, slots=True)
class ScanPicture:
    """Data of the scan's picture; report.json holds it under `copies`, `picture`.

    Attributes:
        ranks: (g,) numbers of the most suspicious samples.
        shares: (g,) share of those samples that are nearest to a training item.
        line: (g,) the share at which this rank alone would have been an alarm.
        expected: The share by chance.
        tested: How many of the samples the scan looks at: those that lie closer to a real item than real items to each other.
        planted: (g,) the same share with copies of training items planted among the samples; None without such controls.
        planted_rate: Share of the samples that these copies are.
    """

    ranks: list[int]
    shares: list[float]
    line: list[float]
    expected: float
    tested: int
    planted: list[float] | None = None
    planted_rate: float | None = None


def picture_of(nearest: NearestReal, scan: ScanResult, labels: LabelPermutations) -> ScanPicture | None:
    """The picture of a scan over samples with these nearest items; None where there are too few of them."""
    ranks = ranks_to_show(len(scan.order))
    if not len(ranks) or not np.isfinite(scan.alarm):
        return None
    columns = labels.columns(nearest.item[scan.order])
    square = np.cumsum(2 * count_earlier(columns) + 1)[ranks - 1]
    line = alarm_line(ranks.astype(np.float64) ** 2 / square, labels.share, scan.alarm)
    shares = hit_shares(columns, ranks, labels)
    tested = int((nearest.ratio < 1.0).sum())
    return ScanPicture(ranks.tolist(), _round(shares), _round(line), round(labels.share, 5), tested)


def planted_shares(
    nearest: NearestReal, ranks: Sequence[int], labels: LabelPermutations, rng: np.random.Generator
) -> list[float]:
    """(g,) shares at these ranks of samples with planted copies, whose originals the labels call training items."""
    columns = labels.columns(nearest.item[nearest.order(rng)])
    return _round(hit_shares(columns, np.asarray(ranks, dtype=np.intp), labels))


def ranks_to_show(count: int) -> Indices:
    """At most SHOWN_RANKS ranks up to `count`, close together at the suspicious end."""
    if count < FIRST_STEP:
        return np.zeros(0, dtype=np.intp)
    return np.unique(np.geomspace(FIRST_STEP, count, SHOWN_RANKS).round().astype(np.intp))


def hit_shares(columns: Indices, ranks: Indices, labels: LabelPermutations) -> Array:
    """(g,) share of the first samples that lie nearest to a training item, by the true labels."""
    hits = np.cumsum(labels.rows[0, columns], dtype=np.int64)[ranks - 1]
    return np.asarray(hits / ranks, dtype=np.float64)


def alarm_line(effective: Array, share: float, alarm: float) -> Array:
    """(g,) the least share of hits whose statistic reaches `alarm`; 1 where not even all would.

    Args:
        effective: (g,) how many independent samples the ranks count for.
        share: Share of training items among the real ones.
        alarm: The statistic that one permutation in a hundred reaches.
    """
    low, high = np.full(len(effective), share), np.ones(len(effective))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        is_above = deviance_root(middle, share) * np.sqrt(effective) >= alarm
        low, high = np.where(is_above, low, middle), np.where(is_above, middle, high)
    return high


def _round(values: Array) -> list[float]:
    return [round(float(value), 5) for value in values]
