"""Measurements of this machine: seconds of a training step at a few sizes, and the rows of a batch that memory holds."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from anew.core import random
from anew.core.machine.device import to_device
from anew.core.machine.memory import free_memory
from anew.core.machine.threads import MIN_SLOWDOWN, choose_thread_count, use_threads
from anew.core.processes.world import World
from anew.core.specs import Spec
from anew.errors import ConfigError
from anew.families.base import Family, Scale, num_parameters
from anew.planning.build import agreed_config, build_family, family_outline
from anew.planning.memory_plan import Parallel, built_among, has_room
from anew.runs.record import Candidate
from anew.training.distributed import forward_only, sharded_losses
from anew.training.progress import StepProgress
from anew.training.trainer import Batches, StepResult, Trainer

if TYPE_CHECKING:
    from anew.families.base import FamilyConfig

UNENDING = 10**6  # planned steps of a training that is only timed: its schedule stays at the beginning
# Seconds that each size is timed for, even if fewer are left: a single step would say too little; chosen.
MIN_SHARE_S = 0.2
# Share of the training from which on a first step is timed alone on busy cores: it may take five times as long as others; chosen
BUSY_SHARE = 0.1
# Seconds of a step on one thread from which on others may help on busy cores, too: its operations are longer than they wait; chosen
LONG_STEP_S = 2.0
MAX_TIMED_STEPS = 40  # steps that are timed for one size: more would not make the median more exact
# Share of the free memory for saved activations: gradients, the optimizer and other processes take the rest
MEMORY_SHARE = 1 / 3
PROBE_ROWS = 4  # rows whose saved activations are measured: a single row would overrate what does not grow with rows


def measure_candidates(
    family_class: type[Family],
    spec: Spec,
    scale: Scale,
    overrides: Mapping[str, object],
    data: Batches,
    world: World,
    *,
    seconds: float,
    sizes: tuple[int, ...] | None = None,
    parallel: str = "auto",
) -> list[Candidate]:
    """Time a few steps of each model size, smallest first, until one is too large for the training or the time is spent.

    Args:
        family_class: The family to train.
        spec: Spec of the data, as the family sees it.
        scale: Its `seconds` are those of the planned training.
        overrides: Settings of the family that the user set.
        data: Gives the batches.
        world: The processes that train together.
        seconds: Seconds that measuring may take.
        sizes: Model sizes; None for those that the family proposes.
        parallel: The setting of how processes share a model.

    Returns:
        At least one candidate, smallest first.
    """
    candidates: list[Candidate] = []
    begin = time.monotonic()
    sizes = family_class.candidate_sizes(spec, scale) if sizes is None else sizes
    for number, model_size in enumerate(sizes):
        size_scale = dataclasses.replace(scale, model_size=model_size)
        config = agreed_config(family_class, spec, size_scale, overrides, world)
        remaining = seconds - (time.monotonic() - begin)
        # The first steps of a process take twice as long as later ones, so the first size has more time
        num_shares = len(sizes) - number if number else min(2, len(sizes))
        share = world.broadcast(max(MIN_SHARE_S, remaining / num_shares))
        if candidates:
            larger = _built_if_it_fits(family_class, spec, config, world, parallel)
            if larger is None:
                break
            family, chosen = larger
        else:
            family, chosen, _ = built_among(family_class, spec, config, 0, world, parallel)
        shard = chosen == "fsdp"
        is_busy, most_seconds = scale.slowdown >= MIN_SLOWDOWN, math.inf
        if is_busy and scale.seconds is not None:
            most_seconds = BUSY_SHARE * scale.seconds
        chooses_threads = number == 0 and world.size == 1 and world.device.type == "cpu"
        if chooses_threads and is_busy:
            use_threads(1)  # a step with all of them may take 70 times as long
        step_s = median_step_seconds(family, config, data, world, share, shard=shard, most_seconds=most_seconds)
        if chooses_threads and not (is_busy and step_s < LONG_STEP_S):
            family = build_family(family_class, spec, config, 0, world.device)
            measure_again = partial(
                median_step_seconds, family, config, data, world, share / 2, most_seconds=most_seconds
            )
            step_s = choose_thread_count(step_s, measure_again)
        candidate = Candidate(
            model_size=model_size,
            parameters=num_parameters(family),
            batch=config.batch_size,
            step_s=step_s,
            examples=(scale.seconds or 0.0) / step_s * config.batch_size,
            target_examples=family_class.target_examples(spec, config, size_scale),
        )
        candidates.append(candidate)
        is_out_of_reach = candidate.examples < candidate.target_examples
        if world.broadcast(is_out_of_reach or time.monotonic() - begin > seconds):
            break
    return candidates


def _built_if_it_fits(
    family_class: type[Family], spec: Spec, config: FamilyConfig, world: World, parallel: str
) -> tuple[Family, Parallel] | None:
    """The family on the device and how the processes share it; None if the memory of some process does not hold its training."""
    outline = None
    with contextlib.suppress(ConfigError):
        outline = (
            build_family(family_class, spec, config, 0, torch.device("cpu"))
            if world.size == 1
            else family_outline(family_class, spec, config, world.size)
        )
    if world.any(outline is None or not has_room(outline, world)):
        return None
    assert outline is not None
    if world.size == 1:
        return to_device(outline, world.device), "ddp"
    built = None
    with contextlib.suppress(ConfigError):
        built = built_among(family_class, spec, config, 0, world, parallel)
    if world.any(built is None):
        return None
    assert built is not None
    return built[:2]


def median_step_seconds(
    family: Family,
    config: FamilyConfig,
    data: Batches,
    world: World,
    seconds: float,
    *,
    shard: bool = False,
    uncounted_steps: int = 0,
    most_seconds: float = math.inf,
) -> float:
    """Time training steps for about `seconds` and return their median in seconds, the same on all processes.

    The first step that is timed is left out of the median, since it allocates memory, unless another one would take too long.

    Args:
        family: The family, built; it is trained by this.
        data: Gives the batches.
        world: The processes that train together.
        seconds: Seconds for all timed steps.
        shard: Whether processes share the weights.
        uncounted_steps: Steps to take before the time begins.
        most_seconds: A first step that takes longer is timed alone, where that is more than `seconds`.
    """
    sharded = sharded_losses(family, world, shard)
    max_rows = rows_in_memory(family, config.batch_size, data, world, sharded)
    trainer = Trainer(
        family,
        data,
        StepProgress(UNENDING),
        seed=0,
        batch_size=config.batch_size,
        micro_batch=largest_micro_batch(config.batch_size, max_rows, world),
        world=world,
        sharded=sharded,
    )
    steps = iter(trainer)
    for _ in range(uncounted_steps):
        next(steps)
    begin = time.monotonic()
    first = _seconds_of_next(steps)  # not counted, as it allocates
    if world.broadcast(first > max(seconds, most_seconds)):
        return float(world.broadcast(first))
    durations: list[float] = []
    while True:
        durations.append(_seconds_of_next(steps))
        elapsed = time.monotonic() - begin
        is_sure = len(durations) >= MAX_TIMED_STEPS - 1 or (len(durations) >= 3 and elapsed >= 0.6 * seconds)
        # The main process's clock decides, so that all take the same number of steps
        if world.broadcast(is_sure or elapsed > seconds):
            break
    durations.sort()
    return float(world.broadcast(durations[len(durations) // 2]))


def _seconds_of_next(steps: Iterator[StepResult]) -> float:
    begin = time.monotonic()
    next(steps)
    return time.monotonic() - begin


def rows_in_memory(
    family: Family, batch_size: int, data: Batches, world: World, sharded: Mapping[str, nn.Module] | None = None
) -> int:
    """How many rows have saved activations that take at most a third of the free memory, measured on a few rows.

    The process with the least memory decides; 0 if it does not hold one row.

    Args:
        sharded: The losses of the phases, if weights are sharded.
    """
    start, rows = world.rows(batch_size)
    probe_rows = min(PROBE_ROWS, rows)
    batch = data.batch(0, "plan", start, probe_rows, batch_size).to(world.device)
    saved_bytes = 0

    def weigh(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal saved_bytes
        saved_bytes += tensor.numel() * tensor.element_size()
        return tensor

    family.train()
    context = random.StepContext(0, 0, 0.0, "plan", 0, world.device)
    phase = family.phases()[0]
    with random.use_context(context), torch.autograd.graph.saved_tensors_hooks(weigh, lambda tensor: tensor):
        if sharded is None:
            phase.loss(batch, context)
        else:
            with forward_only(sharded[phase.name]):
                sharded[phase.name](batch, context)
    return world.minimum(int(free_memory(world.device) * MEMORY_SHARE / max(1.0, saved_bytes / probe_rows)))


def largest_micro_batch(batch_size: int, max_rows: int, world: World) -> int:
    """A process's rows of a batch, halved (rounded up) until they are at most `max_rows`, and at least 1."""
    micro_batch = world.largest_share(batch_size)
    while micro_batch > 1 and micro_batch > max_rows:
        micro_batch = -(-micro_batch // 2)
    return micro_batch
