"""The audit for copies, step by step: the scan, what it would have caught, and whether it holds on real items.

    copies = audit(kinds.IMAGES, samples, train, held, seed=0)
    report["copies"] = copies.to_json()

Texts are cut into passages first: `kinds.audit_texts`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.memorization import statistics
from anew.evaluation.memorization.result import CAUGHT, FAILED, RATES, Copies, Kind, Novel, Pair, Planted
from anew.evaluation.memorization.statistics import FOUND, Array, Distance, Excess, Indices, Labels, Nearest, Scan
from anew.evaluation.metrics.two_sample import auc

DRAWS = 20  # of planted copies at each rate; a rate counts as caught where 9 of 10 are found
DRAW_PERMUTATIONS = 399
POSING = 500  # real items that pose as samples
PAIRS = 12
CLOSER = 0.25  # p of the reference test up to which samples count as closer than real items are to each other


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
        of: int | None = None,
        drawn: bool = True,
        seed: int = 0,
        controls: bool = True,
    ) -> None:
        """groups: one integer of each train and then each held-out item; items of one group (near-duplicates, a cluster,
        passages of one document) are never told apart. Default: each item its own.

        of: training items in all, where `train` is a random part of them: copies of the others go unseen, which shares and
        limits allow for. drawn: held-out items are a random draw from where training items come from; False: whether
        they are like one is tested first."""
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
        self.of, self.drawn = max(of or len(train), len(train)), drawn
        self.part = len(train) / self.of  # of the copies that can be seen
        self.pool = self._untwinned(own)
        self.sources = self._sources() if controls else np.zeros((2, 0), dtype=np.intp)
        exact = [real[i] for i in self.sources[0]]
        disturbed = [kind.disturb(real[i], self.source) for i in self.sources[1]]
        items = [*real, *samples, *exact, *disturbed]
        self.groups = np.concatenate([own, own.max() + 1 + np.arange(len(items) - self.n)])
        self.distances = kind.distances(items, self.groups)
        self.controls = controls
        self._posed: tuple[bytes, list[Array]] = (b"", [])

    def _untwinned(self, groups: Indices) -> Indices:
        """Indices of pooled items, less those of groups with items on both sides: their label says nothing."""
        mixed = np.isin(groups, groups[self.train]) & np.isin(groups, groups[~self.train])
        if mixed.any():
            held = int((mixed & ~self.train).sum())
            self.notes.append(
                f"Copying test: {held} held-out items have twins among the training items; both are left out."
            )
        return np.flatnonzero(~mixed)

    def _sources(self) -> Indices:
        """Training items that planted copies are made of, (2, e): for exact and for disturbed ones."""
        count, train = int(np.ceil(RATES[-1] * self.m)), self.pool[self.train[self.pool]]
        return np.stack([self.source.choice(train, count, replace=count > len(train)) for _ in range(2)])

    def run(self, late: Callable[[], bool] = lambda: False) -> Copies:
        """late: asked before each control; what it leaves no time for is said in the notes."""
        queries = np.arange(self.n, self.n + self.m + self.sources.size)
        nears = [d.near(queries, self.pool) for d in self.distances]
        made = [n.take(np.arange(self.m)) for n in nears]
        held = self.pool[~self.train[self.pool]]
        if not len(held):
            return self._without_proof(made, "reference")
        posing, rest = self._set_aside(held)
        control = None if self.drawn else self._least_control(posing, rest)
        if control is not None and control <= FOUND:
            return self._without_proof(made, "shifted", control)
        touched = np.concatenate([*(n.item for n in nears), self.sources.ravel()])
        labels = Labels(self.train, self.groups, self.pool, touched, source=self.source)
        scan = statistics.scan(made, labels, self.source)
        planted: list[Planted] = []
        excess = self._reference(made, posing, rest) if scan.p <= FOUND else None
        novel = None
        if self.controls and not self._skipped(late, "planted copies"):
            planted = self._planted(nears, labels, self._unsuspicious(scan), self._apart(posing, rest))
        if self.controls and not self._skipped(late, "how novel samples are"):
            novel = self._novel(made, held)
        if self.controls and self.drawn and not self._skipped(late, "held-out items posing as samples"):
            control = self._control(posing, rest)
        if self.controls and excess is None and not self._skipped(late, "the reference test"):
            excess = self._reference(made, posing, rest)
        p = proved(scan.p, excess)
        found, whole = p <= FOUND and (control is None or control > FAILED), self.m * self.part
        share, low, high = (min(x / whole, 1.0) * found for x in (scan.copied, scan.low, scan.high))
        return Copies(
            found=found,
            p=p,
            share=share,
            low=low,
            high=high,
            detection_limit=limit_of(planted),
            method="scan",
            pairs=self._pairs(made, scan),
            distance=self.distances[scan.which].name,
            samples=self.m,
            train=int(self.train[self.pool].sum()),
            held_out=len(held),
            reference_p=None if excess is None else excess.p,
            control_p=control,
            of=self.of,
            same=identical(made, self.train),
            novel=novel,
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

    def _apart(self, posing: Indices, rest: Indices) -> list[Array]:
        """How far real items that pose as samples are from others, (h,) for each distance; empty where there are none."""
        if not len(posing) or not len(rest):
            return []
        key = posing.tobytes()
        if self._posed[0] != key:
            self._posed = key, [d.near(posing, rest).ratio for d in self.distances]
        return self._posed[1]

    def _planted(
        self, nears: Sequence[Nearest], labels: Labels, base: Indices, apart: Sequence[Array]
    ) -> list[Planted]:
        """How often planted copies are caught, from the highest rate down to one that is not. Nothing is searched anew."""
        size, found = self.sources.shape[1], []
        for which, kind in enumerate(("exact", "disturbed")):
            for rate in reversed(RATES):
                count = round(rate * self.m * self.part)
                if count < 1:
                    break
                offset, caught, missed = self.m + which * size, 0, 0
                while caught + missed < DRAWS and missed <= (1.0 - CAUGHT) * DRAWS and (missed or caught < DRAWS // 2):
                    rows = base.copy() if len(base) == self.m else self.source.choice(base, self.m)
                    chosen = self.source.choice(size, count, replace=False)
                    rows[self.source.choice(self.m, count, replace=False)] = offset + chosen
                    truth = labels.planted(1 + caught + missed, self.sources[which][chosen], DRAW_PERMUTATIONS)
                    mixed = [n.take(rows) for n in nears]
                    seen = statistics.scan(mixed, truth, self.source).p <= FOUND
                    seen = seen and proved(0.0, least_excess(mixed, apart, self.source, DRAW_PERMUTATIONS)) <= FOUND
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

    def _least_control(self, posing: Indices, rest: Indices) -> float | None:
        """The less p of held-out and of training items that pose as samples, times two: are their labels exchangeable?"""
        ours = self._set_aside(self.pool[self.train[self.pool]])
        found = [p for p in (self._control(posing, rest), self._control(*ours)) if p is not None]
        return min(2.0 * min(found), 1.0) if found else None

    def _control(self, posing: Indices, rest: Indices) -> float | None:
        """p of real items posing as samples of a generator that copies nothing."""
        if not len(posing) or self.train[rest].all():
            self.notes.append("Not measured: held-out items posing as samples in the copying test (there are too few).")
            return None
        nears = [d.near(posing, rest) for d in self.distances]
        touched = np.concatenate([n.item for n in nears])
        labels = Labels(self.train, self.groups, rest, touched, source=self.source)
        return statistics.scan(nears, labels, self.source).p

    def _novel(self, made: Sequence[Nearest], held: Indices) -> Novel:
        """Distances to the nearest training item, by the first distance: samples against held-out items."""
        train, queries = self.pool[self.train[self.pool]], np.arange(self.n, self.n + self.m)
        ours = np.where(self.train[made[0].item], made[0].distance, np.inf)
        moved = ~np.isfinite(ours)
        if moved.any():
            ours[moved] = self.distances[0].nearest(queries[moved], train)[1]
        few = held if len(held) <= self.m else np.sort(self.source.choice(held, self.m, replace=False))
        value, variance = auc(ours, self.distances[0].nearest(few, train)[1])
        half = 1.96 * float(np.sqrt(variance))
        return Novel(value, max(value - half, 0.0), min(value + half, 1.0))

    def _reference(self, made: Sequence[Nearest], posing: Indices, rest: Indices) -> Excess | None:
        """Samples against real items that pose as samples, both outside of the rest of the pool."""
        apart = self._apart(posing, rest)
        if not apart:
            self.notes.append("Not measured: the reference test for copies (there are too few real items).")
            return None
        ours = [self._outside(near, d, rest) for near, d in zip(made, self.distances, strict=True)]
        return least_excess(ours, apart, self.source)

    def _outside(self, near: Nearest, distance: Distance, rest: Indices) -> Nearest:
        """The samples' nearest in a part of the pool: only what led to an item that poses now is looked for again."""
        queries = np.arange(self.n, self.n + self.m)
        item, own = near.item.copy(), near.own.copy()
        apart, scale = near.distance.copy(), near.scale.copy()
        moved = ~np.isin(item, rest)
        if moved.any():
            item[moved], apart[moved] = distance.nearest(queries[moved], rest)
        again = moved | ~np.isin(near.own, rest)
        if again.any():
            fresh = distance.scaled(item[again], apart[again], rest)
            scale[again], own[again] = fresh.scale, fresh.own
        return Nearest(item, apart, scale, own)

    def _without_proof(self, made: Sequence[Nearest], method: str, control: float | None = None) -> Copies:
        excess = self._reference(made, *self._set_aside(self.pool)) or Excess(1.0, 0, 0.0)
        same = identical(made, self.train)
        share = max(excess.copied, same) / self.m if excess.p <= FOUND else 0.0
        half = 1.96 * float(np.sqrt(max(share * (1.0 - share), 0.0) / self.m))
        scan = Scan(excess.p, 0.0, excess.k, 0, 0.0, 0.0, 0.0, 0.0, 0, made[0].order(self.source))
        return Copies(
            found=excess.p <= FOUND,
            p=excess.p,
            share=share,
            low=max(share - half, 0.0),
            high=min(share + half, 1.0),
            detection_limit=None,
            method=method,
            pairs=self._pairs(made, scan),
            distance=self.distances[0].name,
            samples=self.m,
            train=int(self.train.sum()),
            held_out=int((~self.train).sum()),
            reference_p=excess.p,
            control_p=control,
            of=self.of,
            same=same,
            notes=self.notes,
        )

    def _pairs(self, made: Sequence[Nearest], scan: Scan) -> list[Pair]:
        """The most suspicious samples that are nearest to a training item."""
        near = made[scan.which]
        rows = [i for i in scan.order if self.train[near.item[i]]][:PAIRS]
        which = self.given[near.item]
        return [Pair(int(i), int(which[i]), float(near.distance[i]), float(near.scale[i])) for i in rows]


def least_excess(
    made: Sequence[Nearest], apart: Sequence[Array], source: np.random.Generator, repeats: int = statistics.PERMUTATIONS
) -> Excess | None:
    """The reference test of each distance: the least p, times their number; None without real items to compare with."""
    tests = [statistics.reference_test(n.ratio, real, source, repeats) for n, real in zip(made, apart, strict=False)]
    if not tests:
        return None
    best = min(tests, key=lambda e: e.p)
    return Excess(min(best.p * len(tests), 1.0), best.k, best.copied)


def identical(made: Sequence[Nearest], train: NDArray[np.bool_]) -> int:
    """Samples at distance 0 from a training item, by some distance."""
    return int(np.any([(near.distance == 0.0) & train[near.item] for near in made], axis=0).sum())


def proved(p: float, excess: Excess | None) -> float:
    """p of the scan where samples are also closer to real items than those are to each other, else of that if larger.

    Any model that has learned from its training items leans to them, and with enough samples the scan sees it: phrases,
    strokes. Copies lie closer than that."""
    return p if excess is None or excess.p <= CLOSER else max(p, excess.p)


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
    of: int | None = None,
    drawn: bool = True,
    seed: int = 0,
    controls: bool = True,
    late: Callable[[], bool] = lambda: False,
) -> Copies:
    """Are samples copies of training items? held: items of the same source that chance kept from training, none for the
    weaker method; groups, of, drawn: see Audit."""
    return Audit(kind, samples, train, held, groups, of=of, drawn=drawn, seed=seed, controls=controls).run(late)
