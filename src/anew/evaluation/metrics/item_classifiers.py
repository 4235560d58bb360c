"""Classifiers that see a few numbers of each item, and the metrics that they give.

The classifier two-sample test sees so much that it overlooks what is small everywhere; each of these is shown one thing alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from anew.core.arrays import Numbers
from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.feature_sets import FeatureSets
from anew.evaluation.metrics.two_sample import classifier_score
from anew.evaluation.score import USUALLY_ENOUGH_ITEMS, MetricSpec, Score, guessing_tolerance


@dataclass(frozen=True, slots=True)
class ItemClassifier:
    """A classifier of a few numbers of each item, and the metric that it gives.

    Attributes:
        spec: The metric.
        numbers: Function from items to their numbers (n, d).
        meaning: What the numbers are, a noun phrase.
    """

    spec: MetricSpec
    numbers: Callable[[Sequence[Numbers] | Numbers], Array]
    meaning: str

    def score(self, sets: FeatureSets, seed: int) -> Score:
        """The score, given the numbers of items."""
        source = f"a kernel classifier of {sets.samples.shape[1]} {self.meaning}, trained on one half and tested on the other"
        return classifier_score(self.spec, sets, seed, source)


def few_numbers_spec(name: str, title: str, sees: str, clause: str) -> MetricSpec:
    """The metric. sees: what the classifier sees, a clause; clause: by what it tells samples, a noun phrase."""
    meaning = (
        f"How often a classifier that only sees {sees} picks the sample out of a pair of a sample and a real item "
    )
    tolerance = guessing_tolerance(
        f"a sample is told from a real item by {clause}",
        large=0.45,  # chosen: a classifier of two dozen numbers sees more than the eye does, so its 85% is not yet obvious
        least_to_pass=USUALLY_ENOUGH_ITEMS,
    )
    return MetricSpec(
        name, title, f"{meaning}(0.5 = guessing, 1 = always).", minimum=0.5, maximum=1.0, tolerance=tolerance
    )
