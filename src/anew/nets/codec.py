"""Networks of a codec: items -> a few numbers for each place of a small grid, and back (blocks as in `autoencoder`)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from anew.nets.autoencoder import Decoder, Encoder
from anew.nets.conv_blocks import ChannelNorm, Conv


class Coder(nn.Module):
    """For items (B, C, H, W) of `shape`; `kind` is the type that is computed in. numbers: n, for each place.

    sides: rows h and columns w of places, each a patch 2^(sizes - 1) patches wide, rounded up.
    """

    def __init__(self, shape: tuple[int, ...], widths: tuple[int, ...], depth: int, patch: int, numbers: int) -> None:
        super().__init__()
        self.shape = shape
        multiple = patch * 2 ** (len(widths) - 1)
        self.sides = -(-shape[1] // multiple), -(-shape[2] // multiple)
        self.encoder = Encoder(shape[0], widths, depth, patch)
        self.norm = ChannelNorm(widths[-1])
        self.say = Conv(widths[-1], numbers)
        self.decoder = Decoder(numbers, shape[0], widths, depth, patch)

    def said(self, x: Tensor, kind: torch.dtype) -> Tensor:
        """x: (B, C, H, W) -> (B, n, h, w) fp32, without bounds."""
        features = self.encoder(x.to(kind))
        found: Tensor = self.say(functional.silu(self.norm(features))).float()
        return found

    def shown(self, z: Tensor, kind: torch.dtype) -> Tensor:
        """z: (B, n, h, w) -> (B, C, H, W) fp32."""
        found: Tensor = self.decoder(z.to(kind, memory_format=torch.channels_last), *self.shape[1:])
        return found.float()
