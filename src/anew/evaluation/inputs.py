"""Inputs of an evaluation, and the time it may take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, NamedTuple

import numpy as np

from anew.core.arrays import Integers
from anew.core.processes.shared_work import SharedWork
from anew.core.specs import Spec
from anew.data.modality import Modality
from anew.data.types import Item, ItemT
from anew.evaluation.metrics.bits import BitsAndUnits
from anew.evaluation.metrics.duplicate_groups import KeysOf
from anew.evaluation.metrics.feature_sets import FeatureSets
from anew.evaluation.score import Division

MIN_ITEMS = 20  # items that a metric needs; chosen: with fewer, intervals cover nearly the whole scale
EMBEDDER_ITEMS = 256  # training items to which an embedder is fitted: twice as many as its features
MAX_SAMPLES = 10_000  # samples that are measured at most: intervals are narrow by then
# Real items that the copying test compares at most: its time grows with them; of large items fewer fit in memory. Where there is no
# budget and more than 2,000 samples are asked for, 100 for each
MAX_POOL, POOL_PER_SAMPLE = 200_000, 100


class RealItems(NamedTuple):
    """Numbers of real items."""

    train: int
    held_out: int

    @property
    def total(self) -> int:
        return self.train + self.held_out

    def split(self, n: int) -> RealItems:
        """How many of each a memorization test of n items takes: at most half held out, unless there are few training items."""
        held_out = min(self.held_out, max(n // 2, n - self.train))
        return RealItems(min(self.train, n - held_out), held_out)


@dataclass(frozen=True)
class RealPool(Generic[ItemT]):
    """Real items that the memorization test compares samples with.

    Attributes:
        train, held_out: The items.
        groups: Group number of each train and then each held-out item; near-duplicates share one.
        num_train_total: Number of training items in all.
        num_held_out_total: Number of held-out items in all; at least those given.
        randomly_held_out: Whether held-out items were kept from training at random, one by one.
        held_out_together: Whether recordings or files were held out as wholes, so that items are not a random draw.
        are_draws: Whether items are draws from a distribution, in which equal ones are expected and prove no copying.
        fills_memory: Whether memory holds no more items, however many are asked for.
    """

    train: Sequence[ItemT]
    held_out: Sequence[ItemT]
    groups: Integers | None
    num_train_total: int
    randomly_held_out: bool = True
    num_held_out_total: int = 0
    held_out_together: bool = False
    are_draws: bool = False
    fills_memory: bool = False

    def head(self, max_items: int) -> RealPool[ItemT]:
        """The first items, about `max_items`; see `RealItems.split`."""
        num_train, num_held_out = RealItems(len(self.train), len(self.held_out)).split(max_items)
        if num_train == len(self.train) and num_held_out == len(self.held_out):
            return self
        n = len(self.train)
        groups = self.groups
        if groups is not None:
            groups = np.concatenate([groups[:num_train], groups[n : n + num_held_out]])
        return replace(self, train=self.train[:num_train], held_out=self.held_out[:num_held_out], groups=groups)


@dataclass(frozen=True)
class Labels:
    """Classes of items.

    Attributes:
        train, test: (class names, (n,) class numbers) of the items that `EvaluationInputs.train` and `test` give for the
            same n; of running text, of the documents that `beginnings` gives.
        samples: (n,) class of each sample.
        are_requested: Whether these classes were requested, so that their mix need not be that of the data.
    """

    train: Callable[[int], tuple[Sequence[str], Integers]]
    test: Callable[[int], tuple[Sequence[str], Integers]]
    samples: Integers
    are_requested: bool = True


@dataclass(frozen=True)
class EvaluationInputs(Generic[ItemT]):
    """Real and generated items, side by side.

    Attributes:
        modality: Modality of the items.
        spec: Spec of an item.
        train, test: Functions that return n random items (or all) as people see them: str, or (H, W) or (H, W, C) uint8; fixed
            by the seed.
        train_text, test_text: Functions that return texts of a part in order up to a number of characters; None if the data
            is not text.
        samples: Generated items in the same form.
        beginnings: Function from a part ("train" or "test") and n to n random documents of it, or all, cut to the length of samples;
            None if samples do not begin documents.
        bits: Function that returns (bits, units) of each scored example of the test part, in order; its argument is the
            seconds it may take, None for no limit.
        test_units: Function that returns the units of all examples of the test part; None: those of its text.
        seconds: Time limit of the evaluation, including writing the report; None for no limit.
        seed: Seed of all draws.
        features: The user's own features of samples, train and held-out items, in place of those computed here.
        gradient_bits: Function that returns (bits, units) of a part ("train", "test") and of about how many units of it, under
            what was learned by gradients, without counts of training items.
        has_counts: Whether there are such counts in the model.
        pool: Function from n to at most n training and held-out items in random order, for the memorization test;
            whole texts if items are parts of long texts.
        labels: Labels of samples and real items; None if the run has no classes.
        cluster_bits: Same as `bits`, for the part of whole clusters of relatives; None if there is no such part.
        cluster_text: Function that returns texts of that part.
        near_duplicate_groups: Function that returns a number for each of some real items, which near-duplicates share; None: unknown.
        num_held_out: Number of all items that `test` can return; None if it is not known.
        are_halves: Whether `train` and `test` give two halves of the data, since nothing is held out.
        division: How the items of `train` and `test` were divided.
        files: Function that returns about n files as they are before they are read ("samples" or "train"), of samples that were made
            elsewhere; None for those of a run.
        work: Shares what takes long among processes, all of which evaluate the same.
        field_names: Names of the fields of rows; () if they have none.
        are_whole: Whether samples of running text are known to be whole texts, no excerpts; `train` and `test` give whole ones.
    """

    modality: Modality
    spec: Spec
    train: Callable[[int], list[ItemT]]
    test: Callable[[int], list[ItemT]]
    train_text: Callable[[int | None], list[str]] | None
    test_text: Callable[[int | None], list[str]] | None
    samples: list[ItemT]
    bits: Callable[[float | None], list[BitsAndUnits]] | None
    seconds: float | None
    seed: int
    features: FeatureSets | None = None
    test_units: Callable[[], float] | None = None
    gradient_bits: Callable[[str, float], list[BitsAndUnits]] | None = None
    has_counts: bool = False
    pool: Callable[[int], RealPool[ItemT]] | None = None
    labels: Labels | None = None
    cluster_bits: Callable[[float | None], list[BitsAndUnits]] | None = None
    cluster_text: Callable[[int | None], list[str]] | None = None
    near_duplicate_groups: KeysOf[ItemT] | None = None
    num_held_out: int | None = None
    are_halves: bool = False
    division: Division = Division.GIVEN
    are_whole: bool = False
    field_names: tuple[str, ...] = ()
    beginnings: Callable[[str, int], list[str]] | None = None
    files: Callable[[str, int], list[Item]] | None = None
    work: SharedWork = field(default_factory=SharedWork)

    @property
    def searched_part(self) -> str:
        """The part in which nearest items are looked for: "train", or "all" where nothing is held out and all may be trained on."""
        return "all" if self.are_halves else "train"

    def text_reader(self, part: str) -> Callable[[int | None], list[str]] | None:
        """`train_text`, `test_text`, or what reads half as much of either for "all"."""
        train_text, test_text = self.train_text, self.test_text
        if part != "all" or train_text is None or test_text is None:
            return test_text if part == "test" else train_text

        def read(limit: int | None) -> list[str]:
            half = None if limit is None else limit // 2
            return [*train_text(half), *test_text(half)]

        return read


class Clock:
    """Time since it was made, against a limit in seconds (None: no limit)."""

    def __init__(self, seconds: float | None) -> None:
        self.limit = seconds
        self._start = time.monotonic()

    def spent(self) -> float:
        return time.monotonic() - self._start

    def remaining(self, share: float = 1.0) -> float:
        """Seconds until `share` of the limit is spent; infinite without a limit."""
        return float("inf") if self.limit is None else self.limit * share - self.spent()

    def over(self, share: float = 1.0) -> bool:
        """Whether `share` of the limit is spent."""
        return self.remaining(share) <= 0.0
