"""A decoder that generates: keys and values are kept, weights are laid out once for one position at a time.

Legend for shapes: n streams, L positions, W width, H heads, D head size.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from anew.nets import layers
from anew.nets.layers import Positions
from anew.nets.transformer import Block, Decoder


class Stream:
    """n sequences that grow together, up to the decoder's context. Use inside `torch.inference_mode`."""

    def __init__(self, net: Decoder, n: int) -> None:
        shape = net.shape
        self.net, self.n, self.used = net, n, 0
        self.blocks = [_Weights(block) for block in net.blocks]  # type: ignore[arg-type]
        room = (shape.layers, n * shape.heads, shape.context, shape.size)
        device = net.embed.device
        self.keys = torch.zeros(room, device=device)  # (layers, n*H, L, D)
        self.values = torch.zeros(room, device=device)  # (layers, n*H, L, D)

    def reset(self) -> None:
        """Forget all positions."""
        self.used = 0

    def feed(self, ids: Tensor) -> Tensor:
        """ids: (n, L) that come next, at most what room is left -> logits (n, V) after the last of them."""
        at = self.net.positions().span(self.used, self.used + ids.shape[1], self.keys.dtype)
        x = F.embedding(ids, self.net.embed)  # (n, L, W)
        for layer, weights in enumerate(self.blocks):
            x = x + self._attend(layer, layers.rms_norm(x) @ weights.qkv, at) @ weights.out
            gate, up = (layers.rms_norm(x) @ weights.gate_up).chunk(2, -1)
            x = x + layers.gated(gate, up) @ weights.down
        self.used += ids.shape[1]
        return layers.rms_norm(x[:, -1]) @ self.net.output().mT

    def _attend(self, layer: int, joint: Tensor, at: Positions) -> Tensor:
        """joint: (n, L, 3W) queries, keys, values -> (n, L, W)."""
        shape, length = self.net.shape, joint.shape[1]
        start, stop = self.used, self.used + length
        parts = joint.view(self.n, length, 3, shape.heads, shape.size).permute(2, 0, 3, 1, 4)
        both, v = parts[:2].reshape(2, -1, length, shape.size), parts[2].reshape(-1, length, shape.size)
        q, k = layers.rotate(layers.rms_norm(both), at)  # each (n*H, L, D)
        self.keys[layer, :, start:stop] = k
        self.values[layer, :, start:stop] = v
        scores = torch.bmm(q, self.keys[layer, :, :stop].mT) * shape.scale  # (n*H, L, stop)
        if length > 1:
            scores += at.mask
        mixed = torch.bmm(scores.softmax(-1), self.values[layer, :, :stop])
        return mixed.view(self.n, shape.heads, length, shape.size).transpose(1, 2).reshape(self.n, length, shape.width)


class _Weights:
    """A block's matrices, joined and transposed."""

    def __init__(self, block: Block) -> None:
        self.qkv = torch.cat((block.query, block.key, block.value)).mT.contiguous()
        self.out = block.out.mT.contiguous()
        self.gate_up = torch.cat((block.gate, block.up)).mT.contiguous()
        self.down = block.down.mT.contiguous()
