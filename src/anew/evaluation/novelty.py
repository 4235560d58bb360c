"""The audit for copies of one run: the scan, what it would have caught, whether it holds on real items, and the words.

    copies = audit(kinds.IMAGES, samples, train, held, seed=0)
    report["copies"] = copies.to_json()

Texts are cut into passages first: `kinds.audit_texts`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anew.evaluation import copying
from anew.evaluation.copying import FOUND, Distance, Excess, Indices, Labels, Nearest, Scan

RATES = (0.005, 0.01, 0.02, 0.05, 0.1)  # of samples that are replaced by planted copies
DRAWS, CAUGHT = 20, 0.9  # a rate counts as caught where 9 of 10 draws of planted copies are found
DRAW_PERMUTATIONS = 399
POSING = 500  # real items that pose as samples
FAILED = 0.001  # the p-value from which held-out items that pose as samples say that the test does not hold
PAIRS = 12


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
class Copies:
    """What report.json holds under `copies`.

    found: p <= 0.01; share: of the samples that are copies, 0 where none are found, low and high: its 95% interval;
    detection_limit: the least planted rate that was caught, exact and disturbed, None where not even 10% was;
    method: "scan" with held-out items, "reference" without; reference_p: of the test that is not free of assumptions;
    control_p: of held-out items posing as samples, None where it was not run.
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
    controls: list[Planted] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        plain = asdict(self)
        plain["method"] = METHODS[self.method]
        plain["verdict"] = self.words()
        return plain

    def words(self) -> str:
        """The verdict in a sentence or two for a reader who knows no statistics."""
        if self.control_p is not None and self.control_p <= FAILED:
            return (
                "The copying test does not hold here: even held-out items look like copies, so they and the training items "
                "are not random draws from one source."
            )
        if self.found:
            return f"{self._found()}{self._suspicious(other=False)}"
        return f"{self._clean()}{self._suspicious(other=True)}"

    def _found(self) -> str:
        extent = f"about {percent(self.share)} of the samples ({percent(self.low)} to {percent(self.high)})"
        if self.method == "reference":
            return (
                f"Suspicion of copying: {extent} are closer to your items than your items are to each other. Without "
                "held-out items this is no proof: a generator that is sharper than its data does the same."
            )
        return f"Copying found: {extent} are copies of training items or nearly so (p = {self.p:.2g})."

    def _clean(self) -> str:
        if self.method == "reference":
            return "No sign of copying, by a test without held-out items that cannot prove it: give held-out items for proof."
        if self.detection_limit is not None:
            return f"No copying found; this audit would catch {percent(self.detection_limit)} or more."
        if not self.controls:
            return "No copying found; there was no time to measure what this audit would catch."
        held, samples = self.needed(RATES[-1])
        ways = [f"{samples:,} samples"] + ([f"{held:,} held-out items"] if held > self.held_out else [])
        return (
            f"No copying found, but this audit could not be sure to catch even {percent(RATES[-1])}: {self.held_out:,} "
            f"held-out items and {self.samples:,} samples are too few; about {' or '.join(ways)} are needed."
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
        samples = copying.least_copies(share) / rate if 0.0 < share < 1.0 else float("inf")
        held = copying.held_out_needed(rate * self.samples, self.train)
        return held, int(np.ceil(min(samples, 1e12)))


METHODS = {
    "scan": "label-exchangeability scan: training and held-out items in one pool, their labels permuted",
    "reference": "no held-out items: samples against the nearest distances among your own items, not assumption-free",
}


def percent(share: float) -> str:
    return f"{100.0 * share:.2g}%" if share < 0.1 else f"{100.0 * share:.0f}%"


class Audit:
    """One audit, step by step. Items of all kinds have one index: real ones, samples, planted ones. given: which of the
    train and then held-out items, as they were given, a real one is."""

    def __init__(
        self,
        kind: Kind,
        samples: Sequence[Any],
        train: Sequence[Any],
        held: Sequence[Any],
        groups: NDArray[Any] | None = None,
        *,
        seed: int = 0,
        controls: bool = True,
    ) -> None:
        """groups: one integer of each train and then each held-out item; items of one group (near-duplicates, a cluster,
        passages of one document) are never told apart. Default: each item its own."""
        if not len(samples) or not len(train):
            raise ValueError("an audit needs samples and training items")
        self.source = np.random.default_rng(seed)
        self.notes: list[str] = []
        self.n, self.m = len(train) + len(held), len(samples)
        own = np.arange(self.n) if groups is None else np.unique(groups, return_inverse=True)[1]
        # In an order of chance: of several items at one distance the first is taken, and that must not tell its label.
        self.given = self.source.permutation(self.n)
        own, real = own[self.given], [*train, *held]
        real = [real[i] for i in self.given]
        self.train = self.given < len(train)
        self.pool = self._untwinned(own)
        self.sources = self._sources() if controls else np.zeros((2, 0), dtype=np.intp)
        exact = [real[i] for i in self.sources[0]]
        disturbed = [kind.disturb(real[i], self.source) for i in self.sources[1]]
        items = [*real, *samples, *exact, *disturbed]
        self.groups = np.concatenate([own, own.max() + 1 + np.arange(len(items) - self.n)])
        self.distances = kind.distances(items, self.groups)
        self.controls = controls

    def _untwinned(self, groups: Indices) -> Indices:
        """Indices of pooled items, less held-out ones that have a twin in train: their label says nothing."""
        mixed = np.isin(groups, groups[self.train]) & ~self.train
        if mixed.any():
            self.notes.append(
                f"{int(mixed.sum())} held-out items have twins among the training items and were left out"
            )
        return np.flatnonzero(~mixed)

    def _sources(self) -> Indices:
        """Training items that planted copies are made of, (2, e): for exact and for disturbed ones."""
        count, train = int(np.ceil(RATES[-1] * self.m)), np.flatnonzero(self.train)
        return np.stack([self.source.choice(train, count, replace=count > len(train)) for _ in range(2)])

    def run(self, late: Callable[[], bool] = lambda: False) -> Copies:
        """late: asked before each control; what it leaves no time for is said in the notes."""
        queries = np.arange(self.n, self.n + self.m + self.sources.size)
        nears = [d.near(queries, self.pool) for d in self.distances]
        made = [n.take(np.arange(self.m)) for n in nears]
        held = self.pool[~self.train[self.pool]]
        if not len(held):
            return self._without_held_out(made)
        touched = np.concatenate([*(n.item for n in nears), self.sources.ravel()])
        labels = Labels(self.train, self.groups, self.pool, touched, source=self.source)
        scan = copying.scan(made, labels, self.source)
        planted: list[Planted] = []
        control = excess = None
        posing, rest = self._set_aside(held)
        if self.controls and not self._skipped(late, "planted copies"):
            planted = self._planted(nears, labels, self._unsuspicious(scan))
        if self.controls and not self._skipped(late, "held-out items posing as samples"):
            control = self._control(posing, rest)
        if self.controls and not self._skipped(late, "the reference test"):
            excess = self._reference(made, posing, rest)
        found = scan.p <= FOUND
        return Copies(
            found=found,
            p=scan.p,
            share=scan.copied / self.m if found else 0.0,
            low=scan.low / self.m if found else 0.0,
            high=scan.high / self.m if found else 0.0,
            detection_limit=limit_of(planted),
            method="scan",
            pairs=self._pairs(made, scan),
            distance=self.distances[scan.which].name,
            samples=self.m,
            train=int(self.train.sum()),
            held_out=len(held),
            reference_p=None if excess is None else excess.p,
            control_p=control,
            controls=planted,
            notes=self.notes,
        )

    def _skipped(self, late: Callable[[], bool], what: str) -> bool:
        if not late():
            return False
        self.notes.append(f"Not measured: {what} in the copying test (the time was spent).")
        return True

    def _unsuspicious(self, scan: Scan) -> Indices:
        """Samples that copies are planted among: all, less those that were found to be copies."""
        return scan.order[scan.k :] if scan.p <= FOUND and scan.k < self.m else scan.order

    def _planted(self, nears: Sequence[Nearest], labels: Labels, base: Indices) -> list[Planted]:
        """How often planted copies are caught, from the highest rate down to one that is not. Nothing is searched anew."""
        size, found = self.sources.shape[1], []
        for which, kind in enumerate(("exact", "disturbed")):
            for rate in reversed(RATES):
                count = round(rate * self.m)
                if count < 1:
                    break
                offset, caught, missed = self.m + which * size, 0, 0
                while caught + missed < DRAWS and missed <= (1.0 - CAUGHT) * DRAWS and (missed or caught < DRAWS // 2):
                    rows = base.copy() if len(base) == self.m else self.source.choice(base, self.m)
                    chosen = self.source.choice(size, count, replace=False)
                    rows[self.source.choice(self.m, count, replace=False)] = offset + chosen
                    truth = labels.planted(1 + caught + missed, self.sources[which][chosen], DRAW_PERMUTATIONS)
                    seen = copying.scan([n.take(rows) for n in nears], truth, self.source).p <= FOUND
                    caught, missed = caught + seen, missed + (not seen)
                found.append(Planted(kind, rate, caught / (caught + missed)))
                if found[-1].caught < CAUGHT:
                    break
        return found

    def _set_aside(self, real: Indices) -> tuple[Indices, Indices]:
        """Up to half of these real items (whole groups) to pose as samples, and the pool without them."""
        known, count = np.unique(self.groups[real], return_counts=True)
        order = self.source.permutation(len(known))
        most = max(int((np.cumsum(count[order]) <= POSING).sum()), 1)
        chosen = np.isin(self.groups[self.pool], known[order[: min(most, len(known) // 2)]])
        return self.pool[chosen], self.pool[~chosen]

    def _control(self, posing: Indices, rest: Indices) -> float | None:
        """p of held-out items posing as samples of a generator that copies nothing."""
        if not len(posing) or self.train[rest].all():
            self.notes.append("Not measured: held-out items posing as samples in the copying test (there are too few).")
            return None
        nears = [d.near(posing, rest) for d in self.distances]
        touched = np.concatenate([n.item for n in nears])
        labels = Labels(self.train, self.groups, rest, touched, source=self.source)
        return copying.scan(nears, labels, self.source).p

    def _reference(self, made: Sequence[Nearest], posing: Indices, rest: Indices) -> Excess | None:
        """Samples against real items that pose as samples, both outside of the rest of the pool; over several distances
        the least p, times their number."""
        if not len(posing) or not len(rest):
            self.notes.append("Not measured: the reference test for copies (there are too few real items).")
            return None
        queries = np.arange(self.n, self.n + self.m)
        tests = []
        for near, distance in zip(made, self.distances, strict=True):
            item, apart = near.item.copy(), near.distance.copy()
            moved = ~np.isin(item, rest)
            if moved.any():
                item[moved], apart[moved] = distance.nearest(queries[moved], rest)
            ours = distance.scaled(item, apart, rest)
            tests.append(copying.reference_test(ours.ratio, distance.near(posing, rest).ratio, self.source))
        best = min(tests, key=lambda e: e.p)
        return Excess(min(best.p * len(tests), 1.0), best.k, best.copied)

    def _without_held_out(self, made: Sequence[Nearest]) -> Copies:
        excess = self._reference(made, *self._set_aside(self.pool)) or Excess(1.0, 0, 0.0)
        share = excess.copied / self.m if excess.p <= FOUND else 0.0
        half = 1.96 * float(np.sqrt(max(share * (1.0 - share), 0.0) / self.m))
        scan = Scan(excess.p, 0.0, excess.k, 0, 0.0, 0.0, 0.0, 0.0, 0, made[0].order(self.source))
        return Copies(
            found=excess.p <= FOUND,
            p=excess.p,
            share=share,
            low=max(share - half, 0.0),
            high=min(share + half, 1.0),
            detection_limit=None,
            method="reference",
            pairs=self._pairs(made, scan),
            distance=self.distances[0].name,
            samples=self.m,
            train=self.n,
            held_out=0,
            reference_p=excess.p,
            notes=self.notes,
        )

    def _pairs(self, made: Sequence[Nearest], scan: Scan) -> list[Pair]:
        """The most suspicious samples that are nearest to a training item."""
        near = made[scan.which]
        rows = [i for i in scan.order if self.train[near.item[i]]][:PAIRS]
        which = self.given[near.item]
        return [Pair(int(i), int(which[i]), float(near.distance[i]), float(near.scale[i])) for i in rows]


def limit_of(planted: Sequence[Planted]) -> float | None:
    """The least rate that was caught of both kinds, exact and disturbed; higher ones were then caught too."""
    caught = [{p.rate for p in planted if p.kind == kind and p.caught >= CAUGHT} for kind in ("exact", "disturbed")]
    return min(caught[0] & caught[1], default=None)


def audit(
    kind: Kind,
    samples: Sequence[Any],
    train: Sequence[Any],
    held: Sequence[Any],
    groups: NDArray[Any] | None = None,
    *,
    seed: int = 0,
    controls: bool = True,
    late: Callable[[], bool] = lambda: False,
) -> Copies:
    """Are samples copies of training items? held: items of the same source that chance kept from training, none for the
    weaker method; groups: see Audit."""
    return Audit(kind, samples, train, held, groups, seed=seed, controls=controls).run(late)
