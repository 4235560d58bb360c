"""Settings that families share, so that they are explained alike. Does not import PyTorch."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TypeVar

from anew.core.settings import setting

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Settings of training by Muon."""

    batch_size: int = setting(64, "examples per step", low=1, high=1_000_000)
    muon_lr: float = setting(0.02, "peak learning rate of Muon, which trains the weight matrices", low=0.0, high=10.0)
    decay: float = setting(
        0.5, "share of the run, at its end, in which the learning rate decays to zero", low=0.0, high=1.0
    )
    # Below the largest width that `power_exponent` of functional/schedules.py has a solution for, 1 / sqrt(12)
    ema_width: float = setting(
        0.05, "relative width of the moving average of the weights; 0 keeps the last", low=0.0, high=0.28
    )
    precision: str = setting(
        "auto",
        "numerical precision of training; auto: bf16 where the hardware has it",
        choices=("auto", "fp32", "bf16"),
    )


@dataclass(frozen=True, slots=True)
class GridTrainingSettings(TrainingSettings):
    """The same for families of grids, whose other weights all have one learning rate."""

    adamw_lr: float = setting(0.002, "peak learning rate of AdamW, which trains all other weights", low=0.0, high=1.0)


@dataclass(frozen=True, slots=True)
class ConvolutionSettings(GridTrainingSettings):
    """The same, with the sizes of convolutional networks."""

    width: int = setting(48, "channels at the highest resolution", low=8, high=4096)
    channel_mults: tuple[int, ...] = setting(
        (1, 2), "channels at each resolution, as multiples of width", low=1, high=64
    )
    depth: int = setting(1, "blocks per resolution, in each network", low=1, high=64)
    patch_size: int = setting(2, "patch size: the networks see a square of this side as one position", low=1, high=64)


def with_default(name: str, default: V) -> V:
    """The setting of this name with another default."""
    metadata = next(shared.metadata for shared in fields(ConvolutionSettings) if shared.name == name)
    return field(default=default, metadata=metadata)
