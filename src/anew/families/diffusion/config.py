"""Settings of diffusion, for training and for sampling. Does not import PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from anew.core.registry import FamilySettings
from anew.core.settings import setting
from anew.errors import ConfigError
from anew.families.training_settings import GridTrainingSettings, with_default

HIGHEST_AUTOGUIDANCE = 3.0  # bound of the setting; chosen


@dataclass(frozen=True, slots=True)
class DiffusionConfig(GridTrainingSettings):
    batch_size: int = with_default("batch_size", 128)
    decay: float = with_default("decay", 0.6)
    net: str = setting("unet", "U-Net for small grids, patch Transformer for large ones", choices=("unet", "dit"))
    width: int = setting(64, "channels (U-Net: at the highest resolution)", low=8, high=4096)
    channel_mults: tuple[int, ...] = setting(
        (1, 2), "U-Net: channels at each resolution, as multiples of width", low=1, high=64
    )
    depth: int = setting(1, "blocks (U-Net: per resolution, on each of its two sides)", low=1, high=64)
    patch_size: int = setting(2, "patch size: the network sees a square of this side as one position", low=1, high=64)
    attention: bool = setting(False, "U-Net: attention at the lowest resolution")
    dropout: float = setting(0.0, "dropout rate", low=0.0, high=0.9)
    augment_p: float = setting(
        0.0,
        "images: probability that the network is shown an example flipped, and that its colours change places; it is told so, and "
        "samples are neither",
        low=0.0,
        high=1.0,
    )
    num_components: int = setting(
        128, "Gaussians of the closed-form denoiser, besides the one for all data", low=0, high=1024
    )
    rank: int = setting(64, "principal components of each Gaussian of the closed-form denoiser", low=1, high=1024)
    distillation: float = setting(
        0.0,
        "share of the training, at its end, in which a student learns to sample in one step (consistency distillation); "
        "0: no student",
        low=0.0,
        high=0.9,
    )
    label_dropout: float = setting(
        0.1, "share of examples trained without their component or label, which guidance needs", low=0.0, high=1.0
    )
    sigma_log_mean: float = setting(-0.2, "mean of log sigma in training, in standard deviations of the data")
    sigma_log_std: float = setting(1.2, "standard deviation of log sigma in training", low=0.05, high=5.0)
    frame_group: int = setting(2, "clips: patch size in time, in frames", low=1, high=32)
    p_conditioning: float = setting(0.3, "clips: share of examples trained with some frames given", low=0.0, high=1.0)
    p_per_frame_sigma: float = setting(
        0.1, "clips: share of examples in which each frame has its own noise level", low=0.0, high=1.0
    )
    sigma_min: float = setting(
        0.01, "smallest noise level (sigma), in standard deviations of the data", low=1e-4, high=0.5
    )
    sigma_max: float = setting(
        8.0, "noise level (sigma) that sampling starts from, in standard deviations of the data", low=0.5, high=200.0
    )
    weight_decay: float = setting(0.0, "decoupled weight decay of the weight matrices", low=0.0, high=10.0)


@dataclass(frozen=True, slots=True)
class DiffusionSampling:
    steps: int = setting(
        0,
        "sampling steps; 0: as many as suit the model: 12; for clips 8, on latents 4, with a student (distillation) 1",
        low=0,
        high=1000,
    )
    solver: str = setting(
        "auto",
        "solver for the steps from noise level to noise level; sde-multistep adds new noise at each step; "
        "auto: sde-multistep, of clips multistep",
        # Those of functional/ode.py, which needs PyTorch
        choices=("auto", "sde-multistep", "euler", "heun", "multistep"),
    )
    guidance: float = setting(
        1.0,
        "how closely the class or cluster is followed (guidance); 0: not at all; 1: as learned; more: closer, with less variety",
        low=0.0,
        high=20.0,
    )
    autoguidance: float = setting(
        0.0,
        "guidance by the closed form of all data, at noise levels (sigma) from 1 standard deviation of the data on; 1: none; more: "
        "stronger; 0: as suits the training: 1.2 up to 1,000 steps, less after more, 1 from 6,000 on; nothing between 0 and 1",
        low=0.0,
        high=HIGHEST_AUTOGUIDANCE,
    )
    rho: float = setting(3.0, "rho of EDM: how closely noise levels are spaced near clean samples", low=1.0, high=20.0)
    frames: int = setting(0, "clips: frames per sample; 0: as in the data", low=0, high=10_000)
    sigma_min: float = setting(
        0.0,
        "noise level (sigma) of the last step, in standard deviations of the data; 0: as suits the data, which is 0.06 for images and "
        "spectrograms, and 0.03 for signals, clips and latents",
        low=0.0,
        high=0.5,
    )
    tile: bool = setting(
        False, "seamless images: copies side by side show no edge (textures); follows no label and no guidance"
    )

    def __post_init__(self) -> None:
        if 0.0 < self.autoguidance < 1.0:
            raise ConfigError(
                f"autoguidance={self.autoguidance:g} is not allowed; give 0, or 1 to {HIGHEST_AUTOGUIDANCE:g}",
                "autoguidance",
            )

    @property
    def label_conflict(self) -> str:
        """See `families.base.label_conflict`."""
        return "tile" if self.tile else ""


EXPORT = FamilySettings(DiffusionConfig, DiffusionSampling)
