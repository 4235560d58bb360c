"""Tandem repeats: the same symbols again and again, such as a run of one letter, or `ab` in `abababab`.

Legend for shapes: n symbols.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_PERIOD = 16  # symbols that are repeated, at most; chosen: longer ones are passages, which readers see as such
# Symbols that equal those a period before, from which on they count, and this as a multiple of the period, so that the
# symbols stand there three times; chosen: English has `nana` and `mississippi`, proteins runs of three
MIN_EQUAL, MIN_PERIODS = 4, 2


def in_tandem_repeats(symbols: NDArray[np.integer], items: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether each symbol is in a tandem repeat, (n,).

    Args:
        symbols: (n,) symbols of items one after another.
        items: (n,) the number of the item that each is of: a repeat never crosses two items.
    """
    inside = np.zeros(len(symbols), dtype=bool)
    for period in range(1, min(MAX_PERIOD, len(symbols) - 1) + 1):
        is_equal = (symbols[period:] == symbols[:-period]) & (items[period:] == items[:-period])  # (n - period,)
        steps = np.diff(is_equal.astype(np.int8), prepend=0, append=0)
        starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
        is_long = ends - starts >= max(MIN_EQUAL, MIN_PERIODS * period)
        depth = np.zeros(len(symbols) + 1, dtype=np.int32)
        np.add.at(depth, starts[is_long], 1)
        np.add.at(depth, ends[is_long] + period, -1)
        inside |= np.cumsum(depth[:-1]) > 0
    return inside
