"""Decide whether a training compiles its networks: as the user asked, or by a trial where the budget is long enough."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch

from anew.core.files import clause
from anew.core.processes.world import World
from anew.core.wording import duration
from anew.errors import ConfigError
from anew.planning.benchmark import median_step_seconds
from anew.planning.memory_plan import built_among
from anew.planning.train_config import TrainConfig
from anew.training.compilation import can_use_graphs, compilable_blocks, compile_blocks, missing_compiler

if TYPE_CHECKING:
    from anew.workflows.job import TrainingJob

# Shortest training in seconds, by type of device, for which a trial is made. It takes half a minute on a CPU, where compiled
# networks were never more than 6% faster (docs/log.md, 2026-11-27); chosen.
TRIAL_FROM = {"cuda": 600.0, "cpu": 3600.0}
TIMED_SECONDS = 3.0  # steps are timed for so long, once compiled and once not; chosen
COMPILING_STEPS = 5  # all is compiled after these: records of several lengths are compiled up to three times
# Shortest training in seconds for which compiling may be asked for, as it takes up to two minutes.
MIN_TRAIN_SECONDS = 120.0
MIN_GAIN = 1.05  # how many times as fast compiled steps must be; chosen: less is within the noise


def check_compiler(config: TrainConfig, world: World) -> None:
    """Raise ConfigError if networks are to be compiled and a process has no compiler. Called before any work is done."""
    missing = _missing_anywhere(world) if config.compile == "on" else ""
    if missing:
        raise ConfigError(f"compile=on needs {missing}; install it, or leave `compile` out", "compile")


def _missing_anywhere(world: World) -> str:
    """The missing requirement of compiling, on this process or on another; "" on all processes if none is."""
    missing_here = missing_compiler(world.device)
    if not world.any(bool(missing_here)):
        return ""
    return missing_here or "a compiler on every host"


def choose_compilation(job: TrainingJob) -> TrainingJob:
    """The training with the decision in its plan, which is saved in the run.

    Raises:
        ConfigError: `compile=on`, and the family has no network that can be compiled, or there is no time for it.
    """
    setting = job.train_config.compile
    if setting == "off":
        if not job.plan.compile:
            return job
        # The plan of the replayed run says otherwise
        return _with_decision(job, _not_compiled("networks are not compiled, as asked"))
    if setting == "auto" and job.request.plan_from is not None:
        return job
    has_blocks = bool(compilable_blocks(job.family.phases()))
    if setting == "on":
        if not has_blocks:
            raise ConfigError("compile=on needs a family whose networks have blocks; leave it out", "compile")
        if job.plan.recompute:
            raise ConfigError(
                "compile=on and the recomputation of activations (`recompute`) cannot be combined; leave one of them out",
                "compile",
            )
        _check_time(job)
        as_asked = CompilationDecision(is_compiled=True, note=f"compiled as asked: {_compiled_names(job)}")
        return _with_decision(job, as_asked)
    least_seconds = TRIAL_FROM.get(job.world.device.type)
    seconds = job.plan.train_s
    is_long = least_seconds is not None and seconds is not None and seconds >= least_seconds
    if not is_long or not has_blocks or job.plan.recompute:
        return job
    missing = _missing_anywhere(job.world)
    if missing:
        return _with_decision(job, _not_compiled(f"networks are not compiled: {missing} is missing"))
    return _with_decision(job, _decision_by_trial(job))


def apply_compilation(job: TrainingJob) -> None:
    """Compile the networks of a job if its plan says so and there is a compiler. Called before the training time begins."""
    if not job.plan.compile:
        return
    missing = _missing_anywhere(job.world)
    if missing:
        job.context.reporter.message(
            f"networks are not compiled here: {missing} is missing, so results differ by rounding from a run that compiles"
        )
        return
    job.context.reporter.message("compiling the networks, which takes up to two minutes")
    graphs = job.plan.graphs and _can_use_graphs(job)
    # All networks of this shape use what is compiled here
    _step_seconds(job, 0.0, is_compiled=True, graphs=graphs)
    compile_blocks(job.family, graphs)


class CompilationDecision(NamedTuple):
    """Whether the networks of a training are compiled.

    Attributes:
        note: A sentence that says so, and why.
        graphs: Whether they also run as CUDA graphs.
    """

    is_compiled: bool
    note: str
    graphs: bool = False


def _not_compiled(note: str) -> CompilationDecision:
    return CompilationDecision(is_compiled=False, note=note)


def _with_decision(job: TrainingJob, decision: CompilationDecision) -> TrainingJob:
    notes = (*job.plan.notes, decision.note)
    plan = replace(job.plan, compile=decision.is_compiled, graphs=decision.graphs, notes=notes)
    decided = replace(job, record=job.record.model_copy(update={"plan": plan}))
    decided.write_status(job.record.status)
    job.context.reporter.message(decision.note)
    return decided


def _decision_by_trial(job: TrainingJob) -> CompilationDecision:
    """Compile if that makes steps faster, and use CUDA graphs if these make them faster still. The network of the job is not changed."""
    job.context.reporter.message("compiling the networks, to see whether that makes steps faster")
    plain = _step_seconds(job, TIMED_SECONDS, is_compiled=False)
    begin = time.monotonic()
    try:
        compiled = _step_seconds(job, TIMED_SECONDS, is_compiled=True)
    except (ConfigError, RuntimeError) as error:  # PyTorch has an error of its own in the backward pass
        return _not_compiled(f"networks are not compiled: {clause(error)}")
    with_graphs = _seconds_with_graphs(job)
    compile_seconds = job.world.broadcast(time.monotonic() - begin)
    as_graphs = f", {with_graphs:.3g} s as CUDA graphs" if math.isfinite(with_graphs) else ""
    times = f"a step took {compiled:.3g} s compiled{as_graphs} and {plain:.3g} s as it is"
    if plain < MIN_GAIN * min(compiled, with_graphs):
        return _not_compiled(f"networks are not compiled: {times}")
    graphs = compiled >= MIN_GAIN * with_graphs
    into_graphs = " into CUDA graphs" if graphs else ""
    note = f"networks are compiled{into_graphs}: {times}; compiling took {compile_seconds:.0f} s"
    return CompilationDecision(is_compiled=True, note=note, graphs=graphs)


def _can_use_graphs(job: TrainingJob) -> bool:
    """Whether the networks may run as CUDA graphs: of one process and, see `compile_blocks`, one micro-batch."""
    is_alone = job.world.size == 1 and job.plan.micro_batch >= job.plan.batch
    return is_alone and can_use_graphs(job.data.spec, job.world.device)


def _seconds_with_graphs(job: TrainingJob) -> float:
    """The median seconds of a step whose networks run as CUDA graphs; infinite where they cannot."""
    if not _can_use_graphs(job):
        return math.inf
    try:
        return _step_seconds(job, TIMED_SECONDS, is_compiled=True, graphs=True)
    except (ConfigError, RuntimeError) as error:
        job.context.reporter.message(f"networks do not run as CUDA graphs: {clause(error)}")
        return math.inf
    finally:
        torch.compiler.reset()  # graphs keep their memory as long as what was compiled


def _compiled_names(job: TrainingJob) -> str:
    """The parts that are compiled, and those that are not, in words."""
    phases = job.family.phases()
    names = [phase.name for phase in phases if not phase.differentiates_twice]
    others = [phase.name for phase in phases if phase.differentiates_twice]
    if not others:
        return "all networks"
    return f"{' and '.join(names)} (the {' and '.join(others)} is differentiated twice, which torch.compile cannot do)"


def _check_time(job: TrainingJob) -> None:
    """Raise ConfigError if compiling would take most of the training time."""
    seconds = job.plan.train_s
    if seconds is not None and seconds < MIN_TRAIN_SECONDS:
        raise ConfigError(
            f"compile=on takes up to two minutes before the training, for which this budget leaves {seconds:.0f} s; give at "
            f"least {duration(MIN_TRAIN_SECONDS + 60.0)}, or leave `compile` out",
            "compile",
        )


def _step_seconds(job: TrainingJob, seconds: float, *, is_compiled: bool, graphs: bool = False) -> float:
    """The median seconds of a step of a new network like that of the job, timed for `seconds`."""
    parallel = "ddp" if job.sharded is None else "fsdp"
    spec, config, seed = job.data.spec, job.family.config, job.plan.seed
    family = built_among(job.family_class, spec, config, seed, job.world, parallel).family
    if is_compiled:
        compile_blocks(family, graphs)
    is_sharded = job.sharded is not None
    uncounted = COMPILING_STEPS if is_compiled else 0
    return median_step_seconds(
        family, job.family.config, job.data, job.world, seconds, shard=is_sharded, uncounted_steps=uncounted
    )
