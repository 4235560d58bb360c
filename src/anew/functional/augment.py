"""Differentiable augmentation: the discriminator sees changed items only, real and generated alike (arXiv 2006.10738).

While each change is left out often enough, the generator learns the items and not the changes (arXiv 2006.06676, 3.1); the
strength is the probability of each change, and a controller sets it by how far the discriminator tells items apart.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

NUMBERS = 13  # random numbers that the changes of one item take
MOST = 0.8  # strongest: beyond it changes leak into what is generated
SHIFT, CUT = 0.125, 0.5  # of a side


def augment(x: Tensor, uniform: Tensor, strength: float) -> Tensor:
    """(B, C, H, W) with each of colour, place, size and cutout changed with probability `strength`.

    uniform: (B, NUMBERS) in [0, 1), each row's own.
    """
    if strength <= 0.0:
        return x
    on = (uniform[:, :4] < strength).to(x.dtype)  # (B, 4)
    rest = uniform[:, 4:]
    x = _colour(x, on[:, 0], rest[:, :3]) if x.shape[1] >= 3 else _grey(x, on[:, 0], rest[:, :2])
    x = _moved(x, on[:, 1], on[:, 2], rest[:, 3:7])
    return _cut(x, on[:, 3], rest[:, 7:9])


def _across(value: Tensor) -> Tensor:
    return value[:, None, None, None]


def _grey(x: Tensor, on: Tensor, uniform: Tensor) -> Tensor:
    """Brightness by up to 0.25 and contrast by up to a half."""
    centred = 1.0 + _across(on * (uniform[:, 0] - 0.5))
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * centred + mean + _across(on * (uniform[:, 1] - 0.5) * 0.5)


def _colour(x: Tensor, on: Tensor, uniform: Tensor) -> Tensor:
    """Brightness, contrast, and saturation by up to its double; a fourth channel (transparency) stays."""
    colour, rest = x[:, :3], x[:, 3:]
    mean = colour.mean(1, keepdim=True)
    colour = mean + (colour - mean) * (1.0 + _across(on * (2.0 * uniform[:, 2] - 1.0)))
    return torch.cat([_grey(colour, on, uniform), rest], 1)


def _moved(x: Tensor, shifted: Tensor, scaled: Tensor, uniform: Tensor) -> Tensor:
    """Shifts by up to an eighth of a side and sizes by up to a fifth, edges drawn on; nothing moves by part of a pixel
    unless its size changes."""
    size = torch.exp2(scaled * (uniform[:, 2] - 0.5) * 0.5)
    height, width = x.shape[2:]
    across = torch.round(shifted * (2 * uniform[:, 0] - 1) * SHIFT * width) * 2 / width
    down = torch.round(shifted * (2 * uniform[:, 1] - 1) * SHIFT * height) * 2 / height
    zero = torch.zeros_like(size)
    affine = torch.stack([torch.stack([size, zero, across], 1), torch.stack([zero, size, down], 1)], 1)  # (B, 2, 3)
    grid = functional.affine_grid(affine, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _cut(x: Tensor, on: Tensor, uniform: Tensor) -> Tensor:
    """A window of half of each side set to 0, somewhere."""
    inside = _across(on) > 0
    for axis, number in ((2, uniform[:, 0]), (3, uniform[:, 1])):
        side = x.shape[axis]
        place = (torch.arange(side, device=x.device) + 0.5) / side  # (side,)
        within = (place[None] - number[:, None]).abs() < CUT / 2
        inside = inside & (within[:, None, :, None] if axis == 2 else within[:, None, None, :])
    return torch.where(inside, 0.0, x)


def controlled(strength: Tensor, apart: Tensor, target: float, change: float) -> Tensor:
    """The strength after one more step: up by `change` while items are told apart better than `target`, else down.

    apart: running mean of sign(logit of a real item - logit of a generated one), 0 at chance and 1 when every pair is told
    apart (arXiv 2006.06676, section 3.2, with pairs for single items).
    """
    return (strength + change * torch.sign(apart - target)).clamp(0.0, MOST)
