"""Long stretches of a sequence, cut into pieces."""

from __future__ import annotations

import numpy as np

from anew.core.arrays import Ints


def piece_bounds(starts: Ints, stops: Ints, longest: int) -> tuple[Ints, Ints]:
    """Starts and stops (pieces,) of the pieces of stretches (n,), in order: `longest` each, but for the last of a stretch.

    An empty stretch has none."""
    counts = -(-(stops - starts) // longest)  # (n,)
    owners = np.repeat(np.arange(len(counts)), counts)  # (pieces,)
    numbers = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)  # within a stretch
    firsts = starts[owners] + numbers * longest
    return firsts, np.minimum(firsts + longest, stops[owners])
