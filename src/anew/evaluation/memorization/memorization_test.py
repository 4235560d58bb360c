"""The memorization test: the tests, the planted copies that they would have caught, and controls with real items.

    result = MemorizationTest(item_types.IMAGES, samples, train, held_out).run()
    report["copies"] = result_json(result)

Running text is tested in passages and in whole texts: `text_test.run_text_test`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Int32s, Integers
from anew.core.machine.allocator import return_freed_memory
from anew.core.processes.shared_work import SharedWork
from anew.core.sequences import Joined, Rearranged, by_place, numbers_to
from anew.core.wording import listed
from anew.data.types import ItemT
from anew.evaluation.memorization import copying_test
from anew.evaluation.memorization.blocks import distances_of
from anew.evaluation.memorization.brief_test import MAX_STAND_INS, samples_in_time, stand_ins
from anew.evaluation.memorization.controls import MAX_CONTROLS, Controls
from anew.evaluation.memorization.copy_counts import SampleTests, count_by_tests
from anew.evaluation.memorization.copying_test import (
    Distance,
    Indices,
    LabelPermutations,
    NearestReal,
    ReferenceResult,
    ScanResult,
    bonferroni_p,
)
from anew.evaluation.memorization.identical import ItemKeys, RepeatedItems, count_repeats, keys_of_same, with_repeats
from anew.evaluation.memorization.item_groups import (
    exchangeable_groups,
    group_labels,
    group_numbers,
    with_match_groups,
    with_queries,
)
from anew.evaluation.memorization.item_type import ItemType, are_unguessable
from anew.evaluation.memorization.match_test import MatchTest, choose_stand_ins, nearests_of_stand_ins
from anew.evaluation.memorization.near_share import NearShares, near_shares
from anew.evaluation.memorization.planting import (
    Planting,
    combined_p,
    detection_limit,
    least_reference,
    make_planted,
    planted_copies,
    unsuspicious_rows,
)
from anew.evaluation.memorization.result import ClosestPair, CopyTestResult, Method, PlantedControl, TrainingDistance
from anew.evaluation.memorization.scan_picture import ScanPicture
from anew.evaluation.memorization.search_cache import CachedDistance, SearchProgress, no_progress
from anew.evaluation.memorization.thresholds import ALPHA, CONTROL_ALPHA, COPIED_ALPHA, NUM_TESTS, PLANTED_RATES
from anew.evaluation.metrics.two_sample import auc
from anew.functional.intervals import clopper_pearson

BRIEF_DISTANCES = 200  # samples, and held-out items, whose distances to training items a brief test compares; chosen
MAX_DISTANCES = 10_000  # the same of any test: the interval of the share is within a point by then
PLANTING = "planting copies, to see which ones are noticed"
PAIRS = 12  # closest pairs in a report: they fill a page
CANDIDATES = 10 * PAIRS  # pairs that they are chosen from, since many samples may copy the same thing


@dataclass(frozen=True, slots=True)
class MemorizationOptions:
    """Options of a memorization test.

    Attributes:
        randomly_held_out: Whether held-out items are a random draw from the source of the training items. If not, a test checks
            first whether they look like one.
        seed: Seed of all draws.
        controls: Whether to measure what the test would have caught.
        brief: Whether to save time: fewer real items pose as samples, and where time is short fewer samples are tested.
        remaining: Seconds left, called before each control, each planted draw, and each test of the number of copies; a note
            names what was skipped.
        progress, work: See `CachedDistance`.
    """

    randomly_held_out: bool = True
    seed: int = 0
    controls: bool = True
    brief: bool = False
    remaining: Callable[[], float] = lambda: math.inf
    progress: SearchProgress = no_progress
    work: SharedWork | None = None

    def num_stand_ins(self, num_samples: int) -> int:
        """How many real items pose as samples, if there are as many."""
        return stand_ins(num_samples) if self.brief else MAX_STAND_INS


DEFAULTS = MemorizationOptions()


class MemorizationTest(Generic[ItemT]):
    """One memorization test, step by step. All items share one index: real items first, then samples, then planted copies."""

    def __init__(
        self,
        item_type: ItemType[ItemT],
        samples: Sequence[ItemT],
        train: Sequence[ItemT],
        held_out: Sequence[ItemT],
        groups: Integers | None = None,
        options: MemorizationOptions = DEFAULTS,
        *,
        sample_groups: Integers | None = None,
        num_train_total: int | None = None,
    ) -> None:
        """
        Args:
            item_type: How items are compared.
            samples: Generated items.
            train: Items that the generator was trained on.
            held_out: Items of the same source that it was not trained on; empty for the weaker method.
            groups: Group of each training and then each held-out item, any integers; items of one group (near-duplicates, a
                cluster, passages of one document) count as one. None: each item is its own group.
            sample_groups: Group of each sample: passages of one text. None: each sample is its own group.
            num_train_total: Number of all training items, if `train` is a random part of them. Shares and limits allow for
                copies of the others, which cannot be seen.

        Raises:
            ValueError: There are no samples or no training items.
        """
        if not len(samples) or not len(train):
            raise ValueError("a memorization test needs samples and training items")
        self.options = options
        self.rng = np.random.default_rng(options.seed)
        self.notes: list[str] = []
        self._picture: ScanPicture | None = None
        self._near: NearShares | None = None
        self.skipped: list[str] = []  # controls that there was no time for
        self.num_real, self.num_samples = len(train) + len(held_out), len(samples)
        # Index of each real item in train + held_out, shuffled: of equally near items the first is taken, whatever its label
        self.original_index: Integers = self.rng.permutation(self.num_real).astype(np.int32)
        real = Rearranged(Joined(train, held_out), self.original_index)
        self.is_train = self.original_index < len(train)
        self.num_train_total = max(num_train_total or len(train), len(train))
        self.visible_share = len(train) / self.num_train_total  # share of copies that can be seen
        self.real_index = numbers_to(self.num_real)  # indices of the real items
        self.level, self.label_level = item_type.level, item_type.label_level
        count = planted_copies(self.num_samples) if options.controls else 0
        self.planted, exact, altered = make_planted(item_type, real, self.real_index[self.is_train], count, self.rng)
        items = Joined(real, samples, exact, altered)
        num_planted = len(exact) + len(altered)
        division = with_queries(self._real_groups(groups), sample_groups, self.num_samples, num_planted)
        self.groups, self._match_groups = with_match_groups(division, item_type.whole)
        self._real_items, self._samples, self._train, self._item_type = real, samples, train, item_type
        # Before the distances, beside which there is less memory
        sizes = np.unique(self._match_groups[self.sample_queries], return_counts=True)[1]
        count = options.num_stand_ins(self.num_samples)
        self._stand_ins = choose_stand_ins(self.real_index, self._match_groups, sizes, count, self.rng)
        contents = cache(partial(_digest, items))  # only several processes need it; all searches share it
        search = partial(CachedDistance, progress=options.progress, work=options.work, contents=contents)
        self.distances: list[Distance] = [
            search(distance, self.groups, self.real_index) for distance in distances_of(item_type, items, self.groups)
        ]
        return_freed_memory()  # what only their making took
        self._match_distances = self.distances
        if self._match_groups is not self.groups:
            self._match_distances = [distance.with_groups(self._match_groups) for distance in self.distances]
        num_kinds, count = self.planted.shape
        self._first_planted = self.num_real + self.num_samples + count * np.arange(num_kinds)[:, None]

    def _real_groups(self, groups: Integers | None) -> Int32s:
        """`exchangeable_groups` of the real items, and a note where groups have training and held-out items."""
        numbers = np.arange(self.num_real, dtype=np.int32) if groups is None else group_numbers(groups)
        exchangeable, num_held_out = exchangeable_groups(numbers[self.original_index], self.is_train)
        if num_held_out:
            self.notes.append(_near_duplicates_note(num_held_out, int((~self.is_train).sum())))
        return exchangeable

    def run(self) -> CopyTestResult:
        """Run the tests, then the controls for which there is time."""
        result = self._tested()
        pairs = distinct_first(result.pairs, self._train, self._item_type.runs, self.options.remaining)
        return replace(result, pairs=pairs)

    def _tested(self) -> CopyTestResult:
        """The result with all candidates of closest pairs."""
        if self.options.brief:
            self._leave_out_samples()
        queries = np.concatenate(
            [self.sample_queries, (self._first_planted + np.arange(self.planted.shape[1])).ravel()]
        )
        real = nearests_of_stand_ins(self._match_distances, self._stand_ins, self.real_index, self._match_groups)
        for distance, match_distance in zip(self.distances, self._match_distances, strict=True):
            distance.limit = match_distance.limit
        nearests = [distance.nearest_real(queries, self.real_index) for distance in self.distances]
        sample_nearests = [nearest.take(np.arange(self.num_samples)) for nearest in nearests]
        match_test = self._match_test(queries, nearests, real)
        held_out = self.real_index[~self.is_train]
        if not len(held_out):
            return self._without_proof(sample_nearests, match_test, "reference")
        control = Controls(self.distances, self.is_train, self.groups, self.rng)
        choice = control.set_aside(held_out)
        control_p = None
        # Without it nothing else can be read, so it takes the time that it needs
        if not self.options.randomly_held_out:
            control_p = control.confirmed_p(control.both_p, choice, ALPHA, lambda: math.inf)
            self.notes += control.notes
        if control_p is not None and control_p <= ALPHA:
            return self._without_proof(sample_nearests, match_test, "shifted", control_p)
        items = np.concatenate([*(nearest.item for nearest in nearests), self.planted.ravel()])
        labels = LabelPermutations(self.is_train, self.groups, self.real_index, items, rng=self.rng)
        scan = copying_test.scan(sample_nearests, labels, self.rng, self.level)
        match = match_test.run(np.arange(self.num_samples), labels, self.rng)
        if len(np.unique(self._match_groups[self.sample_queries])) == self.num_samples:
            counts = self.num_samples, self.planted.shape[1]
            self._near = near_shares(nearests, real, labels, *counts, match_test.group_share, self.visible_share)
        planted: list[PlantedControl] = []
        reference = self._reference(match_test) if scan.p <= self.level else None
        training_distance = None
        if self.planted.size and self._affords("planted copies"):
            base = unsuspicious_rows(scan, match, self.num_samples)
            planting = Planting(nearests, labels, base, match_test, self.planted, self.num_samples, self.level)
            num_visible = self.num_samples * self.visible_share
            self.options.progress(PLANTING, 0, len(PLANTED_RATES))
            planted = planting.run(self.rng, num_visible, self.options.remaining, self.skipped)
            self._picture = planting.picture(scan, planted, num_visible)
        if self._affords("the distance from training data"):
            training_distance = self._training_distance(held_out)
        if self.options.randomly_held_out and self._affords("the control with held-out items"):
            control_p = control.confirmed_p(control.scan_p, choice, CONTROL_ALPHA, self.options.remaining)
            self.notes += control.notes
        tests = SampleTests(sample_nearests, labels, scan, match_test, match)
        for distance in (*self.distances, *self._match_distances):
            distance.end_search()  # what follows takes memory, too
        return_freed_memory()
        return self._result(tests, reference, planted, control_p, training_distance)

    @property
    def sample_queries(self) -> Indices:
        """(m,) indices of the samples that are tested."""
        return np.arange(self.num_real, self.num_real + self.num_samples)

    def _leave_out_samples(self) -> None:
        """Test only the first samples if there is not enough time to search for all."""

        def search(rows: slice) -> None:
            for distance in self.distances:  # the results are remembered
                distance.nearest_real(self.sample_queries[rows], self.real_index)

        num_controls = min(MAX_CONTROLS, int((~self.is_train).sum()) // 2) if self.options.controls else 0
        self.num_samples = samples_in_time(
            search, self.num_samples, num_controls, self.options.remaining(), len(self.planted)
        )
        self.planted = self.planted[:, : planted_copies(self.num_samples)]
        self._stand_ins = self._stand_ins.head(stand_ins(self.num_samples))

    def _affords(self, control: str) -> bool:
        """Whether a control is wanted and there is time for it; records it as skipped if there is none."""
        if not self.options.controls:
            return False
        if self.options.remaining() <= 0.0:
            self.skipped.append(control)
            return False
        return True

    def _result(
        self,
        tests: SampleTests,
        reference: ReferenceResult | None,
        planted: list[PlantedControl],
        control_p: float | None,
        training_distance: TrainingDistance | None,
    ) -> CopyTestResult:
        """Combine the scan and the match test into the result."""
        scan = tests.scan
        scan_p = combined_p(scan.p, reference)
        p = bonferroni_p(scan_p, tests.match.p)
        repeats = self._repeats()
        is_copying = p <= NUM_TESTS * self.level or repeats.copied_p <= COPIED_ALPHA
        is_copying = is_copying and (control_p is None or control_p > CONTROL_ALPHA)
        p = min(p, repeats.copied_p) if repeats.copied_p <= COPIED_ALPHA else p
        share = low = plain_low = 0.0
        if is_copying:
            counts = count_by_tests(tests, repeats.copies, scan_p <= self.level, self.rng, self.options.remaining)
            if self.options.remaining() <= 0.0:
                self.skipped.append("how many samples are altered copies")
            share, low, plain_low = (min(number / self.num_samples / self.visible_share, 1.0) for number in counts)
            low = max(low, 1.0 / self.num_samples)  # the tests exclude that there is none
        if self.skipped:
            self.notes.append(f"Copying test shortened, for lack of time; not measured: {listed(self.skipped)}.")
        return replace(
            self._comparison("scan", tests.nearests, scan, repeats, reference, control_p),
            detected=is_copying,
            p=p,
            share=max(share, low),
            low=low,
            plain_low=plain_low,
            detection_limit=detection_limit(planted),
            near=self._near,
            match_p=tests.match.p,
            shortened=bool(self.skipped),
            training_distance=training_distance,
            controls=planted,
            picture=self._picture,
            copied_distance=copied_distance(tests.nearests[scan.decisive], scan, self.is_train, low) if low else None,
        )

    def _comparison(
        self,
        method: Method,
        nearests: Sequence[NearestReal],
        scan: ScanResult,
        repeats: RepeatedItems,
        reference: ReferenceResult | None,
        control_p: float | None,
    ) -> CopyTestResult:
        """A result that finds nothing, with the numbers of compared and of identical items."""
        result = CopyTestResult(
            detected=False,
            p=1.0,
            share=0.0,
            low=0.0,
            detection_limit=None,
            method=method,
            pairs=closest_pairs(nearests[scan.decisive], scan, self.is_train, self.original_index),
            distance=self.distances[scan.decisive].name,
            samples=self.num_samples,
            train=int(self.is_train.sum()),
            held_out=int((~self.is_train).sum()),
            n_train_total=self.num_train_total,
            reference_p=None if reference is None else reference.p,
            control_p=control_p,
            notes=self.notes,
        )
        return with_repeats(result, repeats)

    def _match_test(self, queries: Indices, nearests: Sequence[NearestReal], real: Sequence[NearestReal]) -> MatchTest:
        """Prepare the match test of samples and planted copies, which compares near-duplicates with each other, too.

        Args:
            queries: Indices of samples and planted copies.
            nearests: Their nearest items, by each distance.
            real: The nearest items of the stand-ins.
        """
        pairs = zip(self._match_distances, nearests, strict=True)
        return MatchTest(
            nearests=[d.with_scale(n.item, n.distance, self.real_index) for d, n in pairs],
            groups=self._match_groups[queries],
            item_groups=self._match_groups,
            stand_ins=self._stand_ins.in_order(),
            real=real,
            resolutions=[distance.resolution for distance in self.distances],
            num_pool=self.num_real,
            num_held_out=int((~self.is_train).sum()),
            group_share=group_labels(self.groups, self.is_train, self.real_index).train_share,
            label_level=self.label_level,
        )

    def _repeats(self) -> RepeatedItems:
        """Count samples that are identical to training items, and real items that are identical to others."""
        queries = (self.sample_queries, self._stand_ins.items)
        same = keys_of_same((self.distances, self._match_distances), queries, self.real_index)
        samples = list(ItemKeys(self._item_type.keys, self._samples[: self.num_samples], same, self.num_real))
        real = ItemKeys(self._item_type.keys, self._real_items, same)
        asked = partial(are_unguessable, real=self._real_items, bits=self._item_type.bits, num_samples=self.num_samples)
        return count_repeats(samples, real, self._stand_ins.items, self.is_train, asked)

    def _training_distance(self, held_out: Indices) -> TrainingDistance:
        """Compare samples with held-out items by their distances to the nearest training item, by the first distance."""
        train, queries = self.real_index[self.is_train], self.sample_queries
        distance = self.distances[0]
        limit = min(self.num_samples, BRIEF_DISTANCES if self.options.brief else MAX_DISTANCES)

        def limited(part: Indices) -> Indices:
            return part if len(part) <= limit else np.sort(self.rng.choice(part, limit, replace=False))

        queries, held_out = limited(queries), limited(held_out)
        value, variance = auc(distance.nearest(queries, train)[1], distance.nearest(held_out, train)[1])
        half = 1.96 * float(np.sqrt(variance))
        low, high = max(value - half, 0.0), min(value + half, 1.0)
        return TrainingDistance(value, low, high, distance.name, len(queries))

    def _reference(self, match_test: MatchTest) -> ReferenceResult | None:
        """Run the reference test: samples against real items that pose as samples, each compared with all the others."""
        nearests = [nearest.take(np.arange(self.num_samples)) for nearest in match_test.nearests]
        reference = least_reference(nearests, match_test, self.rng)
        if reference is None:
            self.notes.append("Not measured: the reference test for copies (there are too few real items).")
        return reference

    def _without_proof(
        self,
        sample_nearests: Sequence[NearestReal],
        match_test: MatchTest,
        method: Method,
        control_p: float | None = None,
    ) -> CopyTestResult:
        """The result of the reference test alone."""
        reference = self._reference(match_test) or ReferenceResult(1.0, 0, 0.0)
        repeats = self._repeats()
        by_chance = self.num_samples * repeats.real / max(repeats.num_real, 1)
        copied = max(reference.copied, repeats.samples - by_chance) if reference.p <= self.level else 0.0
        scan = ScanResult(reference.p, reference.k, 0, 0.0, 0, sample_nearests[0].order(self.rng))
        return replace(
            self._comparison(method, sample_nearests, scan, repeats, reference, control_p),
            detected=reference.p <= self.level,
            p=reference.p,
            share=copied / self.num_samples,
            low=clopper_pearson(copied, self.num_samples)[0],
        )


def _digest(items: Sequence[object]) -> bytes:
    """A digest of texts or arrays. Others, parts of whole texts, have none: their texts were compared in passages before."""
    digest = hashlib.blake2b(digest_size=16)
    for _, item in by_place(items):
        if isinstance(item, str):
            digest.update(item.encode("utf-8", "surrogatepass") + b"\xff")
        elif isinstance(item, np.ndarray):
            digest.update(f"{item.dtype}{item.shape}".encode() + item.tobytes())
    return digest.digest()


def _near_duplicates_note(num_mixed: int, num_held_out: int) -> str:
    """What to say of held-out items that have near-duplicates among the training items."""
    verb = "has" if num_mixed == 1 else "have"
    return (
        f"Copying test: {num_mixed:,} of {num_held_out:,} held-out items {verb} near-duplicates among the training items; each "
        "item was compared by itself."
    )


def closest_pairs(
    nearest: NearestReal, scan: ScanResult, is_train: NDArray[np.bool_], original_index: Integers
) -> list[ClosestPair]:
    """The most suspicious samples among those that are nearest to a training item."""
    return [
        ClosestPair(
            sample=int(i),
            train=int(original_index[nearest.item[i]]),
            distance=float(nearest.distance[i]),
            usual=float(nearest.scale[i]),
        )
        for i in scan.order[is_train[nearest.item[scan.order]]][:CANDIDATES]
    ]


def copied_distance(nearest: NearestReal, scan: ScanResult, is_train: NDArray[np.bool_], share: float) -> float:
    """The distance of the farthest pair among the closest ones that make up this share of the samples, as a multiple of the usual one."""
    order = scan.order[is_train[nearest.item[scan.order]]]
    number = min(max(math.ceil(share * len(scan.order)), 1), len(order))
    return float(nearest.ratio[order[number - 1]]) if number else math.inf


def distinct_first(
    pairs: Sequence[ClosestPair],
    train: Sequence[ItemT],
    runs: Callable[[ItemT], AbstractSet[int]],
    remaining: Callable[[], float] = lambda: math.inf,
) -> list[ClosestPair]:
    """Order the closest pairs of a report: pairs whose training item resembles that of an earlier pair come last.

    Args:
        pairs: The candidates.
        train: Training items.
        runs: See `ItemType`.
        remaining: Seconds left. Once there are none, different items are taken for different ones.
    """
    first: list[ClosestPair] = []
    repeats: list[ClosestPair] = []
    compared: set[int] = set()
    runs_of_first: set[int] = set()
    for pair in pairs:
        if len(first) == PAIRS:
            break
        is_new = pair.train not in compared
        compared.add(pair.train)
        own_runs = runs(train[pair.train]) if is_new and remaining() > 0.0 else frozenset[int]()
        if is_new and runs_of_first.isdisjoint(own_runs):
            first.append(pair)
            runs_of_first |= own_runs
        else:
            repeats.append(pair)
    return [*first, *repeats][:PAIRS]
