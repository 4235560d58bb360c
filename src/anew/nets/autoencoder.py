"""Networks of a variational autoencoder with two scales of latents: items -> bottom grid and top vector, and back.

The chain is top vector z2 -> bottom grid z1 -> item x: x is decoded from the bottom alone, and the top says how the
bottom is distributed. Convolutions work as in `anew.nets.conv_blocks`: none at full size, bf16 where that is fast.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from anew.functional.likelihood import LogisticMixture
from anew.nets.conv_blocks import ChannelNorm, Condition, Conv, Linear, to_depth, to_space

SMALL = 4  # side that a grid is halved to before it becomes a vector


class Block(nn.Module):
    """Norm, convolution, SiLU, convolution, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.first = Conv(width, width)
        self.second = Conv(width, width, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.second(functional.silu(self.first(self.norm(x))))
        return x + change


def _blocks(width: int, depth: int) -> nn.ModuleList:
    return nn.ModuleList(Block(width) for _ in range(depth))


def _run(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    for block in blocks:
        x = block(x)
    return x


def padded(x: Tensor, multiple: int) -> Tensor:
    """(B, C, H, W) with its last row and column repeated until both sides divide by `multiple`."""
    height, breadth = x.shape[2:]
    pad = (0, -breadth % multiple, 0, -height % multiple)
    return functional.pad(x, pad, "replicate") if any(pad) else x


def split(x: Tensor) -> tuple[Tensor, Tensor]:
    """Means and log scales, fp32, from the two halves of a network's channels; log scales stay within e^-6 to e^3."""
    mean, log_scale = x.float().chunk(2, 1)
    # Smooth bounds: a hard clamp would have no gradient to come back by.
    return mean, 4.5 * torch.tanh(log_scale / 4.5) - 1.5


class Encoder(nn.Module):
    """(B, into, H, W) -> features (B, widths[-1], h, w), h = ceil(H / (patch 2^(sizes - 1)))."""

    def __init__(self, into: int, widths: tuple[int, ...], depth: int, patch: int) -> None:
        super().__init__()
        self.patch, self.multiple = patch, patch * 2 ** (len(widths) - 1)
        self.stem = Conv(into * patch**2, widths[0])
        self.stages = nn.ModuleList(_blocks(width, depth) for width in widths)
        self.shrink = nn.ModuleList(Conv(4 * fine, coarse, 1) for fine, coarse in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(to_depth(padded(x, self.multiple), self.patch))
        for place, stage in enumerate(self.stages):
            if place:
                x = self.shrink[place - 1](to_depth(x, 2))
            x = _run(stage, x)  # type: ignore[arg-type]
        return x


class Decoder(nn.Module):
    """(B, into, h, w) -> (B, out, H, W) of the given size."""

    def __init__(self, into: int, out: int, widths: tuple[int, ...], depth: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.stem = Conv(into, widths[-1])
        self.stages = nn.ModuleList(_blocks(width, depth) for width in reversed(widths))
        self.grow = nn.ModuleList(Conv(coarse, 4 * fine, 1) for coarse, fine in pairwise(reversed(widths)))
        self.norm = ChannelNorm(widths[0])
        self.out = Conv(widths[0], out * patch**2)
        self.out.weight.data.mul_(0.1)  # distributions start alike, and only nearly so

    def forward(self, z: Tensor, height: int, breadth: int) -> Tensor:
        x = self.stem(z)
        for place, stage in enumerate(self.stages):
            if place:
                x = to_space(self.grow[place - 1](x), 2)
            x = _run(stage, x)  # type: ignore[arg-type]
        x = to_space(self.out(functional.silu(self.norm(x))), self.patch)
        return x[:, :, :height, :breadth].contiguous(memory_format=torch.contiguous_format)


def _halvings(sides: tuple[int, int]) -> list[tuple[int, int]]:
    """The sides of a grid as it is halved down to `SMALL`, itself first."""
    found = [sides]
    while max(found[-1]) > SMALL:
        found.append((-(-found[-1][0] // 2), -(-found[-1][1] // 2)))
    return found


class Summary(nn.Module):
    """Features (B, width, h, w) -> (B, out), the grid halved until it is small."""

    def __init__(self, width: int, sides: tuple[int, int], out: int) -> None:
        super().__init__()
        sizes = _halvings(sides)
        self.shrink = nn.ModuleList(Conv(4 * width, width, 1) for _ in sizes[1:])
        self.blocks = _blocks(width, len(sizes) - 1)
        self.norm = ChannelNorm(width)
        self.out = Linear(width * sizes[-1][0] * sizes[-1][1], out)

    def forward(self, x: Tensor) -> Tensor:
        for shrink, block in zip(self.shrink, self.blocks, strict=True):
            x = block(shrink(to_depth(padded(x, 2), 2)))
        found: Tensor = self.out(functional.silu(self.norm(x)).flatten(1))
        return found


class Unfolding(nn.Module):
    """A vector (B, into) -> (B, out, h, w), through the same sizes as `Summary`."""

    def __init__(self, into: int, width: int, sides: tuple[int, int], out: int, depth: int) -> None:
        super().__init__()
        self.sizes = _halvings(sides)[::-1]
        self.width = width
        self.first = Linear(into, width * self.sizes[0][0] * self.sizes[0][1])
        self.grow = nn.ModuleList(Conv(width, 4 * width, 1) for _ in self.sizes[1:])
        self.stages = nn.ModuleList(_blocks(width, depth) for _ in self.sizes)
        self.norm = ChannelNorm(width)
        self.out = Conv(width, out)

    def forward(self, z: Tensor) -> Tensor:
        x = self.first(z).view(len(z), self.width, *self.sizes[0]).contiguous(memory_format=torch.channels_last)
        for place, stage in enumerate(self.stages):
            if place:
                height, breadth = self.sizes[place]
                x = to_space(self.grow[place - 1](x), 2)[:, :, :height, :breadth]
            x = _run(stage, x)  # type: ignore[arg-type]
        found: Tensor = self.out(functional.silu(self.norm(x)))
        return found


class Autoencoder(nn.Module):
    """All networks of the chain for items of `shape` (C, H, W); `kind` is the type that is computed in.

    channels: of z1 (B, c, h, w); top: numbers in z2 (B, K); logistics: components of the mixture of each pixel.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        widths: tuple[int, ...],
        depth: int,
        patch: int,
        channels: int,
        top: int,
        logistics: int,
    ) -> None:
        super().__init__()
        self.shape, self.logistics = shape, logistics
        multiple = patch * 2 ** (len(widths) - 1)
        self.sides = -(-shape[1] // multiple), -(-shape[2] // multiple)
        self.encoder = Encoder(shape[0], widths, depth, patch)
        self.norm = ChannelNorm(widths[-1])
        self.bottom = Conv(widths[-1], 2 * channels)
        self.summary = Summary(widths[-1], self.sides, 2 * top)
        self.unfolding = Unfolding(top, widths[-1], self.sides, 2 * channels, depth)
        self.decoder = Decoder(channels, LogisticMixture.num_parameters(logistics, shape[0]), widths, depth, patch)

    def infer(self, x: Tensor, kind: torch.dtype) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Means and log scales of z1 and of z2, given x (B, C, H, W)."""
        features = self.encoder(x.to(kind))
        return split(self.bottom(functional.silu(self.norm(features)))), split(self.summary(features))

    def below(self, top: Tensor, kind: torch.dtype) -> tuple[Tensor, Tensor]:
        """Mean and log scale of z1 given z2."""
        return split(self.unfolding(top.to(kind)))

    def pixels(self, bottom: Tensor, kind: torch.dtype) -> LogisticMixture:
        """The distribution of x given z1."""
        z = bottom.to(kind, memory_format=torch.channels_last)
        return LogisticMixture.from_network(self.decoder(z, *self.shape[1:]), self.logistics, self.shape[0])


class VectorDenoiser(nn.Module):
    """Noisy vectors (B, size) at levels (B,) of kinds (B,) -> corrections (B, size): gated residual layers."""

    def __init__(self, size: int, kinds: int, width: int, depth: int) -> None:
        super().__init__()
        self.condition = Condition(width, kinds)
        self.into = Linear(size, width)
        self.told = nn.ModuleList(Linear(width, width) for _ in range(depth))
        self.up = nn.ModuleList(Linear(width, 2 * width) for _ in range(depth))
        self.down = nn.ModuleList(Linear(2 * width, width, zero=True) for _ in range(depth))
        self.out = Linear(width, size, zero=True)

    def forward(self, y: Tensor, level: Tensor, kind: Tensor) -> Tensor:
        condition = self.condition(level, kind).to(y.dtype)
        x = self.into(y)
        for told, up, down in zip(self.told, self.up, self.down, strict=True):
            x = x + down(functional.silu(up(functional.layer_norm(x, x.shape[-1:]) + told(condition))))
        found: Tensor = self.out(functional.layer_norm(x, x.shape[-1:]))
        return found
