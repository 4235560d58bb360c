"""A U-Net for small grids: a space-to-depth stem, no work at full size, and plain 3 x 3 convolutions."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from anew.core.random import Dropout
from anew.nets.conv_blocks import Attention, ChannelNorm, Condition, Conv, Linear, to_depth, to_space


class Block(nn.Module):
    """Norm, convolution, condition, SiLU, convolution, added to the input. Dropout takes whole channels of an example."""

    def __init__(self, width: int, condition: int, dropout: float) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.first = Conv(width, width)
        self.told = Linear(condition, width)
        self.dropout = Dropout(dropout)
        self.second = Conv(width, width, zero=True)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        hidden = self.first(self.norm(x)) + self.told(condition)[:, :, None, None].to(x.dtype)
        hidden = functional.silu(hidden)
        if (
            self.training and self.dropout.p
        ):  # a number a channel: keyed noise for every value would cost a third of a step
            hidden = hidden * self.dropout(hidden.new_ones(*hidden.shape[:2], 1, 1))
        change: Tensor = self.second(hidden)
        return x + change


class Stage(nn.Module):
    """Blocks of one size, with attention after each where asked."""

    def __init__(self, width: int, depth: int, condition: int, dropout: float, attention: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, condition, dropout) for _ in range(depth))
        self.attention = nn.ModuleList(Attention(width) for _ in range(depth if attention else 0))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for place, block in enumerate(self.blocks):
            x = block(x, condition)
            if len(self.attention):
                x = self.attention[place](x)
        return x


class UNet(nn.Module):
    """(B, into, H, W) at noise level (B,) of component (B,) -> (B, out, H, W), any H and W.

    patch: size of the stem's patches; mults: width of each size, as multiples of `width`; depth: blocks a size
    and side.
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
        dropout: float = 0.0,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.patch, self.multiple = patch, patch * 2 ** (len(mults) - 1)
        widths, told = [width * m for m in mults], 4 * width
        self.condition = Condition(told, kinds)
        self.stem = Conv(into * patch**2, width)
        last = len(widths) - 1
        self.down = nn.ModuleList(Stage(w, depth, told, dropout, attention and i == last) for i, w in enumerate(widths))
        self.up = nn.ModuleList(Stage(w, depth, told, dropout, False) for w in widths[:-1])
        pairs = list(pairwise(widths))
        self.shrink = nn.ModuleList(Conv(4 * small, large, 1) for small, large in pairs)
        self.grow = nn.ModuleList(Conv(large, 4 * small, 1) for small, large in pairs)
        self.norm = ChannelNorm(width)
        self.out = Conv(width, out * patch**2, zero=True)

    def forward(self, x: Tensor, level: Tensor, kind: Tensor) -> Tensor:
        height, breadth = x.shape[2:]
        pad = (-breadth % self.multiple, -height % self.multiple)
        x = functional.pad(x, (0, pad[0], 0, pad[1])) if any(pad) else x
        condition = self.condition(level, kind).to(x.dtype)
        x = self.stem(to_depth(x, self.patch))
        kept: list[Tensor] = []
        for place, stage in enumerate(self.down):
            if place:
                kept.append(x)
                x = self.shrink[place - 1](to_depth(x, 2))
            x = stage(x, condition)
        for place in reversed(range(len(self.up))):
            x = kept[place] + to_space(self.grow[place](x), 2)
            x = self.up[place](x, condition)
        x = to_space(self.out(functional.silu(self.norm(x))), self.patch)
        return x[:, :, :height, :breadth].contiguous(memory_format=torch.contiguous_format)
