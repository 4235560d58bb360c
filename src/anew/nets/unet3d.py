"""A U-Net for clips, factorised: convolutions within frames, convolutions over time at each place, and attention over
all frames and places at the smallest size. No length and no size is built in.

Legend for shapes: B examples, T frames, G groups of `frame_group` frames that share one position in time, C channels,
H rows, W columns.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from anew.nets.conv_blocks import (
    NUM_FREQUENCIES,
    Attention,
    ChannelNorm,
    Conv,
    Linear,
    depth_to_space,
    fourier_features,
    frequencies,
    space_to_depth,
)
from anew.nets.dit import apply_rope
from anew.nets.unet import UNetBlock


class FrameCondition(nn.Module):
    """(B, T) noise levels and (B,) components -> (B, G, dim), the condition of each group of frames."""

    frequencies: Tensor

    def __init__(self, dim: int, num_components: int, frame_group: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", frequencies(), persistent=False)
        self.frame_group = frame_group
        self.sigma = Linear(2 * NUM_FREQUENCIES * frame_group, dim)
        self.position = Linear(2 * NUM_FREQUENCIES, dim)
        self.component = nn.Parameter(torch.randn(num_components, dim))
        self.mix = Linear(dim, dim)

    def forward(self, sigma: Tensor, component: Tensor) -> Tensor:
        batch, frames = sigma.shape
        groups = frames // self.frame_group
        sigma_features = fourier_features(sigma.log(), self.frequencies).view(batch, groups, -1)
        positions = torch.arange(groups, device=sigma.device).to(sigma.dtype)
        hidden = self.sigma(sigma_features)  # (B, G, dim)
        hidden = hidden + self.position(fourier_features(positions, self.frequencies))
        hidden = hidden + self.component[component][:, None]
        return functional.silu(self.mix(functional.silu(hidden)))


class TemporalConv(nn.Module):
    """Norm, SiLU and a convolution over three neighbouring groups of frames at each place, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.weight = nn.Parameter(torch.zeros(channels, channels, 3, 1))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, groups: int) -> Tensor:
        """x: (B G, C, H, W)."""
        n, c, h, w = x.shape
        lines = functional.silu(self.norm(x)).permute(0, 2, 3, 1).reshape(n // groups, groups, h * w, c)
        weight = self.weight.to(x.dtype, memory_format=torch.channels_last)
        lines = lines.permute(0, 3, 1, 2)  # (B, C, G, H W), still in the order of channels_last: no copy
        lines = functional.conv2d(lines, weight, self.bias.to(x.dtype), padding=(1, 0))
        return x + lines.permute(0, 2, 3, 1).reshape(n, h, w, c).permute(0, 3, 1, 2)


class SpaceTimeAttention(Attention):
    """Self-attention over all places of all frames, added to the input; rotary positions in time, rows and columns."""

    def with_positions(self, query: Tensor, key: Tensor, dims: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
        cos, sin = rope_3d(dims, query.shape[-1], query.device)
        return apply_rope(query, cos, sin), apply_rope(key, cos, sin)


def rope_3d(dims: tuple[int, int, int], head_dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(G H W, head_dim // 2) cosines and sines: a third of the angles counts each axis, time taking what is over."""
    half = head_dim // 2
    shares = (half - 2 * (half // 3), half // 3, half // 3)
    grids = torch.meshgrid(*(torch.arange(dim, device=device) for dim in dims), indexing="ij")
    angles = []
    for grid, share in zip(grids, shares, strict=True):
        rates = 100.0 ** (-torch.arange(share, device=device) / max(share, 1))
        angles.append(grid.reshape(-1, 1) * rates)
    angle = torch.cat(angles, 1)
    return angle.cos(), angle.sin()


class SpaceTimeStage(nn.Module):
    """Blocks of one size; each is a block within frames and one over time, and attention where asked."""

    def __init__(self, channels: int, depth: int, condition_dim: int, dropout: float, attention: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(UNetBlock(channels, condition_dim, dropout) for _ in range(depth))
        self.temporal = nn.ModuleList(TemporalConv(channels) for _ in range(depth))
        self.attention = nn.ModuleList(SpaceTimeAttention(channels) for _ in range(depth if attention else 0))

    def forward(self, x: Tensor, condition: Tensor, groups: int) -> Tensor:
        for i, (block, temporal) in enumerate(zip(self.blocks, self.temporal, strict=True)):
            x = temporal(block(x, condition), groups)
            if len(self.attention):
                x = self.attention[i](x, groups)
        return x


class UNet3d(nn.Module):
    """(B, in_channels, T, H, W) at noise levels (B, T) of components (B,) -> (B, out_channels, T, H, W), any T, H and W.

    Arguments as for `UNet`, and:

    Args:
        frame_group: Frames that share a position in time.
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
        frame_group: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.patch_size, self.frame_group = patch_size, frame_group
        self.multiple = patch_size * 2 ** (len(channel_mults) - 1)
        widths = [channels * mult for mult in channel_mults]
        condition_dim = 4 * channels
        last = len(widths) - 1
        self.condition = FrameCondition(condition_dim, num_components, frame_group)
        self.stem = Conv(in_channels * frame_group * patch_size**2, channels)
        self.down = nn.ModuleList(
            SpaceTimeStage(w, depth, condition_dim, dropout, i == last) for i, w in enumerate(widths)
        )
        self.up = nn.ModuleList(SpaceTimeStage(w, depth, condition_dim, dropout, attention=False) for w in widths[:-1])
        self.downsample = nn.ModuleList(Conv(4 * fine, coarse, 1) for fine, coarse in pairwise(widths))
        self.upsample = nn.ModuleList(Conv(coarse, 4 * fine, 1) for fine, coarse in pairwise(widths))
        self.norm = ChannelNorm(channels)
        self.out = Conv(channels, out_channels * frame_group * patch_size**2, zero_init=True)

    def forward(self, x: Tensor, sigma: Tensor, component: Tensor) -> Tensor:
        frames, height, width = x.shape[2:]
        pad_frames, pad_rows, pad_columns = -frames % self.frame_group, -height % self.multiple, -width % self.multiple
        if pad_frames or pad_rows or pad_columns:
            x = functional.pad(x, (0, pad_columns, 0, pad_rows, 0, pad_frames))
            sigma = functional.pad(sigma, (0, pad_frames), value=1.0)
        batch, _, padded_frames, padded_height, padded_width = x.shape
        groups = padded_frames // self.frame_group
        condition = self.condition(sigma, component).flatten(0, 1).to(x.dtype)  # (B G, dim)
        # The frames of a group lie in channels.
        x = x.transpose(1, 2).reshape(batch * groups, -1, padded_height, padded_width)
        x = self._run_stages(self.stem(space_to_depth(x, self.patch_size)), condition, groups)
        x = depth_to_space(self.out(functional.silu(self.norm(x))), self.patch_size)
        x = x.reshape(batch, padded_frames, -1, padded_height, padded_width)[:, :frames, :, :height, :width]
        return x.transpose(1, 2).contiguous(memory_format=torch.contiguous_format)

    def _run_stages(self, x: Tensor, condition: Tensor, groups: int) -> Tensor:
        skips: list[Tensor] = []
        for i, stage in enumerate(self.down):
            if i:
                skips.append(x)
                x = self.downsample[i - 1](space_to_depth(x, 2))
            x = stage(x, condition, groups)
        for i in reversed(range(len(self.up))):
            x = skips[i] + depth_to_space(self.upsample[i](x), 2)
            x = self.up[i](x, condition, groups)
        return x
