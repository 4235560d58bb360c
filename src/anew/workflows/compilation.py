"""Whether a training compiles its networks: as asked, or by a trial that a long budget pays for."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from anew.core.files import clause
from anew.core.wording import duration
from anew.core.world import World
from anew.errors import ConfigError
from anew.planning.benchmark import median_step_seconds
from anew.planning.build import build_family
from anew.planning.train_config import TrainConfig
from anew.training.compilation import compilable_blocks, compile_blocks, missing_compiler

if TYPE_CHECKING:
    from anew.workflows.job import TrainingJob

# Seconds of training, by type of device, from which on a trial is paid for. It takes half a minute on a CPU, where compiled
# networks were never more than 6% faster (docs/log.md, 2026-11-27); chosen.
TRIAL_FROM = {"cuda": 600.0, "cpu": 3600.0}
TIMED_SECONDS = 3.0  # that steps of either kind are timed for; chosen
COMPILING_STEPS = 5  # in which everything is compiled: records of several lengths are compiled up to three times
# Seconds of training that a budget must leave where compiling was asked for, which takes up to two minutes.
MIN_TRAIN_SECONDS = 120.0
LEAST_GAIN = 1.05  # times as fast that compiled steps have to be; chosen: less is within the noise


def check_compiler(config: TrainConfig, world: World) -> None:
    """Raise ConfigError where networks are to be compiled and some process has no compiler: early, before any work is done."""
    missing = _missing_anywhere(world) if config.compile == "on" else ""
    if missing:
        raise ConfigError(f"compile=on needs {missing}; install it, or leave `compile` out")


def _missing_anywhere(world: World) -> str:
    """What is missing on this process or on another, empty where nothing is; alike on all whether anything is."""
    missing = missing_compiler(world.device)
    return missing or "a compiler on every host" if world.any(bool(missing)) else ""


def choose_compilation(job: TrainingJob) -> TrainingJob:
    """A new training with the decision in its plan, which is written down.

    Raises:
        ConfigError: It was asked for, and the family has no network that can be compiled.
    """
    setting = job.train_config.compile
    if setting == "off":  # the plan of another run may say otherwise
        return _with_decision(job, False, "networks are not compiled, as asked") if job.plan.compile else job
    if setting == "auto" and job.request.plan_from is not None:
        return job
    has_blocks = bool(compilable_blocks(job.family.phases()))
    if setting == "on":
        if not has_blocks:
            raise ConfigError("compile=on needs a family whose networks have blocks; leave it out")
        if job.plan.recompute:
            raise ConfigError(
                "compile=on and the recomputation of activations (`recompute`) exclude each other; leave one of them out"
            )
        _check_time(job)
        return _with_decision(job, True, f"compiled as asked: {_compiled_names(job)}")
    least_seconds = TRIAL_FROM.get(job.world.device.type)
    seconds = job.plan.train_s
    is_long = least_seconds is not None and seconds is not None and seconds >= least_seconds
    if not is_long or not has_blocks or job.plan.recompute:
        return job
    missing = _missing_anywhere(job.world)
    if missing:
        return _with_decision(job, False, f"networks are not compiled: {missing} is missing")
    return _with_decision(job, *_trial(job))


def apply_compilation(job: TrainingJob) -> None:
    """Compile the networks of a job whose plan says so, where there is a compiler: before the clock of the training begins."""
    if not job.plan.compile:
        return
    missing = _missing_anywhere(job.world)
    if missing:
        job.context.reporter.message(
            f"networks are not compiled here: {missing} is missing, so results differ by rounding from a run that compiles"
        )
        return
    job.context.reporter.message("compiling the networks, which takes up to two minutes")
    _step_seconds(job, 0.0, is_compiled=True)  # what is compiled here is used by all networks of this shape
    compile_blocks(job.family)


def _with_decision(job: TrainingJob, is_compiled: bool, note: str) -> TrainingJob:
    plan = replace(job.plan, compile=is_compiled, notes=(*job.plan.notes, note))
    decided = replace(job, record=job.record.model_copy(update={"plan": plan}))
    decided.write_status(job.record.status)
    job.context.reporter.message(note)
    return decided


def _trial(job: TrainingJob) -> tuple[bool, str]:
    """Whether compiled steps are faster, and a sentence with the figures. The network of the job is not touched."""
    job.context.reporter.message("compiling the networks, to see whether that makes steps faster")
    plain = _step_seconds(job, TIMED_SECONDS, is_compiled=False)
    begin = time.monotonic()
    try:
        compiled = _step_seconds(job, TIMED_SECONDS, is_compiled=True)
    except (ConfigError, RuntimeError) as error:  # on the way back it is one of PyTorch's own
        return False, f"networks are not compiled: {clause(error)}"
    taken = job.world.broadcast(time.monotonic() - begin)
    times = f"a step took {compiled:.3g} s compiled and {plain:.3g} s as it is"
    if plain < LEAST_GAIN * compiled:
        return False, f"networks are not compiled: {times}"
    return True, f"networks are compiled: {times}; compiling took {taken:.0f} s"


def _compiled_names(job: TrainingJob) -> str:
    """What is compiled, and what is not: one loss has no name."""
    phases = job.family.phases()
    names = [phase.name for phase in phases if not phase.differentiates_twice]
    others = [phase.name for phase in phases if phase.differentiates_twice]
    if not others:
        return "all networks"
    return f"{' and '.join(names)} (the {' and '.join(others)} is differentiated twice, which torch.compile cannot do)"


def _check_time(job: TrainingJob) -> None:
    """Raise ConfigError where compiling would leave next to nothing of a budget."""
    seconds = job.plan.train_s
    if seconds is not None and seconds < MIN_TRAIN_SECONDS:
        raise ConfigError(
            f"compile=on takes up to two minutes before the training, for which this budget leaves {seconds:.0f} s; give at "
            f"least {duration(MIN_TRAIN_SECONDS + 60.0)}, or leave `compile` out"
        )


def _step_seconds(job: TrainingJob, seconds: float, *, is_compiled: bool) -> float:
    """Median time of a step of a network like that of the job, timed for so many seconds."""
    family = build_family(job.family_class, job.data.spec, job.family.config, job.plan.seed, job.world.device)
    if is_compiled:
        compile_blocks(family)
    is_sharded = job.plan.parallel == "fsdp"
    uncounted = COMPILING_STEPS if is_compiled else 0
    return median_step_seconds(family, job.family.config, job.data, job.world, seconds, is_sharded, uncounted)
