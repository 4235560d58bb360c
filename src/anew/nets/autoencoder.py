"""Convolutional autoencoders: one with two scales of latent distributions for a VAE, one with a plain grid for a codec.

The chain of the VAE is top vector z2 -> bottom grid z1 -> item x: x is decoded from the bottom alone, and the top says
how the bottom is distributed. Convolutions work as in `anew.nets.conv_blocks`: none at full size, bf16 where that is fast.

Legend for shapes: B items, C channels, H rows, W columns, h rows and w columns of the latent grid.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from anew.functional.likelihood import LogisticMixture
from anew.nets.conv_blocks import (
    ChannelNorm,
    Conv,
    Linear,
    depth_to_space,
    latent_sides,
    pad_to_multiple,
    space_to_depth,
)

# Side that a grid is halved to before it becomes a vector: a layer of all its values stays small; chosen.
VECTOR_SIDE = 4


class Normal(NamedTuple):
    """Independent normal distributions. Both tensors have the shape of a value."""

    mean: Tensor
    log_scale: Tensor


class AutoencoderBlock(nn.Module):
    """Norm, convolution, SiLU, convolution, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.conv1 = Conv(channels, channels)
        self.conv2 = Conv(channels, channels, zero_init=True)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.conv2(functional.silu(self.conv1(self.norm(x))))
        return x + residual


def _stages(widths: tuple[int, ...], depth: int) -> nn.ModuleList:
    return nn.ModuleList(nn.Sequential(*(AutoencoderBlock(width) for _ in range(depth))) for width in widths)


def to_normal(output: Tensor) -> Normal:
    """Distributions, in fp32, from the two halves of a network's channels; log scales stay within -6 to 3."""
    mean, log_scale = output.float().chunk(2, 1)
    # Smooth bounds: a hard clamp would have no gradient to come back by.
    return Normal(mean, 4.5 * torch.tanh(log_scale / 4.5) - 1.5)


class GridEncoder(nn.Module):
    """(B, in_channels, H, W) -> features (B, widths[-1], h, w).

    Args:
        widths: Channels of each size, the largest size first.
        patch_size: Side of the patches that the stem reads.
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...], depth: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size, self.multiple = patch_size, patch_size * 2 ** (len(widths) - 1)
        self.stem = Conv(in_channels * patch_size**2, widths[0])
        self.stages = _stages(widths, depth)
        self.downsample = nn.ModuleList(Conv(4 * fine, coarse, 1) for fine, coarse in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(space_to_depth(pad_to_multiple(x, self.multiple, "replicate"), self.patch_size))
        for i, stage in enumerate(self.stages):
            if i:
                x = self.downsample[i - 1](space_to_depth(x, 2))
            x = stage(x)
        return x


class GridDecoder(nn.Module):
    """(B, in_channels, h, w) -> (B, out_channels, height, width). Arguments as for `GridEncoder`."""

    def __init__(
        self, in_channels: int, out_channels: int, widths: tuple[int, ...], depth: int, patch_size: int
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.stem = Conv(in_channels, widths[-1])
        self.stages = _stages(widths[::-1], depth)
        self.upsample = nn.ModuleList(Conv(coarse, 4 * fine, 1) for coarse, fine in pairwise(widths[::-1]))
        self.norm = ChannelNorm(widths[0])
        self.out = Conv(widths[0], out_channels * patch_size**2)
        self.out.weight.data.mul_(0.1)  # distributions start alike, and only nearly so

    def forward(self, z: Tensor, height: int, width: int) -> Tensor:
        x = self.stem(z)
        for i, stage in enumerate(self.stages):
            if i:
                x = depth_to_space(self.upsample[i - 1](x), 2)
            x = stage(x)
        x = depth_to_space(self.out(functional.silu(self.norm(x))), self.patch_size)
        return x[:, :, :height, :width].contiguous(memory_format=torch.contiguous_format)


def _halvings(sides: tuple[int, int]) -> list[tuple[int, int]]:
    """The sides of a grid as it is halved down to `VECTOR_SIDE`, itself first."""
    pyramid = [sides]
    while max(pyramid[-1]) > VECTOR_SIDE:
        rows, columns = pyramid[-1]
        pyramid.append((-(-rows // 2), -(-columns // 2)))
    return pyramid


class GridToVector(nn.Module):
    """Features (B, channels, h, w) -> (B, out_features), the grid halved until it is small."""

    def __init__(self, channels: int, sides: tuple[int, int], out_features: int) -> None:
        super().__init__()
        pyramid = _halvings(sides)
        rows, columns = pyramid[-1]
        self.downsample = nn.ModuleList(Conv(4 * channels, channels, 1) for _ in pyramid[1:])
        self.blocks = nn.ModuleList(AutoencoderBlock(channels) for _ in pyramid[1:])
        self.norm = ChannelNorm(channels)
        self.out = Linear(channels * rows * columns, out_features)

    def forward(self, x: Tensor) -> Tensor:
        for downsample, block in zip(self.downsample, self.blocks, strict=True):
            x = block(downsample(space_to_depth(pad_to_multiple(x, 2, "replicate"), 2)))
        vector: Tensor = self.out(functional.silu(self.norm(x)).flatten(1))
        return vector


class VectorToGrid(nn.Module):
    """A vector (B, in_features) -> (B, out_channels, h, w), through the same sizes as `GridToVector`."""

    def __init__(self, in_features: int, channels: int, sides: tuple[int, int], out_channels: int, depth: int) -> None:
        super().__init__()
        self.pyramid = _halvings(sides)[::-1]
        self.channels = channels
        rows, columns = self.pyramid[0]
        self.start = Linear(in_features, channels * rows * columns)
        self.upsample = nn.ModuleList(Conv(channels, 4 * channels, 1) for _ in self.pyramid[1:])
        self.stages = _stages((channels,) * len(self.pyramid), depth)
        self.norm = ChannelNorm(channels)
        self.out = Conv(channels, out_channels)

    def forward(self, z: Tensor) -> Tensor:
        x = (
            self.start(z)
            .view(z.shape[0], self.channels, *self.pyramid[0])
            .contiguous(memory_format=torch.channels_last)
        )
        for i, stage in enumerate(self.stages):
            if i:
                rows, columns = self.pyramid[i]
                x = depth_to_space(self.upsample[i - 1](x), 2)[:, :, :rows, :columns]
            x = stage(x)
        grid: Tensor = self.out(functional.silu(self.norm(x)))
        return grid


class VariationalAutoencoder(nn.Module):
    """All networks of the chain z2 -> z1 -> x. Methods take the dtype that is computed in.

    Args:
        shape: (C, H, W) of an item.
        widths: Channels of each size, the largest size first.
        depth: Blocks per size and side.
        patch_size: Side of the patches that are one position.
        latent_channels: Channels of z1 (B, c, h, w).
        top_dim: Numbers in z2 (B, K).
        num_mixtures: Logistic distributions in the mixture of each pixel.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        widths: tuple[int, ...],
        depth: int,
        patch_size: int,
        latent_channels: int,
        top_dim: int,
        num_mixtures: int,
    ) -> None:
        super().__init__()
        self.shape, self.num_mixtures, self.top_dim = shape, num_mixtures, top_dim
        self.sides = latent_sides(shape[1], shape[2], patch_size, len(widths))
        self.encoder = GridEncoder(shape[0], widths, depth, patch_size)
        self.norm = ChannelNorm(widths[-1])
        self.to_bottom = Conv(widths[-1], 2 * latent_channels)
        self.to_top = GridToVector(widths[-1], self.sides, 2 * top_dim)
        self.from_top = VectorToGrid(top_dim, widths[-1], self.sides, 2 * latent_channels, depth)
        out_channels = LogisticMixture.num_parameters(num_mixtures, shape[0])
        self.decoder = GridDecoder(latent_channels, out_channels, widths, depth, patch_size)

    def encode(self, x: Tensor, dtype: torch.dtype) -> tuple[Normal, Normal]:
        """Posteriors of z1 (B, c, h, w) and of z2 (B, K), given x (B, C, H, W)."""
        features = self.encoder(x.to(dtype))
        return to_normal(self.to_bottom(functional.silu(self.norm(features)))), to_normal(self.to_top(features))

    def bottom_prior(self, top: Tensor, dtype: torch.dtype) -> Normal:
        """The distribution of z1 given z2."""
        return to_normal(self.from_top(top.to(dtype)))

    def decode(self, bottom: Tensor, dtype: torch.dtype) -> LogisticMixture:
        """The distribution of x given z1."""
        z = bottom.to(dtype, memory_format=torch.channels_last)
        output = self.decoder(z, self.shape[1], self.shape[2])
        return LogisticMixture.from_network(output, self.num_mixtures, self.shape[0])


class GridAutoencoder(nn.Module):
    """Items -> n numbers for each place of a small grid, and back. Methods take the dtype that is computed in.

    Arguments as for `VariationalAutoencoder`; `latent_channels` is n.

    Attributes:
        sides: Rows h and columns w of places.
    """

    def __init__(
        self, shape: tuple[int, ...], widths: tuple[int, ...], depth: int, patch_size: int, latent_channels: int
    ) -> None:
        super().__init__()
        self.shape = shape
        self.sides = latent_sides(shape[1], shape[2], patch_size, len(widths))
        self.encoder = GridEncoder(shape[0], widths, depth, patch_size)
        self.norm = ChannelNorm(widths[-1])
        self.to_latent = Conv(widths[-1], latent_channels)
        self.decoder = GridDecoder(latent_channels, shape[0], widths, depth, patch_size)

    def encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, C, H, W) -> (B, n, h, w) fp32, without bounds."""
        features = self.encoder(x.to(dtype))
        latent: Tensor = self.to_latent(functional.silu(self.norm(features)))
        return latent.float()

    def decode(self, z: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, n, h, w) -> (B, C, H, W) fp32."""
        z = z.to(dtype, memory_format=torch.channels_last)
        x: Tensor = self.decoder(z, self.shape[1], self.shape[2])
        return x.float()
