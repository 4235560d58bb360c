"""Convolution blocks that the image networks share. Everything runs in the dtype of its input.

Weights stay fp32 and are cast where they are used: a bf16 convolution on a CPU with matrix units is 5 to 8 times the
fp32 one. Activations are channels_last. Norms are over channels, because bf16 GroupNorm is ten times slower there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class Conv(nn.Module):
    """A same-size convolution whose fp32 weights are cast to the input's dtype. zero: start at the zero map."""

    def __init__(self, into: int, out: int, kernel: int = 3, *, zero: bool = False) -> None:
        super().__init__()
        self.padding = kernel // 2
        bound = 0.0 if zero else 1 / math.sqrt(into * kernel**2)
        self.weight = nn.Parameter(torch.empty(out, into, kernel, kernel).normal_() * bound)
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.to(x.dtype, memory_format=torch.channels_last)
        return functional.conv2d(x, weight, self.bias.to(x.dtype), padding=self.padding)


class Linear(nn.Module):
    """A linear map whose fp32 weights are cast to the input's dtype. zero: start at the zero map."""

    def __init__(self, into: int, out: int, *, bias: bool = True, zero: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, into).normal_() * (0.0 if zero else 1 / math.sqrt(into)))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of (B, C, H, W), with a learned gain and bias."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        last = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        gain, bias = self.gain.to(x.dtype), self.bias.to(x.dtype)
        return functional.layer_norm(last, last.shape[-1:], gain, bias, 1e-5).permute(0, 3, 1, 2)


def to_depth(x: Tensor, size: int) -> Tensor:
    """(B, C, H, W) -> (B, size * size * C, H / size, W / size), channels_last: each patch becomes one position."""
    if size == 1:
        return x.contiguous(memory_format=torch.channels_last)
    b, c, h, w = x.shape
    x = x.permute(0, 2, 3, 1).reshape(b, h // size, size, w // size, size, c).transpose(2, 3)
    return x.reshape(b, h // size, w // size, size * size * c).permute(0, 3, 1, 2)


def to_space(x: Tensor, size: int) -> Tensor:
    """The inverse of `to_depth`."""
    if size == 1:
        return x
    b, c, h, w = x.shape
    x = x.permute(0, 2, 3, 1).reshape(b, h, w, size, size, c // size**2).transpose(2, 3)
    return x.reshape(b, h * size, w * size, c // size**2).permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Self-attention over all positions of (B, C, H, W), queries and keys normalised, added to its input."""

    def __init__(self, width: int, head: int = 32) -> None:
        super().__init__()
        self.heads = max(1, width // head)
        self.norm = ChannelNorm(width)
        self.into = Linear(width, 3 * width, bias=False)
        self.out = Linear(width, width, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        flat = self.norm(x).permute(0, 2, 3, 1).reshape(b, h * w, c)
        parts = self.into(flat).reshape(b, h * w, 3, self.heads, c // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)  # (B, heads, HW, C / heads)
        query, key = (functional.layer_norm(t, t.shape[-1:]) for t in (query, key))
        heads = functional.scaled_dot_product_attention(query, key, value)
        mixed: Tensor = self.out(heads.transpose(1, 2).reshape(b, h * w, c))
        return x + mixed.reshape(b, h, w, c).permute(0, 3, 1, 2)


class Condition(nn.Module):
    """(B,) noise level and (B,) component -> (B, width): what every block is told.

    kinds: number of components (the caller keeps one of them for "any").
    """

    frequencies: Tensor

    def __init__(self, width: int, kinds: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.exp(torch.linspace(0.0, math.log(64.0), 16)) * 0.25, persistent=False)
        self.level = Linear(32, width)
        self.kind = nn.Parameter(torch.randn(kinds, width))
        self.mix = Linear(width, width)

    def forward(self, level: Tensor, kind: Tensor) -> Tensor:
        angle = level.log()[:, None] * self.frequencies  # (B, 16)
        wave = torch.cat([angle.cos(), angle.sin()], 1) * math.sqrt(2)
        return functional.silu(self.mix(functional.silu(self.level(wave) + self.kind[kind])))
