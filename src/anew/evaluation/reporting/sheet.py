"""Contact sheets: many images on one PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from anew.core.arrays import Numbers

BETWEEN = (255, 255, 255, 0)  # colour between images: transparent, as a page may be dark
CAPTION_COLOUR = (118, 118, 118, 255)  # readable on white and on black
CAPTION = 14  # height of a label in pixels


def rgb(image: Numbers) -> NDArray[np.uint8]:
    """Convert uint8 (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) to (H, W, 3); transparent pixels become white."""
    values = np.asarray(image, dtype=np.uint8)
    if values.ndim == 2:
        values = values[..., None]
    if values.shape[2] == 1:
        return np.repeat(values, 3, axis=2)
    if values.shape[2] == 4:
        alpha = values[..., 3:].astype(np.float32) / 255.0
        return np.asarray((values[..., :3] * alpha + 255.0 * (1.0 - alpha)).round(), dtype=np.uint8)
    return values[..., :3]


def zoom(height: int, width: int, min_side: int) -> int:
    """The integer factor that enlarges tiny images to at least `min_side` pixels; interpolation would blur them."""
    return max(1, math.ceil(min_side / max(height, width)))


def png(image: Numbers, min_side: int = 56, *, smallest: bool = False) -> bytes:
    """An image as PNG, enlarged by an integer factor if it is tiny. smallest: see `sheet`."""
    return sheet([image], columns=1, gap=0, min_side=min_side, smallest=smallest)


def sheet(
    images: Sequence[Numbers],
    *,
    columns: int | None = None,
    labels: Sequence[str] | None = None,
    gap: int = 4,
    min_side: int = 56,
    smallest: bool = False,
) -> bytes:
    """PNG bytes of images in rows, each at the top left of its cell.

    Args:
        images: uint8 images of any sizes, at least one.
        columns: Images in a row; None for a sheet about as wide as tall.
        labels: Texts under the images.
        gap: Pixels between images.
        min_side: Tiny images are enlarged to at least this many pixels.
        smallest: Whether to compress as far as possible, which takes ten times as long and saves 3%.
    """
    if not images:
        raise ValueError("a sheet needs at least one image")
    pictures = [rgb(i) for i in images]
    factor = zoom(max(p.shape[0] for p in pictures), max(p.shape[1] for p in pictures), min_side)
    pictures = [np.repeat(np.repeat(p, factor, axis=0), factor, axis=1) for p in pictures]
    height, width = (max(p.shape[axis] for p in pictures) for axis in (0, 1))
    # By default about as wide as tall: wide pictures go into fewer columns.
    columns = min(columns or math.ceil(math.sqrt(len(pictures) * height / width)), len(pictures))
    rows = math.ceil(len(pictures) / columns)
    step_x, step_y = width + gap, height + gap + (CAPTION if labels else 0)
    is_filled = len(pictures) == 1 and not labels
    mode, between = ("RGB", BETWEEN[:3]) if is_filled else ("RGBA", BETWEEN)
    canvas = Image.new(mode, (columns * step_x - gap, rows * step_y - gap), between)
    pen = ImageDraw.Draw(canvas)
    for index, picture in enumerate(pictures):
        x, y = index % columns * step_x, index // columns * step_y
        canvas.paste(Image.fromarray(picture), (x, y))
        if labels:
            font = ImageFont.load_default(CAPTION - 3)
            pen.text((x, y + height + 1), str(labels[index]), fill=CAPTION_COLOUR, font=font)
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG", optimize=smallest)
    return buffer.getvalue()


def shrink(image: Numbers, max_side: int = 128) -> Numbers:
    """Average an image down to at most `max_side` pixels a side, by an integer factor, so that a report stays small."""
    step = -(-max(image.shape[:2]) // max_side)
    if step == 1:
        return image
    height, width = (s // step * step for s in image.shape[:2])
    cut = image[:height, :width].reshape(height // step, step, width // step, step, -1).astype(np.float32)
    return np.asarray(cut.mean(axis=(1, 3)).round(), dtype=np.uint8)
