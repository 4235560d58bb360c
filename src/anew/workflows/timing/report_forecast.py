"""A rough forecast, before training, of what the report will be able to answer, from a small audit of real items and a few
samples of the untrained network; and how much of the budget the report gets: more than usual if it answers more then."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor

from anew.core.specs import Tokens
from anew.core.wording import are, duration
from anew.data.dataset import Dataset
from anew.evaluation.base import METRICS_SHARE, REPORT_SECONDS
from anew.evaluation.inputs import RealItems
from anew.evaluation.items_in_time import num_affordable_items
from anew.evaluation.memorization.thresholds import PLANTED_RATES
from anew.evaluation.prospects import (
    AuditCosts,
    Prospect,
    closeness_prospect,
    has_too_few_items,
    held_out_needed,
    novelty_prospect,
)
from anew.evaluation.reporting.grading import MIN_FOR_GOOD
from anew.evaluation.score import USUALLY_ENOUGH_ITEMS
from anew.planning.budget import (
    MIN_CROWDING,
    MIN_TRAINING,
    SHORT_OF_TIME,
    evaluation_slice,
    is_short_of_time,
    longest_training,
    time_to_train,
)
from anew.planning.train_config import TrainConfig
from anew.runs.state import Checkpoint
from anew.sampling.restore import checkpoint_weights
from anew.workflows.job import TrainingJob
from anew.workflows.timing.pace import Pace
from anew.workflows.timing.report_trials import trial_audit, trial_features, trial_sampling
from anew.workflows.timing.sample_counts import SampleCounts
from anew.workflows.timing.sampling_shares import GRADED_SHARE, TARGET_SHARE

if TYPE_CHECKING:
    from anew.workflows.job import TrainingJob

# Share of the measuring time that is left to the audit if the scores take only a fifth, as for digits and clothes; chosen.
MAX_AUDIT = 0.8
EVALUATED = "run `anew evaluate RUN` afterwards, which has no time limit unless you give it a budget"
TRIAL_SHARE, MAX_TRIAL = 0.01, 1.0  # share of the budget, and seconds at most, for each of the trials; chosen
# Held-out items with which even figures of rare faults are settled: odd records of web logs needed 920; chosen.
ALWAYS_ENOUGH = 1_000
MAX_REPORT = 0.25  # share of a budget that the report gets at most; chosen
MAX_TAKEN = 0.2  # share of the time to train that the report may take in addition to its usual slice; chosen
LENGTH_RATIO = 1.15  # ratio of the lengths that are considered; chosen
ADVISED_BUDGETS = (60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0)  # seconds; budgets that may be advised


@dataclass(frozen=True, slots=True)
class ReportForecast:
    """Costs of a report on this machine and this data, and what follows from them.

    Attributes:
        audit: Items and costs of the copying test; None if there is none.
        n_samples: Samples that the report asks for.
        min_samples: Number of samples from which sampling takes no more than its usual share of the time.
        held_out: Held-out items, or passages, that samples are compared with for closeness and variety.
        pace: How fast samples are drawn; None if that is not known.
        crowding: How many times longer than on idle cores work takes.
        feature_seconds: Seconds that the features of an item take; 0 if hardly any.
        pieces: Pieces that a sample is cut into for closeness and variety; below 1 for short documents, which are joined.
        training_seconds: The seconds that a budget leaves for training.
    """

    audit: AuditCosts | None
    n_samples: int
    min_samples: int
    held_out: int
    pace: Pace | None = None
    crowding: float = 1.0
    feature_seconds: float = 0.0
    pieces: float = 1.0
    training_seconds: Callable[[float], float] = longest_training

    def describe(self, budget: float, mentions_evaluate: bool = True) -> str:
        """What the report of a budget will be able to answer, as one or more clauses.

        mentions_evaluate: Whether `anew evaluate` is named where it answers more.
        """
        closeness, novelty = self.prospects(budget)
        drawn_in_time = f", if {self.min_samples:,} samples are drawn in time" if self.pace is None else ""
        answers = [f"Close? and Varied? {self._answer_clause(closeness, self._closeness_obstacle(budget))}"]
        if closeness == "likely":
            answers = [f"Close? and Varied? {self._likely_clause()}{drawn_in_time}"]
        if novelty is not None:
            answers.append(f"New? {self._answer_clause(novelty, self._novelty_obstacle(novelty))}")
        advice = self._advice(budget, mentions_evaluate)
        return f"{'; '.join(answers)}{f'; {advice}' if advice else ''}"

    def prospects(self, budget: float) -> tuple[Prospect, Prospect | None]:
        """The prospect of closeness and variety, and that of novelty (None if that is not measured)."""
        return self._prospects_within(self.report_seconds(budget))

    def report_seconds(self, budget: float) -> float:
        """The seconds of a budget that the report gets: the usual slice or, if more is answered then, up to a quarter."""
        usual = evaluation_slice(budget, self.crowding)
        lengths, most = [usual], min(MAX_REPORT * budget, usual + MAX_TAKEN * self.training_seconds(budget))
        while lengths[-1] < most:
            lengths.append(min(LENGTH_RATIO * lengths[-1], most))
        return max(lengths, key=lambda seconds: _answered(self._prospects_within(seconds)))  # the first of equal ones

    def _prospects_within(self, report_seconds: float) -> tuple[Prospect, Prospect | None]:
        """The prospects of a report of `report_seconds`."""
        return self._prospects_of(*self._measuring(report_seconds))

    def _measuring(self, seconds: float) -> tuple[int, float]:
        """(samples drawn, seconds left to measure them) in a report of `seconds`."""
        n, sampling = self._samples(seconds)
        return n, max(seconds - sampling - REPORT_SECONDS, (seconds - sampling) / 2)

    def _prospects_of(self, n_samples: int, seconds: float = math.inf) -> tuple[Prospect, Prospect | None]:
        """The prospects with `n_samples`, and `seconds` to measure them."""
        compared = min(self.pieces * n_samples, self.held_out, self._measured(seconds))
        closeness = closeness_prospect(int(compared))
        if closeness == "likely" and self.crowding >= MIN_CROWDING:  # scores take longer, too
            closeness = "perhaps"
        if self.audit is None:
            return closeness, None
        novelty = novelty_prospect(self.audit, n_samples, (1.0 - METRICS_SHARE) * seconds)
        if novelty == "unlikely":  # scores may take less than their share, and leave the rest to the audit
            is_open = novelty_prospect(self.audit, n_samples, MAX_AUDIT * seconds) != "unlikely"
            novelty = "perhaps" if is_open else novelty
        return closeness, novelty

    def _measured(self, seconds: float) -> float:
        """How many items there is time to measure; infinite if measuring takes hardly any."""
        if not self.feature_seconds:
            return math.inf
        return num_affordable_items(METRICS_SHARE * seconds, self.feature_seconds)

    def _samples(self, seconds: float) -> tuple[int, float]:
        """(samples drawn, seconds that sampling takes) in a report of `seconds`."""
        if self.pace is None:
            return self.n_samples, TARGET_SHARE * seconds
        n = self.pace.samples_within(TARGET_SHARE * seconds)
        if n >= self.min_samples:
            return min(n, self.n_samples), TARGET_SHARE * seconds
        return min(self.pace.samples_within(GRADED_SHARE * seconds), self.min_samples), GRADED_SHARE * seconds

    def _answer_clause(self, prospect: Prospect, reason: str) -> str:
        if prospect == "likely":
            return "can be answered"
        return f"{'may' if prospect == 'perhaps' else 'will probably'} stay open{f' ({reason})' if reason else ''}"

    def _likely_clause(self) -> str:
        """A clause that says that closeness and variety can be answered; where few items are held out, usually."""
        if self.held_out >= ALWAYS_ENOUGH:
            return "can be answered"
        return f"can usually be answered (some data needs {ALWAYS_ENOUGH:,} held-out {self._noun} or more)"

    def _closeness_obstacle(self, budget: float) -> str:
        """A clause that says what there is too little of for closeness and variety; "" if there is enough."""
        if self.held_out < MIN_FOR_GOOD:
            return f"they need about {USUALLY_ENOUGH_ITEMS} held-out {self._noun}, and there {are(self.held_out)} {self.held_out:,}"
        n, seconds = self._measuring(self.report_seconds(budget))
        if n < self.min_samples:
            return f"they need about {self.min_samples} samples, and there is time for about {n:,}"
        measured = self._measured(seconds)
        if measured < self.min_samples:
            return f"they need about {self.min_samples} samples, and there is time to measure about {max(1, round(measured)):,}"
        if self.held_out < USUALLY_ENOUGH_ITEMS:
            return f"about {USUALLY_ENOUGH_ITEMS} held-out {self._noun} would do, and there {are(self.held_out)} {self.held_out:,}"
        return "other programs use the cores" if self.crowding >= MIN_CROWDING else ""

    @property
    def _noun(self) -> str:
        """What samples are compared with: whole items, or pieces of text."""
        return "items" if self.pieces == 1.0 else "text pieces"

    def _novelty_obstacle(self, prospect: Prospect) -> str:
        """Why novelty may stay open: held-out items are too few however long it is measured, or only just enough, or time is
        short. A clause, or ""."""
        if self.audit is None:
            return ""
        held_out = self.audit.available.held_out
        if has_too_few_items(self.audit.available):
            return f"held-out {self._noun} are too few to notice even {PLANTED_RATES[-1]:.0%} of copies"
        best = novelty_prospect(self.audit, self.n_samples)
        if best == "unlikely":
            needed = held_out_needed(self.audit, self.n_samples)
            return f"with this data it needs about {needed:,} held-out {self._noun}, and there {are(held_out)} {held_out:,}"
        if prospect == "perhaps" and best == "perhaps":
            return f"{held_out:,} held-out {self._noun}, those of validation included, are only just enough"
        return "the copying test needs more time" if prospect == "perhaps" else ""

    def gains_by_time(self, budget: float) -> bool:
        """Whether the report of a budget leaves questions open that one without a limit could answer."""
        prospects = self.prospects(budget)
        return not set(prospects) <= {"likely", None} and prospects != self._prospects_of(self.n_samples)

    def _advice(self, budget: float, mentions_evaluate: bool) -> str:
        """What answers the questions that this budget leaves open; "" if more time does not help. mentions_evaluate: see `describe`."""
        if not self.gains_by_time(budget):
            return ""
        best = self._prospects_of(self.n_samples)
        longer = next((b for b in ADVISED_BUDGETS if b > budget and self.prospects(b) == best), None)
        ways = [] if longer is None else [f"give about {duration(longer)}"]
        return ", or ".join([*ways, EVALUATED] if mentions_evaluate else ways)


def _answered(prospects: tuple[Prospect, Prospect | None]) -> int:
    """A number that rises with what can be answered."""
    return sum(("unlikely", "perhaps", "likely").index(prospect) for prospect in prospects if prospect is not None)


def forecast_of_job(job: TrainingJob, weights: Mapping[str, Tensor]) -> ReportForecast:
    """Forecast the report of a training, from short trials with the weights that it begins with, closed forms included."""
    budget = job.plan.budget_s
    assert budget is not None
    seconds = min(TRIAL_SHARE * budget, MAX_TRIAL)
    pace = None if isinstance(job.data.spec, Tokens) else trial_sampling(job, weights, seconds)
    forecast = forecast_of_data(job.data, job.plan.seed, seconds, job.train_config)

    def training_seconds(budget: float) -> float:
        # A training time that was asked for is not cut short
        return 0.0 if job.train_config.train_seconds else time_to_train(budget, job.context, MIN_TRAINING)

    return replace(forecast, pace=pace, crowding=job.context.crowding, training_seconds=training_seconds)


def forecast_of_data(
    data: Dataset, seed: int, seconds: float, config: TrainConfig | None = None, available: RealItems | None = None
) -> ReportForecast:
    """Forecast reports on this data, on idle cores and without knowing how fast samples are drawn.

    Args:
        data: The data that is learned.
        seed: Seed of the order of items.
        seconds: Seconds for each of the two trials, of the copying test and of features.
        config: Says how many samples the report measures.
        available: Numbers of real items that a training has, where this data is a part of them; None if it is all.
    """
    counts = SampleCounts.of(data)
    audit = trial_audit(data, seed, seconds, counts.pieces)
    if available is not None:
        counts = replace(counts, held_out=available.held_out)
        if audit is not None:
            is_limited = audit.max_real < audit.available.total
            max_real = audit.max_real if is_limited else available.total
            audit = replace(audit, available=available, max_real=max_real)
    return ReportForecast(
        audit=audit,
        n_samples=counts.of_report((config or TrainConfig()).evaluate_samples),
        min_samples=counts.enough(),
        held_out=counts.held_out,
        feature_seconds=trial_features(data, seed, seconds),
        pieces=counts.pieces,
    )


def plan_report(job: TrainingJob, checkpoint: Checkpoint | None) -> tuple[TrainingJob, Pace | None]:
    """Say what the report will be able to answer, and extend it if that answers more; nothing is forecast on a hurried
    machine.

    Args:
        job: The training, before its first step; its closed forms are fitted.
        checkpoint: The state to continue from; None at the beginning.

    Returns:
        The training, shorter if the report gets more than its usual time; how fast samples are drawn, None if that was not
        measured.
    """
    budget = job.plan.budget_s
    if budget is None or job.world.size > 1:
        return job, None
    if is_short_of_time(budget, time_to_train(budget, job.context, MIN_TRAINING), job.context):
        job.context.reporter.message(f"{SHORT_OF_TIME}, so the report is not forecast")
        return job, None
    weights = job.family.state_dict() if checkpoint is None else checkpoint_weights(checkpoint)
    usual = evaluation_slice(budget, job.context.crowding)
    forecast = forecast_of_job(job, weights)
    seconds = forecast.report_seconds(budget)
    job.context.reporter.message(f"forecast for the report at the present load: {forecast.describe(budget)}")
    if seconds > usual:
        job.context.reporter.message(
            f"the report gets {seconds:.0f} s of the budget instead of {usual:.0f} s, so that it can answer more"
        )
        job = _with_longer_report(job, seconds - usual, seconds)
    return job, forecast.pace


def _with_longer_report(job: TrainingJob, extra: float, seconds: float) -> TrainingJob:
    """The training with `extra` seconds fewer, and its config.json that says so. seconds: those of the report."""
    train_s = None if job.plan.train_s is None else max(job.plan.train_s - extra, MIN_TRAINING)
    plan = replace(job.plan, train_s=train_s, evaluate_s=seconds)
    record = job.record.model_copy(update={"plan": plan})
    job = replace(job, record=record, context=replace(job.context, report_extra=extra))
    job.write_status("training")
    return job
