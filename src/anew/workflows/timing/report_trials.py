"""Short trials before training, by whose times a report is forecast: an audit of real items, and a few samples."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor

from anew.core.deadline import TimeIsUp, hard_stop
from anew.core.specs import Tokens
from anew.data.dataset import DEFAULT_TEXT_LIMIT, Dataset
from anew.data.types import DecodedItem
from anew.evaluation.audit_schedule import FIRST_AUDIT, AuditSize
from anew.evaluation.base import Evaluation, load_evaluation
from anew.evaluation.inputs import AuditPool, RealItems
from anew.evaluation.memorization.item_types import PASSAGE
from anew.evaluation.prospects import AuditCosts
from anew.sampling.generator import Generator
from anew.workflows.evaluate import audit_pool
from anew.workflows.item_inputs import item_inputs, pool_limit
from anew.workflows.timing.pace import FIRST_CHUNK, Pace
from anew.workflows.timing.sample_counts import is_running_text

if TYPE_CHECKING:
    from anew.workflows.job import TrainingJob

WARM_UP = AuditSize(8, 16)
# What each comparison of passages takes falls until there are thousands: an audit of quotes took a fifth of what two trials
# predicted.
TRIAL_AUDITS = (FIRST_AUDIT, AuditSize(FIRST_AUDIT.num_samples, 4 * FIRST_AUDIT.num_real), AuditSize(256, 2_048))
FEATURE_ITEMS, FEW_FEATURE_ITEMS = 32, 8  # items whose features are timed, and that the embedding is fitted to; chosen
# Of each part that trials read: reading a million short ones took most of the time of `look`; chosen
MAX_TEXTS = 20_000
MIN_TRIAL = 0.1  # seconds that an audit takes at least: the first one includes one-time costs
MIN_TIME_RATIO = 5.0  # a further audit needs this many times the time of the one before; chosen


def trial_sampling(job: TrainingJob, weights: Mapping[str, Tensor], seconds: float) -> Pace:
    """The pace of sampling with these weights, from the first samples.

    Samples that are not drawn within `seconds` are taken to need that long.
    """
    pace, count, begin = Pace(), 1, time.monotonic()
    try:
        with hard_stop(seconds):
            family, record = job.rebuilt(weights), job.record
            generator = Generator(family, job.data.modality, record.data.labels, record.label_shares)
            for count in (1, FIRST_CHUNK):
                begin = time.monotonic()
                generator.generate_samples(generator.request(count, job.plan.seed), job.plan.seed)
                pace.add(count, time.monotonic() - begin)
    except TimeIsUp:
        pace.add(count, time.monotonic() - begin)
    return pace


def trial_audit(data: Dataset, seed: int, seconds: float, pieces: float = 1.0) -> AuditCosts | None:
    """Measure what an audit for copies takes, by one to three audits of real items, some of which pose as samples.

    Args:
        data, seed: See `forecast_of_data`.
        seconds: Seconds that the audits may take, besides reading some hundred items.
        pieces: Pieces of PASSAGE characters that a sample of running text has; see `SampleCounts`.

    Returns:
        The costs; None for a modality without an audit, and if there are too few items for one.
    """
    texts = audit_pool(data, 0, seed, MAX_TEXTS) if is_running_text(data.base.spec) else None
    warm_up = _trial(data, WARM_UP, seed, pieces, texts)
    if warm_up is None or warm_up.evaluation.item_type is None:
        return None
    available = warm_up.evaluation.real_items(warm_up.pool)
    costs = AuditCosts(
        available=available,
        max_real=_max_real(data, available, warm_up.pool),
        query_cost=warm_up.evaluation.item_type.query_cost,
        trials=(),
        pieces=max(1.0, pieces),
    )
    remaining = seconds - (warm_up.seconds(seconds) or seconds)  # the warm-up loads what audits need
    for size in TRIAL_AUDITS:
        if costs.trials and remaining < MIN_TIME_RATIO * costs.trials[-1][1]:
            break
        trial = _trial(data, size, seed, pieces, texts)
        assert trial is not None, "there are as many items as before"
        spent = trial.seconds(remaining)
        if spent is None:
            trials = costs.trials or ((trial.size, max(remaining, MIN_TRIAL)),)
            return replace(costs, trials=trials, has_ended=bool(costs.trials))
        remaining -= spent
        item_type = trial.evaluation.item_type
        query_cost = costs.query_cost if item_type is None else item_type.query_cost  # only so many records tell it
        costs = replace(costs, query_cost=query_cost, trials=(*costs.trials, (trial.size, spent)))
    return costs


def trial_features(data: Dataset, seed: int, seconds: float) -> float:
    """The seconds that the features of an item take, which most scores need; 0 for text, whose features are counts.

    Args:
        data, seed: See `forecast_of_data`.
        seconds: Seconds that the trial may take; features that are not ready by then are taken to need that long.
    """
    if isinstance(data.base.spec, Tokens):
        return 0.0
    items = data.items("train", FEATURE_ITEMS, seed)
    evaluation = _evaluation(data, audit_pool(data, FEATURE_ITEMS, seed), items, seed)
    begin, embedded = time.monotonic(), 0
    try:
        with hard_stop(seconds):
            embed = evaluation.embedder(items[:FEW_FEATURE_ITEMS])  # this loads what features need
            begin = time.monotonic()
            for start in range(0, len(items), FEW_FEATURE_ITEMS):
                embed(items[start : start + FEW_FEATURE_ITEMS])
                embedded = min(start + FEW_FEATURE_ITEMS, len(items))
    except TimeIsUp:
        embedded = max(embedded, min(FEW_FEATURE_ITEMS, len(items)))  # the first ones take that long at least
    return (time.monotonic() - begin) / max(embedded, 1)


@dataclass(frozen=True, slots=True)
class AuditTrial:
    """An audit of real items, some of which stand in place of samples."""

    evaluation: Evaluation[DecodedItem]
    pool: AuditPool[DecodedItem]
    size: AuditSize

    def seconds(self, limit: float) -> float | None:
        """Run the audit and return the seconds that it takes; None if they are more than `limit`."""
        begin = time.monotonic()
        if limit <= 0.0:
            return None
        try:
            with hard_stop(limit):
                self.evaluation.run_audit(self.pool, self.size.num_real, self.size.num_samples, brief=True)
        except TimeIsUp:
            return None
        return time.monotonic() - begin


def _trial(
    data: Dataset,
    size: AuditSize,
    seed: int,
    pieces: float,
    texts: AuditPool[DecodedItem] | None,
) -> AuditTrial | None:
    """A trial of this size, or of as many items as there are; None if there are none. texts: the pool of running text."""
    pool = audit_pool(data, size.num_real + 2 * size.num_samples, seed) if texts is None else texts
    if not pool.train:
        return None
    if is_running_text(data.base.spec):
        stand_ins = _passages(pool.train, size.num_samples, round(pieces * PASSAGE))
    else:
        size = size._replace(num_real=min(size.num_real, 2 * (len(pool.train) + len(pool.held_out)) // 3))
        compared = pool.head(size.num_real)
        rest = [*pool.train[len(compared.train) :], *pool.held_out[len(compared.held_out) :]]
        stand_ins = rest[: size.num_samples]
    evaluation = _evaluation(data, pool, stand_ins, seed)
    return (
        AuditTrial(evaluation, pool, size._replace(num_samples=len(stand_ins))) if stand_ins and size.num_real else None
    )


def _max_real(data: Dataset, available: RealItems, pool: AuditPool[DecodedItem]) -> int:
    """How many real items the audit may hold in memory."""
    if is_running_text(data.base.spec):
        return sum(min(passages, DEFAULT_TEXT_LIMIT // PASSAGE) for passages in available)
    return min(available.total, pool_limit(pool.train[0], data.base.modality.name))


def _passages(texts: Sequence[DecodedItem], count: int, width: int) -> list[DecodedItem]:
    """Passages of training texts, of as many characters as samples of running text."""
    joined = "\n".join(map(str, texts[:count]))
    return [joined[start : start + width] for start in range(0, min(len(joined), count * width), width)]


def _evaluation(
    data: Dataset, pool: AuditPool[DecodedItem], samples: list[DecodedItem], seed: int
) -> Evaluation[DecodedItem]:
    inputs = item_inputs(data, samples, seed)
    inputs = replace(
        inputs, test=lambda n: data.items("test", n, seed), train_text=None, test_text=None, pool=lambda n: pool
    )
    return load_evaluation(data.base.modality.name)(inputs)
