"""Measurements common to all modalities, and the time they may take. Knows no family, trainer or run."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from anew.core import registry
from anew.core.arrays import Integers, Numbers
from anew.core.machine.threads import SlowdownMeter
from anew.core.specs import Grid, Tokens
from anew.data.types import DecodedItem, ItemT
from anew.evaluation.inputs import EMBEDDER_ITEMS, MAX_SAMPLES, MIN_ITEMS, Clock, EvaluationInputs
from anew.evaluation.item_sets import Embedder, ItemSets
from anew.evaluation.items_in_time import affordable_items, probe_size
from anew.evaluation.measure import BOTH, Measure
from anew.evaluation.metrics.bits import bits_score, bits_spec, gap_score
from anew.evaluation.metrics.classes import CLASS_FIGURES, MAX_PROBE_ITEMS, ClassMetrics, LabelledFeatures
from anew.evaluation.metrics.duplicate_groups import KeysOf
from anew.evaluation.metrics.feature_sets import (
    MAX_ITEMS_WITHOUT_SAVING,
    FeatureComparison,
    FeatureSets,
    fidelity_scores,
)
from anew.evaluation.metrics.item_classifiers import ItemClassifier
from anew.evaluation.notes import out_of_time
from anew.evaluation.reporting import sheet
from anew.evaluation.reporting.content import NearestPairs, ReportContent, ReportItem
from anew.evaluation.reporting.supply import Supply
from anew.evaluation.score import Score
from anew.evaluation.timed_memorization import TimedMemorizationTests

METRICS_SHARE = 0.6  # share of the time for metrics; chosen: the rest is for the copying test and the report's items
GAP_ITEMS, GAP_UNITS = 256, 60_000.0  # items, or characters, of each part whose bits are compared; chosen
REPORT_SECONDS = 1.2  # time that is kept for drawing and writing the page


class Evaluation(TimedMemorizationTests[ItemT]):
    """Measures items of one modality. A file `evaluation/modalities/NAME.py` ends with `EXPORT = ItsEvaluation`.

    A modality defines how its items become features (`embedder`), its own metrics (`modality_metrics`), the samples of a naive
    generator (`naive`), how items are compared for copies (`item_type`), how the nearest ones are found (`nearest`) and how items are
    shown (`report_content`).

    Attributes:
        noun: Name of the items, plural.
        feature_description: Description of the features of `embedder`, one clause.
        counted: What an embedded row of samples is, singular: a sample, or a piece of one.
        num_cut_texts: Number of held-out texts that items are pieces of; 0 if items are whole.
        unit: Unit of a likelihood: "character", "residue" or "dimension".
        bound: Clause added to bits per unit if they are a bound.
        sets: The items that are measured, and what limits their number.
    """

    noun: str = "items"
    feature_description: ClassVar[str] = "features"
    counted: str = "sample"
    num_cut_texts: int = 0
    unit: ClassVar[str] = "dimension"
    bound: ClassVar[str] = "; an upper bound by the evidence lower bound"

    def __init__(self, inputs: EvaluationInputs[ItemT]) -> None:
        limit = inputs.seconds
        total = None if limit is None else max(limit - REPORT_SECONDS, 0.5 * limit)
        super().__init__(inputs, total)
        self.clock = Clock(None if total is None else METRICS_SHARE * total)
        self._slowdown = SlowdownMeter()
        self.sets = ItemSets[ItemT]({}, {}, Supply())
        self._embedder: Embedder[ItemT] | None = None

    # ---- what a modality defines ----

    @abstractmethod
    def embedder(self, train: Sequence[ItemT]) -> Embedder[ItemT]:
        """The function from items to features (n, d), with centre and scale fitted to some training items."""

    def probe_embedder(self) -> Embedder[ItemT] | None:
        """A function from items to features (n, d) that separate classes better than those of `embedder`, if any."""
        return None

    def naive(self, train: Sequence[ItemT], n: int, rng: np.random.Generator) -> list[ItemT]:
        """n samples of a generator that learned next to nothing (noise, bigrams); none by default."""
        return []

    def modality_metrics(self) -> Iterator[Score]:
        """Yield scores of metrics that only this modality has, on `self.sets` (empty if there are too few items)."""
        yield from ()

    @abstractmethod
    def report_content(self) -> ReportContent:
        """The items that the report shows: samples, the nearest training item of each, and `closest_pairs`."""

    @abstractmethod
    def nearest(self, items: Sequence[ItemT], effort: float = 1.0) -> NearestPairs:
        """Items, each next to its nearest training item. effort: how many training items are searched, as a multiple of the
        usual number."""

    def report_item(self, item: ItemT) -> ReportItem:
        """An item as the page shows it: its picture, or its text."""
        picture = None if self.inputs.modality is None else self.inputs.modality.picture(item)
        return ReportItem(text=str(item)) if picture is None else ReportItem(sheet.png(sheet.shrink(picture)))

    def items(self, part: str, n: int) -> list[ItemT]:
        """n items of "samples", "train" or "test", or all if there are fewer; real items in random order."""
        if part == "samples":
            return self.inputs.samples[:n]
        items = (self.inputs.train if part == "train" else self.inputs.test)(n)
        order = np.random.default_rng(self.inputs.seed).permutation(len(items))
        return [items[i] for i in order]  # the data may be sorted, and metrics take the first ones

    def searched_items(self, n: int) -> tuple[list[ItemT], list[ItemT]]:
        """n items among which the nearest are looked for, and those of them that held-out items are compared with.

        Both are training items. Where nothing is held out, both halves are searched (`EvaluationInputs.searched_part`).
        """
        if self.inputs.searched_part == "train":
            train = self.inputs.train(n)
            return train, train
        train = self.inputs.train(-(-n // 2))
        return [*train, *self.inputs.test(n // 2)], train

    def held_out_items(self, n: int) -> list[ItemT]:
        """n held-out items, or all if there are fewer: the first of those that samples are compared with, if any are."""
        return (self.sets.get("test") or self.inputs.test(n))[:n]

    def num_held_out(self) -> int | None:
        """The number of all held-out items, or pieces, that `items` can give; None if it is not known."""
        return self.inputs.num_held_out

    # ---- what every modality has ----

    def metrics_in_time(self, metrics: Mapping[str, Measure], quick: int = 0) -> Iterator[Score]:
        """Yield scores of metrics in their order until the time is nearly spent; the others are recorded as skipped.

        Args:
            metrics: The measurements, by their names in the report's notes, the most important first.
            quick: Number of samples up to which metrics run even when the time is spent.
        """
        missing = {name: metric for name, metric in metrics.items() if name not in self.measured}
        # All are unmeasured at first, so that they are named if time is up
        self.named_unmeasured |= {name: metric.questions for name, metric in missing.items()}
        self.has_further = False
        for name, metric in missing.items():
            if self.clock.over(0.85) and not 0 < len(self.sets.get("samples", ())) <= quick:
                self.notes.append(out_of_time(name))
                continue
            yield from metric.compute()
            if name not in self.lacking_samples:
                del self.named_unmeasured[name]
                self.measured.add(name)

    def classifier_scores(self, classifiers: Iterable[ItemClassifier], limit: int) -> Iterator[Score]:
        """Yield what classifiers tell that are shown one thing alone, of the first `limit` items of each set, which are arrays."""
        items = {part: cast(list[Numbers], self.sets[part][:limit]) for part in ("samples", "test", "train")}
        for classifier in classifiers:
            rows = {part: classifier.numbers(shown) for part, shown in items.items()}
            yield classifier.score(self.sets.with_features(rows, self.feature_description), self.inputs.seed)

    def scores(self) -> Iterator[Score]:
        """Yield all scores as they are ready, those that carry the answers first; stops before the time is spent."""
        yield from self.answer_scores()
        yield from self.further_scores()

    def scores_without_features(self) -> Iterator[Score]:
        """Yield the scores that only this modality has, which take little time as they need no features; none of few items.

        `answer_scores` leaves out what was measured by them.
        """
        if not self.sets:
            self.sets = self._read_sets()
            if self.sets.available >= MIN_ITEMS:
                self.sets.take(self.sets.available, self._naive_samples)
        if self.sets:
            yield from self.modality_metrics()

    def answer_scores(self) -> Iterator[Score]:
        """Yield the scores that carry answers, and the likelihood of the model."""
        self.announcements.measuring(f"features of {self.noun}")
        features = self._features()
        if features is not None:
            comparison = FeatureComparison.of(features, self.inputs.seed, self.clock.over)
            for number, score in enumerate(fidelity_scores(comparison, self.note_out_of_time)):
                if number == 0:
                    self.notes += self.sets.note_compared()
                yield score
            yield from self._class_metrics(features)
        yield from self.modality_metrics()
        self.has_further = False
        if self.inputs.bits is not None:
            self.announcements.measuring(f"likelihood of held-out {self.noun}")
        yield from self.likelihood()

    def further_scores(self) -> Iterator[Score]:
        """Yield what no answer depends on, in all the time that is left: in a short report the copying test comes first."""
        self.clock = self.total_clock
        self.announcements.measuring("likelihood under simple models")
        yield from self.naive_likelihood()
        yield from self._gap()

    @property
    def has_further_scores(self) -> bool:
        """Whether `further_scores` has anything to measure."""
        return isinstance(self.inputs.spec, Tokens) or self.inputs.gradient_bits is not None

    def likelihood(self) -> Iterator[Score]:
        """Yield the bits per unit of held-out items under the model, if it has a likelihood."""
        if self.inputs.bits is None:
            return
        limit = self.clock.remaining(0.2)
        examples = self.inputs.bits(None if limit == float("inf") else max(limit, 0.3))
        if not examples:
            self.note_not_measured(f"bits per {self.unit}", "no held-out item could be scored in the time left")
            return
        rows = [(bits / units, 1.0) for bits, units in examples]
        yield bits_score(bits_spec(self.unit), rows, f"held-out {self.noun}{self.bound}", self.inputs.seed)

    def naive_likelihood(self) -> Iterator[Score]:
        """Yield the bits of naive models, which the likelihood of the model is compared with; none by default."""
        yield from ()

    def _gap(self) -> Iterator[Score]:
        """Yield the bits by which training items are predicted better than held-out ones."""
        inputs, bits = self.inputs, self.inputs.gradient_bits
        if bits is None:
            return
        if self.clock.over(0.9):
            self.notes.append(out_of_time("how much better training items are predicted"))
            return
        self.announcements.measuring(f"likelihood of training {self.noun}")
        spec = inputs.spec
        units = GAP_ITEMS * float(np.prod(spec.shape)) if isinstance(spec, Grid) else GAP_UNITS
        yield from gap_score(lambda part: bits(part, units), self.unit, self.noun, inputs.seed, inputs.has_counts)

    # ---- features ----

    def _read_sets(self, min_train: int = 0, max_further: int = 0) -> ItemSets[ItemT]:
        """Samples, and as many held-out and training items, of which none is taken yet.

        Args:
            min_train: Number of training items that are read even if there are fewer samples.
            max_further: Number of further training items that are read, if as many as those are.
        """
        samples = self.items("samples", MAX_SAMPLES)
        n = len(samples)
        num_train = max(n, min_train) + min(max(n, min_train), max_further)
        test, train = self.items("test", n), self.items("train", num_train)
        num_held_out = len(test) if len(test) < n else self.num_held_out()
        inputs = self.inputs
        supply = Supply(
            num_held_out,
            len(inputs.samples) / max(n, 1),
            inputs.are_halves,
            min(n, len(test), len(train)),
            division=inputs.division,
            num_texts=self.num_cut_texts,
            num_samples=len(inputs.samples) if self.num_cut_texts else 0,
        )
        candidates = {"samples": samples, "test": test, "train": train}
        return ItemSets(candidates, {"test": n, "train": num_train}, supply, self.noun, self.counted)

    def _naive_samples(self, train: Sequence[ItemT], n: int) -> list[ItemT]:
        return self.naive(train, n, np.random.default_rng(self.inputs.seed))

    def _features(self) -> FeatureSets | None:
        """Choose the items of `sets`, as many of each as the smallest set has or as there is time for, and embed them."""
        own, has_labels = self.inputs.features, self.inputs.labels is not None
        self.sets = sets = self._read_sets(EMBEDDER_ITEMS, MAX_PROBE_ITEMS if has_labels else 0)
        n = sets.available
        if n < MIN_ITEMS:
            if own is None:
                self.note_not_measured("closeness and variety", sets.refuse())
            return own
        if own is not None:
            sets.take(n, self._naive_samples)
            return own
        self._embedder, n = self._fit_embedder(sets.candidates("train"), n)
        sets.take(n, self._naive_samples)
        keys_of = self.duplicate_keys()
        if keys_of is not None:
            sets.group(keys_of)
        return sets.embedded(self._embedder, self.feature_description)

    def duplicate_keys(self) -> KeysOf[ItemT] | None:
        """A function that returns a number for each of some items, which those share that tell of each other; None: unknown."""
        return self.inputs.near_duplicate_groups

    def _fit_embedder(self, train: Sequence[ItemT], n: int) -> tuple[Embedder[ItemT], int]:
        """The fitted embedder, and how many items of each set there is time for."""
        fitted = train[: EMBEDDER_ITEMS if self.clock.remaining() > 4.0 else EMBEDDER_ITEMS // 4]
        embed = self.embedder(fitted)
        # Fitting is not counted: it loads what features need, and takes no longer for more items
        start = time.monotonic()
        embed(fitted)
        seconds_per_item = (time.monotonic() - start) / len(fitted)
        return embed, affordable_items(n, self.clock, seconds_per_item, self._slowdown.read)

    # ---- classes ----

    def _class_metrics(self, features: FeatureSets) -> Iterator[Score]:
        """Yield metrics of a classifier on the classes of samples, if the run has classes."""
        labels = self.inputs.labels
        if labels is None or not self.sets:
            return
        train = class_numbers(labels.train, self.sets.counts("train"), self.inputs.seed)
        test = class_numbers(labels.test, self.sets.counts("test"), self.inputs.seed)
        n = len(self.sets["samples"])
        if self._embedder is None or train is None or test is None:
            self.note_not_measured(CLASS_FIGURES, "the features are not of whole labelled items")
            return
        further = self.sets.further_train
        own_embedder = self.probe_embedder()
        embed = own_embedder or self._embedder
        num_probe = self._affordable_probe(embed, further, n)
        if num_probe == 0:
            return
        rows = {part: own_embedder(items) for part, items in self.sets.items()} if own_embedder else rows_of(features)
        yield from ClassMetrics(
            names=labels.train(1)[0],
            probe_items=LabelledFeatures(embed(further[:num_probe]), train[n : n + num_probe]),
            samples=LabelledFeatures(rows["samples"], np.asarray(labels.samples, dtype=np.intp)[:n]),
            held_out=LabelledFeatures(rows["test"], test[:n]),
            train=LabelledFeatures(rows["train"], train[:n]),
            naive=rows.get("naive"),
            noun=self.noun,
            seed=self.inputs.seed,
            skip=self.note_not_measured,
            are_requested=labels.are_requested,
        ).scores()

    def _affordable_probe(self, embed: Embedder[ItemT], further: Sequence[ItemT], n: int) -> int:
        """How many of further training items a classifier of classes of n samples is trained on; 0 for none, and a note says why."""
        if not further:
            self.note_not_measured(CLASS_FIGURES, f"no training {self.noun} are left to train a classifier on")
            return 0
        num_probe = probe_size(embed, further, self.clock.limit)
        if num_probe == 0 or (self.clock.over(0.95) and n > MAX_ITEMS_WITHOUT_SAVING):
            self.note_out_of_time(CLASS_FIGURES, BOTH)
            return 0
        return num_probe


def rows_of(features: FeatureSets) -> dict[str, Numbers]:
    """Features (n, d) by the names of `ItemSets`."""
    rows = {"samples": features.samples, "test": features.held_out, "train": features.train}
    return rows | ({} if features.naive is None else {"naive": features.naive})


def class_numbers(
    labels_of: Callable[[int], tuple[Sequence[str], Integers]], counts: tuple[int, int], seed: int
) -> NDArray[np.intp] | None:
    """The class numbers of the items of a part, in the order of `Evaluation.items`.

    Args:
        labels_of: Returns class names and class numbers of n items.
        counts: Numbers of items requested and received.
        seed: Seed of the order.

    Returns:
        (n,) class numbers; None if items are pieces of labelled items and have no labels themselves.
    """
    num_requested, num_items = counts
    numbers = np.asarray(labels_of(num_requested)[1], dtype=np.intp)
    order = np.random.default_rng(seed).permutation(len(numbers))
    return numbers[order] if len(numbers) == num_items else None


def load_evaluation(modality: str) -> type[Evaluation[DecodedItem]]:
    """The evaluation class of a modality, by the modality's name. Raises ConfigError if there is none."""
    evaluation = registry.load("evaluation", modality)
    assert issubclass(evaluation, Evaluation)
    return evaluation
