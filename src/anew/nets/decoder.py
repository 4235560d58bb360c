"""A causal decoder whose network is a Qwen3: pre-norm, rotary positions, normalised queries and keys, SwiGLU, no bias.

Norms carry no weight (it folds into the next matrix), so `to_qwen3` writes ones there. Legend as in `attention`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from anew.core.random import Dropout
from anew.nets import attention
from anew.nets.attention import PositionTables, UnpaddedRows

QK_GAIN = 1.44  # attention's temperature once queries and keys have unit size (1.2 each, as nanochat)
# Names of the matrices of a block in Qwen3
QWEN3_NAMES = {
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "out": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """Sizes of a decoder.

    Attributes:
        hidden_size: Size of the residual stream.
        mlp_size: Inner size of the gated MLP.
        context_length: Positions that it is trained on.
        tie_embeddings: One matrix for embedding and output.
        dropout: Share of each block's output that is dropped in training.
        neighbour_offsets: For tokens on a grid: how many tokens before a target its neighbours along the slower axes are (its neighbour
            along the fastest axis is the token before it). They are shown next to that one, and each
            place has an embedding of its own.
        num_prefix: Inputs in front of the first target.
    """

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    mlp_size: int
    context_length: int
    tie_embeddings: bool = False
    rope_base: float = 10_000.0
    dropout: float = 0.0
    neighbour_offsets: tuple[int, ...] = ()
    num_prefix: int = 1

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_heads

    @property
    def attention_scale(self) -> float:
        """Factor of the inner products of queries and keys."""
        return float(QK_GAIN * self.head_dim**-0.5)


class DecoderBlock(nn.Module):
    """Attention, then a gated MLP, each on a normalised copy of the stream and added back to it."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        hidden_size, mlp_size = config.hidden_size, config.mlp_size
        self.query = _matrix(hidden_size, hidden_size)
        self.key = _matrix(hidden_size, hidden_size)
        self.value = _matrix(hidden_size, hidden_size)
        self.out = _matrix(hidden_size, hidden_size, zero_init=True)
        self.gate = _matrix(mlp_size, hidden_size)
        self.up = _matrix(mlp_size, hidden_size)
        self.down = _matrix(hidden_size, mlp_size, zero_init=True)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, positions: PositionTables, rows: UnpaddedRows | None = None) -> Tensor:
        """x: (B, L, W) -> (B, L, W), or (N, W) of unpadded rows."""
        dtype, config = x.dtype, self.config
        qkv = self._queries_keys_values(x)  # (B, L, 3W)
        attended = attention.causal_attention(qkv, positions, config.num_heads, config.attention_scale, rows)
        x = x + self.dropout(functional.linear(attended, self.out.to(dtype)), rows)
        normed = attention.rms_norm(x)
        inner = attention.swiglu(
            functional.linear(normed, self.gate.to(dtype)), functional.linear(normed, self.up.to(dtype))
        )  # (B, L, F)
        residual: Tensor = self.dropout(functional.linear(inner, self.down.to(dtype)), rows)
        return x + residual

    def _queries_keys_values(self, x: Tensor) -> Tensor:
        """x: (B, L, W) -> (B, L, 3W)."""
        return functional.linear(attention.rms_norm(x), torch.cat((self.query, self.key, self.value)).to(x.dtype))

    def attention_weights(self, x: Tensor, positions: PositionTables) -> Tensor:
        """(B, H, L, L) of the attention over x (B, L, W)."""
        config = self.config
        qkv = self._queries_keys_values(x)
        return attention.attention_weights(qkv, positions, config.num_heads, config.attention_scale)


class Decoder(nn.Module):
    """Token ids to next-token logits. Weights are kept in fp32; `dtype` is what a forward pass computes in."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        vocab_size, hidden_size = config.vocab_size, config.hidden_size
        embedding_std = 0.02 if config.tie_embeddings else 0.8
        self.token_embedding = nn.Parameter(torch.randn(vocab_size, hidden_size) * embedding_std)
        self.blocks = nn.ModuleList(DecoderBlock(config) for _ in range(config.num_layers))
        self.dropout = Dropout(config.dropout)
        if config.neighbour_offsets:
            num_neighbours = len(config.neighbour_offsets)
            self.position_embedding = nn.Parameter(torch.randn(config.context_length, hidden_size) * 0.2)
            self.neighbour_embedding = nn.Parameter(torch.randn(num_neighbours, vocab_size, hidden_size) * 0.4)
        if not config.tie_embeddings:
            self.head = nn.Parameter(torch.randn(vocab_size, hidden_size) * 0.001)
        self._positions: dict[torch.device, PositionTables] = {}

    def positions(self) -> PositionTables:
        """The tables of all positions of the context, on the device of the weights."""
        device = self.token_embedding.device
        if device not in self._positions:
            c = self.config
            self._positions[device] = PositionTables.make(c.context_length, c.head_dim, c.rope_base).to(device)
        return self._positions[device]

    def embed(self, ids: Tensor, start: int = 0) -> Tensor:
        """(B, L - start, W) inputs of the blocks for the positions from `start` on. ids: (B, L), all from the first position on."""
        x = functional.embedding(ids[:, start:], self.token_embedding)
        if self.config.neighbour_offsets:
            x = x + self.position_embedding[start : ids.shape[1]]
            positions = torch.arange(start, ids.shape[1], device=ids.device)
            for table, offset in zip(self.neighbour_embedding, self.config.neighbour_offsets, strict=True):
                x = x + functional.embedding(ids[:, self.neighbour_index(positions, offset)], table)
        return x

    def neighbour_index(self, positions: Tensor, offset: int) -> Tensor:
        """The index of the input that is `offset` tokens before the target of each position. At the edge, it is that of the last position
        in front, never of one that is still to come."""
        return (positions + 1 - offset).clamp(min=self.config.num_prefix - 1).minimum(positions)

    def hidden_states(self, ids: Tensor, dtype: torch.dtype, rows: UnpaddedRows | None) -> Tensor:
        """ids: (B, L) with L up to the context -> (B, L, W), or (N, W) of unpadded rows, normalised, in `dtype`."""
        positions = self.positions().span(0, ids.shape[1], dtype)
        x = self.embed(ids)
        x = self.dropout((x if rows is None else rows.gather(x.flatten(0, 1))).to(dtype), rows)
        for block in self.blocks:
            x = block(x, positions, rows)
        return attention.rms_norm(x)

    def attention_weights(self, ids: Tensor) -> Tensor:
        """(layers, B, H, L, L) how much each position took from each before it, of ids (B, L)."""
        positions = self.positions().span(0, ids.shape[1], torch.float32)
        x = self.embed(ids)
        weights = []
        for block in self.blocks:
            assert isinstance(block, DecoderBlock)
            weights.append(block.attention_weights(x, positions))
            x = block(x, positions)
        return torch.stack(weights)

    def output_matrix(self) -> Tensor:
        """The matrix (V, W) that turns hidden states into logits."""
        return self.token_embedding if self.config.tie_embeddings else self.head

    def forward(self, ids: Tensor, dtype: torch.dtype = torch.float32, rows: UnpaddedRows | None = None) -> Tensor:
        """ids: (B, L) -> logits (B, L, V), or (N, V) of unpadded rows, in `dtype`."""
        return functional.linear(self.hidden_states(ids, dtype, rows), self.output_matrix().to(dtype))


def _matrix(rows: int, columns: int, zero_init: bool = False) -> nn.Parameter:
    values = torch.zeros(rows, columns) if zero_init else torch.randn(rows, columns) * columns**-0.5
    return nn.Parameter(values)


class Qwen3Config(TypedDict):
    """config.json of a `transformers.Qwen3ForCausalLM`."""

    architectures: list[str]
    model_type: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    hidden_act: str
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float
    rope_parameters: dict[str, str | float]
    tie_word_embeddings: bool
    attention_bias: bool
    use_sliding_window: bool
    dtype: str


def to_qwen3(state: Mapping[str, Tensor], config: DecoderConfig) -> tuple[dict[str, Tensor], Qwen3Config]:
    """A decoder's state dict -> the state dict and config.json of `transformers.Qwen3ForCausalLM` with equal logits.

    Raises:
        ValueError: The decoder is one of a grid, whose further embeddings a Qwen3 does not have.
    """
    if config.neighbour_offsets:
        raise ValueError("a decoder of tokens on a grid cannot be written as a Qwen3")
    embedding = state["token_embedding"]
    renamed = {"model.embed_tokens.weight": embedding, "model.norm.weight": torch.ones(config.hidden_size)}
    renamed["lm_head.weight"] = embedding if config.tie_embeddings else state["head"]
    for layer in range(config.num_layers):
        prefix = f"model.layers.{layer}."
        for name, qwen3_name in QWEN3_NAMES.items():
            renamed[f"{prefix}{qwen3_name}.weight"] = state[f"blocks.{layer}.{name}"]
        for norm in ("input_layernorm", "post_attention_layernorm"):
            renamed[f"{prefix}{norm}.weight"] = torch.ones(config.hidden_size)
        for norm in ("q_norm", "k_norm"):
            renamed[f"{prefix}self_attn.{norm}.weight"] = torch.full((config.head_dim,), QK_GAIN**0.5)
    return renamed, _qwen3_config(config)


def _qwen3_config(config: DecoderConfig) -> Qwen3Config:
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.mlp_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": config.context_length,
        "rms_norm_eps": attention.EPSILON,
        "rope_theta": config.rope_base,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base},
        "tie_word_embeddings": config.tie_embeddings,
        "attention_bias": False,
        "use_sliding_window": False,
        "dtype": "float32",
    }
