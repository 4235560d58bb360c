"""A U-Net for clips, factorised: convolutions within frames, convolutions over time at each place, and attention over
all frames and places at the smallest size. No length and no size is built in.

Legend for shapes: B examples, T frames, G groups of `group` frames that share one position in time, C channels.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from anew.nets.conv_blocks import ChannelNorm, Conv, Linear, to_depth, to_space
from anew.nets.dit import rotate
from anew.nets.unet import Block

HEAD = 32  # channels of an attention head


class FrameCondition(nn.Module):
    """(B, T) noise levels and (B,) components -> (B, G, width): what the blocks are told of each group of frames."""

    frequencies: Tensor

    def __init__(self, width: int, kinds: int, group: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.exp(torch.linspace(0.0, math.log(64.0), 16)) * 0.25, persistent=False)
        self.group = group
        self.level = Linear(32 * group, width)
        self.place = Linear(32, width)
        self.kind = nn.Parameter(torch.randn(kinds, width))
        self.mix = Linear(width, width)

    def forward(self, level: Tensor, kind: Tensor) -> Tensor:
        batch, frames = level.shape
        told = self.level(self._wave(level.log()).view(batch, frames // self.group, -1))
        places = torch.arange(frames // self.group, device=level.device)
        told = told + self.place(self._wave(places.to(level.dtype))) + self.kind[kind][:, None]
        return functional.silu(self.mix(functional.silu(told)))

    def _wave(self, x: Tensor) -> Tensor:
        """(...) -> (..., 32)."""
        angle = x[..., None] * self.frequencies
        return torch.cat([angle.cos(), angle.sin()], -1) * math.sqrt(2)


class OverTime(nn.Module):
    """Norm, SiLU and a convolution over three neighbouring groups of frames at each place, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.weight = nn.Parameter(torch.zeros(width, width, 3, 1))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, groups: int) -> Tensor:
        n, c, h, w = x.shape
        line = functional.silu(self.norm(x)).permute(0, 2, 3, 1).reshape(n // groups, groups, h * w, c)
        weight = self.weight.to(x.dtype, memory_format=torch.channels_last)
        line = line.permute(0, 3, 1, 2)  # (B, C, G, H W), still in the order of channels_last: no copy
        line = functional.conv2d(line, weight, self.bias.to(x.dtype), padding=(1, 0))
        return x + line.permute(0, 2, 3, 1).reshape(n, h, w, c).permute(0, 3, 1, 2)


class Everywhere(nn.Module):
    """Self-attention over all places of all frames, added to the input; rotary positions in time, rows and columns."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // HEAD)
        self.norm = ChannelNorm(width)
        self.into = Linear(width, 3 * width, bias=False)
        self.out = Linear(width, width, zero=True)

    def forward(self, x: Tensor, groups: int) -> Tensor:
        n, c, h, w = x.shape
        flat = self.norm(x).permute(0, 2, 3, 1).reshape(n // groups, groups * h * w, c)
        parts = self.into(flat).reshape(*flat.shape[:2], 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)  # (B, heads, G H W, size)
        turn = turns((groups, h, w), c // self.heads, x.device)
        query, key = (rotate(functional.layer_norm(t, t.shape[-1:]), *turn) for t in (query, key))
        heads = functional.scaled_dot_product_attention(query, key, value)
        mixed: Tensor = self.out(heads.transpose(1, 2).reshape(flat.shape))
        return x + mixed.reshape(n, h, w, c).permute(0, 3, 1, 2)


def turns(extents: tuple[int, int, int], size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(G H W, size / 2) cosines and sines: a third of the angles counts each axis."""
    half = size // 2
    shares = (half - 2 * (half // 3), half // 3, half // 3)
    grids = torch.meshgrid(*(torch.arange(e, device=device) for e in extents), indexing="ij")
    parts = []
    for grid, share in zip(grids, shares, strict=True):
        pace = 100.0 ** (-torch.arange(share, device=device) / max(share, 1))
        parts.append(grid.reshape(-1, 1) * pace)
    angle = torch.cat(parts, 1)
    return angle.cos(), angle.sin()


class Stage(nn.Module):
    """Blocks of one size; each is a block within frames and one over time, and attention where asked."""

    def __init__(self, width: int, depth: int, condition: int, dropout: float, attention: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, condition, dropout) for _ in range(depth))
        self.times = nn.ModuleList(OverTime(width) for _ in range(depth))
        self.attention = nn.ModuleList(Everywhere(width) for _ in range(depth if attention else 0))

    def forward(self, x: Tensor, condition: Tensor, groups: int) -> Tensor:
        for place, (block, time) in enumerate(zip(self.blocks, self.times, strict=True)):
            x = time(block(x, condition), groups)
            if len(self.attention):
                x = self.attention[place](x, groups)
        return x


class SpaceTime(nn.Module):
    """(B, into, T, H, W) at noise levels (B, T) of component (B,) -> (B, out, T, H, W), any T, H and W.

    patch: side of the stem's patches; group: frames that share a position in time; mults: width of each size, as
    multiples of `width`; depth: blocks a size and side.
    """

    def __init__(
        self,
        into: int,
        out: int,
        *,
        kinds: int,
        width: int,
        mults: tuple[int, ...],
        depth: int,
        patch: int,
        group: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.patch, self.group, self.multiple = patch, group, patch * 2 ** (len(mults) - 1)
        widths, told = [width * m for m in mults], 4 * width
        self.condition = FrameCondition(told, kinds, group)
        self.stem = Conv(into * group * patch**2, width)
        last = len(widths) - 1
        self.down = nn.ModuleList(Stage(w, depth, told, dropout, i == last) for i, w in enumerate(widths))
        self.up = nn.ModuleList(Stage(w, depth, told, dropout, False) for w in widths[:-1])
        pairs = list(pairwise(widths))
        self.shrink = nn.ModuleList(Conv(4 * small, large, 1) for small, large in pairs)
        self.grow = nn.ModuleList(Conv(large, 4 * small, 1) for small, large in pairs)
        self.norm = ChannelNorm(width)
        self.out = Conv(width, out * group * patch**2, zero=True)

    def forward(self, x: Tensor, level: Tensor, kind: Tensor) -> Tensor:
        frames, height, breadth = x.shape[2:]
        pad = (-breadth % self.multiple, -height % self.multiple, -frames % self.group)
        if any(pad):
            x = functional.pad(x, (0, pad[0], 0, pad[1], 0, pad[2]))
            level = functional.pad(level, (0, pad[2]), value=1.0)
        batch, _, long, high, broad = x.shape
        groups = long // self.group
        condition = self.condition(level, kind).flatten(0, 1).to(x.dtype)  # (B G, told)
        x = x.transpose(1, 2).reshape(batch * groups, -1, high, broad)  # frames of a group lie in channels
        x = self._through(self.stem(to_depth(x, self.patch)), condition, groups)
        x = to_space(self.out(functional.silu(self.norm(x))), self.patch)
        x = x.reshape(batch, long, -1, high, broad)[:, :frames, :, :height, :breadth]
        return x.transpose(1, 2).contiguous(memory_format=torch.contiguous_format)

    def _through(self, x: Tensor, condition: Tensor, groups: int) -> Tensor:
        kept: list[Tensor] = []
        for place, stage in enumerate(self.down):
            if place:
                kept.append(x)
                x = self.shrink[place - 1](to_depth(x, 2))
            x = stage(x, condition, groups)
        for place in reversed(range(len(self.up))):
            x = kept[place] + to_space(self.grow[place](x), 2)
            x = self.up[place](x, condition, groups)
        return x
