"""Images that wrap around: the right edge continues at the left, and the bottom at the top, as tiling textures need it.

No training is needed. A network of convolutions, or of patches with rotary positions, takes grids of any size, so it gets the
image with a margin from the opposite side all around, and sees no border. The closed form does have borders; but at each noise
level the image is shifted by another distance, so that none of them remains.

Legend for shapes: B examples, D values of one, C channels, H rows, W columns.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

# Margin as a share of a side: wide enough that the network sees whole shapes across the border; chosen.
MARGIN_SHARE = 0.25
# Shift for each level as a share of a side, down and across: such steps fill a square evenly (Roberts' R2 sequence)
TURNS = (0.7549, 0.5698)


class Wrapped(nn.Module):
    """A network of (B, C, H, W) that sees each image as if copies of it lay all around.

    Args:
        net: A network that takes images of any size, noise levels and components.
        multiple: The margin is a multiple of this, so that patches and halvings stay where they were.
    """

    def __init__(self, net: nn.Module, multiple: int) -> None:
        super().__init__()
        self.net = net
        self.multiple = multiple

    def forward(self, x: Tensor, sigma: Tensor, component: Tensor) -> Tensor:
        height, width = x.shape[2:]
        rows, columns = (self._margin(side) for side in (height, width))
        # Circular padding cannot be wider than the image.
        wide = functional.pad(x, (columns, columns, rows, rows), mode="circular")
        output: Tensor = self.net(wide, sigma, component)
        return output[:, :, rows : rows + height, columns : columns + width]

    def _margin(self, side: int) -> int:
        margin = self.multiple * math.ceil(MARGIN_SHARE * side / self.multiple)
        return margin if margin <= side else side // self.multiple * self.multiple


def roll_images(x: Tensor, shape: tuple[int, ...], level: int, inverse: bool = False) -> Tensor:
    """Images x (B, D) of `shape` (C, H, W), shifted along both axes by the distance of the level of this number, or back."""
    shifts = [round(level * turn * side) % side for turn, side in zip(TURNS, shape[1:], strict=True)]
    sign = -1 if inverse else 1
    return torch.roll(x.view(-1, *shape), [sign * shift for shift in shifts], (2, 3)).flatten(1)
