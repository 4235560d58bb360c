"""Settings of the GAN, for training and for sampling. Does not import PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from anew.core.registry import FamilySettings
from anew.core.settings import setting
from anew.families.training_settings import ConvolutionSettings, with_default

# Most clusters: more of them cover more and vary less; 128 kept both on small photographs (docs/log.md, 2026-11-25).
MAX_CLUSTERS = 128


@dataclass(frozen=True, slots=True)
class GanConfig(ConvolutionSettings):
    batch_size: int = with_default("batch_size", 32)
    muon_lr: float = with_default("muon_lr", 0.03)
    adamw_lr: float = with_default("adamw_lr", 0.0015)
    # The two networks circle around each other, which an average over more steps evens out: with 0.1, digits and textures are a tenth to
    # a fifth nearer to the data than with 0.05, photographs may be nearer or farther, and 0.15 is too wide for these (docs/log.md,
    # 2026-11-30).
    ema_width: float = with_default("ema_width", 0.1)
    latent_dim: int = setting(64, "size of the latent vector", low=1, high=4096)
    num_clusters: int = setting(MAX_CLUSTERS, "clusters of items, which serve as classes", low=0, high=1024)
    rank: int = setting(32, "principal components of the coarse prior that generation starts from", low=1, high=256)
    gradient_penalty: float = setting(2.0, "weight of the gradient penalty on the discriminator", low=0.0, high=1e4)
    penalty_interval: int = setting(
        4, "the gradient penalty is computed on one in this many examples of a step", low=1, high=1024
    )
    # At most MAX_P of functional/augment.py, which needs PyTorch
    augment_p: float = setting(0.0, "initial probability of each augmentation", low=0.0, high=0.8)
    augment_target: float = setting(
        0.6, "augment more while the discriminator separates real from generated better than this", low=0.0, high=1.0
    )
    augment_examples: int = setting(100_000, "examples in which the probability may rise from 0 to 1; 0: fixed", low=0)
    # From 0.8 to 0.4, digits, small photographs and emoji came a tenth to a third nearer in as many steps, and grey crops stayed level;
    # 0 and 0.2 are no better (docs/log.md, 2026-12-02).
    momentum: float = setting(
        0.4, "momentum of Muon; low, since the opponent changes and old gradients mislead", low=0.0, high=0.99
    )


@dataclass(frozen=True, slots=True)
class GanSampling:
    truncation: float = setting(
        1.0,
        "truncation: scale of the latent vector; below 1, samples are more typical and less varied",
        low=0.0,
        high=3.0,
    )


EXPORT = FamilySettings(GanConfig, GanSampling)
