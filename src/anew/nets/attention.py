"""Layers of a decoder as single autograd steps, with few passes over memory, which take most of a CPU's time.

Legend for shapes: B examples, L positions, W hidden size, H heads, D head size, F inner size of the MLP, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor
from torch.nn import functional

from anew.nets.autograd import SavedTensors

# In RMS norm, as in Qwen3.
EPSILON = 1e-6
# The number of unpadded rows is rounded up to a multiple of this where there are enough rows, since oneDNN prepares each shape anew
# (docs/log.md, 2026-11-26).
ROW_MULTIPLE = 64


@dataclass(frozen=True, slots=True)
class PositionTables:
    """Tables that depend on positions alone, in the computing dtype.

    Attributes:
        cos: (L, D) of angles repeated over both halves.
        sin: (L, D) of the same angles.
        rotate_half: (D, D); x @ rotate_half is (-second half, first half) of x: a product of signs, exact in every dtype and
            far cheaper than moving halves about.
        mask: (L, L), -inf where hidden.
    """

    cos: Tensor
    sin: Tensor
    rotate_half: Tensor
    mask: Tensor

    @classmethod
    def make(cls, length: int, head_dim: int, base: float) -> PositionTables:
        """Angles of rotary embedding (arXiv 2104.09864), half-split as in Llama and Qwen. fp32."""
        rates = 1.0 / (base ** (torch.arange(0, head_dim, 2, dtype=torch.int64).float() / head_dim))
        angles = torch.arange(length).float()[:, None] * rates  # (L, D / 2)
        angles = torch.cat((angles, angles), dim=-1)  # (L, D)
        identity = torch.eye(head_dim // 2)
        zero = torch.zeros_like(identity)
        rotate_half = torch.cat((torch.cat((zero, identity), 1), torch.cat((-identity, zero), 1)))
        mask = torch.full((length, length), float("-inf")).triu_(1)
        return cls(angles.cos(), angles.sin(), rotate_half, mask)

    def rotate(self, x: Tensor) -> Tensor:
        """x (..., L, D) with pairs of values rotated by the angle of their position."""
        return torch.addcmul(x * self.cos, x @ self.rotate_half, self.sin)

    def span(self, start: int, stop: int, dtype: torch.dtype) -> PositionTables:
        """The tables of queries at start..stop-1 and keys at 0..stop-1."""
        return PositionTables(
            cos=self.cos[start:stop].to(dtype),
            sin=self.sin[start:stop].to(dtype),
            rotate_half=self.rotate_half.to(dtype),
            mask=self.mask[start:stop, :stop].to(dtype),
        )

    def to(self, device: torch.device) -> PositionTables:
        tables = (self.cos, self.sin, self.rotate_half, self.mask)
        return PositionTables(*(table.to(device) for table in tables))


@dataclass(frozen=True, slots=True)
class UnpaddedRows:
    """The positions of a batch that are computed: all but most of the padding after records.

    Attributes:
        indices: (N,) positions among B*L.
    """

    batch: int
    length: int
    indices: Tensor

    @classmethod
    def up_to_last(cls, mask: Tensor) -> UnpaddedRows:
        """All positions up to the last one of each row that counts. mask: (B, L), 0 where a position does not."""
        # How many positions count, from each one to the end
        counted_from_here = (mask > 0).flip(1).cumsum(1).flip(1)  # (B, L)
        is_needed = counted_from_here.flatten() > 0
        needed = is_needed.nonzero().squeeze(1)
        # A new number of rows costs a CPU's matrix products more, once, than the rows that round it up.
        padding = (~is_needed).nonzero().squeeze(1)[: -len(needed) % ROW_MULTIPLE]
        batch, length = mask.shape
        return cls(batch, length, torch.cat((needed, padding)))

    def gather(self, x: Tensor) -> Tensor:
        """(B*L, ...) -> (N, ...)."""
        return x.index_select(0, self.indices)

    def scatter(self, x: Tensor) -> Tensor:
        """(N, W) -> (B, L, W), zero elsewhere."""
        padded = x.new_zeros(self.batch * self.length, x.shape[-1])
        return padded.index_copy_(0, self.indices, x).view(self.batch, self.length, -1)


def rms_norm(x: Tensor) -> Tensor:
    """x / sqrt(mean(x^2) + 1e-6) over the last dimension, without a weight (it would fold into the next matrix).

    Equation 4 of arXiv 1910.07467. Same as `torch.nn.functional.rms_norm`, in a third of its time on a CPU.
    """
    return _apply(_RMSNorm, x)


def causal_attention(
    qkv: Tensor, positions: PositionTables, num_heads: int, scale: float, rows: UnpaddedRows | None = None
) -> Tensor:
    """Causal attention with normalised, rotated queries and keys.

    In bf16 on a CPU, explicit products are several times as fast as the fused kernel; CUDA uses the fused one.

    Args:
        qkv: (B, L, 3W), queries, keys and values side by side; (N, 3W) where `rows` are given.
        positions: Rotary tables of the L positions.
        rows: The positions that are computed; None for all.

    Returns:
        (B, L, W), or (N, W).
    """
    if rows is not None:
        attended = causal_attention(rows.scatter(qkv), positions, num_heads, scale)
        return rows.gather(attended.flatten(0, 1))
    if not qkv.is_cuda:
        return _apply(_CausalAttention, qkv, positions, num_heads, scale)
    batch, length, _ = qkv.shape
    q, k, v = qkv.view(batch, length, 3, num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)  # each (B, H, L, D)
    q = positions.rotate(rms_norm(q))
    k = positions.rotate(rms_norm(k))
    heads = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
    return heads.transpose(1, 2).reshape(batch, length, -1)


def attention_weights(qkv: Tensor, positions: PositionTables, num_heads: int, scale: float) -> Tensor:
    """(B, H, L, L) how much each position (row) takes from each other one (column) in `causal_attention` of (B, L, 3W)."""
    batch, length, _ = qkv.shape
    q, k, _ = qkv.view(batch, length, 3, num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)  # each (B, H, L, D)
    scores = scale * positions.rotate(rms_norm(q)) @ positions.rotate(rms_norm(k)).mT
    return (scores + positions.mask).softmax(-1)


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """SwiGLU (arXiv 2002.05202): silu(gate) * up."""
    return functional.silu(gate) * up


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """(N,) -log softmax(logits)[target] in nats, fp32, of logits (N, V), which may have half precision.

    One softmax serves forward and backward; in bf16 it errs by 2^-9 of each probability."""
    return _apply(_CrossEntropy, logits, target)


def _apply(function: type[torch.autograd.Function], *arguments: object) -> Tensor:
    return cast(Tensor, function.apply(*arguments))  # type: ignore[no-untyped-call]


def _inverse_rms(x: Tensor) -> Tensor:
    wide_dtype = torch.promote_types(x.dtype, torch.float32)
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide_dtype)
    return cast(Tensor, norm.square_().div_(x.shape[-1]).add_(EPSILON).rsqrt_().to(x.dtype))


def _remove_radial(grad: Tensor, y: Tensor) -> Tensor:
    """Gradient through a norm, before its scale: grad - y mean(grad y)."""
    radial = (grad * y).mean(-1, keepdim=True)
    return torch.addcmul(grad, y, radial, value=-1.0)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: SavedTensors, x: Tensor) -> Tensor:
        scale = _inverse_rms(x)
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: SavedTensors, *grads: Tensor) -> Tensor:
        y, scale = ctx.saved_tensors
        return _remove_radial(grads[0], y).mul_(scale)


class _AttentionContext(SavedTensors, Protocol):
    positions: PositionTables
    num_heads: int
    scale: float


class _CausalAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _AttentionContext, qkv: Tensor, positions: PositionTables, num_heads: int, scale: float) -> Tensor:
        batch, length, size = qkv.shape
        head_dim = size // (3 * num_heads)
        by_head = qkv.view(batch, length, 3 * num_heads, head_dim).permute(2, 0, 1, 3).reshape(-1, length, head_dim)
        end_of_keys = 2 * num_heads * batch
        raw_qk, v = by_head[:end_of_keys], by_head[end_of_keys:]  # (2HB, L, D), (HB, L, D)
        inverse_rms = _inverse_rms(raw_qk)
        qk = positions.rotate(raw_qk * inverse_rms)
        q, k = qk.chunk(2)
        weights = torch.baddbmm(positions.mask, q, k.mT, alpha=scale).softmax(-1)  # (HB, L, L)
        heads = torch.bmm(weights, v)  # (HB, L, D)
        ctx.save_for_backward(qk, inverse_rms, v, weights)
        ctx.positions, ctx.num_heads, ctx.scale = positions, num_heads, scale
        by_row = heads.view(num_heads, batch, length, head_dim).permute(1, 2, 0, 3)
        return by_row.reshape(batch, length, num_heads * head_dim)

    @staticmethod
    def backward(ctx: _AttentionContext, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        qk, inverse_rms, v, weights = ctx.saved_tensors
        positions, num_heads = ctx.positions, ctx.num_heads
        batch, length, _ = grads[0].shape
        q, k = qk.chunk(2)
        grad = grads[0].view(batch, length, num_heads, -1).permute(2, 0, 1, 3).reshape(v.shape)  # (HB, L, D)
        grad_qkv = torch.cat((qk, v))  # (3HB, L, D), overwritten below
        grad_qk, grad_v = grad_qkv[: len(qk)], grad_qkv[len(qk) :]
        torch.bmm(weights.mT, grad, out=grad_v)
        grad_scores = torch._softmax_backward_data(torch.bmm(grad, v.mT), weights, -1, weights.dtype)
        torch.bmm(grad_scores, k, out=grad_qk[: len(q)])
        torch.bmm(grad_scores.mT, q, out=grad_qk[len(q) :])
        # A rotation keeps inner products, so the norm's share is taken out before rotating back.
        tangent = _remove_radial(grad_qk, qk)
        rotated_back = torch.addcmul(
            tangent * positions.cos, tangent @ positions.rotate_half, positions.sin, value=-1.0
        )
        torch.mul(rotated_back, inverse_rms * ctx.scale, out=grad_qk)
        by_row = grad_qkv.view(3 * num_heads, batch, length, -1).permute(1, 2, 0, 3)
        return by_row.reshape(batch, length, -1), None, None, None


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: SavedTensors, logits: Tensor, target: Tensor) -> Tensor:
        probabilities = logits.softmax(-1)
        ctx.save_for_backward(probabilities, target)
        target_logits = logits.gather(1, target[:, None]).squeeze(1).float()
        # A row's log-normaliser from its largest entry: exact where softmax of the target itself underflows.
        largest = logits.amax(-1).float()
        return largest - probabilities.amax(-1).float().log() - target_logits

    @staticmethod
    def backward(ctx: SavedTensors, *grads: Tensor) -> tuple[Tensor, None]:
        probabilities, target = ctx.saved_tensors
        scale = grads[0].to(probabilities.dtype)[:, None]
        return (probabilities * scale).scatter_add_(1, target[:, None], -scale), None
