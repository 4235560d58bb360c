"""The settings of diffusion, for training and for sampling."""

from __future__ import annotations

from dataclasses import dataclass

from anew.core.settings import setting
from anew.functional.ode import SOLVERS


@dataclass(frozen=True, slots=True)
class DiffusionConfig:
    batch_size: int = setting(128, "examples a step", low=1, high=1_000_000)
    net: str = setting("unet", "U-Net for small grids, patch Transformer for large ones", choices=("unet", "dit"))
    width: int = setting(64, "channels (U-Net: at its largest size)", low=8, high=4096)
    channel_mults: tuple[int, ...] = setting(
        (1, 2), "U-Net: channels of each size, as multiples of width", low=1, high=64
    )
    depth: int = setting(1, "blocks (U-Net: a size and side)", low=1, high=64)
    patch_size: int = setting(2, "side of the patches that the network sees as one position", low=1, high=64)
    attention: bool = setting(False, "U-Net: attention at its smallest size")
    dropout: float = setting(0.0, "share of hidden values dropped", low=0.0, high=0.9)
    num_components: int = setting(128, "Gaussians in the closed form, without the one of all data", low=0, high=1024)
    rank: int = setting(64, "principal components in the closed form", low=1, high=1024)
    label_dropout: float = setting(0.1, "share of examples whose component is hidden", low=0.0, high=1.0)
    sigma_log_mean: float = setting(-0.8, "mean of the log noise level in training, in deviations of the data")
    sigma_log_std: float = setting(1.2, "spread of the log noise level in training", low=0.05, high=5.0)
    frame_group: int = setting(2, "clips: frames that the network sees as one position in time", low=1, high=32)
    p_conditioning: float = setting(0.3, "clips: share of examples in which some frames are given", low=0.0, high=1.0)
    p_per_frame_sigma: float = setting(
        0.1, "clips: share of examples whose frames have noise levels of their own", low=0.0, high=1.0
    )
    sigma_min: float = setting(0.01, "smallest noise level, in deviations of the data", low=1e-4, high=0.5)
    sigma_max: float = setting(8.0, "noise level where samples start, in deviations of the data", low=0.5, high=200.0)
    muon_lr: float = setting(0.02, "peak learning rate of matrices (Muon)", low=0.0, high=1.0)
    adamw_lr: float = setting(0.002, "peak learning rate of the rest (AdamW)", low=0.0, high=1.0)
    decay: float = setting(0.6, "last share of the run in which the learning rate falls", low=0.0, high=1.0)
    ema_width: float = setting(0.05, "relative width of the average of weights", low=0.0, high=0.25)
    weight_decay: float = setting(0.0, "decoupled weight decay of matrices", low=0.0, high=10.0)
    precision: str = setting("auto", "number type that the network computes in", choices=("auto", "fp32", "bf16"))


@dataclass(frozen=True, slots=True)
class DiffusionSampling:
    steps: int = setting(
        0, "noise levels a sample passes through; 0: 8, or 4 of latents, whose decoder forgives more", low=0, high=1000
    )
    solver: str = setting("multistep", "rule that moves from noise level to noise level", choices=tuple(SOLVERS))
    guidance: float = setting(1.0, "how much the component or label counts; 1 is the plain model", low=0.0, high=20.0)
    rho: float = setting(3.0, "crowding of noise levels towards clean", low=1.0, high=20.0)
    frames: int = setting(0, "clips: frames of each sample; 0 as the data has them", low=0, high=10_000)
    sigma_min: float = setting(0.03, "noise level of the last step, in deviations of the data", low=1e-4, high=0.5)
    tile: bool = setting(False, "images that wrap: copies side by side show no seam (textures)")
