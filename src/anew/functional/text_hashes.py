"""Hashes of characters in a row, for comparing texts.

Legend for shapes: n characters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CodePoints = NDArray[np.uint32]
Hashes = NDArray[np.uint64]

_GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)  # 2 ** 64 divided by it, as in Fibonacci hashing
_SHIFT = np.uint64(29)


def code_points(text: str) -> CodePoints:
    """The Unicode code points of a text, (n,)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def window_hashes(x: CodePoints, width: int) -> Hashes:
    """Hashes of all `width` characters in a row, (n - width + 1,).

    Raises:
        ValueError: The width is not a power of two: a hash is combined from those of its halves.
    """
    if width < 1 or width & (width - 1):
        raise ValueError(f"width={width} is not a power of two")
    value = x.astype(np.uint64) * _GOLDEN_RATIO
    value ^= value >> _SHIFT
    span = 1
    while span < width:
        value = value[:-span] * np.uint64(0xBF58476D1CE4E5B9) + value[span:]
        value ^= value >> _SHIFT
        span *= 2
    return value


def ngram_cells(x: CodePoints, width: int, num_cells: int) -> NDArray[np.intp]:
    """The cell of each n-gram of any width, (n - width + 1,), or none of a shorter text, by a hash that depends on the width."""
    n = max(len(x) - width + 1, 0)
    value = np.full(n, width, dtype=np.uint64)
    for offset in range(width):
        value = (value ^ x[offset : offset + n]) * _GOLDEN_RATIO
        value ^= value >> _SHIFT
    return (value % np.uint64(num_cells)).astype(np.intp)
