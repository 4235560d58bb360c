"""A decoder that generates: keys and values are kept, weights are laid out once for one position at a time.

Legend for shapes: n streams, L positions, W width, H heads, D head size.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anew.nets import attention
from anew.nets.attention import Positions
from anew.nets.decoder import Block, Decoder

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Stream:
    """n sequences that grow together, up to the decoder's context. Use inside `torch.inference_mode`."""

    @classmethod
    def open(cls, net: Decoder, n: int) -> Stream:
        """The quicker of both kinds for where the weights are."""
        return ArrayStream(net, n) if net.embed.device.type == "cpu" else Stream(net, n)

    def __init__(self, net: Decoder, n: int) -> None:
        shape = net.shape
        self.net, self.n, self.used = net, n, 0
        self.blocks = [_Weights(block) for block in net.blocks]  # type: ignore[arg-type]
        room = (shape.layers, n * shape.heads, shape.context, shape.size)
        device = net.embed.device
        self.keys = torch.zeros(room, device=device)  # (layers, n*H, L, D)
        self.values = torch.zeros(room, device=device)  # (layers, n*H, L, D)
        self.past_ids = np.zeros((n, shape.context), dtype=np.int64)

    def reset(self) -> None:
        """Forget all positions."""
        self.used = 0

    def feed(self, ids: Ints) -> Floats:
        """ids: (n, L) that come next, at most what room is left -> logits (n, V) after the last of them."""
        stop = self.used + ids.shape[1]
        self.past_ids[:, self.used : stop] = ids
        return self._read(torch.from_numpy(self.past_ids[:, :stop]).to(self.keys.device)).float().cpu().numpy()

    def _read(self, ids: Tensor) -> Tensor:
        """ids: (n, all so far) -> logits (n, V) after the last."""
        at = self.net.positions().span(self.used, ids.shape[1], self.keys.dtype)
        x = self.net.entered(ids, self.used)  # (n, L, W)
        for layer, weights in enumerate(self.blocks):
            x = x + self._attend(layer, attention.rms_norm(x) @ weights.qkv, at) @ weights.out
            gate, up = (attention.rms_norm(x) @ weights.gate_up).chunk(2, -1)
            x = x + attention.gated(gate, up) @ weights.down
        self.used = ids.shape[1]
        return attention.rms_norm(x[:, -1]) @ self.net.output().mT

    def _attend(self, layer: int, joint: Tensor, at: Positions) -> Tensor:
        """joint: (n, L, 3W) queries, keys, values -> (n, L, W)."""
        shape, length = self.net.shape, joint.shape[1]
        start, stop = self.used, self.used + length
        parts = joint.view(self.n, length, 3, shape.heads, shape.size).permute(2, 0, 3, 1, 4)
        both, v = parts[:2].reshape(2, -1, length, shape.size), parts[2].reshape(-1, length, shape.size)
        q, k = attention.rotate(attention.rms_norm(both), at)  # each (n*H, L, D)
        self.keys[layer, :, start:stop] = k
        self.values[layer, :, start:stop] = v
        scores = torch.bmm(q, self.keys[layer, :, :stop].mT) * shape.scale  # (n*H, L, stop)
        if length > 1:
            scores += at.mask
        mixed = torch.bmm(scores.softmax(-1), self.values[layer, :, :stop])
        return mixed.view(self.n, shape.heads, length, shape.size).transpose(1, 2).reshape(self.n, length, shape.width)


class ArrayStream(Stream):
    """A stream that takes single steps in NumPy: at these sizes most of a step is the cost of calling, and its calls are
    several times cheaper. It shares the memory of keys and values with `Stream`, which takes what is longer."""

    def __init__(self, net: Decoder, n: int) -> None:
        super().__init__(net, n)
        shape, at = net.shape, net.positions()
        self.embed, self.head = _array(net.embed), _array(net.output().mT)
        if shape.back:
            self.places, self.backs = _array(net.place_embed), _array(net.back_embed)
        self.matrices = [tuple(map(_array, (w.qkv, w.out, w.gate_up, w.down))) for w in self.blocks]
        self.past = [(_array(k), _array(v)) for k, v in zip(self.keys, self.values, strict=True)]  # each (n*H, L, D)
        # Cosine and sine side by side, as the joint product with (identity, turn) gives them; queries carry the scale.
        waves = np.concatenate((_array(at.cos), _array(at.sin)), 1)[:, None]  # (L, 1, 2D)
        rows = np.repeat(np.array([shape.scale, 1.0], dtype=np.float32), shape.heads)  # (2H,)
        self.waves = np.tile(waves * rows[:, None], (1, n, 1))  # (L, n*2H, 2D)
        self.turn = np.concatenate((np.eye(shape.size, dtype=np.float32), _array(at.turn)), 1)  # (D, 2D)

    def feed(self, ids: Ints) -> Floats:
        if ids.shape[1] != 1:
            return super().feed(ids)
        self.past_ids[:, self.used] = ids[:, 0]
        x = self.embed[ids[:, 0]]
        if self.net.shape.back:
            x += self.places[self.used]
            for table, back in zip(self.backs, self.net.shape.back, strict=True):
                x += table[self.past_ids[:, min(max(self.used + 1 - back, self.net.shape.lead - 1), self.used)]]
        with np.errstate(over="ignore"):  # a gate far below zero is zero
            return self._advance(x)

    def _advance(self, x: Floats) -> Floats:
        """x: (n, W), embedded -> logits (n, V)."""
        hidden = self.net.shape.hidden
        for layer, (qkv, out, gate_up, down) in enumerate(self.matrices):
            x += self._step(layer, _norm(x) @ qkv) @ out
            inner = _norm(x) @ gate_up  # (n, 2F)
            gate = inner[:, :hidden]
            fall = np.exp(-gate)
            fall += 1.0
            gate /= fall
            gate *= inner[:, hidden:]
            x += gate @ down
        self.used += 1
        return _norm(x) @ self.head

    def _step(self, layer: int, joint: Floats) -> Floats:
        """joint: (n, 3W) queries, keys, values of one position -> (n, W)."""
        n, heads, size = self.n, self.net.shape.heads, self.net.shape.size
        wide, place = heads * size, self.used
        waved = _norm(joint[:, : 2 * wide].reshape(-1, size)) @ self.turn  # (n*2H, 2D)
        waved *= self.waves[place]
        turned = (waved[:, :size] + waved[:, size:]).reshape(n, 2, heads, size)
        keys, values = self.past[layer]
        keys[:, place] = turned[:, 1].reshape(-1, size)
        values[:, place] = joint[:, 2 * wide :].reshape(-1, size)
        weights = np.matmul(keys[:, : place + 1], turned[:, 0].reshape(-1, size, 1))[:, :, 0]  # (n*H, L)
        # Queries and keys have unit size, so scores are bounded and need no shift by their maximum.
        np.exp(weights, out=weights)
        mixed: Floats = np.matmul(weights[:, None], values[:, : place + 1])[:, 0]  # (n*H, D)
        mixed /= weights.sum(1, keepdims=True)
        return mixed.reshape(n, wide)


def _array(x: Tensor) -> Floats:
    return x.detach().contiguous().numpy()


def _norm(x: Floats) -> Floats:
    size = x.shape[-1]
    if len(x) == 1:
        return x * (1.0 / math.sqrt(float(x[0].dot(x[0])) / size + attention.EPSILON))
    mean = np.vecdot(x, x)
    mean /= size
    mean += attention.EPSILON
    scaled: Floats = x / np.sqrt(mean)[:, None]
    return scaled


class _Weights:
    """A block's matrices, joined and transposed."""

    def __init__(self, block: Block) -> None:
        self.qkv = torch.cat((block.query, block.key, block.value)).mT.contiguous()
        self.out = block.out.mT.contiguous()
        self.gate_up = torch.cat((block.gate, block.up)).mT.contiguous()
        self.down = block.down.mT.contiguous()
