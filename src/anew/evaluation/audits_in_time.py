"""Audits for copies in limited time: first of few items, then of as many as there is time for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from anew.data.types import ItemT
from anew.evaluation.audit_schedule import FIRST_AUDIT, AuditSchedule, AuditSize, RealItems
from anew.evaluation.inputs import MAX_POOL, AuditPool, Clock
from anew.evaluation.memorization.item_type import ItemType
from anew.evaluation.memorization.result import CopyTestResult, Limit
from anew.evaluation.notes import COPIES


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
    schedule, max_real, is_whole = AuditSchedule(n_all, query_cost), 0, False
    cached_pool: AuditPool[ItemT] | None = None
    size: AuditSize | None = schedule.size
    reading = 0.0
    while size is not None:
        begin = evaluation.total_clock.spent()
        # Read again only if more is needed: reading all of a large dataset may take minutes.
        if cached_pool is None or evaluation.pool_size(cached_pool) < min(size.real, max_real):
            cached_pool = pool_of(min(size.real, MAX_POOL))
            reading = evaluation.total_clock.spent() - begin
            begin += reading
        pool = cached_pool
        if not pool.train:
            return
        n_held = evaluation.pool_size(pool)
        # No more is held in memory
        is_whole = is_whole or n_held < size.real or (pool.fills_memory and n_held == size.real)
        available = evaluation.real_items(pool)
        max_real = n_held if is_whole or pool.fills_memory else min(available.total, MAX_POOL)
        max_items = None if n_held <= size.real else size.real
        is_trial = size == FIRST_AUDIT and (n_all, max_real) != FIRST_AUDIT
        result = evaluation.run_audit(pool, max_items, size.samples, brief=True, controls=not is_trial)
        yield with_limit(replace(result, shortened=result.shortened or is_trial), "memory" if is_whole else "time")
        compared = AuditSize(min(size.samples, result.samples), min(size.real, n_held))
        schedule.add(compared, evaluation.total_clock.spent() - begin, reading / n_held)
        size = schedule.next(max(evaluation.total_clock.remaining(), 0.0), available, max_real)
    limited = not is_whole and result.train < result.n_train_total
    items = result.compared
    samples = f"{compared.samples:,} of {n_all:,} samples"
    if compared.samples < n_all:
        counts = f"{items} and {samples}" if limited else samples
        evaluation.skip("copies among the other samples", f"there was time to compare only {counts}", COPIES)
    elif limited:
        evaluation.skip("copies of the other training items", f"there was time to compare only {items}", COPIES)


def with_limit(result: CopyTestResult, limited_by: Limit) -> CopyTestResult:
    """The result, marked as limited by "time" or "memory" if not all training items were compared."""
    return replace(result, limited_by=limited_by if result.train < result.n_train_total else "")


def of_pool(result: CopyTestResult, pool: AuditPool[ItemT], item_type: ItemType[ItemT]) -> CopyTestResult:
    """The result, with what the pool and the type of its items say.

    In draws a sample at distance 0 from a training item may be at distance 0 from held-out ones, too, so none is counted.
    """
    result = replace(
        result, held_out_together=pool.held_out_together, scope=item_type.scope, likeness=item_type.likeness
    )
    if not pool.are_draws:
        return result
    return replace(result, identical=None, identical_p=None, held_out_identical=None, seen_p=None)
