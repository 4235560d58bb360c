"""Residual networks without normalisation layers, for a generator and a discriminator (R3GAN, arXiv 2501.05441).

What keeps the signal in range is how blocks start: the last convolution of each at zero, the first scaled by the depth
(Fixup, arXiv 1901.09321). Sizes change outside of the blocks, by interpolation or averages, so that no pattern of the
sampling shows. Everything runs in the dtype that is asked for; logits are fp32.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from anew.nets.conv_blocks import Conv, Linear, to_depth, to_space

SLOPE = 0.2
START = 0.1  # of unit size: what an untrained generator adds to a sketch
ROOM = 0.1  # beyond the bounds, in which values may still be pushed outwards
GAIN = math.sqrt(2.0 / (1.0 + SLOPE**2))  # what keeps the size of normal numbers through the activation


def _active(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, SLOPE)


class _Bounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(-1.0, 1.0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        outwards = ((x > 1.0 + ROOM) & (grads[0] < 0)) | ((x < -1.0 - ROOM) & (grads[0] > 0))
        return grads[0].masked_fill(outwards, 0.0)


def bounded(x: Tensor) -> Tensor:
    """x cut to [-1, 1]. What lies far outside feels the pull inwards alone, so that it can come back and cannot drift off: a
    generator that must reach the bounds exactly, as a white background does, has nothing to learn there. Within a margin the
    pull outwards is felt too, so that such a background settles where small errors do not show."""
    return cast(Tensor, _Bounded.apply(x))  # type: ignore[no-untyped-call]


class Block(nn.Module):
    """Activation and convolution, twice, added to the input. blocks: how many the network has in all."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.first = Conv(width, width)
        self.second = Conv(width, width, zero=True)
        with torch.no_grad():
            self.first.weight.mul_(GAIN * blocks**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.second(_active(self.first(_active(x))))
        return x + change


def _stages(widths: tuple[int, ...], depth: int) -> nn.ModuleList:
    blocks = len(widths) * depth
    return nn.ModuleList(nn.Sequential(*(Block(width, blocks) for _ in range(depth))) for width in widths)


def sides(shape: tuple[int, ...], patch: int, sizes: int) -> tuple[int, int]:
    """Rows and columns of the smallest of `sizes` sizes, each half of the one before, rounded up."""
    multiple = patch * 2 ** (sizes - 1)
    return -(-shape[1] // multiple), -(-shape[2] // multiple)


def _padded(x: Tensor, multiple: int) -> Tensor:
    """With zeros below and to the right, so that both sides are multiples."""
    pad = (-x.shape[3] % multiple, -x.shape[2] % multiple)
    return functional.pad(x, (0, pad[0], 0, pad[1])) if any(pad) else x


class Generator(nn.Module):
    """(B, N) numbers, (B, kinds) weights of the kinds and a sketch (B, *shape) -> (B, *shape), any shape (C, H, W).

    The sketch is seen at each size, and what comes out is added to it. widths: channels of each size, the largest size
    first; patch: side of the patches that its last layer writes.
    """

    def __init__(
        self, numbers: int, kinds: int, shape: tuple[int, ...], widths: tuple[int, ...], depth: int, patch: int
    ) -> None:
        super().__init__()
        self.shape, self.patch, self.small = shape, patch, sides(shape, patch, len(widths))
        self.kinds = nn.Parameter(torch.randn(kinds, numbers))
        self.start = Linear(2 * numbers, widths[-1] * math.prod(self.small))
        self.seen = nn.ModuleList(Conv(shape[0] * patch**2, width, 1) for width in widths)
        self.stages = _stages(widths, depth)
        self.grow = nn.ModuleList(Conv(large, small, 1) for small, large in pairwise(widths))
        self.out = Conv(widths[0], shape[0] * patch**2)
        with torch.no_grad():
            self.out.weight.mul_(START * GAIN)

    def forward(self, z: Tensor, weights: Tensor, sketch: Tensor, kind: torch.dtype) -> Tensor:
        views = self._views(sketch.to(kind))
        z = torch.cat([z, weights @ self.kinds], 1)
        x = self.start(z.to(kind)).view(len(z), *self.small, -1).permute(0, 3, 1, 2)  # channels_last
        x = self.stages[-1](x + self.seen[-1](views[-1]))
        for place in reversed(range(len(self.grow))):
            x = functional.interpolate(self.grow[place](x), scale_factor=2, mode="nearest")
            x = self.stages[place](x + self.seen[place](views[place]))
        x = to_space(self.out(_active(x)), self.patch)
        return sketch + x[:, :, : self.shape[1], : self.shape[2]].float().contiguous()

    def _views(self, sketch: Tensor) -> list[Tensor]:
        """The sketch in patches at each size, the largest first."""
        views = [to_depth(_padded(sketch, self.patch * 2 ** len(self.grow)), self.patch)]
        for _ in self.grow:
            views.append(functional.avg_pool2d(views[-1], 2))
        return views


class Discriminator(nn.Module):
    """(B, *shape) and (B,) labels -> (B,) logits: how real each item looks, as an item of its class (projection, arXiv
    1802.05637). widths: channels of each size, the largest size first; patch: side of the patches its stem reads."""

    def __init__(self, classes: int, shape: tuple[int, ...], widths: tuple[int, ...], depth: int, patch: int) -> None:
        super().__init__()
        self.patch, self.multiple = patch, patch * 2 ** (len(widths) - 1)
        small, last = sides(shape, patch, len(widths)), widths[-1]
        self.stem = Conv(shape[0] * patch**2, widths[0])
        self.stages = _stages(widths, depth)
        self.shrink = nn.ModuleList(Conv(small, large, 1) for small, large in pairwise(widths))
        # A learned weight for each channel and place, twice, instead of a pooled mean.
        self.basis = nn.Parameter(torch.randn(2, last, *small) / math.sqrt(math.prod(small)))
        self.head = Linear(2 * last, 1)
        self.classes = nn.Parameter(torch.randn(classes, 2 * last) / math.sqrt(2 * last)) if classes else None

    def forward(self, x: Tensor, label: Tensor | None, kind: torch.dtype) -> Tensor:
        x = self.stem(to_depth(_padded(x, self.multiple).to(kind), self.patch))
        for place, stage in enumerate(self.stages):
            if place:
                x = self.shrink[place - 1](functional.avg_pool2d(x, 2))
            x = stage(x)
        features = torch.einsum("bchw,kchw->bkc", _active(x).float(), self.basis).flatten(1)  # (B, 2C)
        logits: Tensor = self.head(features).squeeze(1)
        if self.classes is not None and label is not None:
            logits = logits + (features * self.classes[label]).sum(1)
        return logits
