"""A U-Net for small grids: a space-to-depth stem, no work at full size, and plain 3 x 3 convolutions."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from anew.core.random import Dropout
from anew.nets.conv_blocks import (
    Attention,
    ChannelNorm,
    ConditionEmbedding,
    Conv,
    Linear,
    depth_to_space,
    pad_to_multiple,
    space_to_depth,
)

ROW_KERNEL = 5  # values of a kernel along a row; with 9, an ECG was further from the data in equal time (docs/log.md, 2026-11-30)


class UNetBlock(nn.Module):
    """Norm, convolution, condition, SiLU, convolution, added to the input. Dropout takes whole channels of an example."""

    def __init__(
        self, channels: int, condition_dim: int, dropout: float, kernel_size: int | tuple[int, int] = 3
    ) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.conv1 = Conv(channels, channels, kernel_size)
        self.modulation = Linear(condition_dim, channels)
        self.dropout = Dropout(dropout)
        self.conv2 = Conv(channels, channels, kernel_size, zero_init=True)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        hidden = self.conv1(self.norm(x)) + self.modulation(condition)[:, :, None, None].to(x.dtype)
        hidden = functional.silu(hidden)
        if self.training and self.dropout.p:
            # One number a channel: keyed noise for every value would cost a third of a step.
            hidden = hidden * self.dropout(hidden.new_ones(*hidden.shape[:2], 1, 1))
        residual: Tensor = self.conv2(hidden)
        return x + residual


class Stage(nn.Module):
    """Blocks of one size, with attention after each where asked."""

    def __init__(
        self,
        channels: int,
        depth: int,
        condition_dim: int,
        dropout: float,
        attention: bool,
        kernel_size: tuple[int, int],
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(UNetBlock(channels, condition_dim, dropout, kernel_size) for _ in range(depth))
        self.attention = nn.ModuleList(Attention(channels) for _ in range(depth if attention else 0))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for i, block in enumerate(self.blocks):
            x = block(x, condition)
            if len(self.attention):
                x = self.attention[i](x)
        return x


class UNet(nn.Module):
    """(B, in_channels, H, W) at noise levels (B,) of components (B,), with augmentations (B, num_augmentations) or none
    -> (B, out_channels, H, W), any H and W.

    Args:
        num_components: Number of mixture components that it can be conditioned on.
        num_augmentations: Number of augmentations that it can be told.
        channels: Channels at the largest size.
        channel_mults: Channels of each size, as multiples of `channels`; each next size is half of the one before.
        depth: Blocks per size and side.
        patch_size: Side of the stem's patches.
        is_row: Whether H is 1: patches, kernels and halvings are along W alone, and H stays 1.
        dropout: Share of hidden channels that is dropped in training.
        attention: Whether there is attention at the smallest size.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        num_components: int,
        num_augmentations: int = 0,
        channels: int,
        channel_mults: tuple[int, ...],
        depth: int,
        patch_size: int,
        dropout: float = 0.0,
        attention: bool = False,
        is_row: bool = False,
    ) -> None:
        super().__init__()
        halvings = len(channel_mults) - 1
        self.multiple = patch_size * 2**halvings
        self.patch = (1, patch_size) if is_row else (patch_size, patch_size)
        self.halving = (1, 2) if is_row else (2, 2)
        self.multiples = (1, self.multiple) if is_row else (self.multiple, self.multiple)
        kernel_size = (1, ROW_KERNEL) if is_row else (3, 3)
        patch_values, halved_values = math.prod(self.patch), math.prod(self.halving)
        widths = [channels * mult for mult in channel_mults]
        condition_dim = 4 * channels
        last = len(widths) - 1
        self.condition = ConditionEmbedding(condition_dim, num_components, num_augmentations)
        self.stem = Conv(in_channels * patch_values, channels, kernel_size)
        self.down = nn.ModuleList(
            Stage(w, depth, condition_dim, dropout, attention and i == last, kernel_size) for i, w in enumerate(widths)
        )
        self.up = nn.ModuleList(
            Stage(w, depth, condition_dim, dropout, attention=False, kernel_size=kernel_size) for w in widths[:-1]
        )
        self.downsample = nn.ModuleList(Conv(halved_values * fine, coarse, 1) for fine, coarse in pairwise(widths))
        self.upsample = nn.ModuleList(Conv(coarse, halved_values * fine, 1) for fine, coarse in pairwise(widths))
        self.norm = ChannelNorm(channels)
        self.out = Conv(channels, out_channels * patch_values, kernel_size, zero_init=True)

    def forward(self, x: Tensor, sigma: Tensor, component: Tensor, augmentations: Tensor | None = None) -> Tensor:
        height, width = x.shape[2:]
        condition = self.condition(sigma, component, augmentations).to(x.dtype)
        x = self.stem(space_to_depth(pad_to_multiple(x, self.multiples), self.patch))
        skips: list[Tensor] = []
        for i, stage in enumerate(self.down):
            if i:
                skips.append(x)
                x = self.downsample[i - 1](space_to_depth(x, self.halving))
            x = stage(x, condition)
        for i in reversed(range(len(self.up))):
            x = skips[i] + depth_to_space(self.upsample[i](x), self.halving)
            x = self.up[i](x, condition)
        x = depth_to_space(self.out(functional.silu(self.norm(x))), self.patch)
        return x[:, :, :height, :width].contiguous(memory_format=torch.contiguous_format)
