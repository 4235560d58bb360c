"""Classes as a small probe sees them: how common each is among samples, and whether samples are what they were asked to be.

Legend for shapes: n items, d features, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.metrics.probe import MOST, Probe
from anew.evaluation.metrics.statistics import Score, interval, mean_interval, resample

FEWEST = 5  # labelled training items a class that a probe needs
TOLD = 0.2  # of the way from guessing the commonest class to no error: a probe that gets less far tells nothing
ASKED = 0.2  # beyond what real items differ by: from here on other classes were asked for than the data has
SURE = 3.0  # deviations of chance from which a class is named as too common or too rare
UNLIKE = 0.2  # of the share of real items that look like a real item
SIZES = (MOST, 1_000, 500, 250, 100)  # training items of a probe
CUBE = 3e-10  # seconds that a probe's equations take on one core, times the cube of its items


@dataclass(frozen=True, slots=True)
class Labelled:
    """Rows (n, d) of features and class numbers (n,)."""

    rows: NDArray[Any]
    labels: NDArray[np.intp]

    def as_asked(self, labels: NDArray[np.intp]) -> Labelled:
        """As many items as labels, each of the class that stands there; items are taken again where they are few."""
        places = np.empty(len(labels), dtype=np.intp)
        for one in np.unique(labels):
            own, wanted = np.flatnonzero(self.labels == one), np.flatnonzero(labels == one)
            places[wanted] = own[np.arange(len(wanted)) % len(own)]
        return Labelled(self.rows[places], labels)


@dataclass(frozen=True, slots=True)
class Classes:
    """All that is measured of classes. names: of the K classes; known: what the probe is trained on, none of it in train;
    samples: with what each was asked to be; naive: (n, d) of a naive generator; leave_out: (what, why)."""

    names: Sequence[str]
    known: Labelled
    samples: Labelled
    held: Labelled
    train: Labelled
    naive: NDArray[Any] | None
    noun: str
    seed: int
    leave_out: Callable[[str, str], None]

    def scores(self) -> Iterator[Score]:
        """The mix of classes against that of held-out items, and how many samples are what they were asked to be."""
        many = len(self.names)
        if len(self.known.rows) < FEWEST * many:
            few = f"{len(self.known.rows)} labelled {self.noun} of {many} classes are too few to train a probe on"
            self.leave_out("the mix of classes", few)
            return
        probe = Probe(self.known.rows, self.known.labels, many)
        right = float((probe(self.held.rows) == self.held.labels).mean())
        common = float(shares(self.held.labels, many).max())
        if right < common + TOLD * (1.0 - common):
            said = f"a probe names the class of {right:.0%} of unseen {self.noun}, and guessing alone {common:.0%}"
            self.leave_out("the mix of classes", said)
            return
        made = probe(self.samples.rows)
        yield from self._mix(probe, made, right)
        yield self._accuracy(made, right)

    def _mix(self, probe: Probe, made: NDArray[np.intp], right: float) -> Iterator[Score]:
        held, train, of = self.held, self.train, ""
        if self._asked_otherwise():
            if not np.isin(self.samples.labels, held.labels).all() or not np.isin(held.labels, train.labels).all():
                self.leave_out("the mix of classes", "some classes that were asked for have no unseen items")
                return
            held, train = held.as_asked(self.samples.labels), train.as_asked(self.samples.labels)
            of = " of the classes asked for"
        real, other = probe(held.rows), probe(train.rows)

        def apart(a: NDArray[Any], b: NDArray[Any]) -> float:
            return total_variation(a, b, len(self.names))

        value, floor = apart(made, real), apart(other, real)
        low, high = interval(value, resample(apart, (made, real), seed=self.seed))
        low, high = None if low is None else max(low, 0.0), None if high is None else min(high, 1.0)
        ceiling = None if self.naive is None else apart(probe(self.naive), real)
        source = (
            f"classes that a probe trained on {min(len(self.known.rows), MOST):,} {self.noun} sees ({right:.0%} of held-out "
            f"{self.noun} right) in samples against held-out {self.noun}{of}; total variation distance of their shares"
        )
        said = self._worst(made, real, of)
        yield Score("label_histogram", value, low, high, floor, "lower", len(made), source, ceiling, said=said)

    def _asked_otherwise(self) -> bool:
        """Whether the samples' labels follow other frequencies than the data's, as where one class was asked for."""
        many, asked = len(self.names), self.samples.labels
        usual = total_variation(self.train.labels, self.held.labels, many)
        return len(np.unique(asked)) == 1 or total_variation(asked, self.held.labels, many) > ASKED + 2.0 * usual

    def _worst(self, made: NDArray[np.intp], real: NDArray[np.intp], of: str) -> str:
        """The class that is the most too common and the one that is the most too rare, where chance does not explain them."""
        ours, theirs = shares(made, len(self.names)), shares(real, len(self.names))
        middle = (ours + theirs) / 2.0
        chance = np.sqrt(middle * (1.0 - middle) * (1.0 / len(made) + 1.0 / len(real)))
        sure = np.where(chance > 0.0, (ours - theirs) / np.maximum(chance, 1e-12), 0.0)
        found = []
        for word, sign in (("too common", 1.0), ("too rare", -1.0)):
            at = int((sign * (ours - theirs) * (sign * sure >= SURE)).argmax())
            if sign * sure[at] >= SURE:
                found.append(
                    f"{self.names[at]!r} is {word} ({ours[at]:.0%} of samples, {theirs[at]:.0%} of real {self.noun}{of})"
                )
        return ", ".join(found)

    def _accuracy(self, made: NDArray[np.intp], right: float) -> Score:
        rows = (made == self.samples.labels).astype(np.float64)
        low, high = mean_interval(rows, self.seed)
        source = (
            f"samples that a classifier trained on real {self.noun} takes for their label; floor: held-out {self.noun}"
        )
        value, chance = float(rows.mean()), 1.0 / len(self.names)
        return Score("label_accuracy", value, low, high, right, "higher", len(rows), source, chance)


def shares(numbers: NDArray[Any], many: int) -> NDArray[np.float64]:
    """(K,) share of each class among class numbers (n,)."""
    return np.bincount(np.asarray(numbers, dtype=np.intp), minlength=many)[:many] / max(len(numbers), 1)


def total_variation(a: NDArray[Any], b: NDArray[Any], many: int) -> float:
    """Half the sum of differences of the shares of classes among class numbers a (n,) and b (m,): 0 equal, 1 disjoint."""
    return float(0.5 * np.abs(shares(a, many) - shares(b, many)).sum())


def affordable(items: int, each: float, seconds: float) -> int:
    """Training items, of `items`, that a probe can be trained on in some seconds, where features take `each` seconds an item;
    0 where not even the fewest."""
    fits = (n for n in SIZES if each * min(n, items) + CUBE * min(n, items) ** 3 <= seconds)
    return min(next(fits, 0), items)


def mixed(scores: Mapping[str, Score]) -> str:
    """What a reader should know of the mix of classes; nothing where it is that of the data, or where samples look like no
    real item, so that a probe's word on their classes says nothing."""
    score, like = scores.get("label_histogram"), scores.get("precision")
    if score is None or score.floor is None or (like is not None and like.floor and like.value < UNLIKE * like.floor):
        return ""
    differs = score.value >= max(2.0 * score.floor, score.floor + 0.05)
    return f"Classes are not as common as in the data: {score.said}." if differs and score.said else ""
