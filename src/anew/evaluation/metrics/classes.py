"""Metrics of classes by a small classifier (a probe): how common each class is, and whether samples match their labels.

Legend for shapes: n items, d features, K classes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from anew.core.wording import percent
from anew.evaluation.metrics.bootstrap import interval, resample
from anew.evaluation.metrics.distances import Rows
from anew.evaluation.metrics.kernel import median_bandwidth, rbf_kernel
from anew.evaluation.score import MetricSpec, Score, Tolerance, bounded_spec
from anew.functional.intervals import clopper_pearson

MAX_PROBE_ITEMS = 2_000  # training items, at most: the time grows with the cube
# Ridge penalty, relative to the kernel's diagonal of 1: enough for noisy labels, little enough to keep small classes apart
RIDGE = 0.01
BANDWIDTH = 0.5  # as a share of the median distance: classes are finer than the whole data
LABEL_HISTOGRAM = bounded_spec(
    "label_histogram",
    "Class mix",
    "How far the mix of classes is from your data's (0 = the same).",
    Tolerance(
        "variety",
        small=0.15,
        large=0.6,
        clause="the class mix is {value:.0%} off (real data: {real:.0%})",
    ),
)
ENOUGH_TO_PASS = 500  # samples whose accuracy is known within 0.06 where half are recognised; chosen
LABEL_ACCURACY = bounded_spec(
    "label_accuracy",
    "Label accuracy",
    "How often a classifier trained on real items takes a sample for what it was asked to be.",
    Tolerance(
        "closeness",
        small=0.15,
        large=0.4,
        clause="a classifier agrees with the class of {value:.0%} of samples (real data: {real:.0%})",
        least_to_pass=ENOUGH_TO_PASS,
    ),
    better="higher",
)
# Limits as shares of the classifier's accuracy on real items of the class: readers notice a class of which a third is wrong, and
# take one of which three quarters are wrong for another class; chosen.
WORST_CLASS_ACCURACY = bounded_spec(
    "worst_class_accuracy",
    "Label accuracy of the worst class",
    "How often that classifier agrees, in the class whose samples fall furthest behind real items.",
    Tolerance(
        "closeness",
        small=0.3,
        large=0.75,
        clause="of the samples that should be {name}, a classifier agrees with {{value:.0%}} (real data: {{real:.0%}}){mistaken}",
        least_to_pass=sys.maxsize,
    ),
    better="higher",
)
MIN_OF_CLASS = 5  # samples and held-out items of a class of which its own accuracy says something; chosen
CLASS_MIX, LABELS_TOO = "the class mix", ", and whether samples match their classes"
CLASS_FIGURES = CLASS_MIX + LABELS_TOO
MIN_ACCURACY_SKILL = 0.05  # a classifier that is hardly better than guessing says nothing of labels
MIN_PER_CLASS = 5  # labelled training items for each class, on average, that a probe needs; chosen
MIN_SKILL = 0.2  # for the class mix: a useful probe is this share of the way from always guessing the commonest class to no error
# If the total variation exceeds that of real items by this, the requested classes have another mix than the data.
OTHER_MIX = 0.2
MIN_Z = 3.0  # standard deviations from which a class is named: with 100 classes, chance names one in a quarter of the reports
MIN_RELATIVE_PRECISION = 0.2  # below this share of the real baseline of precision, samples are like no class at all
# Training items of a probe: the largest number for which there is time
PROBE_SIZES = (MAX_PROBE_ITEMS, 1_000, 500, 250, 100)
SOLVE_SECONDS = 3e-10  # seconds that one core takes to solve a probe's equations, divided by the cube of its items


class Probe:
    """Classifier that is trained on rows (n, d) with class numbers (n,)."""

    def __init__(self, rows: Rows, labels: Rows, num_classes: int) -> None:
        self._rows = np.asarray(rows[:MAX_PROBE_ITEMS], dtype=np.float64)
        self._centre, deviation = self._rows.mean(axis=0), self._rows.std(axis=0)
        self._scale = np.where(deviation > 1e-9, deviation, 1.0)
        self._rows = (self._rows - self._centre) / self._scale
        self._bandwidth = BANDWIDTH * median_bandwidth(self._rows)
        kernel = rbf_kernel(self._rows, self._rows, self._bandwidth)  # (n, n)
        target = np.eye(num_classes)[np.asarray(labels[:MAX_PROBE_ITEMS], dtype=np.intp)]  # (n, K)
        self._mean = target.mean(axis=0)
        self._weights = np.linalg.solve(kernel + RIDGE * np.eye(len(kernel)), target - self._mean)

    def __call__(self, rows: Rows) -> NDArray[np.intp]:
        """The class of each row of rows (q, d), (q,)."""
        scaled = (np.asarray(rows, dtype=np.float64) - self._centre) / self._scale
        scores = rbf_kernel(scaled, self._rows, self._bandwidth) @ self._weights + self._mean  # (q, K)
        return np.asarray(scores.argmax(axis=1))


def label_accuracy_spec(accuracy: float, naive: float) -> MetricSpec:
    """LABEL_ACCURACY with limits for a classifier of this accuracy on real items, and on labels without meaning (naive).

    The limits are shares of what labels without meaning lose: where a classifier is weak or one class is common, these are few
    points, which count as much. Enough samples have an interval that is as narrow beside the limits as that of ENOUGH_TO_PASS samples
    is where labels without meaning lose everything and half are recognised.
    """
    tolerance = LABEL_ACCURACY.tolerance
    assert tolerance is not None
    loss = max(accuracy - naive, MIN_ACCURACY_SKILL * (1.0 - naive), 1e-9)
    # The variance of one sample, as a share of that at an accuracy of one half
    variance = accuracy * (1.0 - accuracy) / 0.25
    least_to_pass = max(tolerance.least_to_pass, math.ceil(tolerance.least_to_pass * variance / loss**2))
    small, large = loss * tolerance.small, loss * tolerance.large
    return replace(LABEL_ACCURACY, tolerance=replace(tolerance, small=small, large=large, least_to_pass=least_to_pass))


@dataclass(frozen=True, slots=True)
class LabelledFeatures:
    """Rows (n, d) of features and class numbers (n,)."""

    rows: Rows
    labels: NDArray[np.intp]

    def match_labels(self, labels: NDArray[np.intp]) -> LabelledFeatures:
        """Items with exactly these labels (n,), repeated where a class has too few."""
        chosen = np.empty(len(labels), dtype=np.intp)
        for label in np.unique(labels):
            items, places = np.flatnonzero(self.labels == label), np.flatnonzero(labels == label)
            chosen[places] = items[np.arange(len(places)) % len(items)]
        return LabelledFeatures(self.rows[chosen], labels)


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """Metrics of classes.

    Attributes:
        names: Names of the K classes.
        probe_items: Training items of the probe, none of them in `train`.
        samples: Samples with the class that each was requested as.
        held_out, train: Real items with their classes, as many as samples.
        naive: (n, d) features of samples of a naive generator, None without one.
        noun: Name of the items, plural.
        seed: Seed of the intervals.
        skip: Called with (metric, reason) for what could not be measured.
        are_requested: Whether samples were requested of their classes, whose mix then need not be that of the data.
    """

    names: Sequence[str]
    probe_items: LabelledFeatures
    samples: LabelledFeatures
    held_out: LabelledFeatures
    train: LabelledFeatures
    naive: Rows | None
    noun: str
    seed: int
    skip: Callable[[str, str], None]
    are_requested: bool = True

    def scores(self) -> Iterator[Score]:
        """The mix of classes against that of held-out items, and how many samples match their label."""
        num_classes, num_labelled = len(self.names), len(self.probe_items.rows)
        if num_labelled < MIN_PER_CLASS * num_classes:
            self.skip(
                CLASS_FIGURES,
                f"{num_labelled} labelled {self.noun} of {num_classes} classes are too few for a classifier",
            )
            return
        probe = Probe(self.probe_items.rows, self.probe_items.labels, num_classes)
        accuracy = float((probe(self.held_out.rows) == self.held_out.labels).mean())
        guessing = float(class_shares(self.held_out.labels, num_classes).max())
        predicted, is_skilled = probe(self.samples.rows), accuracy >= guessing + MIN_SKILL * (1.0 - guessing)
        if is_skilled:
            yield from self._mix(probe, predicted, accuracy)
        else:
            num_held_out = len(self.held_out.rows)
            tells_nothing = clopper_pearson(accuracy * num_held_out, num_held_out)[0] <= guessing
            self.skip(
                CLASS_FIGURES if tells_nothing else CLASS_MIX,
                f"the classifier is right on {accuracy:.0%} of held-out {self.noun}, and guessing on {guessing:.0%}",
            )
            if tells_nothing:
                return
        if self._requests_other_mix() and np.isin(self.samples.labels, self.held_out.labels).all():
            alike = self.held_out.match_labels(self.samples.labels)  # some classes are easier than others
            accuracy = float((probe(alike.rows) == alike.labels).mean())
        yield self._accuracy(predicted, accuracy)
        yield from self._worst_class(predicted, probe(self.held_out.rows))

    def _mix(self, probe: Probe, predicted: NDArray[np.intp], accuracy: float) -> Iterator[Score]:
        held_out, train, requested_clause = self.held_out, self.train, ""
        labels = self.samples.labels
        has_all = np.isin(labels, held_out.labels).all() and np.isin(held_out.labels, train.labels).all()
        if self.are_requested and has_all:  # a few held-out items have another mix than the data, by chance
            held_out, train = held_out.match_labels(labels), train.match_labels(labels)
            requested_clause = " of the classes asked for"
        elif self._requests_other_mix():
            self.skip(CLASS_MIX, "some classes that were asked for have no held-out items")
            return
        real, train_classes = probe(held_out.rows), probe(train.rows)

        def distance(a: Rows, b: Rows) -> float:
            return total_variation(a, b, len(self.names))

        value = distance(predicted, real)
        low, high = interval(value, resample(distance, (predicted, real), seed=self.seed), minimum=0.0)
        num_trained = min(len(self.probe_items.rows), MAX_PROBE_ITEMS)
        yield Score(
            LABEL_HISTOGRAM,
            value,
            low=low,
            high=None if high is None else min(high, 1.0),
            real_baseline=distance(train_classes, real),
            naive_baseline=None if self.naive is None else distance(probe(self.naive), real),
            n=len(predicted),
            source=f"total variation distance of class shares, samples against held-out {self.noun}{requested_clause}, by a classifier "
            f"trained on {num_trained:,} {self.noun} (right on {accuracy:.0%} of held-out ones)",
            note=self._largest_differences(predicted, real, requested_clause),
        )

    def _requests_other_mix(self) -> bool:
        """Whether samples were requested with other class frequencies than the data's, such as a single class."""
        if not self.are_requested:
            return False
        num_classes, requested = len(self.names), self.samples.labels
        usual = total_variation(self.train.labels, self.held_out.labels, num_classes)
        only_one = len(np.unique(requested)) == 1
        return only_one or total_variation(requested, self.held_out.labels, num_classes) > OTHER_MIX + 2.0 * usual

    def _largest_differences(self, predicted: NDArray[np.intp], real: NDArray[np.intp], requested_clause: str) -> str:
        """Name the most over-represented and the most under-represented class, if chance does not explain them."""
        shares, real_shares = (class_shares(x, len(self.names)) for x in (predicted, real))
        middle, difference = (shares + real_shares) / 2.0, shares - real_shares
        deviation = np.sqrt(middle * (1.0 - middle) * (1.0 / len(predicted) + 1.0 / len(real)))
        z = np.where(deviation > 0.0, difference / np.maximum(deviation, 1e-12), 0.0)
        clauses = []
        for words, sign in (("too common", 1.0), ("too rare", -1.0)):
            worst = int((sign * difference * (sign * z >= MIN_Z)).argmax())
            if sign * z[worst] >= MIN_Z:
                share = f"{percent(shares[worst])} of samples look like it to a classifier"
                figures = f"{share}, {percent(real_shares[worst])} of real {self.noun}{requested_clause}"
                clauses.append(f"{self.names[worst]!r} is {words} ({figures})")
        return ", ".join(clauses)

    def _accuracy(self, predicted: NDArray[np.intp], real_accuracy: float) -> Score:
        rows = (predicted == self.samples.labels).astype(np.float64)
        low, high = clopper_pearson(float(rows.sum()), len(rows))
        requested, shares = (class_shares(x, len(self.names)) for x in (self.samples.labels, self.train.labels))
        # The accuracy of a generator with the data's mix of classes that ignores the labels
        naive = float(requested @ shares)
        return Score(
            label_accuracy_spec(real_accuracy, naive),
            float(rows.mean()),
            low=low,
            high=high,
            real_baseline=real_accuracy,
            naive_baseline=naive,
            n=len(rows),
            source=f"accuracy on samples of a classifier trained on real {self.noun}; real: on held-out {self.noun}",
        )

    def _worst_class(self, predicted: NDArray[np.intp], real_predicted: NDArray[np.intp]) -> Iterator[Score]:
        """The accuracy within the class that loses most beyond chance: one class of 20 weighs too little in that of all samples."""
        classes = [
            ClassAccuracy.of(
                label, predicted[self.samples.labels == label], real_predicted[self.held_out.labels == label]
            )
            for label in range(len(self.names))
        ]
        compared = [c for c in classes if min(len(c.samples), c.num_real) >= MIN_OF_CLASS and c.real > 0.0]
        if len(compared) < 2:
            return
        alpha = 0.05 / len(compared)  # Bonferroni: the worst of all is looked for
        worst = max(compared, key=lambda c: c.loss(alpha)[0])
        low, high = worst.interval(alpha)
        name = self.names[worst.label]
        yield Score(
            worst.spec(self.names),
            worst.value,
            low=low,
            high=high,
            real_baseline=worst.real,
            n=len(worst.samples),
            source=f"accuracy on samples of class {name!r} of a classifier trained on real {self.noun}; "
            f"real: on {worst.num_real:,} held-out {self.noun} of that class; the interval holds for all {len(compared)} classes at once",
        )


@dataclass(frozen=True, slots=True)
class ClassAccuracy:
    """How often a classifier recognises the samples of one class.

    Attributes:
        label: Number of the class.
        samples: (n,) classes that it takes the samples of the class for.
        hits: How many of these are right.
        real_hits, num_real: The same of held-out items of the class, and their number.
    """

    label: int
    samples: NDArray[np.intp]
    hits: int
    real_hits: int
    num_real: int

    @classmethod
    def of(cls, label: int, samples: NDArray[np.intp], real: NDArray[np.intp]) -> ClassAccuracy:
        """samples, real: (n,) and (m,) predicted classes of items of this class."""
        return cls(label, samples, int((samples == label).sum()), int((real == label).sum()), len(real))

    @property
    def value(self) -> float:
        """The accuracy on samples."""
        return self.hits / len(self.samples)

    @property
    def real(self) -> float:
        """The accuracy on real items."""
        return self.real_hits / self.num_real

    def loss(self, alpha: float) -> tuple[float, float]:
        """The interval of how far it is below that of real items, from the exact ones of both shares, whose squares add (as do those
        of Wilson in Newcombe 1998, method 10)."""
        low, high = clopper_pearson(self.hits, len(self.samples), alpha)
        real_low, real_high = clopper_pearson(self.real_hits, self.num_real, alpha)
        loss = self.real - self.value
        return loss - math.hypot(high - self.value, self.real - real_low), loss + math.hypot(
            self.value - low, real_high - self.real
        )

    def interval(self, alpha: float) -> tuple[float, float]:
        """The interval of the accuracy on samples that makes a grade come to `loss`: grades widen it for the uncertainty of real items."""
        ends = ((self.real - self.value - end) / math.sqrt(2.0) for end in self.loss(alpha)[::-1])
        low, high = (min(max(self.value + end, 0.0), 1.0) for end in ends)
        return low, high

    def spec(self, names: Sequence[str]) -> MetricSpec:
        """WORST_CLASS_ACCURACY with the name of the class, and limits that are shares of what it can lose."""
        tolerance = WORST_CLASS_ACCURACY.tolerance
        assert tolerance is not None
        shares = class_shares(self.samples, len(names))
        shares[self.label] = 0.0
        other = int(shares.argmax())
        mistaken = f"; it takes {percent(shares[other])} for {names[other]!r}" if shares[other] > 0.0 else ""
        name, mistaken = (text.replace("{", "{{").replace("}", "}}") for text in (repr(names[self.label]), mistaken))
        small, large = self.real * tolerance.small, self.real * tolerance.large
        clause = tolerance.clause.format(name=name, mistaken=mistaken)
        return replace(WORST_CLASS_ACCURACY, tolerance=replace(tolerance, small=small, large=large, clause=clause))


def class_shares(numbers: Rows, num_classes: int) -> NDArray[np.float64]:
    """(K,) share of each class among class numbers (n,)."""
    return np.bincount(np.asarray(numbers, dtype=np.intp), minlength=num_classes)[:num_classes] / max(len(numbers), 1)


def total_variation(a: Rows, b: Rows, num_classes: int) -> float:
    """Half the sum of differences of the class shares among class numbers a (n,) and b (m,): 0 equal, 1 disjoint."""
    return float(0.5 * np.abs(class_shares(a, num_classes) - class_shares(b, num_classes)).sum())


def affordable_probe(num_items: int, seconds_per_item: float, seconds: float) -> int:
    """How many of `num_items` training items a probe can be trained on within the seconds; 0 if not even the fewest."""
    for size in PROBE_SIZES:
        n = min(size, num_items)
        if seconds_per_item * n + SOLVE_SECONDS * n**3 <= seconds:
            return n
    return 0


def class_mix_warning(scores: Mapping[str, Score]) -> str:
    """A sentence if the class mix differs from the data's, else "".

    It is also "" if samples look like no real item, since their predicted classes then say nothing.
    """
    score, precision = scores.get("label_histogram"), scores.get("precision")
    if score is None or score.real_baseline is None:
        return ""
    real_precision = 0.0 if precision is None else precision.real_baseline or 0.0
    if precision is not None and precision.value < MIN_RELATIVE_PRECISION * real_precision:
        return ""
    differs = score.value >= max(2.0 * score.real_baseline, score.real_baseline + 0.05)
    return f"The class mix differs from the data's: {score.note}." if differs and score.note else ""
