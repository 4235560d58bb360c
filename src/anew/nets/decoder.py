"""A causal decoder whose network is a Qwen3: pre-norm, rotary positions, normalised queries and keys, SwiGLU, no bias.

Norms carry no weight (it folds into the matrix behind), so `to_qwen3` writes ones there. Legend as in `layers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anew.core.random import Dropout
from anew.nets import attention
from anew.nets.attention import Kept, Positions

QK_GAIN = 1.44  # attention's temperature once queries and keys have unit size (1.2 each, as nanochat)


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a decoder. hidden: inner width of the gated layer; context: positions it is trained on.

    back: for tokens that lie on a grid, how many tokens before a target its neighbours along the slower axes stand (its
    neighbour along the fastest is the token before it). They are shown beside that one, and each place has an embedding of
    its own. lead: inputs in front of the first target.
    """

    vocab: int
    width: int
    layers: int
    heads: int
    hidden: int
    context: int
    tied: bool = False
    base: float = 10_000.0
    dropout: float = 0.0
    back: tuple[int, ...] = ()
    lead: int = 1

    @property
    def size(self) -> int:
        """Of one head."""
        return self.width // self.heads

    @property
    def scale(self) -> float:
        """Of the inner products of queries and keys."""
        return float(QK_GAIN * self.size**-0.5)


class Block(nn.Module):
    """Attention, then a gated layer, each on a normalised copy of the stream and added back to it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        wide, inner = shape.width, shape.hidden
        self.query, self.key, self.value = (_matrix(wide, wide) for _ in range(3))
        self.out = _matrix(wide, wide, zero=True)
        self.gate, self.up = _matrix(inner, wide), _matrix(inner, wide)
        self.down = _matrix(wide, inner, zero=True)
        self.drop = Dropout(shape.dropout)

    def forward(self, x: Tensor, at: Positions, kept: Kept | None = None) -> Tensor:
        """x: (B, L, W) -> (B, L, W), or (N, W) of the kept places."""
        kind = x.dtype
        joint = F.linear(attention.rms_norm(x), torch.cat((self.query, self.key, self.value)).to(kind))  # (B, L, 3W)
        mixed = attention.attention(joint, at, self.shape.heads, self.shape.scale, kept)
        x = x + self.drop(F.linear(mixed, self.out.to(kind)))
        level = attention.rms_norm(x)
        inner = attention.gated(F.linear(level, self.gate.to(kind)), F.linear(level, self.up.to(kind)))  # (B, L, F)
        fed: Tensor = self.drop(F.linear(inner, self.down.to(kind)))
        return x + fed


class Decoder(nn.Module):
    """Token ids to next-token logits. Weights are kept in fp32; `kind` is the type that a forward pass computes in."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Parameter(torch.randn(shape.vocab, shape.width) * (0.02 if shape.tied else 0.8))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.drop = Dropout(shape.dropout)
        if shape.back:
            self.place_embed = nn.Parameter(torch.randn(shape.context, shape.width) * 0.2)
            self.back_embed = nn.Parameter(torch.randn(len(shape.back), shape.vocab, shape.width) * 0.4)
        if not shape.tied:
            self.head = nn.Parameter(torch.randn(shape.vocab, shape.width) * 0.001)
        self._positions: dict[torch.device, Positions] = {}

    def positions(self) -> Positions:
        """Of the whole context, on the device of the weights."""
        device = self.embed.device
        if device not in self._positions:
            made = Positions.make(self.shape.context, self.shape.size, self.shape.base)
            self._positions[device] = made.to(device)
        return self._positions[device]

    def entered(self, ids: Tensor, start: int = 0) -> Tensor:
        """ids: (B, L), all from the first on -> (B, L - start, W), what the blocks are given of those from `start` on."""
        x = F.embedding(ids[:, start:], self.embed)
        if self.shape.back:
            x = x + self.place_embed[start : ids.shape[1]]
            places = torch.arange(start, ids.shape[1], device=ids.device)
            for table, back in zip(self.back_embed, self.shape.back, strict=True):
                x = x + F.embedding(ids[:, self.behind(places, back)], table)
        return x

    def behind(self, places: Tensor, back: int) -> Tensor:
        """Where the input stands that is `back` tokens before the target of each place; at the edge, the last of those in
        front, and never what is still to come."""
        return (places + 1 - back).clamp(min=self.shape.lead - 1).minimum(places)

    def hidden(self, ids: Tensor, kind: torch.dtype = torch.float32, kept: Kept | None = None) -> Tensor:
        """ids: (B, L) with L up to the context -> (B, L, W), or (N, W) of the kept places, normalised, in `kind`."""
        at = self.positions().span(0, ids.shape[1], kind)
        x = self.entered(ids)
        x = self.drop((x if kept is None else kept.take(x.flatten(0, 1))).to(kind))
        for block in self.blocks:
            x = block(x, at, kept)
        return attention.rms_norm(x)

    def output(self) -> Tensor:
        """The matrix (V, W) that turns hidden states into logits."""
        return self.embed if self.shape.tied else self.head

    def forward(self, ids: Tensor, kind: torch.dtype = torch.float32, kept: Kept | None = None) -> Tensor:
        """ids: (B, L) -> logits (B, L, V), or (N, V) of the kept places, in `kind`."""
        return F.linear(self.hidden(ids, kind, kept), self.output().to(kind))


def _matrix(rows: int, columns: int, zero: bool = False) -> nn.Parameter:
    values = torch.zeros(rows, columns) if zero else torch.randn(rows, columns) * columns**-0.5
    return nn.Parameter(values)


def to_qwen3(state: Mapping[str, Tensor], shape: Shape) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A decoder's state dict -> the state dict and config.json of `transformers.Qwen3ForCausalLM` with equal logits.

    ValueError for a decoder of a grid, which has embeddings that a Qwen3 has not."""
    if shape.back:
        raise ValueError("a decoder of tokens on a grid is no Qwen3")
    renamed = {"model.embed_tokens.weight": state["embed"], "model.norm.weight": torch.ones(shape.width)}
    renamed["lm_head.weight"] = state["embed" if shape.tied else "head"]
    modules = {"query": "self_attn.q_proj", "key": "self_attn.k_proj", "value": "self_attn.v_proj"}
    modules |= {"out": "self_attn.o_proj", "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"}
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        for ours, theirs in modules.items():
            renamed[f"{prefix}{theirs}.weight"] = state[f"blocks.{layer}.{ours}"]
        for norm in ("input_layernorm", "post_attention_layernorm"):
            renamed[f"{prefix}{norm}.weight"] = torch.ones(shape.width)
        for norm in ("q_norm", "k_norm"):
            renamed[f"{prefix}self_attn.{norm}.weight"] = torch.full((shape.size,), QK_GAIN**0.5)
    return renamed, _qwen3_config(shape)


def _qwen3_config(shape: Shape) -> dict[str, Any]:
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": shape.vocab,
        "hidden_size": shape.width,
        "intermediate_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.size,
        "hidden_act": "silu",
        "max_position_embeddings": shape.context,
        "rms_norm_eps": attention.EPSILON,
        "rope_theta": shape.base,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.base},
        "tie_word_embeddings": shape.tied,
        "attention_bias": False,
        "use_sliding_window": False,
        "dtype": "float32",
    }
