"""A decoder as a graph of one step with a cache, and what else a sampler of tokens must know.

Legend for shapes: n samples, L new positions, P positions in the cache, K neighbours on a grid, H heads, D head size.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from anew.core.specs import Tokens
from anew.errors import ConfigError
from anew.families.portable import Graph, PortableSampler, StockDecoder
from anew.families.transformer.drawing.sampler import DEFAULT_NEW_TOKENS
from anew.families.transformer.drawing.whole_characters import whole_characters
from anew.nets.attention import EPSILON
from anew.nets.decoder import Decoder, DecoderBlock, to_qwen3


def qwen3_decoder(net: Decoder, spec: Tokens, left_out: tuple[str, ...]) -> StockDecoder:
    """A network as a Qwen3. left_out: what else the run samples from. ConfigError for codes on a grid."""
    if spec.shape:
        raise ConfigError(
            "this run samples codes of images or clips on a grid, and no stock language model sees what lies around a place"
        )
    state, config = to_qwen3(net.state_dict(), net.config)
    if config["tie_word_embeddings"]:
        del state["lm_head.weight"]
    return StockDecoder(state, config, left_out)


def decoder_sampler(
    net: Decoder, spec: Tokens, first: Tensor | None, sampling: Mapping[str, object], left_out: tuple[str, ...]
) -> PortableSampler:
    """A sampler that draws one token after another.

    Args:
        first: (V,) frequency of each token, from which the first is drawn if nothing begins a text; None: all alike.
        sampling: Temperature, top_k, top_p and min_p.
        left_out: Other parts that the run samples from.

    The step `tokens` has ids with a meaning (`begin`, `end`, `pad`, `never`; null without one); `opening`, the ids before a text
    without a prompt, in place of `begin`, and `first` where there is neither; `label_base`, the id of the first class, since a label
    comes before the other tokens; `new`, the most tokens that are drawn; `context`, positions of the graph; `window`, tokens of the
    run's context, of which the later half is kept when it is full, and the most in all where texts are not `packed`; `characters`,
    the table that keeps UTF-8 valid (`WholeCharacters.portable`; null where every token is whole characters); and `offsets` and
    `prefix` of neighbours on a grid.
    """
    c = net.config
    special = spec.special
    begin = special.get("begin", special.get("end"))
    characters = whole_characters(spec.spellings, spec.unsampled_ids)
    common = torch.full((spec.vocab,), 1.0 / spec.vocab) if first is None else first
    step = {
        "step": "tokens",
        "graph": "decoder",
        "out": "ids",
        "vocab": spec.vocab,
        "begin": begin,
        "opening": list(spec.opening),
        "first": common.tolist() if begin is None and not spec.opening else None,
        "end": special.get("end"),
        "pad": special.get("pad", special.get("end", 0)),
        "never": list(spec.unsampled_ids),
        "characters": None if characters is None else characters.portable(),
        "label_base": spec.vocab if spec.classes else None,
        "packed": spec.packed,
        "new": DEFAULT_NEW_TOKENS if spec.packed else spec.length,
        "context": c.context_length,
        "window": spec.length,
        "cache": [c.num_layers, c.num_heads, c.head_dim],
        "offsets": list(c.neighbour_offsets),
        "prefix": c.num_prefix,
        **sampling,
    }
    decoder, inside = _graphs(net)
    return PortableSampler((decoder,), (step,), left_out, views=(inside,))


def _graphs(net: Decoder) -> tuple[Graph, Graph]:
    """Two graphs with (ids (n, L), positions (L,), keys, values (layers, n, H, P, D), neighbours (n, K, L) on a grid) as inputs.

    The first gives logits (n, V) after the last position, and the longer cache. The second looks inside: attention (layers, n, H, L, P +
    L), logits (n, L, V), and those (layers + 1, n, V) that each state of the last position would give if the network ended there."""
    c, tables = net.config, net.positions()

    def step(ids: Tensor, positions: Tensor, keys: Tensor, values: Tensor, *neighbours: Tensor) -> tuple[Tensor, ...]:
        x = functional.embedding(ids, net.token_embedding)  # (n, L, W)
        if c.neighbour_offsets:
            x = x + net.position_embedding[positions]
            for index, table in enumerate(net.neighbour_embedding):
                x = x + functional.embedding(neighbours[0][:, index], table)
        cos, sin = tables.cos[positions], tables.sin[positions]  # (L, D)
        places = torch.arange(keys.shape[3] + ids.shape[1])
        is_hidden = places[None] > positions[:, None]  # (L, P + L)
        new_keys, new_values, attention, states = [], [], [], [x[:, -1]]
        for layer, block in enumerate(net.blocks):
            assert isinstance(block, DecoderBlock)
            normed = _rms_norm(x)
            # Few and large products, since an interpreter takes time for each node. Joined matrices are constants, made once.
            qkv = functional.linear(normed, torch.cat((block.query, block.key, block.value)))
            qkv = qkv.view(ids.shape[0], ids.shape[1], 3, c.num_heads, c.head_dim).permute(2, 0, 3, 1, 4)
            query, key = _rotated(_rms_norm(qkv[:2]), cos, sin).unbind()  # each (n, H, L, D)
            value = qkv[2]
            key, value = torch.cat((keys[layer], key), 2), torch.cat((values[layer], value), 2)
            scores = (query @ key.transpose(2, 3)) * c.attention_scale  # (n, H, L, P + L)
            weights = scores.masked_fill(is_hidden, -torch.inf).softmax(-1)
            heads = weights @ value
            x = x + functional.linear(heads.transpose(1, 2).flatten(2), block.out)
            normed = _rms_norm(x)
            gate, up = functional.linear(normed, torch.cat((block.gate, block.up))).chunk(2, -1)
            x = x + functional.linear(functional.silu(gate) * up, block.down)
            new_keys.append(key)
            new_values.append(value)
            attention.append(weights)
            states.append(x[:, -1])
        logits, all_logits, lens = (
            functional.linear(_rms_norm(t), net.output_matrix()) for t in (x[:, -1], x, torch.stack(states))
        )
        return logits, torch.stack(new_keys), torch.stack(new_values), torch.stack(attention), all_logits, lens

    past, new, rows = 3, 4, 2
    cache = torch.zeros(c.num_layers, rows, c.num_heads, past, c.head_dim)
    inputs = {
        "ids": torch.zeros(rows, new, dtype=torch.long),
        "positions": torch.arange(past, past + new),
        "keys": cache,
        "values": cache.clone(),
    }
    dynamic = {
        "ids": {0: "n", 1: "new"},
        "positions": {0: "new"},
        "keys": {1: "n", 3: "past"},
        "values": {1: "n", 3: "past"},
    }
    if c.neighbour_offsets:
        inputs["neighbours"] = torch.zeros(rows, len(c.neighbour_offsets), new, dtype=torch.long)
        dynamic["neighbours"] = {0: "n", 2: "new"}
    decoder = Graph("decoder", net, step, inputs, ("logits", "all_keys", "all_values"), dynamic, (0, 1, 2))
    return decoder, Graph("inside", net, step, inputs, ("attention", "logits", "lens"), dynamic, (3, 4, 5))


def _rms_norm(x: Tensor) -> Tensor:
    return x * (x.square().mean(-1, keepdim=True) + EPSILON).rsqrt()


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat((-second, first), -1) * sin
