"""Pieces of texts that stand for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Where two million characters are read, each piece has 20,000; chosen.
NUM_PIECES = 100


def spread_pieces(texts: Sequence[str], limit: int) -> list[str]:
    """Pieces of the texts, evenly spread over all their characters, with `limit` characters in total; all of fewer. No piece goes
    from one text to the next."""
    ends = np.cumsum([len(text) for text in texts])
    total = int(ends[-1])
    if total <= limit:
        return list(texts)
    pieces = []
    for number in range(NUM_PIECES):
        start = number * total // NUM_PIECES
        stop = start + limit // NUM_PIECES
        for index in range(np.searchsorted(ends, start, "right"), np.searchsorted(ends, stop) + 1):
            text_start = int(ends[index]) - len(texts[index])
            pieces.append(texts[index][max(start - text_start, 0) : stop - text_start])
    return pieces
