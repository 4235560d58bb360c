"""Memorization tests within the time of an evaluation, each larger than the one before; one of them is a `MemorizationTest`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic

from anew.core.machine.allocator import return_freed_memory
from anew.data.types import ItemT
from anew.evaluation.inputs import MAX_POOL, MAX_SAMPLES, POOL_PER_SAMPLE, Clock, EvaluationInputs, RealItems, RealPool
from anew.evaluation.memorization.item_type import ItemType
from anew.evaluation.memorization.memorization_test import MemorizationOptions, MemorizationTest
from anew.evaluation.memorization.result import CopyTestResult, Limit
from anew.evaluation.memorization_schedule import FIRST_SIZE, ComparisonSize, SizeSchedule
from anew.evaluation.notes import COPIES, Announcements, MeasuringRecord, not_measured
from anew.evaluation.reporting.content import ReportItem, SamplePair

ALL_EMPTY = "all samples are empty"
# Share of the training items that may be left out of the comparison without a note: the test misses more copies by itself; chosen
MAX_UNCOMPARED_SHARE = 0.01


@dataclass
class MemorizationSeries(Generic[ItemT]):
    """Tests in limited time, each larger than the one before.

    Attributes:
        schedule: Plans their sizes.
        pool: The real items that were read last; None before the first test.
        reading: Seconds that reading them took.
        available: Numbers of all real items.
        max_real: Number of real items that can be compared: all, or as many as memory holds.
        is_memory_full: Whether memory holds no more than are in the pool.
        compared: Size of the largest test that ended.
        thorough: How items are compared once all were compared coarsely; None if they are compared so already.
        num_coarse: Number of samples if all items were compared coarsely, so only a thorough test of all says more; else 0.
    """

    schedule: SizeSchedule = field(default_factory=lambda: SizeSchedule(0))
    pool: RealPool[ItemT] | None = None
    reading: float = 0.0
    available: RealItems = field(default_factory=lambda: RealItems(0, 0))
    max_real: int = 0
    is_memory_full: bool = False
    compared: ComparisonSize | None = None
    thorough: ItemType[ItemT] | None = None
    num_coarse: int = 0

    @property
    def may_be_thorough(self) -> bool:
        """Whether all items were compared coarsely, and not thoroughly yet."""
        return self.num_coarse > 0 and self.compared != self.whole

    @property
    def whole(self) -> ComparisonSize:
        """The size of a test of all samples and real items."""
        return ComparisonSize(self.schedule.num_samples, self.max_real)

    def begin(self, num_samples: int, seconds: float) -> ComparisonSize | None:
        """The size of the first test, or of the one that follows those that ended; None if time is too short for one that proves more.

        Args:
            num_samples: Number of samples.
            seconds: Time left.
        """
        if self.compared is None:
            self.schedule = SizeSchedule(num_samples)
            return self.schedule.size
        self.schedule.num_samples = num_samples
        return self.next(seconds)

    def next(self, seconds: float) -> ComparisonSize | None:
        """The size of the test that follows those that ended; None if time is too short for one that proves more."""
        latest_size = self.schedule.size
        size = self.schedule.next(max(seconds, 0.0), self.available, self.max_real)
        if not self.num_coarse or size is None or size == self.whole:
            return size
        # A smaller test only tells how long it takes; one of all that does not end in time leaves the coarse result
        if self.schedule.affords(self.whole, seconds):
            return self.whole
        # `SizeSchedule.next` has taken a size that is not compared
        self.schedule.size = latest_size
        return self.schedule.second_trial(seconds, self.available, self.max_real)

    def add(self, size: ComparisonSize, seconds: float, num_held: int, *, controls: bool) -> None:
        """Record a test that ended. num_held: number of items in the pool; for the others see `SizeSchedule.add`."""
        self.schedule.add(size, seconds, self.reading / num_held, controls=controls)
        self.compared = size

    def restart(self, num_coarse: int) -> None:
        """Compare the same items once more: thoroughly if that many samples were compared coarsely, coarsely if that is 0."""
        self.thorough, self.compared, self.num_coarse = None, None, num_coarse


class TimedMemorizationTests(MeasuringRecord, ABC, Generic[ItemT]):
    """Memorization tests of the samples of an evaluation for copies of its training items.

    Attributes:
        item_type: How items are compared. None for a modality without a copying test.
        inputs: Items and settings of the evaluation.
        total_clock: The time of the evaluation.
        announcements: Shows the user what is being measured.
        closest_pairs: The closest pairs of the latest test.
    """

    item_type: ItemType[ItemT] | None = None

    def __init__(self, inputs: EvaluationInputs[ItemT], seconds: float | None) -> None:
        super().__init__()
        self.inputs = inputs
        self.total_clock = Clock(seconds)
        self.announcements = Announcements(in_limited_time=seconds is not None)
        self.closest_pairs: list[SamplePair] = []
        self._series = MemorizationSeries[ItemT]()

    def continue_tests(self, earlier: TimedMemorizationTests[ItemT]) -> None:
        """Continue the tests of an earlier evaluation of these samples, or of some of them, with its measured times and its fitted
        item type."""
        self._series, self.item_type = earlier._series, earlier.item_type

    @property
    def may_compare_thoroughly(self) -> bool:
        """Whether all items were compared for copies, but coarsely, so that more time might show more."""
        return self._series.may_be_thorough

    @abstractmethod
    def report_item(self, item: ItemT) -> ReportItem:
        """An item as the page shows it."""

    def pair_view(self, sample: ItemT, train: ItemT, distance: float, usual: float, measure: str) -> SamplePair:
        """Show a suspicious sample next to its nearest training item.

        usual: Distance from that training item to the nearest real item outside its group.
        measure: Name of the distance.
        """
        caption = f"distance {distance:.2g} (usual: {usual:.2g})"
        return SamplePair(self.report_item(sample), self.report_item(train), caption, close=distance < 0.5 * usual)

    def copy_tests(self) -> Iterator[CopyTestResult]:
        """Yield results of tests: one of all items or, in limited time, larger and larger ones."""
        if self.item_type is None or self.inputs.pool is None or not self.inputs.samples:
            return
        num_all = len(self.compared_samples())
        if not num_all:
            note = not_measured(COPIES, ALL_EMPTY, COPIES)
            self.notes += [] if note in self.notes else [note]  # tried again in the time that is left
            return
        if self.total_clock.limit is None:
            self.let_go_of_texts()
            self.announcements.measuring("reading the real items that samples are compared with")
            result = self._tested_once(self.inputs.pool(max(MAX_POOL, POOL_PER_SAMPLE * num_all)), num_all)
            return_freed_memory()  # the real items and what was computed of them
            if result is not None:
                yield result
            return
        yield from self._tests_in_time(self.inputs.pool, min(num_all, MAX_SAMPLES))

    def _tested_once(self, pool: RealPool[ItemT], num_all: int) -> CopyTestResult | None:
        """The result of a test of all samples and real items; None without training items."""
        return with_limit_reason(self.run_memorization_test(pool, None, num_all), "memory") if pool.train else None

    def let_go_of_texts(self) -> None:
        """Let go of texts that were read for figures: the test may need the memory, and they can be read again. There are none by
        default."""

    def compared_samples(self) -> Sequence[ItemT]:
        """The samples that hold something to compare: all, unless a modality says otherwise."""
        return self.inputs.samples

    def pool_size(self, pool: RealPool[ItemT]) -> int:
        """The number of real items in a pool, as the test counts them."""
        return len(pool.train) + len(pool.held_out)

    def real_items(self, pool: RealPool[ItemT]) -> RealItems:
        """The numbers of all real items, those of a pool and further ones, as the test counts them."""
        return RealItems(pool.num_train_total, max(pool.num_held_out_total, len(pool.held_out)))

    @classmethod
    def type_of(cls, items: Sequence[ItemT]) -> ItemType[ItemT] | None:
        """How items like these are compared; None for a modality without a copying test, and for running text."""
        return cls.item_type

    def fit_item_type(self, pool: RealPool[ItemT]) -> None:
        """Choose how items are compared by what those of a pool are like; as the class says by default."""

    def run_memorization_test(
        self,
        pool: RealPool[ItemT],
        max_items: int | None,
        num_samples: int,
        *,
        brief: bool = False,
        controls: bool = True,
    ) -> CopyTestResult:
        """Test the first samples for copies of the items of a pool.

        Args:
            pool: The real items.
            max_items: About how many of them are compared; None for all.
            num_samples: Number of samples.
            brief, controls: See `MemorizationOptions`.
        """
        self.fit_item_type(pool)
        assert self.item_type is not None
        pool = pool if max_items is None else pool.head(max_items)
        samples = self.compared_samples()
        result = MemorizationTest(
            self.item_type,
            samples[:num_samples],
            pool.train,
            pool.held_out,
            pool.groups,
            self.test_options(pool, brief=brief, controls=controls),
            num_train_total=pool.num_train_total,
        ).run()
        self.closest_pairs = [
            self.pair_view(samples[pair.sample], pool.train[pair.train], pair.distance, pair.usual, result.distance)
            for pair in result.pairs
        ]
        return with_facts_of_pool(result, pool, self.item_type)

    def test_options(self, pool: RealPool[ItemT], *, brief: bool = False, controls: bool = True) -> MemorizationOptions:
        """The options of a test of a pool. brief, controls: see `MemorizationOptions`."""
        return MemorizationOptions(
            randomly_held_out=pool.randomly_held_out,
            seed=self.inputs.seed,
            controls=controls,
            brief=brief,
            remaining=self.total_clock.remaining,
            progress=self.announcements.searching,
            work=self.inputs.work,
        )

    def _tests_in_time(self, pool_of: Callable[[int], RealPool[ItemT]], num_all: int) -> Iterator[CopyTestResult]:
        """Yield results of larger and larger tests, as long as there is time: coarse ones first, if the type of items has any. They go
        on from those of `continue_tests`.

        Args:
            pool_of: See `EvaluationInputs.pool`.
            num_all: Number of samples.
        """
        series, result, compared = self._series, None, FIRST_SIZE
        if num_all > series.num_coarse > 0:
            series.restart(0)  # there are further samples
        size = series.begin(num_all, self.total_clock.remaining())
        while size is not None:
            pool = self._read_pool(size, pool_of)
            if not pool.train:
                return
            if series.compared is None and not series.num_coarse:
                self._compare_coarsely(pool)
            begin, num_held = self.total_clock.spent(), self.pool_size(pool)
            max_items = None if num_held <= size.num_real else size.num_real
            is_trial = size == FIRST_SIZE and (num_all, series.max_real) != FIRST_SIZE
            tested = self.run_memorization_test(pool, max_items, size.num_samples, brief=True, controls=not is_trial)
            seconds, size = self.total_clock.spent() - begin, size.within(tested.samples, num_held)
            # All were compared coarsely, so a thorough test of fewer says nothing but how long one of all takes
            if not series.num_coarse or size == series.whole:
                result, compared = replace(tested, shortened=tested.shortened or is_trial), size
                yield with_limit_reason(result, "memory" if series.is_memory_full else "time")
            assert self.item_type is not None
            # What a query of records costs depends on what they are like
            series.schedule.query_cost = self.item_type.query_cost
            series.add(size, seconds, num_held, controls=not is_trial)
            if series.thorough is not None and size == series.whole:
                self.item_type = series.thorough
                series.restart(num_all)
                size = series.begin(num_all, self.total_clock.remaining())
            else:
                size = series.next(self.total_clock.remaining())
        if result is not None:
            self._note_incomplete(result, compared, num_all)

    def _compare_coarsely(self, pool: RealPool[ItemT]) -> None:
        """Begin with coarse comparisons, if the type of the items of the pool has any."""
        self.fit_item_type(pool)
        coarse = None if self.item_type is None else self.item_type.coarsely()
        if coarse is not None:
            self._series.thorough, self.item_type = self.item_type, coarse

    def _read_pool(self, size: ComparisonSize, pool_of: Callable[[int], RealPool[ItemT]]) -> RealPool[ItemT]:
        """The real items for a test of this size, which are read only if more are needed: all of a large dataset may take minutes."""
        series, begin = self._series, self.total_clock.spent()
        if series.pool is None or self.pool_size(series.pool) < min(size.num_real, series.max_real):
            series.pool = pool_of(min(size.num_real, MAX_POOL))
            series.reading = self.total_clock.spent() - begin
        pool, num_held = series.pool, self.pool_size(series.pool)
        # No more is held in memory
        series.is_memory_full |= num_held < size.num_real or (pool.fills_memory and num_held == size.num_real)
        series.available = self.real_items(pool)
        is_all = series.is_memory_full or pool.fills_memory
        series.max_real = num_held if is_all else min(series.available.total, MAX_POOL)
        return pool

    def _note_incomplete(self, result: CopyTestResult, compared: ComparisonSize, num_all: int) -> None:
        """Add a note on the samples and training items that there was no time to compare."""
        is_missed = result.train < (1.0 - MAX_UNCOMPARED_SHARE) * result.n_train_total
        limited = not self._series.is_memory_full and is_missed
        items = result.compared
        samples = f"{compared.num_samples:,} of {num_all:,} samples"
        if compared.num_samples < num_all:
            counts = f"{items} and {samples}" if limited else samples
            self.note_not_measured("copies among the other samples", f"there was time to compare only {counts}", COPIES)
        elif limited:
            self.note_not_measured(
                "copies of the other training items", f"there was time to compare only {items}", COPIES
            )


def with_limit_reason(result: CopyTestResult, limited_by: Limit) -> CopyTestResult:
    """The result, marked as limited by "time" or "memory" if not all training items were compared."""
    return replace(result, limited_by=limited_by if result.train < result.n_train_total else "")


def with_facts_of_pool(result: CopyTestResult, pool: RealPool[ItemT], item_type: ItemType[ItemT]) -> CopyTestResult:
    """The result, with what the pool and the type of its items say.

    In draws a sample at distance 0 from a training item may be at distance 0 from held-out ones, too, so none is counted.
    """
    result = replace(
        result,
        held_out_together=pool.held_out_together,
        is_coarse=item_type.is_coarse,
        scope=item_type.scope,
        likeness=item_type.likeness,
    )
    if not pool.are_draws:
        return result
    return replace(result, identical=None, identical_p=None, held_out_identical=None, seen_p=None)
