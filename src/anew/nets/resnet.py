"""Residual networks without normalisation layers, for a generator and a discriminator (R3GAN, arXiv 2501.05441).

The signal stays in range by the initialization of blocks: the last convolution of each at zero, the first scaled by the depth
(Fixup, arXiv 1901.09321). Sizes change outside of the blocks, by interpolation or averages, so that no pattern of the
sampling shows. Everything runs in the dtype that is asked for; logits are fp32.

Legend for shapes: B items, Z latent numbers, K clusters, C channels.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from anew.nets.autograd import SavedTensors
from anew.nets.conv_blocks import Conv, Linear, depth_to_space, latent_sides, pad_to_multiple, space_to_depth

SLOPE = 0.2  # slope of the activation below zero, as in StyleGAN and R3GAN
ACTIVATION_GAIN = math.sqrt(2.0 / (1.0 + SLOPE**2))  # keeps the size of normal numbers through the activation
# Standard deviation of what an untrained generator adds to the coarse item, which should still be seen; chosen.
INITIAL_OUTPUT = 0.1
# Width of the margin beyond the bounds in which values may still be pushed outwards: with it, faint noise on flat black fell from 16% to 9%
# of the pixels (docs/log.md, 2026-11-25).
BOUNDS_MARGIN = 0.1


def _activate(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, SLOPE)


class _SoftClamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: SavedTensors, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(-1.0, 1.0)

    @staticmethod
    def backward(ctx: SavedTensors, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        grad = grads[0]
        pushes_outwards = ((x > 1.0 + BOUNDS_MARGIN) & (grad < 0)) | ((x < -1.0 - BOUNDS_MARGIN) & (grad > 0))
        return grad.masked_fill(pushes_outwards, 0.0)


def soft_clamp(x: Tensor) -> Tensor:
    """x cut to [-1, 1]. Far outside, gradients only pull inwards, so that values can come back and cannot drift off: a generator
    that must reach the bounds exactly, as for a white background, has nothing to learn there. Within a margin, gradients also pull
    outwards, so that such a background settles where small errors do not show."""
    return cast(Tensor, _SoftClamp.apply(x))  # type: ignore[no-untyped-call]


class ResNetBlock(nn.Module):
    """Activation and convolution, twice, added to the input.

    Args:
        num_blocks: How many blocks the network has in all.
    """

    def __init__(self, channels: int, num_blocks: int) -> None:
        super().__init__()
        self.conv1 = Conv(channels, channels)
        self.conv2 = Conv(channels, channels, zero_init=True)
        with torch.no_grad():
            self.conv1.weight.mul_(ACTIVATION_GAIN * num_blocks**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.conv2(_activate(self.conv1(_activate(x))))
        return x + residual


def _stages(widths: tuple[int, ...], depth: int) -> nn.ModuleList:
    num_blocks = len(widths) * depth
    return nn.ModuleList(nn.Sequential(*(ResNetBlock(width, num_blocks) for _ in range(depth))) for width in widths)


class ResNetGenerator(nn.Module):
    """Latents (B, Z), weights of components (B, K), coarse items (B, *shape) and a matrix (C, C) -> items (B, *shape).

    The coarse item is seen at each size. What comes out is added to it, after the matrix has mixed its channels.

    Args:
        shape: (C, H, W) of an item.
        widths: Channels of each size, the largest size first.
        patch_size: Side of the patches that the last layer writes.
    """

    def __init__(
        self,
        latent_dim: int,
        num_components: int,
        shape: tuple[int, ...],
        widths: tuple[int, ...],
        depth: int,
        patch_size: int,
    ) -> None:
        super().__init__()
        self.shape, self.patch_size = shape, patch_size
        self.sides = latent_sides(shape[1], shape[2], patch_size, len(widths))
        self.cluster_embedding = nn.Parameter(torch.randn(num_components, latent_dim))
        self.start = Linear(2 * latent_dim, widths[-1] * math.prod(self.sides))
        self.from_coarse = nn.ModuleList(Conv(shape[0] * patch_size**2, width, 1) for width in widths)
        self.stages = _stages(widths, depth)
        self.upsample = nn.ModuleList(Conv(coarse, fine, 1) for fine, coarse in pairwise(widths))
        self.out = Conv(widths[0], shape[0] * patch_size**2)
        with torch.no_grad():
            self.out.weight.mul_(INITIAL_OUTPUT * ACTIVATION_GAIN)

    def forward(
        self, z: Tensor, component_weights: Tensor, coarse: Tensor, mixing: Tensor, dtype: torch.dtype
    ) -> Tensor:
        pyramid = self._pyramid(coarse.to(dtype))
        z = torch.cat([z, component_weights @ self.cluster_embedding], 1)  # (B, 2 Z)
        x = self.start(z.to(dtype)).view(z.shape[0], *self.sides, -1).permute(0, 3, 1, 2)  # channels_last
        x = self.stages[-1](x + self.from_coarse[-1](pyramid[-1]))
        for i in reversed(range(len(self.upsample))):
            x = functional.interpolate(self.upsample[i](x), scale_factor=2, mode="nearest")
            x = self.stages[i](x + self.from_coarse[i](pyramid[i]))
        x = depth_to_space(self.out(_activate(x)), self.patch_size)
        detail = x[:, :, : self.shape[1], : self.shape[2]].float()
        return coarse + torch.einsum("bchw,dc->bdhw", detail, mixing).contiguous()

    def _pyramid(self, coarse: Tensor) -> list[Tensor]:
        """The coarse item in patches at each size, the largest first."""
        multiple = self.patch_size * 2 ** len(self.upsample)
        pyramid = [space_to_depth(pad_to_multiple(coarse, multiple), self.patch_size)]
        for _ in self.upsample:
            pyramid.append(functional.avg_pool2d(pyramid[-1], 2))
        return pyramid


class Discriminator(nn.Module):
    """Items (B, *shape) and components (B,) -> logits (B,): how real each item looks as one of that component (projection
    discriminator, arXiv 1802.05637).

    Args:
        num_components: Number of components; 0 where it is not told any.
        shape: (C, H, W) of an item.
        widths: Channels of each size, the largest size first.
        patch_size: Side of the patches that the stem reads.
    """

    def __init__(
        self, num_components: int, shape: tuple[int, ...], widths: tuple[int, ...], depth: int, patch_size: int
    ) -> None:
        super().__init__()
        self.patch_size, self.multiple = patch_size, patch_size * 2 ** (len(widths) - 1)
        sides = latent_sides(shape[1], shape[2], patch_size, len(widths))
        num_features = 2 * widths[-1]
        self.stem = Conv(shape[0] * patch_size**2, widths[0])
        self.stages = _stages(widths, depth)
        self.downsample = nn.ModuleList(Conv(fine, coarse, 1) for fine, coarse in pairwise(widths))
        # A learned weight for each channel and place, twice, instead of a pooled mean.
        self.pooling = nn.Parameter(torch.randn(2, widths[-1], *sides) / math.sqrt(math.prod(sides)))
        self.head = Linear(num_features, 1)
        embedding = torch.randn(num_components, num_features) / math.sqrt(num_features) if num_components else None
        self.cluster_embedding = None if embedding is None else nn.Parameter(embedding)

    def forward(self, x: Tensor, component: Tensor | None, dtype: torch.dtype) -> Tensor:
        x = self.stem(space_to_depth(pad_to_multiple(x, self.multiple).to(dtype), self.patch_size))
        for i, stage in enumerate(self.stages):
            if i:
                x = self.downsample[i - 1](functional.avg_pool2d(x, 2))
            x = stage(x)
        features = self._pool(_activate(x).float())  # (B, 2C)
        logits: Tensor = self.head(features).squeeze(1)
        if self.cluster_embedding is not None and component is not None:
            logits = logits + (features * self.cluster_embedding[component]).sum(1)
        return logits

    def _pool(self, x: Tensor) -> Tensor:
        """(B, 2C) two weighted sums over the places of each channel of x (B, C, h, w). As products of matrices they would be one for
        each channel, several times as slow on CPUs (docs/log.md, 2026-12-02)."""
        places = x.permute(0, 2, 3, 1).flatten(1, 2)  # (B, h w, C)
        weights = self.pooling.permute(0, 2, 3, 1).flatten(1, 2).contiguous()  # (2, h w, C)
        return torch.cat([(places * weight).sum(1) for weight in weights], 1)
