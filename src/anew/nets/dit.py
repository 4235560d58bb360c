"""A patch Transformer for large grids (DiT, arXiv 2212.09748; plain large patches as in JiT, arXiv 2511.13720).

Rotary positions on both axes, so that no size is built in; queries and keys are normalised; SwiGLU; each block's scale,
shift and gate come from the condition and start at zero.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from anew.core.random import Dropout
from anew.nets.conv_blocks import Condition, Linear, to_depth, to_space


def rotations(height: int, breadth: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(H W, size / 2) cosines and sines: the first half of the angles counts rows, the second columns."""
    quarter = size // 4
    pace = 100.0 ** (-torch.arange(quarter, device=device) / quarter)
    rows = torch.arange(height, device=device)[:, None, None] * pace  # (H, 1, size / 4)
    columns = torch.arange(breadth, device=device)[None, :, None] * pace  # (1, W, size / 4)
    both = [t.expand(height, breadth, quarter) for t in (rows, columns)]
    angle = torch.cat(both, -1).reshape(height * breadth, 2 * quarter)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """(B, heads, N, size) turned by its position's angles."""
    left, right = x.chunk(2, -1)
    cosine, sine = cosine.to(x.dtype), sine.to(x.dtype)
    return torch.cat([left * cosine - right * sine, left * sine + right * cosine], -1)


class Block(nn.Module):
    """Attention and a gated layer, each between a scale and shift, and a gate, that the condition gives."""

    def __init__(self, width: int, heads: int, condition: int, dropout: float) -> None:
        super().__init__()
        hidden = 8 * round(width * 8 / 3 / 8)
        self.heads = heads
        self.told = Linear(condition, 6 * width, zero=True)
        self.into, self.mixed = Linear(width, 3 * width, bias=False), Linear(width, width, bias=False)
        self.up, self.down = Linear(width, 2 * hidden, bias=False), Linear(hidden, width, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, condition: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        scale, shift, gate, scale2, shift2, gate2 = self.told(condition)[:, None].chunk(6, -1)
        x = x + gate * self._attend(_norm(x) * (1 + scale) + shift, turn)
        left, right = self.up(_norm(x) * (1 + scale2) + shift2).chunk(2, -1)
        change: Tensor = gate2 * self.down(self.dropout(functional.silu(left) * right))
        return x + change

    def _attend(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        b, n, c = x.shape
        parts = self.into(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)  # (B, heads, N, size)
        query, key = (rotate(_norm(t), *turn) for t in (query, key))
        heads = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.mixed(heads.transpose(1, 2).reshape(b, n, c))
        return out


def _norm(x: Tensor) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:])


class DiT(nn.Module):
    """(B, into, H, W) at noise level (B,) of component (B,) -> (B, out, H, W), any H and W.

    patch: side of a patch; neck: width that each patch is squeezed through first; width: divisible by 4 times heads.
    """

    def __init__(
        self,
        into: int,
        out: int,
        *,
        kinds: int,
        width: int,
        depth: int,
        heads: int,
        patch: int,
        neck: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.patch, self.size = patch, width // heads
        self.condition = Condition(width, kinds)
        inside = into * patch**2
        self.stem = nn.Sequential(Linear(inside, min(neck, inside), bias=False), Linear(min(neck, inside), width))
        self.blocks = nn.ModuleList(Block(width, heads, width, dropout) for _ in range(depth))
        self.told = Linear(width, 2 * width, zero=True)
        self.out = Linear(width, out * patch**2, zero=True)

    def forward(self, x: Tensor, level: Tensor, kind: Tensor) -> Tensor:
        height, breadth = x.shape[2:]
        pad = (-breadth % self.patch, -height % self.patch)
        x = functional.pad(x, (0, pad[0], 0, pad[1])) if any(pad) else x
        x = to_depth(x, self.patch).permute(0, 2, 3, 1)  # (B, rows, columns, patch * patch * into)
        b, rows, columns, _ = x.shape
        x = self.stem(x.reshape(b, rows * columns, -1))
        condition = self.condition(level, kind).to(x.dtype)
        turn = rotations(rows, columns, self.size, x.device)
        for block in self.blocks:
            x = block(x, condition, turn)
        scale, shift = self.told(condition)[:, None].chunk(2, -1)
        x = self.out(_norm(x) * (1 + scale) + shift).reshape(b, rows, columns, -1).permute(0, 3, 1, 2)
        return to_space(x, self.patch)[:, :, :height, :breadth].contiguous(memory_format=torch.contiguous_format)
