"""Plan for memory: whether weights are sharded among processes, and whether activations are recomputed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch

from anew.core.machine.memory import free_memory
from anew.core.processes.world import World
from anew.core.specs import Spec
from anew.families.base import Family, num_parameters
from anew.families.phases import Phase
from anew.planning.build import build_family, build_shards, draws_before_registering, family_outline
from anew.training.distributed import memory_link
from anew.training.optim import num_at_once

if TYPE_CHECKING:
    from anew.families.base import FamilyConfig

Parallel = Literal["ddp", "fsdp"]

STATE_SHARE = 2 / 3  # share of the free memory for what DDP copies to every process; activations have the other third
SMALL_MODEL_PARAMETERS = 50_000_000  # parameters that any machine can train: 1.0 GB with gradients, moments and average
MAX_COPIES = 4  # tensors for each parameter besides itself: gradient, two moments, average
# Tensors for each matrix that is orthogonalized: momentum with gradient, all stacked, scaled, a product, and the result
MUON_COPIES = 5
DRAWING_COPIES = 2  # drawing a tensor takes its memory twice: for the random numbers, and for those that are scaled
MOMENTS = {"adamw": 2, "muon": 1}  # tensors of an optimizer's state for each parameter


def choose_parallel(setting: str, family: Family | None, world: World) -> tuple[Parallel, str]:
    """How processes share a model, and a sentence that says why ("" for a single process).

    Args:
        setting: The user's choice: "auto", "ddp" or "fsdp".
        family: The family, built or its outline; it may be None where the user decided.
        world: The processes; the smallest memory of all decides.
    """
    if world.size == 1:
        return "ddp", ""
    if setting == "ddp":
        return "ddp", f"{world.size} processes, each with all weights (parallel=ddp)"
    if setting == "fsdp":
        return "fsdp", f"{world.size} processes share the weights (parallel=fsdp)"
    assert family is not None, "memory decides"
    shared, free = shared_bytes(family, world), world.minimum(int(free_memory(world.device)))
    needed = copied_bytes(family, world) + shared
    with_shared = " with what they share" if shared else ""
    sizes = f"gradients, moments and average take {_size(needed)}{with_shared}, and {_size(free)} are free for each"
    if needed > STATE_SHARE * free:
        return "fsdp", f"{world.size} processes share the weights: {sizes}"
    return "ddp", f"{world.size} processes, each with all weights: {sizes}"


class BuiltFamily(NamedTuple):
    """A family with its weights, as processes share it.

    Attributes:
        parallel, reason: See `choose_parallel`.
    """

    family: Family
    parallel: Parallel
    reason: str


def built_among(
    family_class: type[Family], spec: Spec, config: FamilyConfig, seed: int, world: World, setting: str
) -> BuiltFamily:
    """Build a family for all processes. If they share its weights, no process holds all of them. setting: see `choose_parallel`."""
    if world.size == 1:
        return BuiltFamily(build_family(family_class, spec, config, seed, world.device), "ddp", "")
    outline = family_outline(family_class, spec, config, world.size) if setting == "auto" else None
    parallel, reason = choose_parallel(setting, outline, world)
    if parallel == "fsdp":
        return BuiltFamily(build_shards(family_class, spec, config, seed, world), parallel, reason)
    return BuiltFamily(build_family(family_class, spec, config, seed, world.device), parallel, reason)


def has_room(family: Family, world: World) -> bool:
    """Whether memory holds the training of a family, sharded among all processes; always true for a small one.

    Args:
        family: Its outline, or for a single process the family, built on the CPU.
    """
    parameters = num_parameters(family)
    if parameters < SMALL_MODEL_PARAMETERS:
        return True
    largest = max(parameter.numel() for parameter in family.parameters())
    # Besides its part of the state, a process holds the tensor that it draws, or a family of a user's own, whole
    drawn = DRAWING_COPIES * largest if draws_before_registering(type(family)) else parameters
    if world.size == 1:
        drawn = 0
    return 4.0 * (parameters * (1 + MAX_COPIES) / world.size + drawn) <= free_memory(world.device)


def copied_bytes(family: Family, world: World) -> int:
    """The bytes that a process allocates under DDP by the end of its first step, without weights and activations."""
    phases = family.phases()
    has_average = max(phase.optimizer.ema_width for phase in phases) > 0
    return sum(_copied_bytes(phase, has_average) for phase in phases) + max(
        _temporary_bytes(phase, 1 if memory_link(world) is None else world.size) for phase in phases
    )


def shared_bytes(family: Family, world: World) -> int:
    """This process's part of the memory that the processes of one machine share; 0 where there is none. At most: a row of
    gradients for each, their mean, and the updates of all matrices."""
    if memory_link(world) is None:
        return 0
    gradients = sum(p.numel() * p.element_size() for phase in family.phases() for p in phase.module.parameters())
    return gradients * (world.size + 2) // world.size


def _copied_bytes(phase: Phase, has_average: bool) -> int:
    """The bytes of one phase: gradients (DDP's buckets are their storage), the moments, the average."""
    total = 0
    for name, parameter in phase.module.named_parameters():
        group = next(group for group in phase.optimizer.groups if group.match(name, parameter))
        copies = 1 + MOMENTS[group.optimizer] + has_average
        total += copies * parameter.numel() * parameter.element_size()
    return total


def _temporary_bytes(phase: Phase, num_sharing: int) -> int:
    """The bytes that the optimizer of a phase needs besides its state: for the matrices that are orthogonalized at once, or for the
    denominators of all parameters that AdamW updates. num_sharing: processes that divide the matrices among themselves."""
    denominators = matrices = 0
    by_shape: Counter[torch.Size] = Counter()
    for name, parameter in phase.module.named_parameters():
        group = next(group for group in phase.optimizer.groups if group.match(name, parameter))
        if group.optimizer == "adamw":
            denominators += parameter.nbytes
            continue
        by_shape[parameter.shape] += 1
        count = min(-(-by_shape[parameter.shape] // num_sharing), num_at_once(parameter))
        matrices = max(matrices, MUON_COPIES * count * parameter.nbytes)
    return max(denominators, matrices)


def _size(size: float) -> str:
    return f"{size / 2**30:.1f} GB" if size >= 2**29 else f"{max(1.0, size / 2**20):.0f} MB"
