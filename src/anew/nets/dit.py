"""A patch Transformer for large grids (DiT, arXiv 2212.09748; plain large patches as in JiT, arXiv 2511.13720).

Rotary positions on both axes, so that no size is built in; queries and keys are normalised; SwiGLU; each block's scale,
shift and gate come from the condition and start at zero (adaLN-Zero).

Legend for shapes: B examples, N patches, C hidden size, H rows, W columns.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from anew.core.random import Dropout
from anew.nets.conv_blocks import ConditionEmbedding, Linear, depth_to_space, pad_to_multiple, space_to_depth

BOTTLENECK = 128  # size that each patch is squeezed through first, as in JiT


def rope_2d(rows: int, columns: int, head_dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(rows * columns, head_dim / 2) cosines and sines: the first half of the angles counts rows, the second columns."""
    quarter = head_dim // 4
    rates = 100.0 ** (-torch.arange(quarter, device=device) / quarter)
    row_angles = torch.arange(rows, device=device)[:, None, None] * rates  # (rows, 1, head_dim / 4)
    column_angles = torch.arange(columns, device=device)[None, :, None] * rates  # (1, columns, head_dim / 4)
    axis_angles = [angles.expand(rows, columns, quarter) for angles in (row_angles, column_angles)]
    angle = torch.cat(axis_angles, -1).reshape(rows * columns, 2 * quarter)
    return angle.cos(), angle.sin()


def apply_rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate pairs of values by the angles of their positions.

    Args:
        x: (B, heads, N, head_dim); value i is paired with value i + head_dim // 2. The last of an odd number stays.
        cos: (N, head_dim // 2).
        sin: (N, head_dim // 2).
    """
    if x.shape[-1] % 2:
        return torch.cat([apply_rope(x[..., :-1], cos, sin), x[..., -1:]], -1)
    left, right = x.chunk(2, -1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat([left * cos - right * sin, left * sin + right * cos], -1)


class DiTBlock(nn.Module):
    """Attention and a gated MLP, each between a scale and shift, and a gate, that the condition gives."""

    def __init__(self, hidden_size: int, num_heads: int, condition_dim: int, dropout: float) -> None:
        super().__init__()
        # The gated MLP has as many weights as a plain one of four times the hidden size
        mlp_size = 8 * round(hidden_size * 8 / 3 / 8)
        self.num_heads = num_heads
        self.modulation = Linear(condition_dim, 6 * hidden_size, zero_init=True)
        self.qkv = Linear(hidden_size, 3 * hidden_size, bias=False)
        self.proj = Linear(hidden_size, hidden_size, bias=False)
        self.up = Linear(hidden_size, 2 * mlp_size, bias=False)
        self.down = Linear(mlp_size, hidden_size, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, condition: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        modulation = self.modulation(condition)[:, None]  # (B, 1, 6 C)
        attn_scale, attn_shift, attn_gate, mlp_scale, mlp_shift, mlp_gate = modulation.chunk(6, -1)
        x = x + attn_gate * self._attend(_norm(x) * (1 + attn_scale) + attn_shift, rope)
        gate, up = self.up(_norm(x) * (1 + mlp_scale) + mlp_shift).chunk(2, -1)
        residual: Tensor = mlp_gate * self.down(self.dropout(functional.silu(gate) * up))
        return x + residual

    def _attend(self, x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)  # each (B, heads, N, head_dim)
        query = apply_rope(_norm(query), *rope)
        key = apply_rope(_norm(key), *rope)
        heads = functional.scaled_dot_product_attention(query, key, value)
        attended: Tensor = self.proj(heads.transpose(1, 2).reshape(b, n, c))
        return attended


def _norm(x: Tensor) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:])


class DiT(nn.Module):
    """(B, in_channels, H, W) at noise levels (B,) of components (B,), with augmentations (B, num_augmentations) or none
    -> (B, out_channels, H, W), any H and W.

    Args:
        num_components: Number of mixture components that it can be conditioned on.
        num_augmentations: Number of augmentations that it can be told.
        hidden_size: Size of the residual stream; a multiple of 4 * num_heads.
        dropout: Share of the MLPs' hidden values that is dropped in training.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        num_components: int,
        num_augmentations: int = 0,
        hidden_size: int,
        depth: int,
        num_heads: int,
        patch_size: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.head_dim = hidden_size // num_heads
        self.condition = ConditionEmbedding(hidden_size, num_components, num_augmentations)
        patch_values = in_channels * patch_size**2
        bottleneck = min(BOTTLENECK, patch_values)
        self.stem = nn.Sequential(Linear(patch_values, bottleneck, bias=False), Linear(bottleneck, hidden_size))
        self.blocks = nn.ModuleList(DiTBlock(hidden_size, num_heads, hidden_size, dropout) for _ in range(depth))
        self.modulation = Linear(hidden_size, 2 * hidden_size, zero_init=True)
        self.out = Linear(hidden_size, out_channels * patch_size**2, zero_init=True)

    def forward(self, x: Tensor, sigma: Tensor, component: Tensor, augmentations: Tensor | None = None) -> Tensor:
        height, width = x.shape[2:]
        x = space_to_depth(pad_to_multiple(x, self.patch_size), self.patch_size).permute(0, 2, 3, 1)
        batch, rows, columns, _ = x.shape  # the last: patch_size^2 * in_channels
        x = self.stem(x.reshape(batch, rows * columns, -1))  # (B, N, C)
        condition = self.condition(sigma, component, augmentations).to(x.dtype)
        rope = rope_2d(rows, columns, self.head_dim, x.device)
        for block in self.blocks:
            x = block(x, condition, rope)
        scale, shift = self.modulation(condition)[:, None].chunk(2, -1)
        x = self.out(_norm(x) * (1 + scale) + shift).reshape(batch, rows, columns, -1).permute(0, 3, 1, 2)
        x = depth_to_space(x, self.patch_size)[:, :, :height, :width]
        return x.contiguous(memory_format=torch.contiguous_format)
