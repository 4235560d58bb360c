"""Settings of the VAE, for training and for sampling. Does not import PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from anew.core.registry import FamilySettings
from anew.core.settings import setting
from anew.errors import ConfigError
from anew.families.training_settings import ConvolutionSettings

AUTO_TEMPERATURE = -1.0  # no temperature is negative, so this value means the choice by detail
MAX_TEMPERATURE = 2.0  # twice the deviation of the data; chosen


@dataclass(frozen=True, slots=True)
class VaeConfig(ConvolutionSettings):
    latent_channels: int = setting(
        8, "channels of the bottom latents, which keep their place in the image", low=1, high=256
    )
    top_dim: int = setting(32, "size of the top latent vector", low=1, high=4096)
    num_mixtures: int = setting(1, "logistic distributions in the mixture of each pixel", low=1, high=64)
    beta: float = setting(
        1.0, "weight of the KL divergence of the bottom latents given the top; 1: the ELBO", low=0.0, high=100.0
    )
    beta_top: float = setting(
        0.25, "weight of the KL divergence of the top latents, whose prior is fitted; 1: the ELBO", low=0.0, high=100.0
    )
    free_bits: float = setting(
        0.0,
        "KL divergence of each bottom channel, and of the top, that is not penalised",
        unit="nats",
        low=0.0,
        high=100.0,
    )
    kl_warmup: float = setting(0.1, "KL warm-up: share of the run in which both weights rise from 0", low=0.0, high=1.0)
    top_only_prob: float = setting(0.25, "share of examples decoded from the top latents alone", low=0.0, high=1.0)
    num_clusters: int = setting(
        64,
        "clusters of items in the prior of the top latents, at most (fewer if items are few); 0: one Gaussian, without labels",
        low=0,
        high=1024,
    )
    weight_decay: float = setting(0.0, "decoupled weight decay of the weight matrices", low=0.0, high=10.0)


@dataclass(frozen=True, slots=True)
class VaeSampling:
    prior: str = setting(
        "mixture",
        "where top latents are drawn from: a mixture of Gaussians fitted to the data, or a standard normal distribution",
        choices=("mixture", "normal"),
    )
    temperature: float = setting(
        AUTO_TEMPERATURE,
        "how much bottom latents vary around what the top latents predict; -1: as much as the detail of held-out items needs",
        low=-1.0,
        high=MAX_TEMPERATURE,
    )
    pixels: str = setting(
        "mean", "each pixel is the mean of its distribution, or a sample of it", choices=("mean", "sample")
    )

    def __post_init__(self) -> None:
        if AUTO_TEMPERATURE < self.temperature < 0.0:
            raise ConfigError(
                f"temperature={self.temperature:g} is not allowed; give {AUTO_TEMPERATURE:g}, or 0 to {MAX_TEMPERATURE:g}",
                "temperature",
            )


EXPORT = FamilySettings(VaeConfig, VaeSampling, codec_config={"num_clusters": 0})
