"""Thumbnails of items for a film, and the pooled items that its map is fitted on.

Legend for shapes: n items.
"""

from __future__ import annotations

import io
import time

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from anew.data.latent_dataset import LatentModality

POOLED = 32  # values along an axis that the map is fitted on: enough to show whole items; bounds the time
# Pixels along a side of a thumbnail, and thumbnails in a row: a frame of 256 items stays small.
THUMB, THUMB_COLUMNS = 16, 16
DECODED_AT_ONCE = 16  # latents whose items are made in one call of the codec: bounds memory beside a training
Arrays = dict[str, NDArray[np.generic]]


def pooled(x: Tensor) -> Tensor:
    """Average x (n, C, *axes) down to at most POOLED values along each axis."""
    *frames, height, width = (min(POOLED, side) for side in x.shape[2:])
    if frames:
        return functional.adaptive_avg_pool3d(x, (frames[0], height, width))
    return functional.adaptive_avg_pool2d(x, (height, width))


def unpooled(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Enlarge x (n, C, *axes) to items of this shape, by repeating values."""
    return x if tuple(x.shape[1:]) == shape else functional.interpolate(x, size=shape[1:], mode="nearest")


def thumbnails(x: Tensor) -> NDArray[np.uint8]:
    """The bytes of a JPEG with all items x (n, C, *axes), in rows of THUMB_COLUMNS; clips show their middle frame."""
    if x.dim() == 5:
        x = x[:, :, x.shape[2] // 2]
    values = functional.interpolate(x.float(), size=(THUMB, THUMB), mode="area")
    if values.shape[1] == 4:  # transparent pixels become light grey
        alpha = values[:, 3:].add(1).div(2).clamp(0, 1)
        values = values[:, :3] * alpha + 0.6 * (1 - alpha)
    elif values.shape[1] != 3:
        values = values.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    levels = values.add(1).mul(127.5).clamp(0, 255).round().byte()  # (n, 3, THUMB, THUMB)
    rows = -(-len(levels) // THUMB_COLUMNS)
    sheet = torch.full((rows * THUMB_COLUMNS, 3, THUMB, THUMB), 128, dtype=torch.uint8)
    sheet[: len(levels)] = levels.cpu()
    grid = sheet.view(rows, THUMB_COLUMNS, 3, THUMB, THUMB).permute(0, 3, 1, 4, 2)
    picture = Image.fromarray(grid.reshape(rows * THUMB, THUMB_COLUMNS * THUMB, 3).numpy())
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def decoded(z: Tensor, modality: LatentModality, seconds: float) -> Tensor:
    """Decode latents z (m, *latent) into items (n, *shape): the first ones, as many as there is time for, one chunk at least."""
    begun, parts = time.monotonic(), []
    for chunk in torch.split(z, DECODED_AT_ONCE):
        parts.append(modality.decode_latents(chunk).float())
        if time.monotonic() - begun > seconds:
            break
    return torch.cat(parts)


def float32(x: Tensor) -> NDArray[np.float32]:
    values: NDArray[np.float32] = x.detach().float().cpu().numpy()
    return values
