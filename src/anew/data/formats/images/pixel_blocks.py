"""Pixel art that was enlarged by a whole factor: every pixel of the drawing is a block of one colour in the file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anew.core.arrays import Numbers
from anew.data.formats.images.image_size import MAX_SIDE, choose_size

BLOCK_SHARE = 0.95  # pictures have a common block if it fits so many of them: the others are accidents; chosen
MIN_PICTURES = 8  # fewer pictures may consist of blocks by chance
MIN_SIDE = 8  # least side in pixels of the drawing: fewer are rectangles, not pixel art; chosen
PROBED_ROWS = 16  # rows that rule out blocks in a photograph


def block_side(picture: Image.Image | Numbers) -> int:
    """The side in pixels of the largest blocks of one colour, aligned to the top left corner, that an 8-bit picture consists of;
    1 if it has none, 0 if all of it is one colour. The colours of invisible pixels do not count."""
    values = np.asarray(picture)
    if values.ndim == 3 and values.shape[2] == 4:
        values = np.where(values[..., 3:] > 0, values, 0)
    height, width = values.shape[:2]
    side = math.gcd(height, width)
    probe_changes = _changes(values[:: max(1, height // PROBED_ROWS)].swapaxes(0, 1)).tolist()
    if probe_changes and math.gcd(side, *probe_changes) == 1:
        return 1
    changes = [*_changes(values).tolist(), *_changes(values.swapaxes(0, 1)).tolist()]
    return math.gcd(side, *changes) if changes else 0


def _changes(values: Numbers) -> NDArray[np.intp]:
    """The numbers of rows (n, ...) that differ from the one before."""
    differs = (values[1:] != values[:-1]).any(axis=tuple(range(1, values.ndim)))
    return np.flatnonzero(differs) + 1


def common_side(sides: Iterable[int], sizes: Sequence[tuple[int, int]]) -> int:
    """The side of the largest blocks that nearly all pictures consist of, 1 if there is none.

    Args:
        sides: `block_side` of each.
        sizes: (width, height) of each: the drawing of the median one keeps at least MIN_SIDE pixels a side.
    """
    known = np.array([side for side in sides if side])
    if len(known) < MIN_PICTURES:
        return 1
    largest = int(np.median([min(size) for size in sizes])) // MIN_SIDE
    fits = (k for k in range(min(largest, int(known.max())), 1, -1) if float((known % k == 0).mean()) >= BLOCK_SHARE)
    return next(fits, 1)


def affordable(
    sides: Iterable[int], sizes: Sequence[tuple[int, int]], limit: int, frame: str
) -> tuple[int, tuple[int, int]]:
    """The common side of blocks, and the (width, height) in which drawings are learned; the side is 1 if there are no common
    blocks, and if drawings would have to be scaled, too.

    Args:
        sides, sizes: See `common_side`.
        limit, frame: See `image_size.choose_size`.
    """
    side = common_side(sides, sizes)
    drawn = [drawn_size(size, side) for size in sizes]
    chosen = choose_size(drawn, limit, frame)
    return (side if chosen == choose_size(drawn, MAX_SIDE, frame) else 1), chosen


def drawn_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """(width, height) of the drawing in a picture of this size, whose blocks have this side."""
    return -(-size[0] // side), -(-size[1] // side)


def drawing(picture: Image.Image, side: int) -> Image.Image:
    """One pixel for each block of `side` pixels of an 8-bit picture; the picture itself if it does not consist of these blocks."""
    if side == 1 or picture.width % side or picture.height % side or block_side(picture) % side:
        return picture
    return picture.resize(drawn_size(picture.size, side), Image.Resampling.NEAREST)


def drawings(frames: Sequence[Image.Image], side: int, learned: tuple[int, int]) -> Sequence[Image.Image]:
    """The `drawing` of each frame of a clip; frames that already have the learned size stay as they are."""
    if side == 1 or frames[0].size == learned:
        return frames
    return [drawing(frame, side) for frame in frames]


def thumbnail(picture: Image.Image, side: int) -> Image.Image:
    """A picture whose shorter side has at most twice `side` pixels."""
    ratio = 2.0 * side / min(picture.size)
    if ratio >= 1.0:
        return picture
    return picture.resize(
        (max(1, round(picture.width * ratio)), max(1, round(picture.height * ratio))), Image.Resampling.BOX
    )


def drawing_of(reduced: Image.Image, block: int, side: int) -> Image.Image:
    """The `drawing` of a picture.

    Args:
        reduced: One pixel for each of the picture's largest blocks.
        block: The side of these, see `block_side`.
        side: The side of the blocks of the drawing.
    """
    factor = block // side if block % side == 0 else block
    if factor <= 1:
        return reduced
    return reduced.resize((reduced.width * factor, reduced.height * factor), Image.Resampling.NEAREST)


def note(plural: str, side: int, drawn: tuple[int, int], setting: str) -> str:
    """A sentence for the user on blocks of this side, and items that are learned in the (width, height) `drawn`. setting: The one that
    learns them as they are."""
    width, height = drawn
    return (
        f"{plural.capitalize()} are pixel art enlarged {side} times (blocks of {side}x{side} pixels have one colour): they are "
        f"learned at {width}x{height}, which loses nothing, and samples are written {side} times as large; {setting} learns them "
        "as they are."
    )
