"""A decoder that generates: keys and values are kept, weights are laid out once for one position at a time.

Legend for shapes: n streams, L positions, W width, H heads, D head size.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from anew.nets import layers
from anew.nets.transformer import QK_GAIN, Block, Decoder


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
        length = ids.shape[1]
        start, stop = self.used, self.used + length
        cos, sin = self.net.cos[start:stop], self.net.sin[start:stop]
        mask = self.net.mask[start:stop, :stop] if length > 1 else None
        x = F.embedding(ids, self.net.embed)  # (n, L, W)
        for layer, weights in enumerate(self.blocks):
            x = x + self._attend(layer, layers.rms_norm(x) @ weights.qkv, cos, sin, mask) @ weights.out
            gate, up = (layers.rms_norm(x) @ weights.gate_up).chunk(2, -1)
            x = x + layers.gated_linear(gate, up) @ weights.down
        self.used = stop
        return layers.rms_norm(x[:, -1]) @ self.net.output().mT

    def _attend(self, layer: int, joint: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        """joint: (n, L, 3W) queries, keys, values -> (n, L, W)."""
        shape, length = self.net.shape, joint.shape[1]
        stop = self.used + length
        parts = joint.view(self.n, length, 3 * shape.heads, shape.size)
        turned = layers.norm_rotate(parts[:, :, : 2 * shape.heads], cos, sin)
        q, k = (self._by_head(t) for t in turned.split(shape.heads, 2))
        self.keys[layer, :, self.used : stop] = k
        self.values[layer, :, self.used : stop] = self._by_head(parts[:, :, 2 * shape.heads :])
        scores = torch.bmm(q, self.keys[layer, :, :stop].mT) * (QK_GAIN * shape.size**-0.5)  # (n*H, L, stop)
        if mask is not None:
            scores += mask
        mixed = torch.bmm(scores.softmax(-1), self.values[layer, :, :stop])
        return mixed.view(self.n, shape.heads, length, shape.size).transpose(1, 2).reshape(self.n, length, shape.width)

    def _by_head(self, x: Tensor) -> Tensor:
        """(n, L, H, D) -> (n*H, L, D)."""
        return x.transpose(1, 2).reshape(-1, x.shape[1], x.shape[3])


class _Weights:
    """A block's matrices, joined and transposed."""

    def __init__(self, block: Block) -> None:
        self.qkv = torch.cat((block.query, block.key, block.value)).mT.contiguous()
        self.out = block.out.mT.contiguous()
        self.gate_up = torch.cat((block.gate, block.up)).mT.contiguous()
        self.down = block.down.mT.contiguous()
