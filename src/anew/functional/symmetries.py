"""Symmetries of images: flips, the transpose and the order of the colours, which move values and change none.

A network that is told them can learn from moved images, and draw only images that are not (arXiv 2206.00364, appendix F.2).
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

NUM_FLIPS = 3  # flips of rows, of columns and across the diagonal make any of the 8 symmetries of a square
COLOUR_ORDERS = tuple(itertools.permutations(range(3)))[1:]  # but the one that they have
# Random numbers for one image: whether it is flipped, which flips it gets, whether its colours change places, and their new order
NUM_UNIFORMS = 1 + NUM_FLIPS + 2


class Symmetries:
    """The symmetries of images of one shape. Those of an image are a row of `count` zeros and ones, with a one for each flip that it
    gets and, in colour, one for the order that its colours get. All zeros leave it as it is.

    Args:
        shape: (C, H, W). Only squares are transposed, and images of fewer than 3 channels have no colours.
        num_colours: How many of the first channels, at most, hold colours or brightness.
    """

    def __init__(self, shape: tuple[int, ...], num_colours: int) -> None:
        channels, height, width = shape
        self.is_square = height == width
        self.has_colours = min(channels, num_colours) == 3
        self.count = NUM_FLIPS + (len(COLOUR_ORDERS) if self.has_colours else 0)

    def draw(self, uniform: Tensor, p: float) -> Tensor:
        """(B, count) symmetries: flips with probability p, and another order of the colours with probability p.

        Args:
            uniform: (B, NUM_UNIFORMS) in [0, 1).
        """
        flips = (uniform[:, :1] < p) & (uniform[:, 1 : 1 + NUM_FLIPS] < 0.5)  # (B, 3)
        if not self.is_square:
            flips = flips & torch.arange(NUM_FLIPS, device=uniform.device).lt(NUM_FLIPS - 1)
        if not self.has_colours:
            return flips.to(uniform.dtype)
        numbers = torch.arange(len(COLOUR_ORDERS), device=uniform.device)
        is_order = (uniform[:, -1:] * len(COLOUR_ORDERS)).long() == numbers  # (B, 5)
        return torch.cat([flips, (uniform[:, -2:-1] < p) & is_order], 1).to(uniform.dtype)

    def apply(self, x: Tensor, symmetries: Tensor) -> Tensor:
        """x (B, C, H, W), each image moved as its row of symmetries (B, count) says."""
        rows, columns, diagonal = _flips(symmetries)
        x = torch.where(rows, x.flip(2), x)
        x = torch.where(columns, x.flip(3), x)
        return self._reorder(self._transpose(x, diagonal), symmetries, is_inverse=False)

    def undo(self, x: Tensor, symmetries: Tensor) -> Tensor:
        """The inverse of `apply`."""
        rows, columns, diagonal = _flips(symmetries)
        x = self._transpose(self._reorder(x, symmetries, is_inverse=True), diagonal)
        x = torch.where(columns, x.flip(3), x)
        return torch.where(rows, x.flip(2), x)

    def _transpose(self, x: Tensor, diagonal: Tensor) -> Tensor:
        return torch.where(diagonal, x.transpose(2, 3), x) if self.is_square else x

    def _reorder(self, x: Tensor, symmetries: Tensor, *, is_inverse: bool) -> Tensor:
        if not self.has_colours:
            return x
        for order, is_chosen in zip(COLOUR_ORDERS, (symmetries[:, NUM_FLIPS:] > 0).unbind(1), strict=True):
            sources = [order.index(colour) for colour in range(3)] if is_inverse else order
            reordered = torch.cat([*(x[:, i : i + 1] for i in sources), x[:, 3:]], 1)
            x = torch.where(is_chosen[:, None, None, None], reordered, x)
        return x


def _flips(symmetries: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The first three columns of symmetries, each (B, 1, 1, 1) bool."""
    rows, columns, diagonal = (symmetries[:, :NUM_FLIPS, None, None, None] > 0).unbind(1)
    return rows, columns, diagonal
