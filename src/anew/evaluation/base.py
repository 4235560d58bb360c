"""What an evaluation receives, and what every evaluation does with its time. It knows no family, trainer or run."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anew.core.specs import Grid, Spec
from anew.data.modality import Modality
from anew.evaluation.memorization.audit import POSING, audit
from anew.evaluation.memorization.result import Copies, Kind
from anew.evaluation.metrics.classes import Classes, Labelled, affordable
from anew.evaluation.metrics.fidelity import QUICK, Features, Likeness
from anew.evaluation.metrics.probe import MOST as PROBED
from anew.evaluation.metrics.statistics import Score, mean_interval, ratio_interval
from anew.evaluation.reporting import sheet
from anew.evaluation.reporting.content import Beside, Item, Shown


@dataclass(frozen=True)
class Pool:
    """Real items that the audit for copies holds samples against; of: how many training items there are in all.

    groups: one number of each train and then each held item, which near-duplicates share; drawn: whether chance alone kept
    the held items from training, one by one.
    """

    train: list[Any]
    held: list[Any]
    groups: NDArray[Any] | None
    of: int
    drawn: bool = True

    def some(self, most: int) -> Pool:
        """About `most` of the items, in their order: at most half of them held out, unless training items are few."""
        held = min(len(self.held), max(most // 2, most - len(self.train)))
        train = min(len(self.train), most - held)
        if train == len(self.train) and held == len(self.held):
            return self
        n = len(self.train)
        groups = None if self.groups is None else np.concatenate([self.groups[:train], self.groups[n : n + held]])
        return Pool(self.train[:train], self.held[:held], groups, self.of, self.drawn)


@dataclass(frozen=True)
class Labels:
    """Classes of items. train, test: (class names, (n,) class numbers) of the items that `Evidence.train` and `test` give for
    the same n; samples: (n,) what each sample was asked to be."""

    train: Callable[[int], tuple[Sequence[str], NDArray[Any]]]
    test: Callable[[int], tuple[Sequence[str], NDArray[Any]]]
    samples: NDArray[Any]


@dataclass(frozen=True)
class Evidence:
    """Real and generated items, side by side.

    train, test: n random items (all, if fewer) as people see them: str, or (H, W) or (H, W, C) uint8; fixed by the seed.
    train_text, test_text: texts of a part in order up to a number of characters, None where data is not text.
    samples: generated items in the same form.
    pool: training and held-out items for the audit for copies, in an order of chance, at most so many of both; where items
    are parts of long texts, whole texts.
    bits: (bits, units) of each scored example of the test part, in order; its argument is the seconds it may take.
    seen: the same of a part ("train", "test") and about so many units of it, without what merely counts training items.
    parts: bits per unit of the test part under parts of a mixed model alone, by name; empty where it is one part.
    clusters: the same as bits for the part of whole clusters of relatives, None where there is none; clusters_text: its texts.
    features: of samples, train and held-out items that the user brings, to be used instead of those made here.
    labels: of samples and real items, None where the run has no classes.
    seconds: what the evaluation may take in all, the writing of the report included; None without a limit.
    """

    modality: Modality
    spec: Spec
    train: Callable[[int], list[Any]]
    test: Callable[[int], list[Any]]
    train_text: Callable[[int | None], list[str]] | None
    test_text: Callable[[int | None], list[str]] | None
    samples: list[Any]
    bits: Callable[[float | None], list[tuple[float, float]]] | None
    seconds: float | None
    seed: int
    parts: Callable[[], dict[str, float]] | None = None
    features: Features | None = None
    seen: Callable[[str, float], list[tuple[float, float]]] | None = None
    pool: Callable[[int], Pool] | None = None
    labels: Labels | None = None
    clusters: Callable[[float | None], list[tuple[float, float]]] | None = None
    clusters_text: Callable[[int | None], list[str]] | None = None


FIGURES = 0.6  # of the time is for figures, the rest for the audit for copies and what is shown
POOL_MOST = 200_000  # real items that the audit looks at
POOL_FIRST, SAMPLES_FIRST = 128, 64  # of a first audit, whose time says how many more there is time for
LEAST = 20  # items a figure needs
MOST = 10_000
GAP_ITEMS, GAP_UNITS = 256, 60_000.0  # items, or characters, of each part whose bits are compared
FITTED = 256  # training items that an embedder takes its centre and scale from
PROBE_SHARE = 0.1  # of the time for figures, for a probe of classes
TRIED = 16  # items whose features tell how long those of a probe would take
REPORT_SECONDS = 1.2  # of the limit, for drawing and writing the page


class Clock:
    """Time since it was made, against a limit in seconds (None: no limit)."""

    def __init__(self, seconds: float | None) -> None:
        self.limit = seconds
        self._start = time.monotonic()

    def spent(self) -> float:
        return time.monotonic() - self._start

    def left(self, share: float = 1.0) -> float:
        """Seconds until `share` of the limit is spent; infinite without a limit."""
        return float("inf") if self.limit is None else self.limit * share - self.spent()

    def over(self, share: float = 1.0) -> bool:
        return self.left(share) <= 0.0


class Evaluation(ABC):
    """Measures one kind of items. A modality's file `evaluation/NAME.py` ends with `EXPORT = ItsEvaluation`.

    A kind of items says how its items become features (`embedder`), which figures it has of its own (`own`), what a naive
    generator of it makes (`naive`), how copies of it are told (`kind`) and how it is shown (`show`). What every kind has,
    closeness and variety of features, is measured here.

    noun: what items are called, in the plural; features: what `embedder` gives, one clause; unit: what bits are counted by.
    left_out: sentences on what was not measured and why; complete once `scores` has ended. sets: the items that were
    measured, as many of each: "samples", "test", "train" and, where there is a naive generator, "naive".
    """

    noun: ClassVar[str] = "items"
    features: ClassVar[str] = "features"
    unit: ClassVar[str] = "dimension"
    bound: ClassVar[str] = "; an upper bound by the evidence lower bound"
    kind: Kind | None = None

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        limit = evidence.seconds
        whole = None if limit is None else max(limit - REPORT_SECONDS, 0.5 * limit)
        self.clock = Clock(None if whole is None else FIGURES * whole)
        self.whole = Clock(whole)
        self.left_out: list[str] = []
        self.sets: dict[str, list[Any]] = {}
        self.suspects: list[Beside] = []
        self._embedder: Callable[[Sequence[Any]], NDArray[Any]] | None = None
        self._further: list[Any] = []  # training items in no set, for a probe
        self._read: dict[str, tuple[int, int]] = {}  # items of a part that were asked for, and that came

    # what a kind of items says

    @abstractmethod
    def embedder(self, train: Sequence[Any]) -> Callable[[Sequence[Any]], NDArray[Any]]:
        """What turns items into features (n, d); may take centre and scale from a few training items."""

    def probed(self, items: Sequence[Any]) -> NDArray[Any] | None:
        """Features (n, d) that tell classes better than those of `embedder`; None: those do."""
        return None

    def naive(self, train: Sequence[Any], n: int, source: np.random.Generator) -> list[Any]:
        """n items of a generator that knows next to nothing of the training items (noise, shuffled, bigrams); none here."""
        return []

    def own(self) -> Iterator[Score]:
        """Figures that only this kind of items has, of `self.sets` (empty where there are too few items)."""
        yield from ()

    @abstractmethod
    def show(self) -> Shown:
        """What the report displays of the samples: a sheet, and the nearest training item of each; with `self.suspects`."""

    def beside(self, sample: Any, train: Any, distance: float, usual: float) -> Beside:
        """A suspicious sample and the training item that it is nearest to; usual: of that item to its nearest real one."""
        said = f"{distance:.2g} apart, {usual:.2g} is usual there"
        return Beside(self.item(sample), self.item(train), said, close=distance < 0.5 * usual)

    def item(self, one: Any) -> Item:
        """How an item stands on the page: its picture, or its text."""
        picture = None if self.evidence.modality is None else self.evidence.modality.picture(one)
        return Item(text=str(one)) if picture is None else Item(sheet.png(sheet.small(picture)))

    def items(self, part: str, n: int) -> list[Any]:
        """n items of "samples", "train" or "test" (all, if fewer) that features are taken of."""
        if part == "samples":
            return self.evidence.samples[:n]
        found = (self.evidence.train if part == "train" else self.evidence.test)(n)
        order = np.random.default_rng(self.evidence.seed).permutation(len(found))
        return [found[i] for i in order]  # they come in their order in the data, and the first are not like all

    # what every kind has

    def leave_out(self, what: str, why: str) -> None:
        """Record what was not measured; the report's notes say it."""
        self.left_out.append(f"Not measured: {what} ({why}).")

    def scores(self) -> Iterator[Score]:
        """Figures as they are ready, the most important first; stops before the time is spent."""
        yield from self.likelihood()
        features = self._features()
        if features is not None:
            yield from Likeness(features, self.evidence.seed, self.clock.over, self.leave_out).scores()
            yield from self._classes(features)
        yield from self.own()
        yield from self._gap()

    def copies(self) -> Iterator[Copies]:
        """The audit for copies: of all items, or in limited time first of few, then of as many as there is time for."""
        if self.kind is None or self.evidence.pool is None or not self.evidence.samples:
            return
        every = min(len(self.evidence.samples), MOST)
        if self.whole.limit is None:
            pool = self.evidence.pool(POOL_MOST)
            if pool.train:
                yield self.audited(pool, None, every)
            return
        real, samples, looked = POOL_FIRST, min(SAMPLES_FIRST, every), 0
        found: Pool | None = None
        while True:
            begin, asked = self.whole.spent(), real
            if found is None or self.size(found) <= looked:  # to read all of a large set may take minutes
                found = self.evidence.pool(min(real, POOL_MOST))
            pool = found
            if not pool.train:
                return
            there = self.size(pool)
            looked = min(asked, there)
            yield self.audited(pool, real if real < there else None, samples)
            pace = comparisons(samples, looked) / max(self.whole.spent() - begin, 1e-3)
            affordable = 0.8 * pace * max(self.whole.left(0.9), 0.0)
            more = max(samples, min(every, int(affordable / (looked + POSING))))
            real = max(looked, int(affordable / (more + POSING)))
            if more == samples and (there < asked or real < 2 * looked):
                break
            samples = more
        if asked <= there or samples < every:
            self.leave_out("copies of all training items", "the time allowed to look at some of them only")

    def size(self, pool: Pool) -> int:
        """Real items in a pool, as the audit counts them."""
        return len(pool.train) + len(pool.held)

    def audited(self, pool: Pool, most: int | None, samples: int) -> Copies:
        """The audit of the first `samples` for copies among the items of a pool, or about `most` of them."""
        assert self.kind is not None
        some = pool if most is None else pool.some(most)
        given = (self.evidence.samples[:samples], some.train, some.held, some.groups)
        how: dict[str, Any] = {"of": some.of, "drawn": some.drawn, "seed": self.evidence.seed, "left": self.whole.left}
        found = audit(self.kind, *given, **how)
        pairs = [(self.evidence.samples[p.sample], some.train[p.train], p) for p in found.pairs]
        self.suspects = [self.beside(sample, train, p.distance, p.usual) for sample, train, p in pairs]
        return found

    def likelihood(self) -> Iterator[Score]:
        """Bits per unit of held-out items under the model, where it has a likelihood."""
        if self.evidence.bits is None:
            return
        limit = self.clock.left(0.2)
        found = self.evidence.bits(None if limit == float("inf") else max(limit, 0.3))
        if not found:
            self.leave_out(f"bits per {self.unit}", "no held-out item could be scored in the time left")
            return
        rows = np.array([bits / units for bits, units in found])
        low, high = mean_interval(rows, self.evidence.seed)
        source = f"held-out {self.noun}{self.bound}"
        yield Score(f"bits_per_{self.unit}", float(rows.mean()), low, high, n=len(rows), source=source)

    def _classes(self, features: Features) -> Iterator[Score]:
        """What a probe tells of the classes of samples, where the run has some."""
        told = self.evidence.labels
        if told is None or not self.sets:
            return
        train, test = (
            class_numbers(of, self._read[part], self.evidence.seed)
            for part, of in (("train", told.train), ("test", told.test))
        )
        n = len(self.sets["samples"])
        if self._embedder is None or train is None or test is None:
            self.leave_out("the mix of classes", "the features are not of whole labelled items")
            return
        if not self._further:
            self.leave_out("the mix of classes", f"no training {self.noun} are left to train a probe on")
            return
        look: Callable[[Sequence[Any]], Any] = self._embedder if self.probed(self._further[:1]) is None else self.probed
        limit, begin = self.clock.limit, time.monotonic()
        tried = self._further[:TRIED]
        look(tried)
        each = (time.monotonic() - begin) / len(tried)
        many = affordable(len(self._further), each, float("inf") if limit is None else PROBE_SHARE * limit)
        if many == 0 or (self.clock.over(0.95) and n > QUICK):
            self.leave_out("the mix of classes", "the time was spent")
            return
        if look is self._embedder:
            rows: dict[str, Any] = {
                "samples": features.samples,
                "test": features.held,
                "train": features.train,
                "naive": features.naive,
            }
        else:
            rows = {part: look(items) for part, items in self.sets.items()}
        asked = np.asarray(told.samples)[:n]
        known = Labelled(look(self._further[:many]), train[n : n + many])
        made, held, other = (
            Labelled(rows[part], own[:n]) for part, own in (("samples", asked), ("test", test), ("train", train))
        )
        names, naive = told.train(1)[0], rows.get("naive")
        kinds = Classes(names, known, made, held, other, naive, self.noun, self.evidence.seed, self.leave_out)
        yield from kinds.scores()

    def _gap(self) -> Iterator[Score]:
        """How much better training items are predicted than held-out ones."""
        if self.evidence.seen is None:
            return
        if self.clock.over(0.9):
            self.leave_out("how much better training items are predicted", "the time was spent")
            return
        units = (
            GAP_ITEMS * float(np.prod(self.evidence.spec.shape)) if isinstance(self.evidence.spec, Grid) else GAP_UNITS
        )
        rows = [np.array(self.evidence.seen(part, units)).reshape(-1, 2) for part in ("test", "train")]  # (examples, 2)
        if min(map(len, rows)) < 2:
            return
        values = [float(r[:, 0].sum() / r[:, 1].sum()) for r in rows]
        ends = [ratio_interval(r[:, 0], r[:, 1], self.evidence.seed) for r in rows]
        half = float(np.linalg.norm([((high or 0.0) - (low or 0.0)) / 2.0 for low, high in ends]))
        gap = values[0] - values[1]
        source = (
            f"bits per {self.unit} of held-out less those of training {self.noun}: {values[0]:.3f} and {values[1]:.3f}"
        )
        yield Score("bits_gap", gap, gap - half, gap + half, 0.0, "lower", sum(map(len, rows)), source)

    def _features(self) -> Features | None:
        """Embed as many of each as there are of the scarcest, or as half of the time allows."""
        samples = self.items("samples", MOST)
        many = len(samples)
        asked = max(many, FITTED) + (0 if self.evidence.labels is None else min(max(many, FITTED), PROBED))
        test, train = self.items("test", many), self.items("train", asked)
        self._read = {"test": (many, len(test)), "train": (asked, len(train))}
        n = min(many, len(test), len(train))
        if n < LEAST:
            if self.evidence.features is not None:
                return self.evidence.features
            self.leave_out(
                "closeness and variety", f"they need {LEAST} samples and {LEAST} held-out {self.noun}, here are {n}"
            )
            return None
        if n < many:
            scarce = f"there are {len(test):,} held-out and {len(train):,} training {self.noun}"
            self.leave_out(f"closeness and variety of more than {n:,} of the {many:,} samples", scarce)
        embed, n = self._embed(train, n) if self.evidence.features is None else (None, n)
        self._embedder, self._further = embed, train[n:]
        self.sets = {"samples": samples[:n], "test": test[:n], "train": train[:n]}
        if naive := self.naive(self.sets["train"], n, np.random.default_rng(self.evidence.seed)):
            self.sets["naive"] = naive
        if embed is None:
            return self.evidence.features
        made = {name: embed(items) for name, items in self.sets.items()}
        return Features(made["samples"], made["test"], made["train"], made.get("naive"), self.features, self.noun)

    def _embed(self, train: Sequence[Any], n: int) -> tuple[Callable[[Sequence[Any]], NDArray[Any]], int]:
        """The fitted embedder, and how many items of each set there is time for."""
        start = time.monotonic()
        fitted = train[: FITTED if self.clock.left() > 4.0 else FITTED // 4]
        embed = self.embedder(fitted)
        embed(fitted)
        each = (time.monotonic() - start) / (2 * len(fitted))
        afford = self.clock.left(0.5) / (4 * each)
        if afford >= n:
            return embed, n
        n = max(min(n, 2 * LEAST), int(afford))
        self.leave_out(f"more than {n:,} {self.noun} of each set", "the time allowed no more")
        return embed, n


def comparisons(samples: int, real: int) -> float:
    """How many pairs of items an audit compares, but for a factor: real items that pose as samples are compared too."""
    return (samples + min(POSING, real // 2)) * real


def class_numbers(
    of: Callable[[int], tuple[Sequence[str], NDArray[Any]]], read: tuple[int, int], seed: int
) -> NDArray[np.intp] | None:
    """Class numbers of the items of a part in the order of `Evaluation.items`; None where items are pieces of what has labels.
    read: items that were asked for, and that came."""
    numbers = np.asarray(of(read[0])[1], dtype=np.intp)
    order = np.random.default_rng(seed).permutation(len(numbers))
    return numbers[order] if len(numbers) == read[1] else None
