"""Layers of a decoder as single autograd steps: few passes over memory, which is what a CPU's time goes to.

Legend for shapes: B examples, L positions, W width, H heads, D head size, F inner width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-6
ROUND = 64  # kept places are a multiple of it, where there are so many


@dataclass(frozen=True, slots=True)
class Positions:
    """What depends on positions alone, in the type that is computed in.

    cos, sin: (L, D) of angles repeated over both halves. turn: (D, D), x @ turn is (-second half, first half) of x: a
    product of signs, exact in every type and far cheaper than moving halves about. mask: (L, L), -inf where hidden.
    """

    cos: Tensor
    sin: Tensor
    turn: Tensor
    mask: Tensor

    @classmethod
    def make(cls, length: int, size: int, base: float) -> Positions:
        """Angles of rotary embedding (arXiv 2104.09864), half-split as in Llama and Qwen. fp32."""
        rates = 1.0 / (base ** (torch.arange(0, size, 2, dtype=torch.int64).float() / size))
        turns = torch.arange(length).float()[:, None] * rates
        both = torch.cat((turns, turns), dim=-1)
        half = torch.eye(size // 2)
        zero = torch.zeros_like(half)
        turn = torch.cat((torch.cat((zero, half), 1), torch.cat((-half, zero), 1)))
        return cls(both.cos(), both.sin(), turn, torch.full((length, length), float("-inf")).triu_(1))

    def span(self, start: int, stop: int, kind: torch.dtype) -> Positions:
        """Of queries at start..stop-1 and keys at 0..stop-1."""
        cos, sin, mask = self.cos[start:stop], self.sin[start:stop], self.mask[start:stop, :stop]
        return Positions(cos.to(kind), sin.to(kind), self.turn.to(kind), mask.to(kind))

    def to(self, device: torch.device) -> Positions:
        return Positions(*(t.to(device) for t in (self.cos, self.sin, self.turn, self.mask)))


@dataclass(frozen=True, slots=True)
class Kept:
    """The places of B rows of L that are computed: all but most of the padding behind records.

    places: (N,) their numbers among B*L."""

    rows: int
    length: int
    places: Tensor

    @classmethod
    def until(cls, counted: Tensor) -> Kept:
        """All places up to the last one of each row that counts. counted: (B, L), 0 where not."""
        behind = (counted > 0).flip(1).cumsum(1).flip(1)  # (B, L) how many count from here on
        needed = behind.flatten() > 0
        places = needed.nonzero().squeeze(1)
        # A new number of rows costs a CPU's matrix products more, once, than the rows that round it up.
        spare = (~needed).nonzero().squeeze(1)[: -len(places) % ROUND]
        rows, length = counted.shape
        return cls(rows, length, torch.cat((places, spare)))

    def take(self, x: Tensor) -> Tensor:
        """(B*L, ...) -> (N, ...)."""
        return x.index_select(0, self.places)

    def spread(self, x: Tensor) -> Tensor:
        """(N, W) -> (B, L, W), zero elsewhere."""
        wide = x.new_zeros(self.rows * self.length, x.shape[-1])
        return wide.index_copy_(0, self.places, x).view(self.rows, self.length, -1)


def rms_norm(x: Tensor) -> Tensor:
    """x / sqrt(mean(x^2) + 1e-6) over the last dimension, without a weight (it would fold into the next matrix).

    Equation 4 of arXiv 1910.07467. Same as `torch.nn.functional.rms_norm`, in a third of its time on a CPU.
    """
    return cast(Tensor, _apply(_RMSNorm, x))


def rotate(x: Tensor, at: Positions) -> Tensor:
    """Turn pairs of values by the angle of their position. x: (..., L, D)."""
    return torch.addcmul(x * at.cos, x @ at.turn, at.sin)


def attention(joint: Tensor, at: Positions, heads: int, scale: float, kept: Kept | None = None) -> Tensor:
    """Causal attention with normalised, rotated queries and keys. joint: (B, L, 3W), queries, keys, values side by side.

    Returns (B, L, W); of kept places alone, (N, 3W) gives (N, W). On a CPU explicit products beat the fused kernel several
    times in bf16; CUDA uses the fused one.
    """
    if kept is not None:
        return kept.take(attention(kept.spread(joint), at, heads, scale).flatten(0, 1))
    if not joint.is_cuda:
        return cast(Tensor, _apply(_Attention, joint, at, heads, scale))
    batch, length, _ = joint.shape
    q, k, v = joint.view(batch, length, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)  # each (B, H, L, D)
    q, k = rotate(rms_norm(q), at), rotate(rms_norm(k), at)
    mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
    return mixed.transpose(1, 2).reshape(batch, length, -1)


def gated(gate: Tensor, up: Tensor) -> Tensor:
    """SwiGLU (arXiv 2002.05202): silu(gate) * up."""
    return functional.silu(gate) * up


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """-log softmax(logits)[target] in nats, fp32. logits: (N, V), half precision allowed; target: (N,). Returns (N,).

    One softmax serves forward and backward; in bf16 it errs by 2^-9 of each probability.
    """
    return cast(Tensor, _apply(_CrossEntropy, logits, target))


def _apply(step: type[torch.autograd.Function], *args: Any) -> Any:
    return step.apply(*args)  # type: ignore[no-untyped-call]


def _inverse_rms(x: Tensor) -> Tensor:
    wide = torch.promote_types(x.dtype, torch.float32)
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide)
    return cast(Tensor, norm.square_().div_(x.shape[-1]).add_(EPSILON).rsqrt_().to(x.dtype))


def _along(grad: Tensor, y: Tensor) -> Tensor:
    """The part of a gradient that a norm takes out, before its scale: grad - y mean(grad y)."""
    share = (grad * y).mean(-1, keepdim=True)
    return torch.addcmul(grad, y, share, value=-1.0)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        scale = _inverse_rms(x)
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        y, scale = ctx.saved_tensors
        return _along(grads[0], y).mul_(scale)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, joint: Tensor, at: Positions, heads: int, scale: float) -> Tensor:
        batch, length, wide = joint.shape
        size = wide // (3 * heads)
        parts = joint.view(batch, length, 3 * heads, size).permute(2, 0, 1, 3).reshape(-1, length, size)
        edge = 2 * heads * batch
        raw, v = parts[:edge], parts[edge:]  # (2HB, L, D), (HB, L, D)
        inverse = _inverse_rms(raw)
        turned = rotate(raw * inverse, at)
        q, k = turned.chunk(2)
        weights = torch.baddbmm(at.mask, q, k.mT, alpha=scale).softmax(-1)  # (HB, L, L)
        mixed = torch.bmm(weights, v)
        ctx.save_for_backward(turned, inverse, v, weights)
        ctx.at, ctx.heads, ctx.scale = at, heads, scale
        return mixed.view(heads, batch, length, size).permute(1, 2, 0, 3).reshape(batch, length, heads * size)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        turned, inverse, v, weights = ctx.saved_tensors
        at, heads = ctx.at, ctx.heads
        batch, length, _ = grads[0].shape
        q, k = turned.chunk(2)
        grad = grads[0].view(batch, length, heads, -1).permute(2, 0, 1, 3).reshape(v.shape)
        out = torch.cat((turned, v))  # (3HB, L, D), overwritten below
        pushed = out[: len(turned)]
        torch.bmm(weights.mT, grad, out=out[len(turned) :])
        scores = torch._softmax_backward_data(torch.bmm(grad, v.mT), weights, -1, weights.dtype)
        torch.bmm(scores, k, out=pushed[: len(q)])
        torch.bmm(scores.mT, q, out=pushed[len(q) :])
        # A rotation keeps inner products, so the norm's share is taken out before turning back.
        level = _along(pushed, turned)
        torch.mul(torch.addcmul(level * at.cos, level @ at.turn, at.sin, value=-1.0), inverse * ctx.scale, out=pushed)
        joint = out.view(3 * heads, batch, length, -1).permute(1, 2, 0, 3).reshape(batch, length, -1)
        return joint, None, None, None


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> Tensor:
        probability = logits.softmax(-1)
        ctx.save_for_backward(probability, target)
        chosen = logits.gather(1, target[:, None]).squeeze(1).float()
        # A row's log-normaliser from its largest entry: exact where softmax of the target itself underflows.
        top = logits.amax(-1).float()
        return top - probability.amax(-1).float().log() - chosen

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        probability, target = ctx.saved_tensors
        scale = grads[0].to(probability.dtype)[:, None]
        return (probability * scale).scatter_add_(1, target[:, None], -scale), None
