"""Images that wrap: what leaves at the right comes in at the left, and below at the top, as textures that tile need it.

Nothing is trained for it. A network of convolutions, or of patches with rotary positions, takes grids of any size, so it is
shown the image with a margin of its other side all around, and has no border to treat as one. The closed form does have
borders; since each noise level sees the image turned by another distance, none of them stays.

Legend for shapes: B examples, D values of one, C channels, H rows, W columns.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

# Of a side, on each side of the image: far enough that what the network sees across the border is whole shapes;
# chosen.
MARGIN = 0.25
TURNS = (0.7549, 0.5698)  # of a side a level, down and across: steps that fill a square evenly (Roberts' R2 sequence)


class Wrapped(nn.Module):
    """A network of (B, C, H, W) that sees each image as if copies of it lay all around.

    Args:
        net: Takes an image of any size, noise levels and components.
        multiple: The margin must be a multiple of this, so that patches and halvings fall where they did.
    """

    def __init__(self, net: nn.Module, multiple: int) -> None:
        super().__init__()
        self.net = net
        self.multiple = multiple

    def forward(self, x: Tensor, sigma: Tensor, component: Tensor) -> Tensor:
        height, width = x.shape[2:]
        rows, columns = (self._margin(side) for side in (height, width))
        # Padding by more than the image would need a copy of a copy.
        wide = functional.pad(x, (columns, columns, rows, rows), mode="circular")
        output: Tensor = self.net(wide, sigma, component)
        return output[:, :, rows : rows + height, columns : columns + width]

    def _margin(self, side: int) -> int:
        margin = self.multiple * math.ceil(MARGIN * side / self.multiple)
        return margin if margin <= side else side // self.multiple * self.multiple


def turned(x: Tensor, shape: tuple[int, ...], level: int, inverse: bool = False) -> Tensor:
    """Images x (B, D) of `shape` (C, H, W) turned about both axes as far as it is due at the level of this number, or back."""
    shifts = [round(level * turn * side) % side for turn, side in zip(TURNS, shape[1:], strict=True)]
    sign = -1 if inverse else 1
    return torch.roll(x.view(-1, *shape), [sign * shift for shift in shifts], (2, 3)).flatten(1)
