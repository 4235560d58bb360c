"""Differentiable augmentation: the discriminator sees changed items only, real and generated alike (arXiv 2006.10738).

While each change is left out often enough, the generator learns the items and not the changes (arXiv 2006.06676, 2.2). A
controller sets the probability of each change by how well the discriminator tells items apart.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Random numbers that the changes of one item take: whether each of 4 happens, and how it does. That at UNUSED has no effect;
# without it, a seed would give another training than it gave so far.
NUM_UNIFORMS = 13
UNUSED = 10
MAX_P = 0.8  # beyond it, changes leak into what is generated (arXiv 2006.06676, section 2.2)
MAX_SHIFT = 0.125  # share of a side, as in ADA and DiffAugment
CUTOUT = 0.5  # share of a side, as in ADA and DiffAugment


def augment(x: Tensor, uniform: Tensor, p: float, brightness_channels: int = 3) -> Tensor:
    """Items with each of colour, position, size and cutout changed with probability p.

    Args:
        x: (B, C, H, W).
        uniform: (B, NUM_UNIFORMS) in [0, 1), each row's own.
        brightness_channels: See `Grid`: the others keep their values when brightness changes; 3 of them are colours.

    Returns:
        (B, C, H, W).
    """
    if p <= 0.0:
        return x
    applies = (uniform[:, :4] < p).to(x.dtype)  # (B, 4)
    colour_uniform = uniform[:, 4:7]
    affine_uniform = uniform[:, 7:UNUSED]
    cutout_uniform = uniform[:, UNUSED + 1 :]
    brightness, others = x[:, :brightness_channels], x[:, brightness_channels:]
    change = _change_colour if brightness.shape[1] == 3 else _change_brightness
    x = torch.cat([change(brightness, applies[:, 0], colour_uniform), others], 1)
    x = _shift_and_scale(x, applies[:, 1], applies[:, 2], affine_uniform)
    return _cut_out(x, applies[:, 3], cutout_uniform)


def _per_item(value: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, 1)."""
    return value[:, None, None, None]


def _change_brightness(x: Tensor, applies: Tensor, uniform: Tensor) -> Tensor:
    """Brightness by up to 0.25 and contrast by up to a half."""
    contrast = 1.0 + _per_item(applies * (uniform[:, 0] - 0.5))
    brightness = _per_item(applies * (uniform[:, 1] - 0.5) * 0.5)
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * contrast + mean + brightness


def _change_colour(x: Tensor, applies: Tensor, uniform: Tensor) -> Tensor:
    """Brightness, contrast, and saturation by up to its double."""
    grey = x.mean(1, keepdim=True)
    saturation = 1.0 + _per_item(applies * (2.0 * uniform[:, 2] - 1.0))
    return _change_brightness(grey + (x - grey) * saturation, applies, uniform)


def _shift_and_scale(x: Tensor, shifts: Tensor, scales: Tensor, uniform: Tensor) -> Tensor:
    """Shifts of up to an eighth of a side, and scaling by up to a fifth; edges are repeated outwards. Nothing moves by part of
    a pixel unless its size changes."""
    scale = torch.exp2(scales * (uniform[:, 2] - 0.5) * 0.5)  # (B,)
    height, width = x.shape[2:]
    shift_x = torch.round(shifts * (2 * uniform[:, 0] - 1) * MAX_SHIFT * width) * 2 / width
    shift_y = torch.round(shifts * (2 * uniform[:, 1] - 1) * MAX_SHIFT * height) * 2 / height
    zero = torch.zeros_like(scale)
    affine = torch.stack(
        [torch.stack([scale, zero, shift_x], 1), torch.stack([zero, scale, shift_y], 1)], 1
    )  # (B, 2, 3)
    grid = functional.affine_grid(affine, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _cut_out(x: Tensor, applies: Tensor, uniform: Tensor) -> Tensor:
    """A window of half of each side set to 0, somewhere."""
    height, width = x.shape[2:]
    rows = (torch.arange(height, device=x.device) + 0.5) / height  # (H,)
    columns = (torch.arange(width, device=x.device) + 0.5) / width  # (W,)
    in_rows = (rows - uniform[:, :1]).abs() < CUTOUT / 2  # (B, H)
    in_columns = (columns - uniform[:, 1:]).abs() < CUTOUT / 2  # (B, W)
    window = in_rows[:, None, :, None] & in_columns[:, None, None, :] & (_per_item(applies) > 0)
    return torch.where(window, 0.0, x)


def updated_p(p: Tensor, sign_accuracy: Tensor, target: float, change: float) -> Tensor:
    """The probability of augmentation after one more step: up while items are told apart better than the target, else down.

    Args:
        sign_accuracy: Running mean of sign(logit of a real item - logit of a generated one), 0 at chance and 1 when every
            pair is told apart (r_t of arXiv 2006.06676, eq. 1, with pairs for single items).
        target: The new value.
        change: How far the probability moves in a step.
    """
    return (p + change * torch.sign(sign_accuracy - target)).clamp(0.0, MAX_P)
