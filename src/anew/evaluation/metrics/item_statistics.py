"""Item statistics that people notice first, one number per item, and how often each of them tells a sample from a real item.

Nothing is learned, so few items say much. A judge of a sample and a real item always picks the one with the larger value (or
always the one with the smaller value). How often this is the sample is the common-language effect size (McGraw and Wong 1992),
which is the area under the ROC curve.

Legend for shapes: n samples, m real items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from anew.core.arrays import Numbers
from anew.evaluation.metrics.distances import Array, Rows
from anew.evaluation.metrics.two_sample import auc
from anew.evaluation.score import MetricSpec, Score, guessing_spec


class EffectSize(NamedTuple):
    """A common-language effect size.

    Attributes:
        value: Probability that the judge picks the sample, at least 0.5.
        low, high: Ends of its 95% interval.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ItemStatistic:
    """A statistic of items and the metric that compares it.

    Attributes:
        compute: Function from items to their numbers (n,).
        meaning: Description of the number, one clause.
    """

    spec: MetricSpec
    compute: Callable[[Sequence[Numbers] | Numbers], Array]
    meaning: str


def statistic_spec(name: str, title: str, quantity: str) -> MetricSpec:
    """The metric of a statistic. quantity: what the statistic is, a noun phrase ("sharpness")."""
    clause = f"a sample is told from a real item by its {quantity}"
    return guessing_spec(name, title, f"How often {clause}", clause)


def compare(statistic: ItemStatistic, samples: Rows, held_out: Rows, train: Rows) -> Score:
    """The score of a statistic, given its values for samples (n,), held-out items (m,) and training items."""
    effect = effect_size(samples, held_out)
    medians = f"median of samples {np.median(samples):.3g}, of held-out items {np.median(held_out):.3g}"
    return Score(
        statistic.spec,
        effect.value,
        low=effect.low,
        high=effect.high,
        real_baseline=effect_size(train, held_out).value,
        n=min(len(samples), len(held_out)),
        source=f"{statistic.meaning}; {medians}",
    )


def effect_size(a: Rows, b: Rows) -> EffectSize:
    """The effect size of a (n,) against b (m,), in whichever direction it is larger; its interval is DeLong's."""
    value, variance = auc(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    half = 1.96 * float(np.sqrt(variance))
    ends = abs(value - half - 0.5), abs(value + half - 0.5)
    nearest_end = 0.0 if abs(value - 0.5) <= half else min(ends)
    return EffectSize(0.5 + abs(value - 0.5), 0.5 + nearest_end, min(0.5 + max(ends), 1.0))
