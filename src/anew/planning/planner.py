"""Make a plan from a request, its data and its family: model size, batch size and steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from anew.core.machine.threads import MIN_SLOWDOWN
from anew.core.specs import Grid, Spec, Tokens
from anew.core.wording import plural
from anew.data.dataset import Dataset
from anew.data.formats.images.image_size import RUNGS, size_setting
from anew.errors import about
from anew.families.base import Family, Scale, num_parameters
from anew.families.phases import decay_share
from anew.planning.benchmark import measure_candidates
from anew.planning.budget import evaluation_slice, largest_affordable
from anew.planning.build import agreed_config, family_outline
from anew.planning.context import RunContext, TrainingData, TrainingTask
from anew.planning.family_choice import FamilyChoice, settings_of
from anew.planning.replay import replayed_plan
from anew.planning.train_config import TrainConfig
from anew.runs.record import Candidate, Plan

if TYPE_CHECKING:
    from anew.families.base import FamilyConfig

DEFAULT_MODEL_SIZE = 0  # without a budget nothing is measured: the smallest size, unless `model_size` says otherwise
CALIBRATION_UNITS = 300_000.0  # units of validation data, at most: more hardly change what is fitted; chosen
# Planned steps up to which batches are halved, unless they hold only `Family.min_batch_size` examples (docs/log.md, 2026-11-30)
ENOUGH_STEPS = 50
MIN_STEPS_SHARE = (
    0.2  # share of the time of training that steps are planned to have, however long fitting takes; chosen
)
MIN_CALIBRATION_UNITS = 4_000.0  # with fewer, a gate of some dozen numbers follows single records; chosen
# Held-out records with which samples can be compared, and the share of the budget that reading so many may take; chosen
CALIBRATION_RECORDS, RECORDS_SHARE = 64, 0.06


def scale_of(data: TrainingData, context: RunContext, seconds: float | None, model_size: int) -> Scale:
    """The scale from which a family derives its sizes."""
    return Scale(
        items=data.train_items,
        units=data.train_units,
        seconds=seconds,
        model_size=model_size,
        device=context.world.device.type,
        threads=context.world.minimum(torch.get_num_threads()),
        slowdown=context.slowdown if context.slowdown >= MIN_SLOWDOWN else 1.0,
        loops_ready=context.loops_ready,
    )


def make_plan(
    task: TrainingTask[TrainingData],
    family: FamilyChoice,
    *,
    seconds: float | None,
    measuring_seconds: float | None,
) -> tuple[Plan, FamilyConfig]:
    """Choose model size, batch size and steps.

    If there is a budget, a few sizes are timed, and the largest that still sees as many examples as it should is taken.

    Args:
        task: What is planned. If its request replays a plan, that plan is the result.
        family: The family that learns the data.
        seconds: Seconds of training; None if the request counts steps.
        measuring_seconds: Seconds in which sizes may be timed; None for a share of the training.

    Returns:
        The plan, whose `micro_batch` is 0 if it is still to be measured, and the family's Config.
    """
    request, config, context, data = task.request, task.train_config, task.context, task.data
    family_class = family.family_class
    if request.plan_from is not None:
        return replayed_plan(request.plan_from, data.spec, family_class.Config)
    overrides = settings_of(request.settings, family.name, family_class.Config)
    scale = scale_of(data, context, seconds, max(config.model_size, DEFAULT_MODEL_SIZE))
    candidates: list[Candidate] = []
    chosen: Candidate | None = None
    if seconds is not None:
        candidates = _measure(
            config, data, family_class, scale, overrides, context, seconds=seconds, measuring_seconds=measuring_seconds
        )
        smallest = agreed_config(family_class, data.spec, replace(scale, model_size=0), overrides, context.world)
        left = seconds_after_fitting(family_class, data.spec, smallest, scale, seconds)
        candidates = [replace(c, examples=left / seconds * c.examples) for c in candidates]
        seconds, chosen = left, largest_affordable(candidates)
        scale = replace(scale, model_size=chosen.model_size)
    expected_steps = request.steps
    if chosen is not None and seconds is not None:
        is_set = "batch_size" in overrides
        batch, expected_steps = planned_batch(
            family_class, chosen, seconds, scale.device, is_set=is_set, num_processes=context.world.size
        )
        overrides = overrides if batch == chosen.batch else {**overrides, "batch_size": batch}
    family_config = agreed_config(family_class, data.spec, scale, overrides, context.world)
    network = family_outline(family_class, data.spec, family_config, context.world.size)
    plan = Plan(
        seed=request.seed,
        model_size=scale.model_size,
        batch=family_config.batch_size,
        micro_batch=config.micro_batch,
        decay=decay_share(network.phases()),
        parameters=num_parameters(network),
        steps=request.steps if seconds is None else None,
        budget_s=request.budget,
        train_s=seconds,
        evaluate_s=None if request.budget is None else evaluation_slice(request.budget, context.slowdown),
        expected_steps=expected_steps,
        calibration_units=calibration_units(request.budget, chosen, data),
        epochs=_epochs(expected_steps, family_config.batch_size, data),
        candidates=tuple(candidates),
        notes=(*family_class.plan_notes(data.spec, scale, family_config), *size_note(data, chosen)),
    )
    return plan, family_config


def seconds_after_fitting(
    family_class: type[Family], spec: Spec, config: FamilyConfig, scale: Scale, seconds: float
) -> float:
    """What is left of the seconds of training for steps once the closed forms are fitted."""
    fitting = scale.slowdown * family_class.fitting_seconds(spec, config, scale)
    return max(seconds - fitting, MIN_STEPS_SHARE * seconds)


def planned_batch(
    family_class: type[Family],
    candidate: Candidate,
    seconds: float,
    device: str,
    *,
    is_set: bool = False,
    num_processes: int = 1,
) -> tuple[int, int]:
    """The examples of a step and the number of steps in these seconds: smaller batches where there would be few steps.

    Args:
        candidate: The size that is trained, with its time for a step of its own batch.
        seconds: Seconds of training.
        device: Type of the device. Only on a CPU, half the examples take about half the time.
        is_set: Whether the user set the batch, which is kept then.
        num_processes: Processes that share a batch: each needs an example.
    """
    batch, steps, least = candidate.batch, seconds / candidate.step_s, family_class.min_batch_size
    if least is not None and device == "cpu" and not is_set:
        while steps < ENOUGH_STEPS and batch // 2 >= max(least, num_processes):
            steps *= batch / (batch // 2)
            batch //= 2
    return batch, int(steps)


def _measure(
    config: TrainConfig,
    data: TrainingData,
    family_class: type[Family],
    scale: Scale,
    overrides: Mapping[str, object],
    context: RunContext,
    *,
    seconds: float,
    measuring_seconds: float | None,
) -> list[Candidate]:
    """Time the sizes that the family proposes, or the one that was requested, in a small part of the training time."""
    is_fixed = config.model_size >= 0
    if measuring_seconds is None:
        measuring_seconds = min(2.0, seconds / 30) if is_fixed else min(15.0, seconds / 25)
    return measure_candidates(
        family_class,
        data.spec,
        scale,
        overrides,
        data,
        context.world,
        seconds=measuring_seconds,
        sizes=(config.model_size,) if is_fixed else None,
        parallel=config.parallel,
    )


def _epochs(steps: int | None, batch_size: int, data: TrainingData) -> float | None:
    return None if steps is None else round(steps * batch_size / max(1, data.train_items), 3)


def calibration_units(budget: float | None, chosen: Candidate | None, data: TrainingData) -> float:
    """The units of validation data that calibration may read in a fiftieth of the budget, and more of it for the least of records.

    Its rate is taken to be a third of the training rate: a forward pass in full precision, and the counts.
    """
    if budget is None or chosen is None:
        return CALIBRATION_UNITS
    items_per_second = chosen.batch / chosen.step_s / 3
    items = 0.02 * budget * items_per_second
    if isinstance(data.spec, Tokens) and not data.spec.packed:
        items = max(items, min(CALIBRATION_RECORDS, RECORDS_SHARE * budget * items_per_second))
    affordable = items * data.train_units / max(1, data.train_items)
    return float(round(min(CALIBRATION_UNITS, max(MIN_CALIBRATION_UNITS, affordable))))


def size_note(data: TrainingData, chosen: Candidate | None) -> tuple[str, ...]:
    """A sentence that names half the size of pictures, if the model cannot see each of them once; in a tuple, empty else."""
    if chosen is None or chosen.examples >= data.train_items or not isinstance(data, Dataset):
        return ()
    if not isinstance(data.spec, Grid) or not hasattr(data.modality.config, "size"):
        return ()
    half = [4 * round(side / 8) for side in data.spec.shape[:-3:-1]]
    if min(half) < RUNGS[0]:
        return ()
    setting = size_setting((half[0], half[1]), max(half))
    return (
        f"there is no time to see each {data.modality.noun} once: with {setting} the model would see about four times as "
        "many",
    )


def describe_plan(family: str, plan: Plan) -> str:
    """Describe the plan in a few lines: the model, the length of the training, and the sizes that were measured."""
    smallest = " (the smallest)" if plan.model_size == DEFAULT_MODEL_SIZE else ""
    lines = [
        f"model: {family}, model_size={plan.model_size}{smallest}, {plan.parameters:,} parameters, {plan.batch} examples in each step"
    ]
    if plan.train_s is not None:
        lines.append(
            f"training: {plan.train_s:.0f} s, about {plural(plan.expected_steps or 0, 'step')}, "
            f"{about(plan.epochs or 0)} passes over the data"
        )
    elif plan.steps is not None:
        lines.append(f"training: {plural(plan.steps, 'step')}")
    lines += [_describe_candidate(candidate, plan.model_size) for candidate in plan.candidates]
    return "\n".join([*lines, *plan.notes])


def _describe_candidate(candidate: Candidate, chosen_size: int) -> str:
    chosen = " (chosen)" if candidate.model_size == chosen_size else ""
    return (
        f"  model_size={candidate.model_size}{chosen}: {candidate.parameters:,} parameters; would see {candidate.examples:,.0f} "
        f"examples in this time and needs about {candidate.target_examples:,.0f}"
    )
