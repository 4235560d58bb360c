"""Training runs from their request to their report: new ones, and ones that are resumed or given more time."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from anew.core import settings as cfg
from anew.core.exit_codes import STOPPED
from anew.core.machine.loop_compiler import LoopCompiler
from anew.core.machine.threads import SlowdownMeter, measure_slowdown, use_threads
from anew.core.processes import world as world_of_processes
from anew.core.reporter import Reporter, SilentReporter
from anew.core.stores.addresses import OutageError
from anew.core.wording import duration, plural
from anew.data.dataset import Dataset
from anew.errors import ChangedDataError, DataError, command, restoring
from anew.families.base import Family, load_family_file
from anew.planning.budget import (
    SHORT_OF_TIME,
    check_budget,
    evaluation_slice,
    is_short_of_time,
    saving_slice,
    training_seconds,
)
from anew.planning.context import RunContext, TrainingTask
from anew.planning.family_choice import (
    FamilyChoice,
    check_settings,
    choose_codec,
    choose_families,
    choose_family,
    train_config_of,
)
from anew.planning.loops import report_compilation, wait_for
from anew.planning.pilots import can_tell, describe_too_short
from anew.planning.replay import replayed_run
from anew.planning.request import setting_owners
from anew.planning.train_config import TrainConfig
from anew.runs import events as events_file
from anew.runs.folder import RunFolder, remove_begun
from anew.runs.paths import CONFIG, OWN_FAMILY
from anew.runs.record import Request, RunRecord
from anew.runs.report_record import as_record, is_stopped, report_or_none
from anew.runs.state import Checkpoint
from anew.sampling.model import LateModel, Model
from anew.sampling.restore import load_family_class
from anew.training.loop import Listener
from anew.training.trainer import Trainer
from anew.workflows import codec_stage, pilots
from anew.workflows.agreement import (
    check_same_arguments,
    check_same_data,
    check_same_machines,
    check_same_request,
    precision_notes,
)
from anew.workflows.compilation import apply_compilation, check_compiler, choose_compilation
from anew.workflows.evaluate import EvaluationRequest, evaluate_run
from anew.workflows.fit import fit, prepare
from anew.workflows.job import TrainingJob, begin_job, extend_job, reopen_job, resume_point
from anew.workflows.open_data import SkippedItemsReport, open_data
from anew.workflows.previews import Previews
from anew.workflows.run_copy import share_record, share_trained
from anew.workflows.tensorboard import check_tensorboard, tensorboard_listeners
from anew.workflows.timelapse import Timelapse
from anew.workflows.timing.pace import Pace
from anew.workflows.timing.report_length import plan_report
from anew.workflows.timing.sample_counts import MAX_FURTHER, SampleCounts
from anew.workflows.timing.time_limit import MIN_REPORT_SECONDS, TimeLimit

Cleanup = Literal["nothing", "files", "folder"]


# -- new runs -------------------------------------------------------------------------------------------------------------


@torch.inference_mode(False)  # gradients, wherever the caller has turned them off
def new_run(
    folder: RunFolder,
    request: Request,
    reporter: Reporter | None,
    started: float,
    cleanup: Cleanup,
    own_family: Path | None,
) -> Model:
    """Carry out a request in its folder, which holds the request already.

    Args:
        request: The user's request.
        reporter: Shows the progress.
        started: `time.monotonic()` when the command began.
        cleanup: Removed if the run cannot be begun: the "files" that were written so far, or the "folder" with them.
        own_family: The file of a family of the user's own; None for a built-in family.

    Returns:
        The model, with its report written.

    Raises:
        UserError: The request cannot be carried out.
        KeyboardInterrupt: Training was interrupted; its state is saved, and `continue_run` continues it.
    """
    use_threads()
    with contextlib.closing(LoopCompiler()) as loop_compiler:
        try:
            world = world_of_processes.init()
            reporter = reporter if reporter is not None and world.is_main else SilentReporter()
            user_family = None if own_family is None else load_family_file(own_family)
            begun = _begin(folder, request, reporter, started, user_family, loop_compiler)
            job = choose_compilation(begun.job)
        except Exception:  # any failure: it is raised again after the cleanup
            if cleanup != "nothing":
                remove_begun(folder, with_folder=cleanup == "folder")
            raise
        model = _run_to_end(job, begun.checkpoint, begun.skipped_items, plans_report=True)
        report_compilation(job.context)
    return model


class BegunTraining(NamedTuple):
    """A training that is planned.

    Attributes:
        checkpoint: That of the winning pilot; None without pilots.
        skipped_items: The report of items that could not be used.
    """

    job: TrainingJob
    checkpoint: Checkpoint | None
    skipped_items: SkippedItemsReport


def _begin(
    folder: RunFolder,
    request: Request,
    reporter: Reporter,
    started: float,
    user_family: type[Family] | None,
    loop_compiler: LoopCompiler,
) -> BegunTraining:
    """Read the data, choose family and codec, train the codec, and plan."""
    meter = SlowdownMeter()
    # Refuses unknown settings before any data is read; `make_request` could not do it for a family of the user's own.
    user_config = None if user_family is None else user_family.Config
    cfg.route_settings(
        request.settings, setting_owners(request.family, request.modality, user_config), cfg.TRAIN_ARGUMENTS
    )
    train_config = train_config_of(request)
    check_tensorboard(train_config)
    context = replace(_context(train_config, reporter, started, user_family), loop_compiler=loop_compiler)
    check_compiler(train_config, context.world)
    check_same_request(context.world, request, folder)
    pilots.clear(folder)
    data = open_data(request, train_config, context)
    context = replace(context, slowdown=context.world.broadcast(meter.read()))
    check_same_data(context.world, data)
    task = TrainingTask(request, train_config, context, data)
    decision = _decision(task)
    skipped_items = SkippedItemsReport(reporter)
    # Only now, since a command that is refused says nothing on standard output
    form = data.modality.form()
    for note in [*([f"learned at {form}"] if form else []), *data.scan.notes, *precision_notes(context.world)]:
        reporter.message(note)
    skipped_items.update(data)
    if decision.pilot_seconds > 0:
        job, checkpoint = pilots.Pilots(folder, task).run(decision.choices, decision.pilot_seconds)
        return BegunTraining(job, checkpoint, skipped_items)
    job = _begin_stages(folder, task, decision.choices[0], decision.codec_name)
    return BegunTraining(job, None, skipped_items)


def _context(
    train_config: TrainConfig, reporter: Reporter, started: float, user_family: type[Family] | None
) -> RunContext:
    """The context of a training. Refuses processes with different versions, or kinds of device."""
    world = world_of_processes.init().on(train_config.device)
    check_same_machines(world)
    # By all that starting took, or at this moment where the thread is older than the command
    meter = SlowdownMeter.since(time.monotonic() - started)
    return RunContext(reporter, started, world, user_family, world.broadcast(meter.read()))


class FamilyDecision(NamedTuple):
    """What is trained.

    Attributes:
        choices: A single family, or those that pilots try.
        codec_name: The codec of a single family; None if it works on the data itself.
        pilot_seconds: Time for all pilots together; 0 without.
    """

    choices: list[FamilyChoice]
    codec_name: str | None = None
    pilot_seconds: float = 0.0


def _decision(task: TrainingTask[Dataset]) -> FamilyDecision:
    """Decide which families are trained.

    Raises:
        UserError: They, or the settings, do not suit the data, or the budget leaves no time to train.
    """
    request, train_config, context, data = task.request, task.train_config, task.context, task.data
    if request.plan_from is not None:
        choice, codec_name = _replayed(request.plan_from, task)
        return FamilyDecision([choice], codec_name)
    choices = choose_families(data, request, train_config, context.user_family)
    left = training_seconds(request, train_config, context)
    seconds = pilots.affordable_seconds(request, train_config, data, choices)
    if seconds > 0 and is_short_of_time(request.budget, left, context):
        context.reporter.message(f"{SHORT_OF_TIME}, so only {choices[0].name} is trained")
    elif seconds > 0 and not context.world.broadcast(can_tell(seconds, len(choices), left or 0.0, context.slowdown)):
        reason = describe_too_short(seconds, [choice.name for choice in choices])
        context.reporter.message(f"{reason}, so only {choices[0].name} is trained")
    elif seconds > 0:
        return FamilyDecision(choices, pilot_seconds=seconds)
    codec_name = choose_codec(data, choices[0], train_config.space)
    check_settings(request, data, choices[0], codec_name)
    return FamilyDecision(choices[:1], codec_name)


def _replayed(plan: str, task: TrainingTask[Dataset]) -> tuple[FamilyChoice, str | None]:
    """The family and the codec of another run, whatever would be chosen now. plan: the run."""
    record = replayed_run(plan).record()
    plural_name, user_family = task.data.modality.traits.plural, task.context.user_family
    choice = choose_family(task.data.spec, record.family.name, description=plural_name, user_family=user_family)
    return choice, choose_codec(task.data, choice, task.train_config.space, replays_codec=record.codec is not None)


def _begin_stages(
    folder: RunFolder, task: TrainingTask[Dataset], choice: FamilyChoice, codec_name: str | None
) -> TrainingJob:
    """Begin the training of a family; if it works on latents or codes, its codec is trained first."""
    if codec_name is None:
        job = begin_job(folder, task, choice)
    else:
        stage = codec_stage.run_codec_stage(folder, task, choice, codec_name)
        task.context.reporter.message(
            f"stage 2 of 2: training the generator ({choice.name}) on the output of the codec"
        )
        minimum_seconds = codec_stage.MINIMUM_SECONDS
        job = begin_job(folder, stage.task, choice, codec=stage.codec, minimum_seconds=minimum_seconds)
    codec_stage.clear(folder)
    return job


# -- runs that go on ------------------------------------------------------------------------------------------------------


@torch.inference_mode(False)  # gradients, wherever the caller has turned them off
def continue_run(
    folder: RunFolder,
    *,
    budget: float | None,
    steps: int | None,
    data: str | None,
    reporter: Reporter | None,
    started: float,
    trust_code: bool,
) -> Model:
    """Finish a run, or give it more.

    Args:
        folder: The run; it has a plan.
        budget: Further seconds.
        steps: A new total of steps instead.
        data: Where the data lies now, if it was moved: an absolute path, an address without its query, or a hub name.
        reporter: Shows the progress.
        started: `time.monotonic()` when the command began.
        trust_code: Whether a family of the user's own may run.

    Returns:
        The model, with its report written. A finished run that is given nothing is returned as it is, unless its report was
        stopped: then it is measured again.
    """
    use_threads()
    world = world_of_processes.init()
    reporter = reporter if reporter is not None and world.is_main else SilentReporter()
    folder.clear_temporary()
    record = share_record(world, folder)
    check_same_arguments(world, {"budget": budget, "steps": steps})
    family_class = load_family_class(record.family.name, folder.path, trust_code)
    is_given_more = budget is not None or steps is not None
    if budget is not None:
        check_budget(budget)
    is_at_end = record.status != "training" and not is_given_more
    if is_at_end:
        share_trained(world, folder)
    is_measured = record.status == "finished" and not world.broadcast(is_stopped(folder.path))
    if is_at_end and is_measured:
        longer = command("anew", "resume", folder.path, "--budget", "10m")
        reporter.message(f"this run is finished; `{longer}` trains it further")
        return (Model if world.is_main else LateModel)(folder, trust_code=trust_code)
    reporter.message("  reading the data")
    job = _reopen(folder, record, family_class, data, reporter, started)
    _compile_loops(job)
    skipped_items = SkippedItemsReport(reporter)
    if is_at_end:
        reporter.message("the training is finished, but its report is not; measuring")
        with contextlib.closing(job.data):
            return _report(job, skipped_items, longest=_planned_report(job))
    if is_given_more:
        job, checkpoint, is_before_decay = extend_job(job, budget, steps)
    else:
        checkpoint, is_before_decay = resume_point(job), False
    step = 0 if checkpoint is None else int(checkpoint["meta"]["step"])
    longest = None if is_given_more else _planned_report(job)
    rest = "" if longest is None else _rest_of_budget(job, checkpoint, longest)
    if checkpoint is None:
        reporter.message(f"{_restart_message(job)}{rest}")
    else:
        reporter.message(f"{_resume_message(job, step, is_given_more, is_before_decay)}{rest}")
    codec_stage.clear(folder)
    if job.world.is_main:
        _forget_events(folder, step, reporter)
    return _run_to_end(job, checkpoint, skipped_items, plans_report=budget is not None, longest=longest)


def _planned_report(job: TrainingJob) -> float | None:
    """The seconds that a stopped run kept for its report: what was spent before is not given again. None without a budget."""
    budget = job.plan.budget_s
    if budget is None:
        return None
    return max(job.plan.evaluate_s or 0.0, evaluation_slice(budget, job.context.slowdown))


def _rest_of_budget(job: TrainingJob, checkpoint: Checkpoint | None, report: float) -> str:
    """A clause on what is left of the budget of a stopped run. report: seconds for the report."""
    if job.plan.budget_s is None or job.plan.train_s is None:
        return ""
    spent = 0.0 if checkpoint is None else float(checkpoint["meta"]["spent"])
    training = max(job.plan.train_s - spent, 0.0)
    return f"; {training:.0f} s of training and {report:.0f} s for the report are left of the budget of {duration(job.plan.budget_s)}"


def _forget_events(folder: RunFolder, step: int, reporter: Reporter) -> None:
    """Remove later steps from the log, since they are taken again."""
    damaged_lines = events_file.truncate(folder.path / events_file.NAME, step)
    if damaged_lines:
        lines = "1 damaged line" if damaged_lines == 1 else f"{damaged_lines:,} damaged lines"
        reporter.message(f"{events_file.NAME}: {lines} left out")


def _restart_message(job: TrainingJob) -> str:
    """A sentence on a run without a checkpoint: stopped before the first one, or all are damaged."""
    steps = int(events_file.last_step(job.folder.path).get("step") or 0)
    if not steps:
        return "continuing from step 0"
    return f"beginning again at step 0, since no checkpoint of the {plural(steps, 'step')} so far can be used"


def _resume_message(job: TrainingJob, step: int, is_given_more: bool, is_before_decay: bool) -> str:
    """A sentence on where a run continues and, if it is given more, about how many steps it will have in all.

    is_before_decay: Whether that is where the learning rate began to fall, not where the run ended."""
    last = events_file.last_step(job.folder.path)
    seconds = float(last.get("seconds") or 0.0)
    if not is_given_more or not seconds:
        return f"continuing from step {step:,}"
    text = f"continuing from step {step:,} of {last['step']:,}"
    if is_before_decay:
        text += ", where the learning rate began to fall"
    if job.plan.train_s is not None:
        text += f"; {job.plan.train_s:.0f} s of training in all, {job.plan.train_s - seconds:.0f} s more than before, are about "
        text += f"{job.plan.expected_steps or 0:,} steps"
    report = report_or_none(job.folder.path)
    is_flat = report is not None and as_record(report).has_flattened
    return f"{text}; by the report of the run, more time alone may bring little" if is_flat else text


def _reopen(
    folder: RunFolder,
    record: RunRecord,
    family_class: type[Family],
    data_path: str | None,
    reporter: Reporter,
    started: float,
) -> TrainingJob:
    """Reopen the training of a run. A new path of the data is kept in the run, so that it need not be given again."""
    with restoring(folder.path / CONFIG):
        train_config = cfg.from_json(TrainConfig, record.train)
    check_tensorboard(train_config)
    user_family = family_class if record.family.name == OWN_FAMILY else None
    context = _context(train_config, reporter, started, user_family)
    dataset = Dataset.reopen(record.data, folder.path, data_path)
    if data_path is not None:
        moved = record.data.model_copy(update={"path": data_path})
        record = record.model_copy(update={"data": moved})
    check_same_data(context.world, dataset)
    for note in precision_notes(context.world):
        reporter.message(note)
    dataset.modality.save(folder.path)  # what was damaged there and can be written again
    data = codec_stage.family_data(record, folder.path, dataset, context.world.device)
    return reopen_job(folder, record, family_class, context, data)


def _compile_loops(job: TrainingJob) -> None:
    """Compile the loops of a run on a machine that has not done so: before the time is divided, since it cannot do without them."""
    loops = job.family_class.loops_to_compile(job.data.spec, job.family.config)
    if loops is not None:
        with contextlib.closing(job.context.loop_compiler):
            wait_for(loops, job.context, None)


# -- to the end -----------------------------------------------------------------------------------------------------------


def _run_to_end(
    job: TrainingJob,
    checkpoint: Checkpoint | None,
    skipped_items: SkippedItemsReport,
    *,
    plans_report: bool,
    longest: float | None = None,
) -> Model:
    """Train, then report. An interrupted training is saved and can be resumed.

    Args:
        checkpoint: The state to continue from; None at the beginning.
        plans_report: Whether to plan, before the steps, how long the report takes.
        longest: The seconds of the report of a run that was stopped, whose training has the planned time, however long reading
            took again; None for all that is left of the budget.
    """
    pace: Pace | None = None
    try:
        apply_compilation(job)
        prepare(job, checkpoint)
        if plans_report:
            job, pace = plan_report(job, checkpoint)
        with tensorboard_listeners(job.train_config, job.folder.path, job.world.is_main) as tensorboard:

            def listeners(trainer: Trainer) -> list[Listener]:
                return [Previews(job, trainer), Timelapse(job, trainer), *tensorboard]

            outcome = fit(job, checkpoint, listeners, is_resumed=longest is not None)
        if outcome == "interrupted":
            raise KeyboardInterrupt
        if outcome == "stopped_early":
            job.context.reporter.message("training ended early: the validation loss had begun to rise")
        skipped_items.update(job.data)
        return _report(job, skipped_items, pace, longest)
    except ChangedDataError as error:
        step = job.folder.saved_step() if job.world.is_main else None
        saved = "" if step is None else f"; step {step:,} is saved"
        raise DataError(
            f"{error.change}{saved}; put back what was there and repeat the command, which continues the training, or begin a new run"
        ) from None
    except OutageError as error:
        outage = OutageError(f"{error}, then repeat the command, which continues the training")
        outage.exit_code = STOPPED
        raise outage from None
    finally:
        job.data.close()


def _report(
    job: TrainingJob, skipped_items: SkippedItemsReport, pace: Pace | None = None, longest: float | None = None
) -> Model:
    """Sample, measure, write the report, and mark the run as finished.

    Args:
        job, skipped_items, longest: See `_run_to_end`.
        pace: How fast samples are drawn, if that is known.
    """
    if not job.world.is_main:
        return LateModel(job.folder, str(job.world.device), trust_code=True)
    model = Model(job.folder, str(job.world.device), trust_code=True)
    budget, limit = job.plan.budget_s, None
    if budget is not None:
        slowdown = max(job.context.slowdown, measure_slowdown())  # others may have come since the beginning
        reserve = saving_slice(budget, slowdown)
        left = budget - job.context.elapsed() if longest is None else longest + reserve
        limit = TimeLimit.of_rest(left, slowdown, reserve=reserve, minimum=MIN_REPORT_SECONDS)
    n = SampleCounts.of(job.data).of_report(job.train_config.evaluate_samples)
    request = EvaluationRequest(n=n, most=MAX_FURTHER * n, limit=limit)
    evaluate_run(model, request, reporter=job.context.reporter, opened=job.data, pace=pace)
    skipped_items.update(job.data)
    scan = job.data.scan
    skipped = {"refused": scan.skipped, "refusals": scan.skipped_lines()}
    job.write_status("finished", job.record.data.model_copy(update=skipped))
    return model
