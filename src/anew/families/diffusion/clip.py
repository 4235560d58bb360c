"""Diffusion of clips, with a noise level for each frame (diffusion forcing, arXiv 2407.01392), so that one model can generate,
continue given frames and fill gaps between them. Frames that a clip does not have get an infinite noise level.

Legend for shapes: B examples, n samples, C channels, T frames, H rows, W columns, D values of one clip.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from anew.core.random import StepContext, generator, key
from anew.core.specs import Batch, Condition, SampleRequest
from anew.errors import ConfigError
from anew.estimators.clip_mixture import ClipMixture, empty_clip_mixture, fit_clip_mixture
from anew.estimators.gaussian_mixture import GaussianMixture
from anew.families._sizes import PIXELWISE_WIDTHS, at_side, at_size, conv_depth, conv_width
from anew.families.base import Scale
from anew.families.diffusion.config import DiffusionConfig, DiffusionSampling
from anew.families.diffusion.layout import PIXELWISE_EXAMPLES_PER_PARAMETER, Layout, SampleWindow
from anew.families.known import KnownValues
from anew.functional.noise import lognormal_sigmas
from anew.nets.unet3d import UNet3d

# Most principal components of clips: 192 instead of 64 brought differences from 4.0 to 3.3 times the floor (docs/log.md,
# 2026-11-25).
MAX_RANK = 192
MAX_BASIS_VALUES = 1 << 24  # values of the basis: 64 MB of a run
# Largest side, in pixels, at which a network on a CPU sees single pixels of single frames, and its batch size. Patches of 2 x 2 pixels of
# two frames are 56 values; few channels cannot keep their pixels apart, and samples were grainy. With single pixels, and more steps of
# fewer clips, unseen clips were denoised with a quarter to two fifths less error in equal time (docs/log.md, 2026-12-01).
MAX_PIXELWISE_SIDE, PIXELWISE_BATCH_SIZE = 64, 4
# The noise level that the network gets for a frame that the clip does not have, instead of an infinite one: it hides the frame completely.
MAX_NETWORK_SIGMA = 1e3
# Shares of the examples with given frames in which the first frames, or both ends, are given, as users ask for; in the
# others any frames are given; chosen.
P_PREFIX, P_BOTH_ENDS = 0.5, 0.25


class ClipLayout(Layout):
    """Clips, with a noise level for each frame."""

    mixture_type: ClassVar[type[GaussianMixture]] = ClipMixture
    num_choices: ClassVar[int] = 1  # the length
    default_steps: ClassVar[int] = 8  # each is slow, and clips came no nearer with 12 (docs/log.md, 2026-11-27)
    # With new noise, frames fit each other less well (docs/log.md, 2026-11-27)
    default_solver: ClassVar[str] = "multistep"

    @property
    def num_parts(self) -> int:
        return self.spec.shape[1]

    def network(self, config: DiffusionConfig) -> nn.Module:
        if config.augment_p:
            raise ConfigError(f"augment_p applies to images only (got {config.augment_p:g} for clips); leave it out")
        channels = self.spec.shape[0]
        return UNet3d(
            2 * channels + 1,
            channels,
            num_components=config.num_components + 1,
            channels=config.width,
            channel_mults=config.channel_mults,
            depth=config.depth,
            patch_size=config.patch_size,
            frame_group=config.frame_group,
            dropout=config.dropout,
        )

    def suggest(self, config: DiffusionConfig, scale: Scale) -> DiffusionConfig:
        side = max(self.spec.shape[2:])
        is_pixelwise = scale.device == "cpu" and side <= MAX_PIXELWISE_SIDE
        # Where patches become larger is chosen
        patch_size = 1 if is_pixelwise else at_side(side, {12: 1, 40: 2}, 4)
        positions = side / patch_size
        halvings = max(1, math.ceil(math.log2(positions / 8))) if positions >= 4 else 0  # down to 8 or fewer
        config = replace(
            config,
            net="unet",
            width=conv_width(scale.model_size),
            channel_mults=(1, *[2] * halvings),
            depth=conv_depth(scale.model_size),
            patch_size=patch_size,
            frame_group=2 if self.spec.shape[1] > 2 else 1,
            batch_size=32 if scale.device == "cpu" else 64,
            rank=max(1, min(MAX_RANK, MAX_BASIS_VALUES // self.size, max(16, scale.items // 4))),
        )
        if not is_pixelwise:
            return config
        return replace(
            config,
            width=at_size(PIXELWISE_WIDTHS, scale.model_size),
            channel_mults=tuple(2**halving for halving in range(halvings + 1)),
            frame_group=1,
            batch_size=PIXELWISE_BATCH_SIZE,
        )

    def examples_per_parameter(self, config: DiffusionConfig) -> float:
        # A GPU's batches of single pixels were not measured
        if config.patch_size == config.frame_group == 1 and config.batch_size <= PIXELWISE_BATCH_SIZE:
            return PIXELWISE_EXAMPLES_PER_PARAMETER
        return super().examples_per_parameter(config)

    def empty_mixture(self, rank: int, num_components: int) -> GaussianMixture:
        return empty_clip_mixture(self.spec.shape, rank, num_components, self.spec.std**2)

    def fit_mixture(
        self,
        x: Tensor,
        part_mask: Tensor | None,
        labels: Tensor | None,
        rank: int,
        num_clusters: int,
        turns: Iterator[object],
    ) -> GaussianMixture:
        everything = torch.full((len(x),), self.num_parts)
        lengths = everything if part_mask is None else part_mask.sum(1).long().clamp(min=1)
        return fit_clip_mixture(
            x,
            lengths,
            labels,
            rank=rank,
            num_clusters=num_clusters,
            classes=self.spec.classes,
            rng=generator("mixture"),
            turns=turns,
        )

    # -- training -------------------------------------------------------------------------------------------------------

    def training_sigmas(
        self, context: StepContext, batch: Batch, config: DiffusionConfig
    ) -> tuple[Tensor, Tensor | None]:
        c, size = config, (len(batch), self.num_parts)
        frame_mask = torch.ones(size, device=batch.x.device) if batch.mask is None else batch.mask.float()
        uniform = context.uniform("level", size)
        task, pattern, prefix, suffix = torch.split(context.uniform("task", (len(batch), 4)), 1, 1)  # each (B, 1)
        is_conditioned = task < c.p_conditioning
        has_own_sigmas = ~is_conditioned & (task < c.p_conditioning + c.p_per_frame_sigma)
        uniform = torch.where(has_own_sigmas, uniform, uniform[:, :1])
        sigma = lognormal_sigmas(uniform, c.sigma_log_mean, c.sigma_log_std, c.sigma_min, c.sigma_max)
        is_given = self._given_frames(pattern, prefix, suffix, context.uniform("frames", size), frame_mask)
        is_given = is_conditioned & is_given
        sigma = torch.where(is_given, c.sigma_min, sigma).masked_fill(frame_mask == 0, torch.inf)
        counts = frame_mask * ~is_given
        return sigma, counts / counts.sum(1, keepdim=True).clamp(min=1)

    def _given_frames(
        self, pattern: Tensor, prefix: Tensor, suffix: Tensor, per_frame: Tensor, frame_mask: Tensor
    ) -> Tensor:
        """(B, T) which frames are given: the first ones, both ends, or any, but never all.

        Args:
            pattern: (B, 1) uniform numbers that decide between the three.
            prefix: (B, 1) uniform numbers that decide how long the beginning is, or the share of frames if any may be given.
            suffix: (B, 1) uniform numbers that decide how long the end is.
            per_frame: (B, T) uniform numbers that decide which frames are given if any may be.
            frame_mask: (B, T) which frames the clip has.
        """
        length = frame_mask.sum(1, keepdim=True)
        position = torch.arange(self.num_parts, device=frame_mask.device)
        prefix_length = 1 + ((length - 1) * prefix).floor()
        suffix_length = ((length - prefix_length) * suffix).floor()
        in_prefix = position < prefix_length
        in_ends = in_prefix | (position >= length - suffix_length)
        in_any = per_frame < prefix
        is_given = torch.where(
            pattern < P_PREFIX, in_prefix, torch.where(pattern < P_PREFIX + P_BOTH_ENDS, in_ends, in_any)
        )
        is_given = is_given & (frame_mask > 0)
        return is_given & (is_given.sum(1, keepdim=True) < length)

    def run_network(
        self,
        net: nn.Module,
        c_in_y: Tensor,
        denoised: Tensor,
        sigma: Tensor,
        component: Tensor,
        augmentations: Tensor | None = None,
    ) -> Tensor:
        frame_mask = sigma.isfinite().to(c_in_y.dtype)[:, None, :, None, None]  # (B, 1, T, 1, 1)
        frame_mask = frame_mask.expand(-1, 1, -1, *self.spec.shape[2:])
        network_sigma = sigma.float().clamp(max=MAX_NETWORK_SIGMA)
        output: Tensor = net(torch.cat([c_in_y, denoised, frame_mask], 1), network_sigma, component)
        return output

    # -- sampling -------------------------------------------------------------------------------------------------------

    def known_parts(self, mask: Tensor) -> Tensor | None:
        return torch.all(mask.view(len(mask), *self.spec.shape).flatten(3), 3).all(1)

    def sampled_parts(
        self, mixture: GaussianMixture, component: Tensor, choices: Tensor, known_values: KnownValues | None
    ) -> Tensor | None:
        position = torch.arange(self.num_parts, device=choices.device)
        assert isinstance(mixture, ClipMixture)
        counts = mixture.length_counts[component]  # (n, T)
        if known_values is not None:  # a sample is not shorter than its known part
            has_known = known_values.mask.view(len(choices), *self.spec.shape).flatten(3).any(3).any(1)  # (n, T)
            known_length = (has_known * (position + 1)).amax(1, keepdim=True)
            counts = torch.where(position + 1 >= known_length, counts, 0.0)
            is_last = (position == self.num_parts - 1).float()
            counts = torch.where(counts.sum(1, keepdim=True) > 0, counts, is_last)
        cumulative = counts.cumsum(1)
        uniform = torch.special.ndtr(choices) * cumulative[:, -1:]
        last_position = (uniform >= cumulative).sum(1, keepdim=True)
        frame_mask: Tensor = position <= last_position
        return frame_mask

    def hold_last_part(self, x: Tensor, part_mask: Tensor) -> Tensor:
        last = part_mask.sum(1) - 1
        position = torch.arange(self.num_parts, device=x.device).minimum(last[:, None])  # (n, T)
        return x.gather(2, position[:, None, :, None, None].expand_as(x))

    def sample(self, sample_window: SampleWindow, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        """Drafts. Longer clips grow by windows, each of which continues the later half of the one before."""
        sampling = request.sampling_as(DiffusionSampling)
        if sampling.tile:
            raise ConfigError("tile applies to images only; leave it out")
        window_frames = self.num_parts
        condition = self._full_mask(request.condition)
        known_frames = 0 if condition is None else condition.x.shape[-3]
        target = sampling.frames
        if not target and known_frames > window_frames:
            target = known_frames + max(1, window_frames // 2)
        total = max(target or window_frames, known_frames)
        if condition is not None:
            condition = _pad_frames(condition, max(total, window_frames))
        clip: Tensor | None = None
        start = window = 0
        while True:
            window_request = replace(request, condition=_window_condition(condition, clip, start, window_frames))
            if target:
                window_request = replace(window_request, sampling=replace(sampling, frames=total))
            draft = clip
            if window:
                keys = tuple((key(row_seed, "window", window), index) for row_seed, index in request.sample_keys(seed))
                window_request = replace(window_request, keys=keys)
            for window_draft in sample_window(window_request, seed):
                draft = window_draft if clip is None else torch.cat([clip[:, :, :start], window_draft], 2)
                yield draft[:, :, :target] if target else draft
            if start + window_frames >= total:
                return
            clip, window = draft, window + 1
            start = min(start + window_frames - window_frames // 2, total - window_frames)

    def _full_mask(self, condition: Condition | None) -> Condition | None:
        """The condition with a mask that has the shape of its values."""
        if condition is None:
            return None
        x, shape = condition.x, self.spec.shape
        if x.ndim < 4 or x.shape[-4] != shape[0] or x.shape[-2:] != shape[2:]:
            x_shape = tuple(x.shape)
            raise ConfigError(f"known values must have the shape {shape}, with any number of frames (got {x_shape})")
        mask = torch.ones_like(x) if condition.mask is None else condition.mask.to(x).expand(x.shape)
        return Condition(x, mask)


def _mask_of(condition: Condition) -> Tensor:
    return torch.ones_like(condition.x) if condition.mask is None else condition.mask


def _pad_frames(condition: Condition, frames: int) -> Condition:
    """The condition with `frames` frames; those that are added count as unknown."""
    missing = frames - condition.x.shape[-3]
    if missing <= 0:
        return condition
    pad = (0, 0, 0, 0, 0, missing)
    return Condition(functional.pad(condition.x, pad), functional.pad(_mask_of(condition), pad))


def _window_condition(condition: Condition | None, clip: Tensor | None, start: int, frames: int) -> Condition | None:
    """Known values of the frames from `start` on: given by the user, or by the clip (n, C, T, H, W) sampled so far."""
    if condition is not None:
        stop = start + frames
        condition = Condition(condition.x[..., start:stop, :, :], _mask_of(condition)[..., start:stop, :, :])
    if clip is None:
        return condition
    sampled = _pad_frames(Condition(clip[:, :, start:]), frames)
    if condition is None:
        return sampled
    is_sampled = _mask_of(sampled) > 0.5
    mask = torch.where(is_sampled, 1.0, _mask_of(condition).to(sampled.x).expand_as(sampled.x))
    return Condition(torch.where(is_sampled, sampled.x, condition.x.to(sampled.x)), mask)
