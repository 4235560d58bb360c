"""Sizes of audits for copies in limited time: the first audit is small, and its time says how large the next one may be.

An audit sees only copies of the training items that it compares, and each copy says more if there are more held-out items
that it could have been near instead (`evidence`). Time goes into pairs of samples and real items, and into each of both. Among
the sizes for which there is time, the one with most evidence is taken. If several are enough to prove copying, the one with most
training items is taken: a copy of an item that is not compared looks like any other sample, and hides the rest (docs/log.md,
2026-11-27).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Protocol

from anew.data.types import ItemT
from anew.evaluation.inputs import MAX_POOL, AuditPool, Clock
from anew.evaluation.memorization.brief_audit import stand_ins
from anew.evaluation.memorization.controls import MAX_CONTROLS
from anew.evaluation.memorization.copying_test import NUM_INDEPENDENT_STEPS
from anew.evaluation.memorization.item_type import ItemType
from anew.evaluation.memorization.result import CopyTestResult, Limit
from anew.evaluation.memorization.thresholds import ALPHA, RATES
from anew.evaluation.notes import COPIES

SAMPLES_STEP = 1.2  # ratio of neighbouring numbers of samples that are considered; chosen: finer gains nothing
MIN_EVIDENCE_GROWTH = 1.5  # another audit is worth its time if it has at least this many times the evidence
MIN_VARIABLE = 0.25  # least share of an audit's time that grows with the comparisons: two measured times are noisy
CAUTION = 0.9  # share of the time left that is planned with; an audit that turns out slower leaves samples out
# Time for the features of a real item, as a share of the fixed time of a query. Measured: .2 for sprites.
ITEM_SHARE = 0.2
# Nats with which the scan can prove the highest planted rate of copies, if all of them rank before other samples.
MIN_EVIDENCE = -math.log(ALPHA / NUM_INDEPENDENT_STEPS)
# An audit is planned for this many times MIN_EVIDENCE: digits were caught in 95% of the draws at 5.1 nats, sprites at 6.7.
PLANNED = 0.8
SPARE_SAMPLES_FACTOR = 1.15  # samples are drawn for this many times MIN_EVIDENCE, as some may be left out; chosen


class AuditSize(NamedTuple):
    """Numbers of samples and real items that an audit compares."""

    num_samples: int
    num_real: int


FIRST_AUDIT = AuditSize(num_samples=64, num_real=128)  # its pace says how large the next audit can be


class RealItems(NamedTuple):
    """Numbers of real items."""

    train: int
    held_out: int

    @property
    def total(self) -> int:
        return self.train + self.held_out

    def split(self, n: int) -> RealItems:
        """How many of each an audit of n items takes; see `AuditPool.head`."""
        held_out = min(self.held_out, max(n // 2, n - self.train))
        return RealItems(min(self.train, n - held_out), held_out)


class AuditSchedule:
    """Plans the sizes of a series of audits, each of which is run from the beginning.

    Args:
        n_samples: Number of samples.
        query_cost: Fixed time of a sample, whatever it is compared with, in comparisons.
    """

    def __init__(self, n_samples: int, query_cost: int = 0) -> None:
        self.n_samples, self.query_cost = n_samples, query_cost
        self.size = AuditSize(min(FIRST_AUDIT.num_samples, n_samples), FIRST_AUDIT.num_real)
        self._times: list[tuple[float, float]] = []  # (comparisons, seconds)
        self._reading = 0.0  # seconds for each real item

    def add(self, size: AuditSize, seconds: float, reading: float = 0.0) -> None:
        """Record the seconds of an audit, and those of reading each of its real items, which are not part of the former."""
        self._times.append((self._comparisons(*size), max(seconds, 1e-3)))
        self._reading = reading  # the first, of few items, is mostly fixed

    def next(self, seconds: float, available: RealItems, max_real: int) -> AuditSize | None:
        """The size of the next audit; None if nothing more is left to compare, or there is no time for much more.

        Args:
            seconds: Time left.
            available: Numbers of real items in the data.
            max_real: Number of real items that can be compared: all, or as many as memory holds.
        """
        sizes = [
            AuditSize(n, largest_within(CAUTION * seconds, max_real, partial(self._seconds_with_reading, n)))
            for n in sample_counts(self.n_samples)
        ]
        size = max(sizes, key=partial(_worth, available=available))
        is_last = size == AuditSize(self.n_samples, max_real)
        latest = evidence(self.size, available)
        if size.num_real < 1 or evidence(size, available) <= (1.0 if is_last else MIN_EVIDENCE_GROWTH) * latest:
            return None
        self.size = size
        return size

    def _comparisons(self, samples: int, real: int) -> float:
        return comparisons(samples, real, self.query_cost)

    def seconds(self, size: AuditSize) -> float:
        """Seconds that an audit of this size is expected to take, besides reading."""
        fixed, pace = self._costs()
        return fixed + pace * self._comparisons(*size)

    def _seconds_with_reading(self, samples: int, real: int) -> float:
        return self.seconds(AuditSize(samples, real)) + self._reading * real

    def _costs(self) -> tuple[float, float]:
        """The fixed seconds of an audit, and the seconds of each comparison, from the last two audits."""
        pairs, spent = self._times[-1]
        if len(self._times) == 1:
            return 0.0, spent / pairs
        pace, (other_pairs, other_spent) = spent / pairs, self._times[-2]
        if pairs > other_pairs:  # else memory held no more than before
            slope = (spent - other_spent) / (pairs - other_pairs)
            pace = min(max(slope, MIN_VARIABLE * spent / pairs), spent / pairs)
        return spent - pace * pairs, pace


def sample_counts(n_samples: int) -> list[int]:
    """The numbers of samples that are considered, rising up to all of them."""
    counts = [n_samples]
    while counts[-1] > FIRST_AUDIT.num_samples:
        counts.append(max(int(counts[-1] / SAMPLES_STEP), FIRST_AUDIT.num_samples))
    return counts[::-1]


def evidence(size: AuditSize, available: RealItems) -> float:
    """The evidence of the scan in nats if all samples were copies.

    Each copy that can be seen contributes -log of the probability that the item nearest by chance is a training item. 10% of
    copies give a tenth of it. Without held-out items, the number of copies that can be seen is returned.
    """
    compared = available.split(size.num_real)
    if not compared.train:
        return 0.0
    visible = size.num_samples * compared.train / available.train
    return visible * (math.log1p(compared.held_out / compared.train) if available.held_out else 1.0)


def _worth(size: AuditSize, available: RealItems) -> tuple[float, int, float]:
    """A sort key that rises with what an audit can prove."""
    nats = evidence(size, available)
    return min(RATES[-1] * nats, PLANNED * MIN_EVIDENCE), available.split(size.num_real).train, nats


def samples_needed(available: RealItems) -> int:
    """How many samples an audit of all real items needs to prove the highest planted rate; 0 if no number suffices."""
    nats = RATES[-1] * evidence(AuditSize(1, available.total), available)
    return math.ceil(SPARE_SAMPLES_FACTOR * MIN_EVIDENCE / nats) if nats > 0.0 else 0


def comparisons(samples: int, real: int, query_cost: int = 0) -> float:
    """The number of comparisons of a brief audit, up to a factor; real items that pose as samples are included."""
    queries = samples + min(MAX_CONTROLS, real // 4) + min(stand_ins(samples), real)
    return queries * (real + query_cost) + ITEM_SHARE * query_cost * real


def largest_within(seconds: float, max_count: int, seconds_of: Callable[[int], float]) -> int:
    """The largest count for which there is time; 0 if even one takes longer.

    Args:
        seconds: Seconds available.
        max_count: Upper bound of the count.
        seconds_of: Seconds that a count takes; rises with it.
    """
    return bisect_right(range(1, max_count + 1), seconds, key=seconds_of)


class Audited(Protocol[ItemT]):
    """What is audited: an `Evaluation`."""

    total_clock: Clock

    def pool_size(self, pool: AuditPool[ItemT]) -> int: ...

    def real_items(self, pool: AuditPool[ItemT]) -> RealItems: ...

    def run_audit(
        self, pool: AuditPool[ItemT], max_items: int | None, n_samples: int, *, brief: bool, controls: bool
    ) -> CopyTestResult: ...

    def skip(self, measure: str, reason: str, subject: str) -> None: ...


def audits_in_time(
    evaluation: Audited[ItemT], pool_of: Callable[[int], AuditPool[ItemT]], query_cost: int, n_all: int
) -> Iterator[CopyTestResult]:
    """Yield results of larger and larger audits of an evaluation, as long as there is time.

    Args:
        evaluation: The evaluation; what there was no time for is recorded there.
        pool_of: See `EvaluationInputs.pool`.
        query_cost: See `AuditSchedule`.
        n_all: Number of samples.
    """
    schedule, max_real, is_memory_full = AuditSchedule(n_all, query_cost), 0, False
    cached_pool: AuditPool[ItemT] | None = None
    size: AuditSize | None = schedule.size
    reading = 0.0
    while size is not None:
        begin = evaluation.total_clock.spent()
        # Read again only if more is needed: reading all of a large dataset may take minutes.
        if cached_pool is None or evaluation.pool_size(cached_pool) < min(size.num_real, max_real):
            cached_pool = pool_of(min(size.num_real, MAX_POOL))
            reading = evaluation.total_clock.spent() - begin
            begin += reading
        pool = cached_pool
        if not pool.train:
            return
        n_held = evaluation.pool_size(pool)
        # No more is held in memory
        is_memory_full = is_memory_full or n_held < size.num_real or (pool.fills_memory and n_held == size.num_real)
        available = evaluation.real_items(pool)
        max_real = n_held if is_memory_full or pool.fills_memory else min(available.total, MAX_POOL)
        max_items = None if n_held <= size.num_real else size.num_real
        is_trial = size == FIRST_AUDIT and (n_all, max_real) != FIRST_AUDIT
        result = evaluation.run_audit(pool, max_items, size.num_samples, brief=True, controls=not is_trial)
        yield with_limit_reason(
            replace(result, shortened=result.shortened or is_trial), "memory" if is_memory_full else "time"
        )
        compared = AuditSize(min(size.num_samples, result.samples), min(size.num_real, n_held))
        schedule.add(compared, evaluation.total_clock.spent() - begin, reading / n_held)
        size = schedule.next(max(evaluation.total_clock.remaining(), 0.0), available, max_real)
    limited = not is_memory_full and result.train < result.n_train_total
    items = result.compared
    samples = f"{compared.num_samples:,} of {n_all:,} samples"
    if compared.num_samples < n_all:
        counts = f"{items} and {samples}" if limited else samples
        evaluation.skip("copies among the other samples", f"there was time to compare only {counts}", COPIES)
    elif limited:
        evaluation.skip("copies of the other training items", f"there was time to compare only {items}", COPIES)


def with_limit_reason(result: CopyTestResult, limited_by: Limit) -> CopyTestResult:
    """The result, marked as limited by "time" or "memory" if not all training items were compared."""
    return replace(result, limited_by=limited_by if result.train < result.n_train_total else "")


def with_facts_of_pool(result: CopyTestResult, pool: AuditPool[ItemT], item_type: ItemType[ItemT]) -> CopyTestResult:
    """The result, with what the pool and the type of its items say.

    In draws a sample at distance 0 from a training item may be at distance 0 from held-out ones, too, so none is counted.
    """
    result = replace(
        result, held_out_together=pool.held_out_together, scope=item_type.scope, likeness=item_type.likeness
    )
    if not pool.are_draws:
        return result
    return replace(result, identical=None, identical_p=None, held_out_identical=None, seen_p=None)
