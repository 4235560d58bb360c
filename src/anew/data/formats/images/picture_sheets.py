"""Pictures that hold many items in a regular grid of cells, such as sheets of sprites: how they are cut, and recognised."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anew.core.wording import plural
from anew.data.formats.images.image_size import MAX_SIDE
from anew.errors import ConfigError

# Most pictures that may be sheets: where there are more, each is an item of its own; chosen
FEW_PICTURES = 20
MIN_SIDE, MIN_CELLS = 8, 8  # pixels of a side of a cell, and cells of a sheet that are looked for; chosen
MAX_REMAINDER = 1  # pixels that a sheet may have beyond whole cells: a closing line of the grid
# Shares of a sheet that are transparent, or have one colour, from which on these pixels are its background
TRANSPARENT, ONE_COLOUR = 0.1, 0.2
# On a background, the lines between cells cross at most this share of the drawn pixels that other lines cross
MAX_CROSSED_RATIO = 0.2
# In a sheet that is a single row or column of cells, one side of a cell is at most so many times the other; chosen.
MAX_RATIO = 3
# Without a background, colours change at least so many times as much between cells as elsewhere. Multiples of the true side have nearly
# the ratio of the best side, so the smallest side with this share of it is taken
MIN_CHANGE_RATIO, NEAR_BEST_SHARE = 2.0, 0.85
MIN_LINES = 3  # lines each way, since a few may lie on edges by chance
MAX_PIXELS = 1 << 24  # a grid is looked for in pictures of at most so many pixels, which takes a second

Size = tuple[int, int]  # (width, height)


class SheetCells(NamedTuple):
    """The cells of a sheet: their size in pixels, and how many lie between two of them and perhaps around all."""

    width: int
    height: int
    gap: int = 0

    def holds(self, size: Size) -> bool:
        """Whether a picture of this size is no larger than one cell."""
        return size[0] <= self.width and size[1] <= self.height

    def starts(self, size: Size) -> tuple[range, range]:
        """The left edges of the columns, and the upper edges of the rows, of a picture of this size."""
        return _starts(size[0], self.width, self.gap), _starts(size[1], self.height, self.gap)


def _starts(length: int, side: int, gap: int) -> range:
    # Lines that do not lie around all cells leave a whole number of cells, each with a gap, but for the last gap
    first = 0 if (length + gap) % (side + gap) == 0 else gap
    return range(first, length - side + 1, side + gap)


def parse_cell(text: str) -> SheetCells | None:
    """The cells that the setting `cell` asks for; None for "off". Raises ConfigError."""
    match = re.fullmatch(r"\s*(\d{1,5})(?:[xX×](\d{1,5}))?(?:\+(\d{1,3}))?\s*", text)
    if text.strip().lower() in ("off", "0"):
        return None
    if match is None or not all(1 <= int(side) <= MAX_SIDE for side in match.groups()[:2] if side):
        allowed = (
            f"give off, a side such as 32, WIDTHxHEIGHT, or 32x48+1 for lines of 1 pixel between, up to {MAX_SIDE}"
        )
        raise ConfigError(f"cell={text!r} is not allowed; {allowed}", "cell")
    width, height, gap = match.groups()
    return SheetCells(int(width), int(height or width), int(gap or 0))


def cells(image: Image.Image, cell: SheetCells) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Yield (row, column, pixels) of the cells of an 8-bit picture in mode L, RGB or RGBA, rows and columns from 1, without empty cells,
    which are transparent or have one colour, and without what lies beyond whole cells."""
    pixels = np.asarray(image)
    columns, rows = cell.starts(image.size)
    for row, top in enumerate(rows, 1):
        for column, left in enumerate(columns, 1):
            values = pixels[top : top + cell.height, left : left + cell.width]
            if not is_empty(values):
                yield row, column, values.copy()  # which does not keep the whole picture in memory


def is_empty(values: NDArray[np.uint8]) -> bool:
    """Whether the pixels of a cell, (H, W) or (H, W, C), show nothing."""
    if values.ndim == 3 and values.shape[2] == 4 and not values[..., 3].any():
        return True
    return bool((values == values[0, 0]).all())


def grid_of(image: Image.Image) -> Size | None:
    """The size of the cells of an 8-bit picture; None if it is not a regular grid of them."""
    pixels = np.asarray(image)
    if image.width * image.height > MAX_PIXELS:
        return None
    drawn = _drawn(pixels)
    if drawn is not None:
        width, height = _gutters(drawn.T), _gutters(drawn)
    else:
        values = np.atleast_3d(pixels).astype(np.int16)
        width, height = _edges(values.swapaxes(0, 1)), _edges(values)
    if width is None or height is None or (image.width // width) * (image.height // height) < MIN_CELLS:
        return None
    is_strip = width == image.width or height == image.height
    return None if is_strip and max(width, height) > MAX_RATIO * min(width, height) else (width, height)


def _drawn(pixels: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """(H, W) the pixels that are neither transparent nor of the background's colour; None for a picture without either."""
    if pixels.ndim == 3 and pixels.shape[2] == 4 and float((pixels[..., 3] == 0).mean()) >= TRANSPARENT:
        return pixels[..., 3] > 0
    values = np.zeros(pixels.shape[:2], dtype=np.int64)
    for channel in np.moveaxis(np.atleast_3d(pixels), 2, 0):
        values = values << 8 | channel
    colours, counts = np.unique(values, return_counts=True)
    return values != colours[counts.argmax()] if counts.max() >= ONE_COLOUR * values.size else None


def _gutters(drawn: NDArray[np.bool_]) -> int | None:
    """The smallest period of lines between rows that cross hardly any drawn pixels; that of a single row of cells is their height; None
    where nothing is drawn.

    drawn: (H, W), which pixels are not transparent.
    """
    crossed = (drawn[1:] & drawn[:-1]).mean(1)  # the line above each row but the first
    max_crossed = MAX_CROSSED_RATIO * float(crossed.mean())
    if not max_crossed:
        return None
    for period in range(MIN_SIDE, len(drawn) // 2 + 1):
        if len(drawn) % period <= MAX_REMAINDER and float(crossed[period - 1 :: period].mean()) <= max_crossed:
            return period
    return len(drawn)


def _edges(values: NDArray[np.int16]) -> int | None:
    """The smallest period of lines between rows at which colours change most; None without one. values: (H, W, C)."""
    change = np.abs(np.diff(values, axis=0)).mean((1, 2))  # change across the line above each row but the first
    total = float(change.sum())
    ratios: dict[int, float] = {}
    for period in range(MIN_SIDE, len(values) // (MIN_LINES + 1) + 1):
        lines = change[period - 1 :: period]
        elsewhere = (total - float(lines.sum())) / max(len(change) - len(lines), 1)
        if len(values) % period == 0 and float(np.median(lines)) > elsewhere:
            ratios[period] = float(lines.mean()) / max(elsewhere, 1e-3)
    best = max(ratios.values(), default=0.0)
    return (
        min((p for p, ratio in ratios.items() if ratio >= NEAR_BEST_SHARE * best), default=None)
        if best >= MIN_CHANGE_RATIO
        else None
    )


def suggestion(grids: Sequence[Size | None]) -> list[str]:
    """A sentence on the pictures that look like sheets, if at least half do so; grids: the cells of each, see `grid_of`."""
    sizes = Counter(grid for grid in grids if grid is not None)
    if not sizes or 2 * max(sizes.values()) < len(grids):
        return []
    (width, height), count = sizes.most_common(1)[0]
    verb = "looks like a sheet" if count == 1 else "look like sheets"
    of_cells = f"of cells of {width}x{height} pixels; cell={width}x{height} makes each cell an item"
    return [f"{count} of {plural(len(grids), 'picture')} {verb} {of_cells}"]


def cut_note(sizes: Sequence[Size], cell: SheetCells) -> str:
    """A sentence on pictures of these sizes that are cut into cells."""
    sheets = [size for size in sizes if not cell.holds(size)]
    ends = [(columns[-1:], rows[-1:]) for columns, rows in map(cell.starts, sheets)]
    reached = [
        bool(left and top) and w - left[0] - cell.width <= cell.gap and h - top[0] - cell.height <= cell.gap
        for (w, h), (left, top) in zip(sheets, ends, strict=True)
    ]
    beyond = "" if all(reached) else " What lies beyond whole cells is left out."
    return f"Each cell of {cell.width}x{cell.height} pixels of a picture is an item, unless it is empty.{beyond}"
