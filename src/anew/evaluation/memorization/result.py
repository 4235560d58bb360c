"""What an audit for copies says: the kinds of items it knows, its figures, and the words for readers. See `audit`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.memorization import statistics
from anew.evaluation.memorization.statistics import FOUND, Distance
from anew.evaluation.metrics.statistics import Score

REACHABLE = 10**7  # held-out items that somebody may have; a need for more is no advice
PARTLY = 0.9  # of the training items, below which the audit looked at a part of them
RATES = (0.005, 0.01, 0.02, 0.05, 0.1)  # of samples that are replaced by planted copies
CAUGHT = 0.9  # a rate counts as caught where so many draws of planted copies are found
FAILED = 0.001  # the p-value from which held-out items that pose as samples say that the test does not hold


@dataclass(frozen=True, slots=True)
class Kind:
    """How items of a kind are compared: distances over all items, and how a planted copy is lightly disturbed."""

    name: str
    distances: Callable[[Sequence[Any], NDArray[Any]], list[Distance]]
    disturb: Callable[[Any, np.random.Generator], Any]


@dataclass(frozen=True, slots=True)
class Pair:
    """A sample and the training item it is nearest to. distance: between them; usual: from that item to its own nearest
    real item. Where items are passages, the starts are places in the sample's and the training text's characters."""

    sample: int
    train: int
    distance: float
    usual: float
    sample_start: int = 0
    train_start: int = 0


@dataclass(frozen=True, slots=True)
class Planted:
    """A control: how often `rate` of copies among the samples was found. kind: "exact" or "disturbed"."""

    kind: str
    rate: float
    caught: float


@dataclass(frozen=True, slots=True)
class Novel:
    """How much farther samples are from training items than held-out items are: auc is the chance that a sample is the
    farther one of a pair, 0.5 as far, lower nearer; with the ends of its 95% interval."""

    auc: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Copies:
    """What report.json holds under `copies`.

    found: p <= 0.01; of: training items in all, of which `train` were looked at;
    share: of the samples that are copies, 0 where none are found, low and high: its 95% interval;
    detection_limit: the least planted rate that was caught, exact and disturbed, None where not even 10% was;
    method: "scan" with held-out items, "reference" without; reference_p: of the test that is not free of assumptions;
    same: samples at distance 0 from a training item that was looked at, whatever the test says of them;
    control_p: of held-out items posing as samples, or the least of theirs and of training items' where the user held
    items out, None where it was not run; novel: None where it was not run.
    """

    found: bool
    p: float
    share: float
    low: float
    high: float
    detection_limit: float | None
    method: str
    pairs: list[Pair]
    distance: str
    samples: int
    train: int
    held_out: int
    reference_p: float | None = None
    control_p: float | None = None
    of: int = 0
    same: int = 0
    novel: Novel | None = None
    controls: list[Planted] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        plain = asdict(self)
        plain["method"] = METHODS[self.method]
        plain["verdict"] = self.words()
        return plain

    def scores(self) -> list[Score]:
        """The same as figures; where nothing is found, at most the detection limit may be copied."""
        against = f"{self.samples:,} samples, {self.train:,} training and {self.held_out:,} held-out items, by {self.distance}"
        high = self.high if self.found else self.detection_limit
        low = None if high is None else self.low if self.found else 0.0
        found = [Score("copied_share", self.share, low, high, 0.0, "lower", self.samples, against, 1.0, self.p)]
        if self.novel is not None:
            said = f"distance to the nearest training item, samples against held-out items, by {self.distance}"
            one = self.novel
            found.append(Score("novelty_auc", one.auc, one.low, one.high, 0.5, "higher", self.samples, said, 0.0))
        return found

    @property
    def fails(self) -> bool:
        """Whether even held-out items look like copies: then nothing that the test finds counts."""
        return self.method == "scan" and self.control_p is not None and self.control_p <= FAILED

    def words(self) -> str:
        """The verdict in a sentence or two for a reader who knows no statistics."""
        if self.fails:
            return (
                "The copying test does not hold here: even held-out items look like copies, so they and the training items "
                "are not random draws from one source."
            )
        if self.found:
            fact = "" if self.method == "scan" else self._same(chance=False)
            return f"{fact}{self._found()}{self._suspicious(other=False)}"
        return f"{self._same(chance=True)}{self._clean()}{self._suspicious(other=True)}"

    def _same(self, chance: bool) -> str:
        """A fact that needs no test, whatever the test can prove. chance: whether it may be one of chance."""
        if not self.same:
            return ""
        are = f"sample{'s are' if self.same > 1 else ' is'} the same as a training item"
        why = ", as short or simple ones may be by chance" if chance else ""
        return f"{self.same:,} of {self.samples:,} {are}{why}. "

    def _found(self) -> str:
        extent = f"about {percent(self.share)} of the samples ({percent(self.low)} to {percent(self.high)})"
        if self.method != "scan":
            return (
                f"Suspicion of copying: {extent} are closer to your items than your items are to each other. Without "
                "held-out items drawn at random this is no proof: a generator that is sharper than its data does the same."
            )
        return f"Copying found: {extent} are copies of training items or nearly so (p = {self.p:.2g})."

    def _clean(self) -> str:
        if self.method == "reference":
            needed = f"about {max(self.train // 9, 200):,} held-out items, drawn at random, would"
            return f"No sign of copying, by a test without held-out items, which cannot prove it; {needed} prove more."
        if self.method == "shifted":
            return (
                "No sign of copying, by a test that cannot prove it: the held-out items are no random draw from where the "
                "training items come from. Give all items in one folder, and a random part is held out."
            )
        if self.detection_limit is not None:
            return f"No copying found; this audit would catch {percent(self.detection_limit)} or more."
        if self.train < PARTLY * self.of:
            return (
                f"No copying found among {self.train:,} of {self.of:,} training items, which is what there was time or "
                f"memory to compare: too few to be sure to catch even {percent(RATES[-1])}. `anew evaluate` has no limit of time."
            )
        if not self.controls and round(RATES[-1] * self.samples) >= 1:
            return "No copying found; there was no time to measure what this audit would catch."
        held, samples = self.needed(RATES[-1])
        ways = [f"{samples:,} samples"] if samples > self.samples else []
        ways += [f"{held:,} held-out items"] if self.held_out < held <= REACHABLE else []
        unsure = f"No copying found, but this audit could not be sure to catch even {percent(RATES[-1])}"
        if not ways:
            return f"{unsure}: lightly changed copies are hardly closer to their originals than your items are to each other."
        return (
            f"{unsure}: {self.held_out:,} held-out items and {self.samples:,} sample{'s' * (self.samples > 1)} are too few; about "
            f"{' or '.join(ways)} are needed."
        )

    def _suspicious(self, other: bool) -> str:
        if self.method == "scan" and other and self.reference_p is not None and self.reference_p <= FOUND:
            return (
                " Samples are closer to real items than real items are to each other, which a generator that is sharper "
                "or less varied than its data does too."
            )
        return ""

    def needed(self, rate: float) -> tuple[int, int]:
        """Held-out items (with as many samples), and samples (with as many held-out items), to catch `rate` copies."""
        share = self.train / max(self.train + self.held_out, 1)
        samples = statistics.least_copies(share) / rate if 0.0 < share < 1.0 else float("inf")
        held = statistics.held_out_needed(rate * self.samples, self.train)
        return held, int(np.ceil(min(samples, 1e12)))


METHODS = {
    "scan": "label-exchangeability scan: training and held-out items in one pool, their labels permuted",
    "shifted": "held-out items are no random draw from the source of the training items: samples against the nearest "
    "distances among all real items, not assumption-free",
    "reference": "no held-out items: samples against the nearest distances among your own items, not assumption-free",
}


def percent(share: float) -> str:
    return f"{100.0 * share:.2g}%" if share < 0.1 else f"{100.0 * share:.0f}%"
