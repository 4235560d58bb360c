"""Data of a picture of the scan for copies: how many of the most suspicious samples are nearest to a training item, and from
which share on the test would find copies.

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

SHOWN_RANKS = 60  # points of the curve; chosen: smooth at the width of a report
HALVINGS = 30  # steps of the bisection for the line: its error is below 1e-9


@dataclass(frozen=True, slots=True)
class ScanPicture:
    """Data of the scan's picture; report.json holds it under `copies`, `picture`.

    Attributes:
        ranks: (g,) numbers of most suspicious samples.
        shares: (g,) share of those samples that are nearest to a training item.
        line: (g,) share at which this rank alone would have raised an alarm.
        expected: The share by chance.
        tested: Number of samples that the scan looks at: those that are closer to a real item than real items are to each other.
        planted: (g,) shares of the same samples with copies of training items planted among them; None if such copies were not
            caught, or only by another test.
        planted_rate: Share of the samples that were replaced by these copies.
    """

    ranks: list[int]
    shares: list[float]
    line: list[float]
    expected: float
    tested: int
    planted: list[float] | None = None
    planted_rate: float | None = None


def picture_of(nearest: NearestReal, scan: ScanResult, labels: LabelPermutations) -> ScanPicture | None:
    """The picture of a scan over samples with these nearest items; None if there are too few of them."""
    ranks = ranks_to_show(len(scan.order))
    if not len(ranks) or not np.isfinite(scan.alarm):
        return None
    columns = labels.columns(nearest.item[scan.order])
    line = alarm_line(_effective(columns, ranks), labels.share, scan.alarm)
    shares = hit_shares(columns, ranks, labels)
    tested = int((nearest.ratio < 1.0).sum())
    return ScanPicture(ranks.tolist(), _round(shares), _round(line), round(labels.share, 5), tested)


@dataclass(frozen=True, slots=True)
class PlantedCurve:
    """The curve of samples with planted copies.

    Attributes:
        shares: (g,) share of the first samples that are nearest to a training item.
        raises_alarm: Whether it crosses the line at a rank at which the scan looks.
    """

    shares: list[float]
    raises_alarm: bool


def planted_curve(
    nearest: NearestReal, ranks: Sequence[int], alarm: float, labels: LabelPermutations, rng: np.random.Generator
) -> PlantedCurve:
    """The curve at these ranks of samples with planted copies of training items.

    Args:
        nearest: Nearest items of these samples.
        ranks: See `ScanPicture`.
        alarm: See `ScanResult`.
        labels: Labels of the real items.
        rng: Generator that decides ties.
    """
    columns, chosen = labels.columns(nearest.item[nearest.order(rng)]), np.asarray(ranks, dtype=np.intp)
    shares = hit_shares(columns, chosen, labels)
    line = alarm_line(_effective(columns, chosen), labels.share, alarm)
    looked_at = chosen <= int((nearest.ratio < 1.0).sum())
    return PlantedCurve(_round(shares), bool((looked_at & (line < 1.0) & (shares >= line)).any()))


def ranks_to_show(count: int) -> Indices:
    """The ranks up to `count` that are shown: at most SHOWN_RANKS, close together at the suspicious end."""
    if count < FIRST_STEP:
        return np.zeros(0, dtype=np.intp)
    return np.unique(np.geomspace(FIRST_STEP, count, SHOWN_RANKS).round().astype(np.intp))


def hit_shares(columns: Indices, ranks: Indices, labels: LabelPermutations) -> Array:
    """(g,) share of the first samples that lie nearest to a training item, by the true labels."""
    hits = np.cumsum(labels.rows.first(columns), dtype=np.int64)[ranks - 1]
    return np.asarray(hits / ranks, dtype=np.float64)


def alarm_line(effective: Array, share: float, alarm: float) -> Array:
    """The smallest share of hits (g,) whose statistic reaches `alarm`; 1 if even the share 1 does not.

    Args:
        effective: (g,) effective number of independent samples at each rank.
        share: Share of training items among the real ones.
        alarm: The statistic at which the test finds copies, see `ScanResult`.
    """
    low, high = np.full(len(effective), share), np.ones(len(effective))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        is_above = deviance_root(middle, share) * np.sqrt(effective) >= alarm
        low, high = np.where(is_above, low, middle), np.where(is_above, middle, high)
    return high


def _effective(columns: Indices, ranks: Indices) -> Array:
    """(g,) effective number of independent samples at each rank."""
    square = np.cumsum(2 * count_earlier(columns) + 1)[ranks - 1]
    return np.asarray(ranks.astype(np.float64) ** 2 / square, dtype=np.float64)


def _round(values: Array) -> list[float]:
    return [round(float(value), 5) for value in values]
