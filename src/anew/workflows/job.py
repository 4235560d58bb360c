"""The training of one family with all that it needs: begun from a request, or reopened from its run."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from anew.core import settings as cfg
from anew.core.data_record import DataRecord
from anew.core.machine.memory import parameters_within
from anew.core.machine.threads import use_threads
from anew.core.processes.world import World
from anew.core.specs import Batch
from anew.core.version import __version__
from anew.core.wording import plural
from anew.errors import ConfigError, RunError, restoring
from anew.families.base import Family
from anew.planning.benchmark import largest_micro_batch, rows_in_memory
from anew.planning.budget import check_gain, evaluation_slice, time_to_train, training_seconds
from anew.planning.build import family_with_weights
from anew.planning.context import RunContext, TrainingData, TrainingTask
from anew.planning.family_choice import FamilyChoice
from anew.planning.loops import compile_loops
from anew.planning.memory_plan import built_among
from anew.planning.planner import describe_plan, make_plan
from anew.planning.replay import replayed_run
from anew.planning.train_config import TrainConfig
from anew.runs import events as events_file
from anew.runs.folder import RunFolder
from anew.runs.paths import CONFIG, WEIGHTS
from anew.runs.record import CodecRecord, FamilyRecord, Plan, Request, RunRecord, Status
from anew.runs.state import Checkpoint
from anew.runs.step_record import step_record
from anew.runs.weights import read_weights, weights_path
from anew.sampling.restore import checkpoint_weights
from anew.training.distributed import sharded_losses
from anew.training.recomputing import can_recompute, recompute_blocks
from anew.training.shared_checkpoint import broadcast_checkpoint, shared_shards

if TYPE_CHECKING:
    from anew.families.base import FamilyConfig

SAME_COMMAND = "start all processes with the same command, release and data"
VALIDATION_EXAMPLES = 256  # examples that the validation loss is measured on: few, since it is measured often; chosen


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """One training of one family.

    Attributes:
        record: What its config.json says; changes are written with `write_status`.
        train_config: Settings of the training.
        family: The family that is trained, with its first weights.
        family_class: Its class; sharding changes the class of `family` itself.
        data: The data as the family sees it: items, or what a codec makes of them.
        context: Reporter, clock and processes.
        sharded: The losses of the phases, where the processes share the weights of `family`; else None.
        previous_weights: Weights of a finished run that is given more time; they are kept if the new ones are no better.
        previous_training: The cost of training those: steps, seconds, examples, and the losses.
    """

    folder: RunFolder
    record: RunRecord
    train_config: TrainConfig
    family: Family
    family_class: type[Family]
    data: TrainingData
    context: RunContext
    sharded: Mapping[str, nn.Module] | None = None
    previous_weights: Mapping[str, Tensor] | None = None
    previous_training: Mapping[str, events_file.EventValue] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        return self.record.plan

    @property
    def request(self) -> Request:
        return self.record.request

    @property
    def world(self) -> World:
        return self.context.world

    def write_status(self, status: Status, data: DataRecord | None = None) -> None:
        """Write config.json with this status and what is known about the data now."""
        data_record = (data or self.record.data).model_copy(update={"learned": self.data.modality.state()})
        self.folder.write_config(self.record.model_copy(update={"status": status, "data": data_record}))

    def rebuilt(self, weights: Mapping[str, Tensor]) -> Family:
        """A new family with these weights, whole on this process and ready to sample."""
        return family_with_weights(self.family_class, self.data.spec, self.family.config, weights, self.world.device)

    def validation_batches(self) -> Iterator[Batch]:
        """Yield the batches that the validation loss is measured on, the same each time."""
        examples = 0
        for batch in self.data.scoring("validation"):
            yield batch
            examples += len(batch)
            if examples >= VALIDATION_EXAMPLES:
                return


def begin_job(
    folder: RunFolder,
    task: TrainingTask[TrainingData],
    choice: FamilyChoice,
    *,
    codec: CodecRecord | None = None,
    minimum_seconds: float | None = None,
    measuring_seconds: float | None = None,
) -> TrainingJob:
    """Plan a training and write its config.json. From then on it can be resumed from the run folder alone.

    Args:
        folder: The run; it exists.
        task: What is trained.
        choice: The family that learns it.
        codec: The description of the codec, if the data is its latents.
        minimum_seconds: Least training time in seconds, even if the budget has fewer left.
        measuring_seconds: Seconds in which sizes may be timed; None for a share of the training.
    """
    use_threads()  # an earlier stage may have ended with one
    request, train_config, context, data = task.request, task.train_config, task.context, task.data
    seconds = None
    if request.plan_from is None:
        seconds = context.world.broadcast(training_seconds(request, train_config, context, minimum_seconds))
        context = compile_loops(task, choice, seconds)
        seconds = context.world.broadcast(training_seconds(request, train_config, context, minimum_seconds))
    context.reporter.message("  timing sizes of the model")
    plan, config = make_plan(
        replace(task, context=context), choice, seconds=seconds, measuring_seconds=measuring_seconds
    )
    with _no_larger_than(None if request.plan_from is None else replayed_run(request.plan_from), context.world):
        family, parallel, reason = built_among(
            choice.family_class, data.spec, config, plan.seed, context.world, train_config.parallel
        )
    if reason:
        plan = replace(plan, parallel=parallel, notes=(*plan.notes, reason))
    sharded = sharded_losses(family, context.world, parallel == "fsdp")
    plan = _fit_memory(plan, train_config, family, data, context.world, sharded)
    if plan.threads is None:
        plan = replace(plan, threads=context.world.minimum(torch.get_num_threads()))
    record = RunRecord(
        request=request,
        status="training",
        family=FamilyRecord(name=choice.name, config=cfg.to_json(config)),
        spec=data.spec,
        data=data.state(),
        label_shares=data.label_shares(),
        train=cfg.to_json(train_config),
        plan=plan,
        versions={"python": platform.python_version(), "torch": torch.__version__, "anew": __version__},
        codec=codec,
    )
    job = TrainingJob(folder, record, train_config, family, choice.family_class, data, context, sharded)
    context.world.check_same(
        "the plan of the training", {**record.family.model_dump(), **cfg.to_json(plan)}, SAME_COMMAND
    )
    data.modality.save(folder.path)
    job.write_status("training")
    context.reporter.message(describe_plan(choice.name, plan))
    return job


def _fit_memory(
    plan: Plan,
    train_config: TrainConfig,
    family: Family,
    data: TrainingData,
    world: World,
    sharded: Mapping[str, nn.Module] | None,
) -> Plan:
    """The plan with as many rows at once as memory holds.

    If memory does not hold the activations of one row, blocks of the family are set to recompute them.

    Args:
        sharded: See `TrainingJob`.
    """
    is_forced = train_config.recompute == "on"
    max_rows = None if is_forced else rows_in_memory(family, plan.batch, data, world, sharded)
    if (is_forced or max_rows == 0) and train_config.recompute != "off":
        if can_recompute(family.phases()):
            recompute_blocks(family)
            reason = "as asked" if is_forced else "those of one example do not fit in memory"
            plan = replace(plan, recompute=True, notes=(*plan.notes, f"activations are recomputed: {reason}"))
            max_rows = None
        elif is_forced:
            raise ConfigError("`recompute` needs a family of one network with blocks; leave it out")
    if plan.micro_batch == 0:
        if max_rows is None:
            max_rows = rows_in_memory(family, plan.batch, data, world, sharded)
        plan = replace(plan, micro_batch=largest_micro_batch(plan.batch, max_rows, world))
    return plan


@contextmanager
def _no_larger_than(run: RunFolder | None, world: World) -> Iterator[None]:
    """Within this context, raise RunError as soon as a network is made that is larger than what the run saved.

    Settings that a stranger edited may ask for any size. There is no bound if nothing was saved, or without a run.
    """
    saved = world.broadcast(run.saved_bytes() if run is not None and world.is_main else 0)
    if run is None or not saved:
        yield
        return
    with restoring(run.path / CONFIG), parameters_within(2 * saved):  # twice, as in `restore_family`
        yield


def reopen_job(
    folder: RunFolder, record: RunRecord, family_class: type[Family], context: RunContext, data: TrainingData
) -> TrainingJob:
    """The training that a run folder describes.

    Args:
        record: What its config.json says.
        context: Reporter, clock and processes.
        data: Its data as the family sees it, opened again.

    Raises:
        RunError: The files of the run do not fit each other, the data, or this version.
    """
    if data.spec != record.spec:
        raise RunError(f"the data no longer fits the run {str(folder.path)!r}; train a new run")
    with restoring(folder.path / CONFIG):
        train_config = cfg.from_json(TrainConfig, record.train)
        config: FamilyConfig = cfg.from_json(family_class.Config, record.family.config)
        setting = "fsdp" if "fsdp" in (record.plan.parallel, train_config.parallel) else "ddp"
        with _no_larger_than(folder, context.world):
            family, parallel, _ = built_among(family_class, data.spec, config, record.plan.seed, context.world, setting)
    if record.plan.recompute:
        recompute_blocks(family)
    sharded = sharded_losses(family, context.world, parallel == "fsdp")
    return TrainingJob(folder, record, train_config, family, family_class, data, context, sharded)


class ExtendedJob(NamedTuple):
    """A training that is given more.

    Attributes:
        checkpoint: The state to continue from; None if none was kept.
        is_before_decay: Whether that is the last one before the learning rate fell.
    """

    job: TrainingJob
    checkpoint: Checkpoint | None
    is_before_decay: bool


def extend_job(job: TrainingJob, budget: float | None, steps: int | None) -> ExtendedJob:
    """Give a run more time or steps, and save the new plan.

    Args:
        job: The run as it is.
        budget: Further seconds.
        steps: A new total of steps instead.

    Returns:
        The longer training, which continues from the last checkpoint before the learning rate fell, if there is one.

    Raises:
        ConfigError: `steps` is no more than the steps already done.
        BudgetError: The budget leaves no time to train.
    """
    latest = latest_checkpoint(job)
    before_decay = _checkpoint_before_decay(job)
    checkpoint = latest
    if before_decay is not None and (latest is None or latest["meta"]["step"] > before_decay["meta"]["step"]):
        checkpoint = before_decay
    is_before_decay = checkpoint is not None and checkpoint is before_decay
    if checkpoint is not None:  # where the decay of the shorter training began early says nothing about the longer one
        checkpoint = {**checkpoint, "meta": {**checkpoint["meta"], "early_decay": None}}
    plan, previous_weights = job.plan, None
    if budget is not None and job.world.is_main and checkpoint is not None and "shards" not in checkpoint:
        # Before the time is divided, as it can take seconds; those that are rebuilt later share what is read
        job.rebuilt(checkpoint_weights(checkpoint)).prepare_drawing()
    if steps is not None:
        _check_more_steps(job, steps, [latest, before_decay])
        plan = replace(plan.extended(steps), steps=steps, train_s=None, budget_s=None)
    elif budget is not None:
        spent = 0.0 if checkpoint is None else float(checkpoint["meta"]["spent"])
        if job.record.status != "training":
            check_gain(budget, job.context, spent, _seconds_trained(job))
        train_s = spent + time_to_train(budget, job.context)
        step_s = _seconds_a_step(job)
        plan = replace(
            plan.extended(int(train_s / step_s)) if step_s else plan,
            steps=None,
            budget_s=budget,
            train_s=train_s,
            evaluate_s=evaluation_slice(budget, job.context.slowdown),
        )
        # A run by steps that is made longer equals one that was as long at once
        if job.record.status != "training":
            previous_weights = _previous_weights(job) if job.world.is_main else None
    record = job.record.model_copy(update={"plan": plan})
    previous_training = _previous_training(job.folder.path) if previous_weights is not None else {}
    longer = replace(job, record=record, previous_weights=previous_weights, previous_training=previous_training)
    if checkpoint is not None:  # first, so that a kill in between leaves a finished run
        job.folder.delete_checkpoints_after(int(checkpoint["meta"]["step"]))
    longer.write_status("training")
    return ExtendedJob(longer, checkpoint, is_before_decay)


def _previous_training(run: Path) -> dict[str, events_file.EventValue]:
    """The cost of training the weights that are sampled from, and their losses: a longer training replaces those lines of the log."""
    step = events_file.sampled_step(run)
    if not step:
        return {}
    figures = {"step": step["step"], "seconds": step.get("seconds"), "examples": step.get("examples", 0)}
    return {**figures, **events_file.recent_losses(run)}


def _previous_weights(job: TrainingJob) -> Mapping[str, Tensor] | None:
    """The weights of a finished run. If their file is missing, report it and return None: checkpoints suffice."""
    if not weights_path(job.folder.path).exists():
        job.context.reporter.message(
            f"{WEIGHTS} is missing; continuing from the checkpoints, without comparing with the previous weights"
        )
        return None
    return read_weights(job.folder.path)


def _check_more_steps(job: TrainingJob, steps: int, checkpoints: list[Checkpoint | None]) -> None:
    logged = len(step_record(job.folder.path / events_file.NAME).progress) if job.world.is_main else 0
    logged = job.world.broadcast(logged)
    done_steps = max([logged, *(int(c["meta"]["step"]) for c in checkpoints if c is not None)])
    if steps <= done_steps:
        raise ConfigError(
            f"`steps` {steps} is not more than the {plural(done_steps, 'step')} already done; give a larger total"
        )


def _seconds_trained(job: TrainingJob) -> float:
    steps = events_file.steps_of(job.folder.path)
    return job.world.broadcast(max((float(event.get("seconds") or 0.0) for event in steps), default=0.0))


def _seconds_a_step(job: TrainingJob) -> float:
    """The mean seconds of a step so far, with all that goes with it; 0 if that is not known."""
    last = events_file.last_step(job.folder.path) if job.world.is_main else {}
    return job.world.broadcast(float(last.get("seconds") or 0.0) / max(int(last.get("step") or 0), 1))


def latest_checkpoint(job: TrainingJob) -> Checkpoint | None:
    """The newest checkpoint that is not damaged, None without one; damaged ones are reported."""
    return _read_by_main(job, job.folder.latest)


def _checkpoint_before_decay(job: TrainingJob) -> Checkpoint | None:
    return _read_by_main(job, job.folder.decay_start)


def _read_by_main(job: TrainingJob, read: Callable[[], tuple[Checkpoint | None, list[str]]]) -> Checkpoint | None:
    """The checkpoint that the main process reads, on all processes; damaged ones are reported."""
    checkpoint, notes = read() if job.world.is_main else (None, [])
    for note in notes:
        job.context.reporter.message(note)
    if job.sharded is not None:
        shards = shared_shards(job.world, checkpoint)
        if shards is not None:
            return shards
    return broadcast_checkpoint(job.world, checkpoint, job.folder.path)


def resume_point(job: TrainingJob) -> Checkpoint | None:
    """The checkpoint from which an interrupted training continues; None if it begins again."""
    latest = latest_checkpoint(job)
    return _checkpoint_before_decay(job) if latest is None else latest
