"""A U-Net for small grids: a space-to-depth stem, no work at full size, and plain 3 x 3 convolutions."""

from __future__ import annotations

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


class UNetBlock(nn.Module):
    """Norm, convolution, condition, SiLU, convolution, added to the input. Dropout takes whole channels of an example."""

    def __init__(self, channels: int, condition_dim: int, dropout: float) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.conv1 = Conv(channels, channels)
        self.modulation = Linear(condition_dim, channels)
        self.dropout = Dropout(dropout)
        self.conv2 = Conv(channels, channels, zero_init=True)

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

    def __init__(self, channels: int, depth: int, condition_dim: int, dropout: float, attention: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(UNetBlock(channels, condition_dim, dropout) for _ in range(depth))
        self.attention = nn.ModuleList(Attention(channels) for _ in range(depth if attention else 0))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for i, block in enumerate(self.blocks):
            x = block(x, condition)
            if len(self.attention):
                x = self.attention[i](x)
        return x


class UNet(nn.Module):
    """(B, in_channels, H, W) at noise levels (B,) of components (B,) -> (B, out_channels, H, W), any H and W.

    Args:
        num_components: Number of mixture components that it can be conditioned on.
        channels: Channels at the largest size.
        channel_mults: Channels of each size, as multiples of `channels`; each next size is half of the one before.
        depth: Blocks per size and side.
        patch_size: Side of the stem's patches.
        dropout: Share of hidden channels that is dropped in training.
        attention: Whether there is attention at the smallest size.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        num_components: int,
        channels: int,
        channel_mults: tuple[int, ...],
        depth: int,
        patch_size: int,
        dropout: float = 0.0,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.multiple = patch_size * 2 ** (len(channel_mults) - 1)
        widths = [channels * mult for mult in channel_mults]
        condition_dim = 4 * channels
        last = len(widths) - 1
        self.condition = ConditionEmbedding(condition_dim, num_components)
        self.stem = Conv(in_channels * patch_size**2, channels)
        self.down = nn.ModuleList(
            Stage(w, depth, condition_dim, dropout, attention and i == last) for i, w in enumerate(widths)
        )
        self.up = nn.ModuleList(Stage(w, depth, condition_dim, dropout, False) for w in widths[:-1])
        self.downsample = nn.ModuleList(Conv(4 * fine, coarse, 1) for fine, coarse in pairwise(widths))
        self.upsample = nn.ModuleList(Conv(coarse, 4 * fine, 1) for fine, coarse in pairwise(widths))
        self.norm = ChannelNorm(channels)
        self.out = Conv(channels, out_channels * patch_size**2, zero_init=True)

    def forward(self, x: Tensor, sigma: Tensor, component: Tensor) -> Tensor:
        height, width = x.shape[2:]
        condition = self.condition(sigma, component).to(x.dtype)
        x = self.stem(space_to_depth(pad_to_multiple(x, self.multiple), self.patch_size))
        skips: list[Tensor] = []
        for i, stage in enumerate(self.down):
            if i:
                skips.append(x)
                x = self.downsample[i - 1](space_to_depth(x, 2))
            x = stage(x, condition)
        for i in reversed(range(len(self.up))):
            x = skips[i] + depth_to_space(self.upsample[i](x), 2)
            x = self.up[i](x, condition)
        x = depth_to_space(self.out(functional.silu(self.norm(x))), self.patch_size)
        return x[:, :, :height, :width].contiguous(memory_format=torch.contiguous_format)
