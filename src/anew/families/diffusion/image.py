"""Diffusion of images, and of all other grids of rows and columns, with one noise level for each example."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from anew.core.random import StepContext, generator
from anew.core.specs import Batch, SampleRequest
from anew.errors import ConfigError
from anew.estimators.gaussian_mixture import GaussianMixture, empty_mixture, fit_mixture
from anew.families._sizes import CONV_WIDTHS, PIXELWISE_WIDTHS, at_size, conv_depth, suggest_patch_size
from anew.families.base import Scale
from anew.families.diffusion.config import DiffusionConfig, DiffusionSampling
from anew.families.diffusion.layout import PIXELWISE_EXAMPLES_PER_PARAMETER, Layout, SampleWindow
from anew.families.diffusion.wrapping import Wrapped
from anew.functional.noise import lognormal_sigmas
from anew.functional.symmetries import NUM_UNIFORMS, Symmetries
from anew.nets.dit import DiT
from anew.nets.unet import UNet

# Widths of U-Nets with two halvings or more, whose stages cost more
DEEP_UNET_WIDTHS = (24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
# A U-Net sees single pixels instead of patches where pictures are at most so many pixels a side, are in colour, and are trained for a short
# time on a CPU. A patch of 2 x 2 pixels with transparency has 32 values of input, as many as a small network has channels, and left a
# hatch. A grey one has 8, and digits came closer with patches; so did photographs of 32 x 32 after 150 s, but not yet after 60 s
# (docs/log.md, 2026-11-29).
MAX_PIXELWISE_SIDE = 48
MIN_PIXELWISE_CHANNELS = 3
# Seconds of one thread on an idle core, for each pixel of an item.
MAX_PIXELWISE_SECONDS_PER_PIXEL = 60 / 32**2
# Width and depth by model size: from networks for minutes of a CPU up to the width of DiT-XL; chosen.
DIT_SIZES = (
    (64, 4),
    (128, 4),
    (192, 6),
    (256, 8),
    (384, 8),
    (512, 12),
    (768, 12),
    (1024, 12),
    (1024, 18),
    (1152, 20),
)
POSITIONS = 24  # a side, of large items
DIT_HEAD_DIM = 64  # channels of an attention head, as in DiT-S to DiT-L
# Values of a patch of a row, most positions at the lowest size of its network, and examples a step on a CPU. In equal time, an ECG came
# closer with patches of 4 and width 32 than with 8 and width 64, and with 16 examples than with 64 (docs/log.md, 2026-11-30).
ROW_PATCH_SIZE, ROW_POSITIONS, ROW_BATCH_SIZE = 4, 40, 16
# Noise levels in training, lower and spread wider than those of pictures: high frequencies of signals are faint, and show only where noise
# is fainter still (docs/log.md, 2026-11-30)
ROW_SIGMA_LOG_MEAN, ROW_SIGMA_LOG_STD = -0.9, 1.4
# Of images and spectrograms. The network hardly learns to remove less noise than this in a short training, and steps below leave some:
# with 0.03, photographs, tiles, emoji and digits had more grain (docs/log.md, 2026-12-01).
SMALLEST_IMAGE_SIGMA = 0.06
MAX_RANK = 64  # principal components: they are stored in the run, and other directions share a variance; chosen
# Least examples for each principal component: with fewer, it would be the direction of a few of them; 4 and 16 do about the same
# (docs/log.md, 2026-11-26).
EXAMPLES_PER_DIRECTION = 8
# Batch size on a CPU, instead of 128: digits came as close or closer in equal time (docs/log.md, 2026-11-27).
CPU_BATCH_SIZE = 64
# Batch size where single pixels are seen: a short training gains more from steps than from examples (docs/log.md, 2026-11-29).
PIXELWISE_BATCH_SIZE = 16


class ImageLayout(Layout):
    """Images, with one noise level for each example."""

    mixture_type: ClassVar[type[GaussianMixture]] = GaussianMixture

    @property
    def symmetries(self) -> Symmetries:
        return Symmetries(self.spec.shape, self.spec.brightness_channels)

    @property
    def default_sigma_min(self) -> float:
        # Fine detail of signals is fainter, and latents have none
        return super().default_sigma_min if self.spec.is_row or not self.spec.bounded else SMALLEST_IMAGE_SIGMA

    def network(self, config: DiffusionConfig) -> nn.Module:
        channels = self.spec.shape[0]
        num_augmentations = self.symmetries.count if config.augment_p else 0
        if config.net == "dit":
            num_heads = _num_heads(config.width)
            return DiT(
                2 * channels,
                channels,
                num_components=config.num_components + 1,
                num_augmentations=num_augmentations,
                hidden_size=config.width,
                depth=config.depth,
                num_heads=num_heads,
                patch_size=config.patch_size,
                dropout=config.dropout,
            )
        return UNet(
            2 * channels,
            channels,
            num_components=config.num_components + 1,
            num_augmentations=num_augmentations,
            channels=config.width,
            channel_mults=config.channel_mults,
            depth=config.depth,
            patch_size=config.patch_size,
            dropout=config.dropout,
            attention=config.attention,
            is_row=self.spec.is_row,
        )

    def suggest(self, config: DiffusionConfig, scale: Scale) -> DiffusionConfig:
        directions = min(scale.items, self.max_fit_examples) // EXAMPLES_PER_DIRECTION
        config = replace(
            config,
            batch_size=CPU_BATCH_SIZE if scale.device == "cpu" else 128,
            rank=max(1, min(MAX_RANK, directions)),
        )
        if self.spec.is_row:
            return _suggest_row_unet(config, scale.model_size, self.spec.shape[2])
        side = max(self.spec.shape[1:])
        patch_size = suggest_patch_size(side, POSITIONS)
        if patch_size == 2 and self._is_pixelwise(scale):
            return _suggest_pixelwise_unet(config, scale.model_size)
        suggest_net = _suggest_unet if patch_size <= 2 else _suggest_dit
        return suggest_net(replace(config, patch_size=patch_size), scale.model_size, side / patch_size)

    def _is_pixelwise(self, scale: Scale) -> bool:
        """Whether the network sees single pixels: in patches, a short training could not keep them apart."""
        channels, height, width = self.spec.shape
        if scale.device != "cpu" or scale.seconds is None or channels < MIN_PIXELWISE_CHANNELS:
            return False
        is_short = scale.seconds * scale.threads / scale.slowdown <= MAX_PIXELWISE_SECONDS_PER_PIXEL * height * width
        return is_short and max(height, width) <= MAX_PIXELWISE_SIDE

    def examples_per_parameter(self, config: DiffusionConfig) -> float:
        sees_pixels = config.net == "unet" and config.patch_size == 1 and self.spec.shape[0] >= MIN_PIXELWISE_CHANNELS
        # Small batches of patches, of grey images, of transformers and of clips were not measured
        if sees_pixels and config.batch_size <= PIXELWISE_BATCH_SIZE:
            return PIXELWISE_EXAMPLES_PER_PARAMETER
        return super().examples_per_parameter(config)

    def empty_mixture(self, rank: int, num_components: int) -> GaussianMixture:
        return empty_mixture(self.spec.shape, rank, num_components, self.spec.std**2)

    def fit_mixture(
        self,
        x: Tensor,
        part_mask: Tensor | None,
        labels: Tensor | None,
        rank: int,
        num_clusters: int,
        turns: Iterator[object],
    ) -> GaussianMixture:
        return fit_mixture(
            x,
            labels,
            rank=rank,
            num_clusters=num_clusters,
            classes=self.spec.classes,
            rng=generator("mixture"),
            turns=turns,
        )

    def training_sigmas(
        self, context: StepContext, batch: Batch, config: DiffusionConfig
    ) -> tuple[Tensor, Tensor | None]:
        c = config
        uniform = context.uniform("level", (len(batch),))
        sigma = lognormal_sigmas(uniform, c.sigma_log_mean, c.sigma_log_std, c.sigma_min, c.sigma_max)
        return sigma[:, None], None

    def draw_augmentations(self, context: StepContext, count: int, config: DiffusionConfig) -> Tensor | None:
        if not config.augment_p:
            return None
        return self.symmetries.draw(context.uniform("augment", (count, NUM_UNIFORMS)), config.augment_p)

    def run_network(
        self,
        net: nn.Module,
        c_in_y: Tensor,
        denoised: Tensor,
        sigma: Tensor,
        component: Tensor,
        augmentations: Tensor | None = None,
    ) -> Tensor:
        inputs, network_sigma = [c_in_y, denoised], sigma.float().squeeze(1)
        if augmentations is None:
            output: Tensor = net(torch.cat(inputs, 1), network_sigma, component)
            return output
        moved = [self.symmetries.apply(x, augmentations) for x in inputs]
        output = net(torch.cat(moved, 1), network_sigma, component, augmentations)
        return self.symmetries.undo(output, augmentations)

    def wrapped(self, net: nn.Module) -> nn.Module:
        if not self.spec.bounded:
            raise ConfigError(
                "tile needs a model of pixels, and this one works on latents; train with space=pixel, or leave it out"
            )
        if isinstance(net, UNet):
            return Wrapped(net, net.multiple)
        if isinstance(net, DiT):
            return Wrapped(net, net.patch_size)
        raise TypeError(f"{type(net).__name__} is not a network of images")

    def sample(self, sample_window: SampleWindow, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        frames = request.sampling_as(DiffusionSampling).frames
        if frames:
            raise ConfigError(f"frames applies to clips only (got {frames} for images); leave it out")
        return sample_window(request, seed)


def _num_heads(width: int) -> int:
    """How many attention heads a DiT of this width has.

    Raises:
        ConfigError: Each would not have a multiple of four channels, which rotary positions on two axes need.
    """
    if not _has_whole_heads(width):
        below = next(narrower for narrower in range(width, 0, -1) if _has_whole_heads(narrower))
        above = next(wider for wider in itertools.count(width) if _has_whole_heads(wider))
        raise ConfigError(
            f"width={width} cannot be divided into attention heads, each of a multiple of 4 channels, for net=dit; "
            f"the nearest widths that can are {below} and {above}",
            "width",
        )
    return max(1, width // DIT_HEAD_DIM)


def _has_whole_heads(width: int) -> bool:
    return width % (4 * max(1, width // DIT_HEAD_DIM)) == 0


def _suggest_unet(config: DiffusionConfig, model_size: int, positions: float) -> DiffusionConfig:
    """The config with width, multiples and depth; `positions` a side after the patches are halved until they are 8 or fewer."""
    halvings = max(1, math.ceil(math.log2(positions / 8))) if positions >= 4 else 0
    widths = CONV_WIDTHS if halvings < 2 else DEEP_UNET_WIDTHS
    return replace(
        config,
        net="unet",
        width=at_size(widths, model_size),
        channel_mults=(1, *[2] * halvings),
        depth=conv_depth(model_size),
    )


def _suggest_row_unet(config: DiffusionConfig, model_size: int, length: int) -> DiffusionConfig:
    """The config of a U-Net for signals of `length` values, in patches of ROW_PATCH_SIZE, whose lowest size has ROW_POSITIONS or fewer."""
    halvings = max(1, math.ceil(math.log2(length / (ROW_PATCH_SIZE * ROW_POSITIONS))))
    return replace(
        config,
        net="unet",
        patch_size=ROW_PATCH_SIZE,
        width=at_size(CONV_WIDTHS, model_size),
        channel_mults=(1, *[2] * halvings),
        depth=conv_depth(model_size),
        sigma_log_mean=ROW_SIGMA_LOG_MEAN,
        sigma_log_std=ROW_SIGMA_LOG_STD,
        batch_size=ROW_BATCH_SIZE if config.batch_size == CPU_BATCH_SIZE else config.batch_size,
    )


def _suggest_pixelwise_unet(config: DiffusionConfig, model_size: int) -> DiffusionConfig:
    """The config of a U-Net that sees single pixels, and halves the side twice: to 12 or less, from MAX_PIXELWISE_SIDE or less."""
    return replace(
        config,
        net="unet",
        patch_size=1,
        width=at_size(PIXELWISE_WIDTHS, model_size),
        channel_mults=(1, 2, 4),
        depth=conv_depth(model_size),
        batch_size=PIXELWISE_BATCH_SIZE,
    )


def _suggest_dit(config: DiffusionConfig, model_size: int, positions: float) -> DiffusionConfig:
    width, depth = at_size(DIT_SIZES, model_size)
    return replace(config, net="dit", width=width, depth=depth)
