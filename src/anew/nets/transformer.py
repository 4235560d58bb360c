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

from anew.nets import layers
from anew.rng import Dropout

QK_GAIN = 1.44  # attention's temperature once queries and keys have unit size (1.2 each, as nanochat)
MATRICES = ("query", "key", "value", "out", "gate", "up", "down")


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a decoder. hidden: inner width of the gated layer; context: positions it is trained on."""

    vocab: int
    width: int
    layers: int
    heads: int
    hidden: int
    context: int
    tied: bool = False
    base: float = 10_000.0
    dropout: float = 0.0

    @property
    def size(self) -> int:
        """Of one head."""
        return self.width // self.heads


class Block(nn.Module):
    """Attention, then a gated layer, each on a normalised copy of the stream and added back to it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        wide, inner = shape.width, shape.hidden
        for name in ("query", "key", "value", "out"):
            self.register_parameter(name, _matrix(wide, wide, zero=name == "out"))
        for name in ("gate", "up"):
            self.register_parameter(name, _matrix(inner, wide))
        self.down = _matrix(wide, inner, zero=True)
        self.drop = Dropout(shape.dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """x: (B, L, W) -> (B, L, W)."""
        batch, length, wide = x.shape
        heads, size, kind = self.shape.heads, self.shape.size, x.dtype
        joint = torch.cat((self.query, self.key, self.value)).to(kind)
        both = F.linear(layers.rms_norm(x), joint)  # (B, L, 3W)
        both, v = both.view(batch, length, 3 * heads, size).split((2 * heads, heads), 2)
        q, k = layers.norm_rotate(both, cos, sin).split(heads, 2)
        mixed = layers.attention(q, k, v, mask, QK_GAIN * size**-0.5)
        x = x + self.drop(F.linear(mixed.reshape(batch, length, wide), self.out.to(kind)))
        inner = F.linear(layers.rms_norm(x), torch.cat((self.gate, self.up)).to(kind))  # (B, L, 2 hidden)
        gate, up = inner.chunk(2, -1)
        return x + self.drop(F.linear(layers.gated_linear(gate, up), self.down.to(kind)))


class Decoder(nn.Module):
    """Token ids to next-token logits. Weights are kept in fp32; `kind` is the type that a forward pass computes in."""

    cos: Tensor
    sin: Tensor
    mask: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Parameter(torch.randn(shape.vocab, shape.width) * (0.02 if shape.tied else 0.8))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.drop = Dropout(shape.dropout)
        if not shape.tied:
            self.head = nn.Parameter(torch.randn(shape.vocab, shape.width) * 0.001)
        cos, sin = layers.angles(shape.context, shape.size, shape.base)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.register_buffer("mask", layers.causal_mask(shape.context, torch.float32), persistent=False)

    def hidden(self, ids: Tensor, kind: torch.dtype = torch.float32) -> Tensor:
        """ids: (B, L) with L up to the context -> (B, L, W), normalised, in `kind`."""
        length = ids.shape[1]
        x = self.drop(F.embedding(ids, self.embed).to(kind))
        cos, sin = self.cos[:length].to(kind), self.sin[:length].to(kind)
        mask = self.mask[:length, :length].to(kind)
        for block in self.blocks:
            x = block(x, cos, sin, mask)
        return layers.rms_norm(x)

    def output(self) -> Tensor:
        """The matrix (V, W) that turns hidden states into logits."""
        return self.embed if self.shape.tied else self.head

    def forward(self, ids: Tensor, kind: torch.dtype = torch.float32) -> Tensor:
        """ids: (B, L) -> logits (B, L, V) in `kind`."""
        return F.linear(self.hidden(ids, kind), self.output().to(kind))


def _matrix(rows: int, columns: int, zero: bool = False) -> nn.Parameter:
    values = torch.zeros(rows, columns) if zero else torch.randn(rows, columns) * columns**-0.5
    return nn.Parameter(values)


def to_qwen3(state: Mapping[str, Tensor], shape: Shape) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A decoder's state dict -> the state dict and config.json of `transformers.Qwen3ForCausalLM` with equal logits."""
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
        "rms_norm_eps": layers.EPSILON,
        "rope_theta": shape.base,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.base},
        "tie_word_embeddings": shape.tied,
        "attention_bias": False,
        "use_sliding_window": False,
        "dtype": "float32",
    }
