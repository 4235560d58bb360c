"""Sprite sheets: images of one size in rows without gaps, with their alpha and palette, and a JSON with their positions."""

from __future__ import annotations

import io
import itertools
import json
import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Numbers
from anew.data.formats.images import pixels

# Of the JSON of one cell, where others are written between them: values of all cells would take ten times as much memory
_CELLS_START, _CELLS_END = len('{\n "frames": {'), "\n }\n}"
MAX_SIDE = 4096  # largest side of a sheet in pixels: what engines load as one texture


def capacity(height: int, width: int) -> int:
    """How many images of this size one sheet holds."""
    return (MAX_SIDE // height) * (MAX_SIDE // width)


def sprite_sheet(
    images: Iterable[Numbers], names: Sequence[str], name: str, paletted: bool = False
) -> tuple[bytes, bytes]:
    """The sheet as PNG, and its cells as JSON.

    The JSON has the form that TexturePacker calls a hash, which Phaser, PixiJS and other engines load: `frames` by name, each
    with its rectangle.

    Args:
        images: (H, W) or (H, W, C) uint8, all of one shape.
        names: Names of the cells, one per image, at least one and at most `capacity`.
        name: Name of the file that the PNG is written to.
        paletted: Whether to write a palette if there are at most 256 colours.
    """
    images = iter(images)
    first = next(images)
    height, width = first.shape[:2]
    columns = min(MAX_SIDE // width, max(1, math.ceil(math.sqrt(len(names) * height / width))))
    rows = math.ceil(len(names) / columns)
    canvas = np.zeros((rows * height, columns * width, *first.shape[2:]), np.uint8)
    cells = io.BytesIO()
    for index, (image, cell) in enumerate(zip(itertools.chain([first], images), names, strict=True)):
        x, y = index % columns * width, index // columns * height
        canvas[y : y + height, x : x + width] = image
        text = json.dumps({"frames": {cell: _frame(x, y, width, height)}}, indent=1)
        cells.write(
            (text.removesuffix(_CELLS_END) if index == 0 else "," + text[_CELLS_START : -len(_CELLS_END)]).encode()
        )
    meta = {
        "image": name,
        "format": "RGBA8888" if canvas.ndim == 3 and canvas.shape[2] == 4 else "RGB888",
        "size": {"w": columns * width, "h": rows * height},
        "scale": 1,
    }
    cells.write(b"\n }," + json.dumps({"meta": meta}, indent=1)[1:].encode() + b"\n")
    return pixels.png(canvas, paletted), cells.getvalue()


def _frame(x: int, y: int, width: int, height: int) -> dict[str, object]:
    full_cell = {"x": 0, "y": 0, "w": width, "h": height}
    return {
        "frame": full_cell | {"x": x, "y": y},
        "rotated": False,
        "trimmed": False,
        "spriteSourceSize": full_cell,
        "sourceSize": {"w": width, "h": height},
    }


def enlarge(image: Numbers, factor: int) -> NDArray[np.uint8]:
    """Enlarge (H, W) or (H, W, C) uint8: each pixel becomes a square of `factor` pixels a side."""
    values = np.asarray(image, np.uint8)
    return np.repeat(np.repeat(values, factor, axis=0), factor, axis=1)
