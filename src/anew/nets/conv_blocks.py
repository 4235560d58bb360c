"""Convolution blocks that the image networks share. Everything runs in the dtype of its input.

Weights stay fp32 and are cast where they are used: a bf16 convolution on a CPU with matrix units is 5 to 8 times the
fp32 one. Activations are channels_last. Norms are over channels, because bf16 GroupNorm is ten times slower there.

Legend for shapes: B examples, C channels, H rows, W columns.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

HEAD_DIM = 32  # channels of an attention head: half of DiT's, since these networks are narrow; chosen
# Number of waves that embed a noise level: few suffice, since one smooth function of it is learned; chosen.
NUM_FREQUENCIES = 16


class Conv(nn.Module):
    """A convolution that keeps the size, whose fp32 weights are cast to the input's dtype.

    Args:
        kernel_size: Side of the kernel, or its rows and columns; odd.
        zero_init: Start at the zero map.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 3,
        *,
        zero_init: bool = False,
    ) -> None:
        super().__init__()
        rows, columns = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        self.padding = (rows // 2, columns // 2)
        std = 0.0 if zero_init else 1 / math.sqrt(in_channels * rows * columns)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, rows, columns).normal_() * std)
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.to(x.dtype, memory_format=torch.channels_last)
        return functional.conv2d(x, weight, self.bias.to(x.dtype), padding=self.padding)


class Linear(nn.Module):
    """A linear map whose fp32 weights are cast to the input's dtype.

    Args:
        zero_init: Start at the zero map.
    """

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True, zero_init: bool = False) -> None:
        super().__init__()
        std = 0.0 if zero_init else 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features).normal_() * std)
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of (B, C, H, W), with a learned gain and bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        channels_last = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        gain, bias = self.gain.to(x.dtype), self.bias.to(x.dtype)
        normed = functional.layer_norm(channels_last, channels_last.shape[-1:], gain, bias, 1e-5)
        return normed.permute(0, 3, 1, 2)


def space_to_depth(x: Tensor, patch_size: int | tuple[int, int]) -> Tensor:
    """(B, C, H, W) -> (B, P * Q * C, H / P, W / Q), channels_last: each patch of P x Q becomes one position.

    patch_size: The side of patches, or their rows and columns.
    """
    p, q = (patch_size, patch_size) if isinstance(patch_size, int) else patch_size
    if p == q == 1:
        return x.contiguous(memory_format=torch.channels_last)
    b, c, h, w = x.shape
    # Q and C as one dimension: copies go along the last one
    x = x.permute(0, 2, 3, 1).reshape(b, h // p, p, w // q, q * c).transpose(2, 3)  # (B, H/P, W/Q, P, Q * C)
    return x.reshape(b, h // p, w // q, p * q * c).permute(0, 3, 1, 2)


def depth_to_space(x: Tensor, patch_size: int | tuple[int, int]) -> Tensor:
    """The inverse of `space_to_depth`."""
    p, q = (patch_size, patch_size) if isinstance(patch_size, int) else patch_size
    if p == q == 1:
        return x
    b, c, h, w = x.shape
    x = x.permute(0, 2, 3, 1).reshape(b, h, w, p, c // p).transpose(2, 3)  # (B, H, P, W, Q * C)
    return x.reshape(b, h * p, w * q, c // (p * q)).permute(0, 3, 1, 2)


def latent_sides(height: int, width: int, patch_size: int, num_sizes: int) -> tuple[int, int]:
    """Rows and columns of the smallest of `num_sizes` sizes, the largest in patches and each next one half of it, rounded
    up."""
    multiple = patch_size * 2 ** (num_sizes - 1)
    return -(-height // multiple), -(-width // multiple)


def pad_to_multiple(x: Tensor, multiple: int | tuple[int, int], mode: str = "constant") -> Tensor:
    """(B, C, H, W) padded below and to the right, so that both sides are multiples. mode: as in `functional.pad`.

    multiple: Of both sides, or that of rows and that of columns.
    """
    height, width = x.shape[2:]
    of_rows, of_columns = (multiple, multiple) if isinstance(multiple, int) else multiple
    pad = (0, -width % of_columns, 0, -height % of_rows)
    return functional.pad(x, pad, mode) if any(pad) else x


def num_heads_of(channels: int) -> int:
    """The most attention heads that divide the channels and have at least HEAD_DIM each; 1 where there are fewer channels."""
    return next(heads for heads in range(max(1, channels // HEAD_DIM), 0, -1) if channels % heads == 0)


class Attention(nn.Module):
    """Self-attention over all positions of (B, C, H, W), queries and keys normalised, added to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.num_heads = num_heads_of(channels)
        self.norm = ChannelNorm(channels)
        self.qkv = Linear(channels, 3 * channels, bias=False)
        self.proj = Linear(channels, channels, zero_init=True)

    def forward(self, x: Tensor, groups: int = 1) -> Tensor:
        """x: (B G, C, H, W); the G grids of an example see each other."""
        n, c, h, w = x.shape
        positions = self.norm(x).permute(0, 2, 3, 1).reshape(n // groups, groups * h * w, c)
        qkv = self.qkv(positions).reshape(*positions.shape[:2], 3, self.num_heads, c // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, G H W, C / heads)
        query = functional.layer_norm(query, query.shape[-1:])
        key = functional.layer_norm(key, key.shape[-1:])
        query, key = self.with_positions(query, key, (groups, h, w))
        heads = functional.scaled_dot_product_attention(query, key, value)
        attended: Tensor = self.proj(heads.transpose(1, 2).reshape(positions.shape))
        return x + attended.reshape(n, h, w, c).permute(0, 3, 1, 2)

    def with_positions(self, query: Tensor, key: Tensor, dims: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
        """Queries and keys (B, heads, G H W, C / heads) that know their places; here they do not. dims: G, H and W."""
        return query, key


def frequencies() -> Tensor:
    """Frequencies of the waves that a number becomes, evenly spaced in their logarithms."""
    return torch.exp(torch.linspace(0.0, math.log(64.0), NUM_FREQUENCIES)) * 0.25


def fourier_features(x: Tensor, freqs: Tensor) -> Tensor:
    """(...) -> (..., 2 F) cosines and sines of about unit size."""
    angle = x[..., None] * freqs
    return torch.cat([angle.cos(), angle.sin()], -1) * math.sqrt(2)


class ConditionEmbedding(nn.Module):
    """(B,) noise levels, (B,) components and, if asked for, (B, num_augmentations) augmentations -> (B, dim).

    Args:
        num_components: Number of components (the caller keeps one of them for "any").
        num_augmentations: Number of augmentations; an example that has none of them looks as if there were none.
    """

    frequencies: Tensor

    def __init__(self, dim: int, num_components: int, num_augmentations: int = 0) -> None:
        super().__init__()
        self.register_buffer("frequencies", frequencies(), persistent=False)
        self.sigma = Linear(2 * NUM_FREQUENCIES, dim)
        self.component = nn.Parameter(torch.randn(num_components, dim))
        self.mix = Linear(dim, dim)
        self.augmentation = Linear(num_augmentations, dim, bias=False, zero_init=True) if num_augmentations else None

    def forward(self, sigma: Tensor, component: Tensor, augmentations: Tensor | None = None) -> Tensor:
        features = fourier_features(sigma.log(), self.frequencies)  # (B, 2 F)
        hidden = self.sigma(features) + self.component[component]
        if self.augmentation is not None and augmentations is not None:
            hidden = hidden + self.augmentation(augmentations.to(hidden.dtype))
        return functional.silu(self.mix(functional.silu(hidden)))
