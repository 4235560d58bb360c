"""Settings of the FSQ codec, for training and for sampling. Does not import PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from anew.core.registry import FamilySettings
from anew.core.settings import setting
from anew.families.training_settings import ConvolutionSettings, with_default


@dataclass(frozen=True, slots=True)
class FsqConfig(ConvolutionSettings):
    width: int = with_default("width", 32)
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


@dataclass(frozen=True, slots=True)
class FsqSampling:
    """A codec has nothing to sample."""


EXPORT = FamilySettings(FsqConfig, FsqSampling, generates=False, codec_config={})
