"""How much of a budget the report gets: the usual slice, or more if a forecast says that more questions are answered then."""

from __future__ import annotations

from dataclasses import replace

from anew.planning.budget import HURRIED, MIN_TRAINING, evaluation_slice, is_hurried, time_to_train
from anew.runs.state import Checkpoint
from anew.sampling.restore import checkpoint_weights
from anew.workflows.job import TrainingJob
from anew.workflows.pace import Pace
from anew.workflows.report_forecast import forecast_of_job


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
    if is_hurried(budget, time_to_train(budget, job.context, MIN_TRAINING), job.context):
        job.context.reporter.message(f"{HURRIED}, so the report is not forecast")
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
