"""Helpers shared by families: ladders of sizes, and the parameter groups of Muon and AdamW."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from anew.families.phases import OptimizerConfig, ParameterGroup
from anew.families.training_settings import GridTrainingSettings

T = TypeVar("T")

CONV_WIDTHS = (32, 48, 64, 96, 128, 192, 256, 384, 512, 704)  # by model size: each about doubles the cost of a step
# Width of the stage of a U-Net that sees single pixels, by model size: half of CONV_WIDTHS, so that the stages below have about those
PIXELWISE_WIDTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384)
# Examples that go through a network at a time. This bounds memory; results depend on it, since rounding depends on the batch.
ROWS = 128
ROW_VALUES = 4_000_000  # most values of these together: 16 MB, and several times as much within the network; chosen
# The model size from which on a convolutional stage has two blocks: on digits, one wide block was better in equal time
# (docs/log.md, 2026-11-25).
DEEP_FROM = 4
# Items of a cluster on average: fewer do not show how it varies (docs/log.md, 2026-11-25). With larger clusters, samples of the VAE are
# farther from the data on three sets of images; with smaller ones, they only come nearer to training items (2026-11-27).
ITEMS_PER_CLUSTER = 32


def at_size(ladder: Sequence[T], model_size: int) -> T:
    """The entry of a ladder for a model size; the first or last one for sizes beyond its ends."""
    return ladder[min(max(model_size, 0), len(ladder) - 1)]


def at_side(side: int, ladder: Mapping[int, T], beyond: T) -> T:
    """The value for items of `side` pixels a side: that of the least limit which they keep, or the one for larger items."""
    return next((value for limit, value in ladder.items() if side <= limit), beyond)


def conv_width(model_size: int) -> int:
    """Channels of a convolutional network at its largest size."""
    return at_size(CONV_WIDTHS, model_size)


def conv_depth(model_size: int) -> int:
    """Blocks of a convolutional stage."""
    return 1 if model_size < DEEP_FROM else 2


def autoencoder_batch_size(side: int, device: str) -> int:
    """Examples a step of an autoencoder for items of `side` pixels a side."""
    return (1 if device == "cpu" else 4) * at_side(side, {64: 64, 128: 32}, 16)


def conv_candidate_sizes(device: str, largest: int = 6) -> tuple[int, ...]:
    """Model sizes of convolutional networks that are worth measuring on a device; up to the largest one on a GPU."""
    return (0, 1, 2, 3) if device == "cpu" else tuple(range(2, largest + 1))


def suggest_num_clusters(items: int, classes: int, most: int) -> int:
    """Number of clusters that suits `items` items, up to `most`: as many for each class, and at least one for each."""
    per_class = max(1, classes)
    return max(classes, min(most, items // ITEMS_PER_CLUSTER) // per_class * per_class)


def rows_at_once(shape: Sequence[int]) -> int:
    """Examples of this shape that go through an autoencoder at a time, at least 1."""
    return max(1, min(ROWS, ROW_VALUES // math.prod(shape)))


def suggest_patch_size(side: int, positions: int) -> int:
    """A patch size that leaves about `positions` positions a side for large items, and the detail of small ones."""
    return at_side(side, {12: 1, 72: 2}, int(2 ** math.ceil(math.log2(side / positions))))


def weights_within(*modules: str, ndims: Sequence[int] = (2, 3, 4), exclude: str = "") -> Callable[[str, Tensor], bool]:
    """A `ParameterGroup.match` for the weights that lie in submodules of these names.

    Args:
        modules: Names of submodules, as whole parts of a parameter's dotted name.
        ndims: Numbers of dimensions that a weight may have.
        exclude: A submodule within these whose weights are left out.
    """

    def match(name: str, parameter: Tensor) -> bool:
        parts = name.split(".")
        return parameter.ndim in ndims and any(part in modules for part in parts) and exclude not in parts

    return match


def muon_and_adamw(
    matrices: Callable[[str, Tensor], bool],
    config: GridTrainingSettings,
    *,
    dtype: torch.dtype,
    weight_decay: float = 0.0,
    momentum: float = 0.95,
    betas: tuple[float, float] = (0.9, 0.99),
    grad_clip: float = 1.0,
) -> OptimizerConfig:
    """Muon for the matrices, with products in `dtype`, and AdamW for all other parameters of a phase."""
    return OptimizerConfig(
        (
            ParameterGroup(matrices, "muon", config.muon_lr, weight_decay=weight_decay, momentum=momentum, dtype=dtype),
            ParameterGroup(lambda name, parameter: True, "adamw", config.adamw_lr, betas=betas),
        ),
        decay=config.decay,
        ema_width=config.ema_width,
        grad_clip=grad_clip,
    )
