"""Train a job to its end: prepare the family, take the steps, choose the weights and save them."""

from __future__ import annotations

import collections.abc
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import repeat
from typing import TypeVar

import torch

from anew.core.activity import progress_lines
from anew.core.deadline import TimeIsUp, hard_stop
from anew.core.machine.allocator import return_freed_memory
from anew.core.machine.device import seeded
from anew.core.machine.threads import MIN_SLOWDOWN, ThreadTuner, available_threads, use_threads
from anew.core.reading_time import closed_form_seconds
from anew.core.specs import Batch, Grid
from anew.data.dataset import documents_of
from anew.data.latent_dataset import LatentModality
from anew.data.modality import Modality
from anew.errors import restoring
from anew.families.base import Family
from anew.planning.budget import (
    MIN_TRAINING,
    calibration_slice,
    evaluation_slice,
    saving_slice,
    time_to_train,
)
from anew.planning.replay import replayed_run, replayed_steps
from anew.runs import events as events_file
from anew.runs.events import BatchesEvent, Events
from anew.runs.shards import stored_tensors
from anew.runs.state import Checkpoint
from anew.runs.step_record import StepRecord
from anew.runs.weights import write_weights
from anew.sampling.generator import Generator
from anew.training.loop import Listener, TrainingEnd, TrainingLoop
from anew.training.progress import Progress, ReplayProgress, StepProgress, TimeProgress
from anew.training.trainer import StepResult, Trainer
from anew.training.validation import Validation, validation_loss
from anew.workflows.job import TrainingJob
from anew.workflows.latents import latent_batches
from anew.workflows.run_copy import share_trained
from anew.workflows.timing.training_length import longer_training, step_forecast

# Passes over the data up to which training does not overfit, so that the validation loss is not measured; chosen.
MAX_EPOCHS_UNWATCHED = 1.5
# Share of the usual samples that a modality is calibrated by on busy cores, and their least number. The report draws samples
# after that: with 128 for the calibration, 5 were left for the report (docs/log.md, 2026-11-29).
BUSY_SHARE, MIN_CALIBRATION_SAMPLES = 0.25, 8
# Targets of validation documents by which drawing is calibrated. A rate of a tenth is within 0.0017 of it at so many (one standard
# deviation).
DRAWING_TARGETS = 32_768
MIN_CALIBRATION = 0.5  # seconds that a modality has to be calibrated, whatever is left; chosen
T = TypeVar("T")


def prepare(job: TrainingJob, checkpoint: Checkpoint | None) -> None:
    """Fit the parts that have a closed form or, with a checkpoint, allocate their buffers."""
    _use_planned_threads(job)
    if checkpoint is None:
        lines = progress_lines(lambda: "fitting what has a closed form")
        with seeded(0, job.world.device), lines, closing(_closed_form_turns(job)) as turns:
            job.family.fit_closed_form((batch.to(job.world.device) for batch in _closed_form_batches(job)), turns)
            if not job.data.opened_part("train")[0].reads_all:
                job.family.note_partial_pass()
        # What reading and fitting took once is several hundred megabytes of large data
        return_freed_memory()
        return
    tensors = stored_tensors(checkpoint["shards"]) if "shards" in checkpoint else checkpoint["tensors"]
    weights = {name.removeprefix("weights/"): tensor for name, tensor in tensors.items() if name.startswith("weights/")}
    with restoring(job.folder.checkpoints):
        job.family.allocate_buffers({name: tensor.shape for name, tensor in weights.items()})


def fit(
    job: TrainingJob,
    checkpoint: Checkpoint | None = None,
    make_listeners: Callable[[Trainer], Sequence[Listener]] = lambda trainer: (),
    *,
    generates: bool = True,
    is_resumed: bool = False,
) -> TrainingEnd:
    """Train until the plan is done, choose the weights, and write them into the run.

    Args:
        job: The training; `prepare` was called with it.
        checkpoint: The state to continue from; None at the beginning.
        make_listeners: Returns what is called after each step.
        generates: Whether samples will be drawn from the family; a codec need not generate.
        is_resumed: Whether another process divided the budget, so that the training has what that process planned.

    Returns:
        How the training ended. After "interrupted" its state is saved, and no weights were chosen.
    """
    spent = 0.0 if checkpoint is None else float(checkpoint["meta"].get("spent", 0.0))
    length = 0.0 if checkpoint is None else checkpoint["meta"].get("length") or 0.0
    is_divided_now = job.plan.budget_s is not None and spent == 0.0 and not is_resumed
    replayed = None if job.request.plan_from is None else replayed_steps(job.request.plan_from)
    progress = _progress(job, replayed, spent, length, is_divided_now)
    trainer = Trainer(
        job.family,
        job.data,
        progress,
        seed=job.plan.seed,
        batch_size=job.plan.batch,
        micro_batch=job.plan.micro_batch,
        world=job.world,
        sharded=job.sharded,
        scratch=job.folder.path,
    )
    if replayed is not None and isinstance(progress, ReplayProgress):
        progress.before_step = _step_replay(replayed, trainer)
    measured = None if replayed is None else replayed.validated
    validation = Validation(trainer, job.validation_batches, measured) if _uses_validation(job) else None
    if checkpoint is not None:
        with restoring(job.folder.checkpoints):
            trainer.load_state_dict(checkpoint)
            job.family.check_state()
            if validation is not None:
                validation.load_state_dict(checkpoint)
    forecast = step_forecast(job, progress, spent, trainer.step)
    listeners = [*longer_training(job, progress, is_divided_now), *forecast, *make_listeners(trainer)]
    outcome = _run_loop(job, trainer, validation, spent, listeners)
    _use_planned_threads(job)
    if outcome != "interrupted":
        _keep_weights(job, trainer, validation, generates)
    return outcome


def _use_planned_threads(job: TrainingJob) -> None:
    """Use the planned number of threads before and after the steps: sums round by it, and a replay must be equal."""
    if job.plan.threads is not None:
        use_threads(min(job.plan.threads, available_threads()))


def _progress(
    job: TrainingJob, replayed: StepRecord | None, spent: float, length: float, is_divided_now: bool
) -> Progress:
    """The progress of the training.

    Args:
        replayed: The steps of the run that is replayed, if one is.
        spent: Seconds of it that earlier processes took.
        length: Seconds of the whole training, if an earlier process made it longer; else 0.
        is_divided_now: Whether the training has the rest of the budget, not the planned time.
    """
    plan = job.plan
    if replayed is not None:
        return ReplayProgress(replayed.progress[: plan.steps])
    if plan.steps is not None:
        return StepProgress(plan.steps)
    on_step_time = _thread_tuner(job)
    if job.train_config.train_seconds:
        return TimeProgress(job.train_config.train_seconds, spent, only_training=True, on_step_time=on_step_time)
    seconds = plan.train_s
    if plan.budget_s is not None and is_divided_now:
        # The time left is known exactly only now, after reading, measuring and preparing.
        seconds = time_to_train(plan.budget_s, job.context, minimum=MIN_TRAINING)
    assert seconds is not None, "a plan has steps or seconds"
    return TimeProgress(max(seconds, length), spent, on_step_time=on_step_time)


def _step_replay(replayed: StepRecord, trainer: Trainer) -> Callable[[int], None]:
    """A callback that sets, before each step, what held for it: the number of threads, or as many as there are here, and the
    learning rate after a loss that was not finite."""

    def prepare_step(step: int) -> None:
        if step in replayed.threads:
            use_threads(min(replayed.threads[step], available_threads()))
        if step in replayed.restores:
            trainer.lr_scale, trainer.overcome_at = replayed.restores[step]

    return prepare_step


def _thread_tuner(job: TrainingJob) -> Callable[[float], None]:
    """The callback that gets the time of each step and tunes the number of threads by it.

    It does nothing with several processes, which share the threads, and on a GPU, which the cores only feed.
    """
    if job.world.size > 1 or job.world.device.type != "cpu":
        return lambda seconds: None
    return ThreadTuner(job.context.reporter.message, available_threads()).record_step


def _uses_validation(job: TrainingJob) -> bool:
    """Whether the loss on validation data may choose the weights and begin the decay early."""
    repeats_data = job.plan.epochs is None or job.plan.epochs > MAX_EPOCHS_UNWATCHED
    return job.train_config.validation and repeats_data and _can_validate(job)


def _can_validate(job: TrainingJob) -> bool:
    return job.family.early_stopping and job.data.part_size("validation") > 0


def _run_loop(
    job: TrainingJob,
    trainer: Trainer,
    validation: Validation | None,
    spent: float,
    listeners: Sequence[Listener],
) -> TrainingEnd:
    start = time.monotonic() - spent

    def show(result: StepResult) -> None:
        job.context.reporter.step(result, trainer.progress.seconds_left(result.step))

    num_hosts = len(set(job.world.gather(socket.gethostname())))
    events = Events(job.folder.path / events_file.NAME) if job.world.is_main else None
    if events is not None:
        events.write("start", step=trainer.step, processes=job.world.size, hosts=num_hosts)
    loop = TrainingLoop(
        trainer,
        job.folder,
        events,
        [show, *listeners],
        validation,
        checkpoint_seconds=job.train_config.checkpoint_seconds,
        spent=lambda: time.monotonic() - start,
        say=job.context.reporter.message,
    )
    try:
        return loop.run()
    finally:
        if events is not None:
            events.close()


def _keep_weights(job: TrainingJob, trainer: Trainer, validation: Validation | None, generates: bool) -> None:
    """Write the weights to sample from into the run, with what the family fits on validation data."""
    job.context.reporter.message("  choosing and calibrating the weights")
    weights, best_step = (trainer.weights(), None) if validation is None else validation.final_weights()
    if best_step is not None:
        job.context.reporter.message(f"kept the weights of step {best_step:,}: validation loss was lowest there")
    if job.world.is_main:
        if best_step is not None:
            _log(job, "kept", step=best_step)
        family = job.rebuilt(weights)
        if (previous := _previous_if_better(job, family)) is not None:
            # It is calibrated; its samples, which are matched to the data, would look as if nothing had to be matched
            family = previous
        else:
            _calibrate_family(job, family, trainer.step, generates)
        write_weights(job.folder.path, family.state_dict())
        if generates:
            _calibrate_in_time(job, family)
        job.write_status("trained")
    share_trained(job.world, job.folder)


@torch.no_grad()
def _calibrate_family(job: TrainingJob, family: Family, step: int, generates: bool) -> None:
    if generates:
        family.fit_latents(_latent_batches(job))
    family.calibrate(batch.to(job.world.device) for batch in _calibration_batches(job))
    if generates and family.calibrates_drawing:
        _calibrate_drawing(job, family, step)


def calibrate_modality(job: TrainingJob, family: Family, modality: Modality) -> None:
    """Calibrate a modality of the job's data by samples and training items, so that what it decodes is more like them."""
    data = job.data.base
    num_samples, num_real = modality.calibration_size()
    if not num_samples:
        return
    num_samples = _calibration_samples(job, num_samples)
    generator = Generator(family, modality, job.record.data.labels, job.record.label_shares)
    samples = generator.generate(generator.request(num_samples, job.plan.seed), job.plan.seed)  # (n, ...)
    if isinstance(modality, LatentModality):
        samples = modality.decode_latents(samples)
    count = min(num_real, data.train_items)
    modality.calibrate(samples, data.batch(0, "calibration", 0, count, count).x)


def _calibration_samples(job: TrainingJob, usual: int) -> int:
    """How many samples are drawn to calibrate a modality: fewer where busy cores leave little time, or as in the replayed run."""
    if job.request.plan_from is not None:
        logged = events_file.batches_record(replayed_run(job.request.plan_from).path / events_file.NAME, "samples")
        return usual if logged is None else logged
    if job.plan.budget_s is None or job.context.slowdown < MIN_SLOWDOWN:
        return usual
    count = min(usual, max(MIN_CALIBRATION_SAMPLES, round(BUSY_SHARE * usual)))
    _log(job, "samples", batches=count)
    return count


def _calibrate_in_time(job: TrainingJob, family: Family) -> None:
    """Calibrate the modality of a job; on busy cores only if that leaves half of the report its time."""
    limit, budget, slowdown = None, job.plan.budget_s, job.context.slowdown
    if budget is not None and slowdown >= MIN_SLOWDOWN:
        reserved = saving_slice(budget, slowdown) + evaluation_slice(budget, slowdown) / 2
        limit = max(MIN_CALIBRATION, budget - job.context.elapsed() - reserved)
    try:
        with hard_stop(limit):
            calibrate_modality(job, family, job.data.modality)
    except TimeIsUp:
        job.context.reporter.message(
            "other programs use the cores: no time was left to match samples to exact values of the data"
        )


def _previous_if_better(job: TrainingJob, family: Family) -> Family | None:
    """The family before the run was given more time, if that has the lower validation loss."""
    if job.previous_weights is None or not _can_validate(job):
        return None
    previous = job.rebuilt(job.previous_weights)
    old_loss = validation_loss(previous, job.validation_batches(), job.plan.seed)
    new_loss = validation_loss(family, job.validation_batches(), job.plan.seed)
    if old_loss >= new_loss:
        return None
    if job.previous_training:
        _log(job, "kept_previous", **job.previous_training)
    job.context.reporter.message("went back to the weights before this training, which did not improve validation loss")
    return previous


def _latent_batches(job: TrainingJob) -> Iterator[Batch]:
    """Yield training items to fit latents to: as many as there is time for, or as the replayed run read."""
    # Share of the seconds kept for what follows training; `calibrate` needs the rest; chosen
    share = 0.5
    return _within_slice(job, "latents", latent_batches(job), share)


def _calibration_batches(job: TrainingJob) -> Iterator[Batch]:
    """Yield validation data for calibration: as much as was planned, if there is time, or as the replayed run read."""
    if not job.data.part_size("validation"):
        return
    limit, max_targets = job.plan.calibration_units, job.family.max_calibrated_targets
    if max_targets is not None:
        store, number = job.data.opened_part("validation")
        limit = min(limit, store.rows(number).units_of(max_targets))
    batches = job.data.scoring("validation", limit=limit)
    for batch in _within_slice(job, "calibration", batches, 1.0):
        yield from job.data.modality.orderings(batch)


def _calibrate_drawing(job: TrainingJob, family: Family, num_updates: int) -> None:
    """Calibrate drawing by validation documents and by samples, for as long as there is time, or as the replayed run did.

    It takes more of the slice than latents do, which families of tokens do not have. Without a budget, it takes as many steps of
    drawing as the training took updates, instead of seconds, so that the same seed gives the same run.
    """
    if not job.data.part_size("validation"):
        return
    limited = documents_of(job.data.base, "validation", DRAWING_TARGETS)
    documents = (batch.to(job.world.device) for batch in _within_slice(job, "documents", limited, 0.25))
    is_limited = job.plan.budget_s is None and job.request.plan_from is None
    record = job.record
    request_of = Generator(family, job.data.modality, record.data.labels, record.label_shares).request
    turns = repeat(None, max(1, num_updates)) if is_limited else repeat(None)
    # The turn first: a step that is begun has its effect, so all of them must be in the log
    steps = family.calibrate_drawing(documents, request_of)
    for _ in zip(_within_slice(job, "drawing", turns, 0.75), steps, strict=False):
        pass


def _closed_form_batches(job: TrainingJob) -> Iterator[Batch]:
    """Yield training items for closed forms: all of them, or grids as long as there is time for, or as the replayed run read.

    Tokens have no limit: closed forms of text are most of what a short run learns. Several processes would stop at other places.
    """
    batches = job.data.one_pass("train", job.family.max_fitted_examples)
    if not isinstance(job.data.spec, Grid) or job.world.size > 1:
        return batches
    budget = job.plan.budget_s
    seconds = None if budget is None else closed_form_seconds(budget, job.context.elapsed())
    return _within(job, "closed_form", batches, seconds)


def _closed_form_turns(job: TrainingJob) -> collections.abc.Generator[None]:
    """Turns of the work on closed forms, as long as there is time for, or as many as the replayed run had. The time begins with the
    first turn, after the items are read. Several processes would stop at other places."""
    if job.world.size > 1:
        yield from repeat(None)
    budget = job.plan.budget_s
    seconds = None if budget is None else closed_form_seconds(budget, job.context.elapsed())
    yield from _within(job, "closed_form_turns", repeat(None), seconds)


def _within_slice(job: TrainingJob, event: BatchesEvent, batches: Iterable[T], share: float) -> Iterator[T]:
    """Yield batches, or turns of work, until a share of the calibration's slice of the budget is over; see `_within`."""
    budget = job.plan.budget_s
    seconds = None if budget is None else share * calibration_slice(budget, job.context.slowdown)
    return _within(job, event, batches, seconds)


def _within(job: TrainingJob, event: BatchesEvent, batches: Iterable[T], seconds: float | None) -> Iterator[T]:
    """Yield batches, or turns of work, until the seconds (None: no limit) are over, one at least.

    Their number is logged as `event`, so that a replay reads as many.
    """
    max_batches, deadline = None, float("inf")
    if job.request.plan_from is not None:
        log = replayed_run(job.request.plan_from).path / events_file.NAME
        max_batches = events_file.batches_record(log, event)
    elif seconds is not None:
        deadline = time.monotonic() + seconds
    count = 0
    try:
        for batch in batches:
            if count == max_batches or (count and time.monotonic() > deadline):
                break
            count += 1
            yield batch
    finally:
        _log(job, event, batches=count)


def _log(job: TrainingJob, event: str, **values: events_file.EventValue) -> None:
    """Add an event to the log after the steps."""
    events = Events(job.folder.path / events_file.NAME)
    events.write(event, **values)
    events.close()
