"""A decoder that generates: keys and values are cached, weights are laid out once for one position at a time.

Legend for shapes: n sequences, L positions, W hidden size, H heads, D head size, F inner size of the MLP, V vocabulary.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anew.core.arrays import Floats, Ints
from anew.nets import attention
from anew.nets.attention import PositionTables
from anew.nets.decoder import Decoder, DecoderBlock

MAX_SCORE = 60.0  # e^60 times any context is within fp32, whose limit is e^88


def make_incremental(net: Decoder, n: int) -> CachedDecoder:
    """The faster of the two decoders on the device of the weights."""
    return NumpyDecoder(net, n) if net.token_embedding.device.type == "cpu" else CachedDecoder(net, n)


class CachedDecoder:
    """n sequences that grow together, up to the decoder's context. Use inside `torch.inference_mode`.

    Attributes:
        length: Positions that have been read.
    """

    def __init__(self, net: Decoder, n: int) -> None:
        c = net.config
        self.net, self.n, self.length = net, n, 0
        self.weights = [_BlockWeights(block) for block in net.blocks]  # type: ignore[arg-type]
        device = net.token_embedding.device
        cache_shape = (c.num_layers, n * c.num_heads, c.context_length, c.head_dim)
        self.keys = torch.zeros(cache_shape, device=device)  # (layers, n*H, L, D)
        self.values = torch.zeros(cache_shape, device=device)  # (layers, n*H, L, D)
        self.ids = np.zeros((n, c.context_length), dtype=np.int64)

    def reset(self) -> None:
        """Forget all positions."""
        self.length = 0

    def keep(self, rows: Ints) -> None:
        """Go on with these sequences (k,) only, by their numbers."""
        heads = (rows[:, None] * self.net.config.num_heads + np.arange(self.net.config.num_heads)).ravel()
        places = torch.from_numpy(heads).to(self.keys.device)
        self.n, self.ids = len(rows), self.ids[rows]
        self.keys, self.values = self.keys[:, places], self.values[:, places]

    def feed(self, ids: Ints) -> Floats:
        """Read what comes next.

        Args:
            ids: (n, L), at most what room is left in the context.

        Returns:
            Logits (n, V) after the last of them.
        """
        stop = self.length + ids.shape[1]
        self.ids[:, self.length : stop] = ids
        return self._forward(torch.from_numpy(self.ids[:, :stop]).to(self.keys.device)).float().cpu().numpy()

    def _forward(self, ids: Tensor) -> Tensor:
        """ids: (n, all so far) -> logits (n, V) after the last."""
        positions = self.net.positions().span(self.length, ids.shape[1], self.keys.dtype)
        x = self.net.embed(ids, self.length)  # (n, L, W)
        for layer, weights in enumerate(self.weights):
            x = x + self._attend(layer, attention.rms_norm(x) @ weights.qkv, positions) @ weights.out
            gate, up = (attention.rms_norm(x) @ weights.gate_up).chunk(2, -1)
            x = x + attention.swiglu(gate, up) @ weights.down
        self.length = ids.shape[1]
        return attention.rms_norm(x[:, -1]) @ self.net.output_matrix().mT

    def _attend(self, layer: int, qkv: Tensor, positions: PositionTables) -> Tensor:
        """qkv: (n, L, 3W) -> (n, L, W)."""
        c, new_length = self.net.config, qkv.shape[1]
        start, stop = self.length, self.length + new_length
        by_head = qkv.view(self.n, new_length, 3, c.num_heads, c.head_dim).permute(2, 0, 3, 1, 4)
        qk = by_head[:2].reshape(2, -1, new_length, c.head_dim)
        q, k = positions.rotate(attention.rms_norm(qk))  # each (n*H, L, D)
        self.keys[layer, :, start:stop] = k
        self.values[layer, :, start:stop] = by_head[2].reshape(-1, new_length, c.head_dim)
        scores = torch.bmm(q, self.keys[layer, :, :stop].mT) * c.attention_scale  # (n*H, L, stop)
        if new_length > 1:
            scores += positions.mask
        heads = torch.bmm(scores.softmax(-1), self.values[layer, :, :stop])
        by_row = heads.view(self.n, c.num_heads, new_length, c.head_dim).transpose(1, 2)
        return by_row.reshape(self.n, new_length, c.hidden_size)


class NumpyDecoder(CachedDecoder):
    """A decoder that takes single steps in NumPy: at these sizes most of a step is the cost of calling, and its calls are
    several times cheaper. It shares the memory of keys and values with `CachedDecoder`, which reads what is longer."""

    def __init__(self, net: Decoder, n: int) -> None:
        super().__init__(net, n)
        c, positions = net.config, net.positions()
        self.token_embedding = _as_numpy(net.token_embedding)
        self.head = _as_numpy(net.output_matrix().mT)
        if c.neighbour_offsets:
            self.position_embedding = _as_numpy(net.position_embedding)
            self.neighbour_embedding = _as_numpy(net.neighbour_embedding)
        self.layers = [
            _NumpyLayer(
                qkv=_as_numpy(weights.qkv),
                out=_as_numpy(weights.out),
                gate_up=_as_numpy(weights.gate_up),
                down=_as_numpy(weights.down),
                keys=_as_numpy(keys),
                values=_as_numpy(values),
            )
            for weights, keys, values in zip(self.weights, self.keys, self.values, strict=True)
        ]
        # Cosine and sine side by side, as the joint product with (identity, rotate_half) gives them; queries carry the
        # scale of the scores.
        cos_sin = np.concatenate((_as_numpy(positions.cos), _as_numpy(positions.sin)), 1)[:, None]  # (L, 1, 2D)
        scales = np.repeat(np.array([c.attention_scale, 1.0], dtype=np.float32), c.num_heads)  # (2H,)
        self.cos_sin = np.tile(cos_sin * scales[:, None], (1, n, 1))  # (L, n*2H, 2D)
        # Queries and keys have unit size, so scores are bounded; where exp stays far within fp32, no shift is needed.
        self.is_shifted = c.attention_scale * c.head_dim > MAX_SCORE
        identity = np.eye(c.head_dim, dtype=np.float32)
        self.rotation = np.concatenate((identity, _as_numpy(positions.rotate_half)), 1)  # (D, 2D)

    def keep(self, rows: Ints) -> None:
        super().keep(rows)
        self.cos_sin = self.cos_sin[:, : len(rows) * 2 * self.net.config.num_heads]
        self.layers = [
            layer._replace(keys=_as_numpy(keys), values=_as_numpy(values))
            for layer, keys, values in zip(self.layers, self.keys, self.values, strict=True)
        ]

    def feed(self, ids: Ints) -> Floats:
        if ids.shape[1] != 1:
            return super().feed(ids)
        self.ids[:, self.length] = ids[:, 0]
        x = self.token_embedding[ids[:, 0]]  # (n, W)
        c = self.net.config
        if c.neighbour_offsets:
            x += self.position_embedding[self.length]
            for table, offset in zip(self.neighbour_embedding, c.neighbour_offsets, strict=True):
                neighbour = min(max(self.length + 1 - offset, c.num_prefix - 1), self.length)
                x += table[self.ids[:, neighbour]]
        with np.errstate(over="ignore"):  # a gate far below zero is zero
            return self._step(x)

    def _step(self, x: Floats) -> Floats:
        """x: (n, W), embedded -> logits (n, V)."""
        mlp_size = self.net.config.mlp_size
        for layer in self.layers:
            x += self._attend_one(layer, _rms_norm(x) @ layer.qkv) @ layer.out
            gate_up = _rms_norm(x) @ layer.gate_up  # (n, 2F)
            gate = gate_up[:, :mlp_size]
            denominator = np.exp(-gate)
            denominator += 1.0
            gate /= denominator
            gate *= gate_up[:, mlp_size:]
            x += gate @ layer.down
        self.length += 1
        return _rms_norm(x) @ self.head

    def _attend_one(self, layer: _NumpyLayer, qkv: Floats) -> Floats:
        """qkv: (n, 3W) of one position -> (n, W)."""
        c, position = self.net.config, self.length
        hidden_size, head_dim = c.hidden_size, c.head_dim
        parts = _rms_norm(qkv[:, : 2 * hidden_size].reshape(-1, head_dim)) @ self.rotation  # (n*2H, 2D)
        parts *= self.cos_sin[position]
        qk = (parts[:, :head_dim] + parts[:, head_dim:]).reshape(self.n, 2, c.num_heads, head_dim)
        layer.keys[:, position] = qk[:, 1].reshape(-1, head_dim)
        layer.values[:, position] = qkv[:, 2 * hidden_size :].reshape(-1, head_dim)
        queries = qk[:, 0].reshape(-1, head_dim, 1)
        weights = np.matmul(layer.keys[:, : position + 1], queries)[:, :, 0]  # (n*H, L)
        if self.is_shifted:
            weights -= weights.max(1, keepdims=True)
        np.exp(weights, out=weights)
        heads: Floats = np.matmul(weights[:, None], layer.values[:, : position + 1])[:, 0]  # (n*H, D)
        heads /= weights.sum(1, keepdims=True)
        return heads.reshape(self.n, hidden_size)


class _NumpyLayer(NamedTuple):
    """A block's matrices, transposed, and its part of the cache (n*H, L, D)."""

    qkv: Floats
    out: Floats
    gate_up: Floats
    down: Floats
    keys: Floats
    values: Floats


def _as_numpy(x: Tensor) -> Floats:
    return x.detach().contiguous().numpy()


def _rms_norm(x: Floats) -> Floats:
    size = x.shape[-1]
    if len(x) == 1:
        return x * (1.0 / math.sqrt(float(x[0].dot(x[0])) / size + attention.EPSILON))
    mean_square = np.vecdot(x, x)
    mean_square /= size
    mean_square += attention.EPSILON
    normed: Floats = x / np.sqrt(mean_square)[:, None]
    return normed


class _BlockWeights:
    """A block's matrices, joined and transposed."""

    def __init__(self, block: DecoderBlock) -> None:
        self.qkv = torch.cat((block.query, block.key, block.value)).mT.contiguous()
        self.out = block.out.mT.contiguous()
        self.gate_up = torch.cat((block.gate, block.up)).mT.contiguous()
        self.down = block.down.mT.contiguous()
