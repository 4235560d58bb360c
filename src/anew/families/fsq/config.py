"""Settings of the FSQ codec, for training and for sampling. Does not import PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from anew.core.settings import setting
from anew.families import training_settings


@dataclass(frozen=True, slots=True)
class FsqConfig:
    batch_size: int = setting(64, "examples per step", low=1, high=1_000_000)
    width: int = setting(32, "channels at the highest resolution", low=8, high=4096)
    channel_mults: tuple[int, ...] = setting(
        (1, 2), "channels at each resolution, as multiples of width", low=1, high=64
    )
    depth: int = setting(1, "blocks per resolution, in encoder and decoder each", low=1, high=64)
    patch_size: int = setting(2, "patch size: the networks see a square of this side as one position", low=1, high=64)
    levels: tuple[int, ...] = setting(
        (4, 4, 4),
        "quantisation levels of each number of a code, 2 or more; their product is the number of codes",
        high=65_536,
    )
    num_clusters: int = setting(
        100, "clusters of items, named by an extra first code; 0: no such code", low=0, high=65536
    )
    adversarial_weight: float = setting(
        0.0, "weight of the adversarial loss on reconstructions; 0: no discriminator", low=0.0, high=1e3
    )
    adversarial_start: float = setting(0.5, "share of the run after which the discriminator starts", low=0.0, high=0.99)
    discriminator_channels: int = setting(
        16, "channels of the discriminator at the highest resolution", low=8, high=4096
    )
    gradient_penalty: float = setting(1.0, "weight of the gradient penalty on the discriminator", low=0.0, high=1e4)
    penalty_interval: int = setting(
        8, "the gradient penalty is computed on one in this many examples of a step", low=1, high=1024
    )
    muon_lr: float = training_settings.muon_lr(0.02)
    adamw_lr: float = training_settings.adamw_lr(0.002)
    decay: float = training_settings.decay(0.5)
    ema_width: float = training_settings.ema_width(0.05)
    precision: str = training_settings.precision()


@dataclass(frozen=True, slots=True)
class FsqSampling:
    """A codec has nothing to sample."""


EXPORT = (FsqConfig, FsqSampling)
