"""Settings of the FSQ codec, for training and for sampling. Does not import PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from anew.core.settings import setting


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
    muon_lr: float = setting(0.02, "peak learning rate of Muon, which trains the weight matrices", low=0.0, high=1.0)
    adamw_lr: float = setting(0.002, "peak learning rate of AdamW, which trains all other weights", low=0.0, high=1.0)
    decay: float = setting(0.5, "share of the run, at its end, in which the learning rate decays", low=0.0, high=1.0)
    ema_width: float = setting(0.05, "relative width of the moving average of the weights", low=0.0, high=0.25)
    precision: str = setting("auto", "numerical precision of the networks", choices=("auto", "fp32", "bf16"))


@dataclass(frozen=True, slots=True)
class FsqSampling:
    """A codec has nothing to sample."""


EXPORT = (FsqConfig, FsqSampling)
