"""How likely a record is to end, by how long it is already: the hazard of the lengths of known records.

Counts of contexts do not know a place, and a network that has seen few records hardly does, so that samples of records which all
have one length end anywhere.

Legend for shapes: T longest known length, in tokens.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

EXACT_SHARE = 0.5  # of a length's probability, by its own count; the other half comes from those near it; chosen
QUARTILES_IN_DEVIATIONS = 1.34  # of a normal distribution
LARGEST_LOG_ODDS = 16.0  # that a record ends where every known one has ended
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]


def count_lengths(sequences: list[Ints], end_id: int) -> Ints:
    """Counts of lengths.

    Args:
        sequences: Token ids of records; the first one of each is no target.
        end_id: The last id of a record that is whole.

    Returns:
        (T + 1,) how many records have so many targets; the first entry is the number of records that are not whole.
    """
    lengths = [len(ids) - 1 if len(ids) > 1 and ids[-1] == end_id else 0 for ids in sequences]
    return np.bincount(np.array(lengths, dtype=np.int64), minlength=2)


def end_log_odds(counts: Ints) -> Doubles:
    """(T + 2,) log odds that a record ends with target t, given that it has not ended before; the last entry is for all later ones.
    Entry 0 is not used.

    A length has half of its probability from its own count, half from a normal kernel by Silverman's rule ("Density Estimation for
    Statistics and Data Analysis", 1986, eq. 3.31), and each as much as one more record would give to all.
    """
    whole, num_cut = counts[1:].astype(np.float64), float(counts[0])
    total = whole.sum() + num_cut
    if not whole.sum():
        return np.zeros(len(counts) + 1)
    lengths = np.arange(1, len(counts), dtype=np.float64)
    own = whole / total
    offsets = lengths[:, None] - lengths
    kernel = np.exp(-0.5 * (offsets / _bandwidth(lengths, whole)) ** 2)
    near = (kernel / kernel.sum(0)) @ own
    smallest = 1.0 / (total + 1.0)
    probability = (1.0 - smallest) * (EXACT_SHARE * own + (1.0 - EXACT_SHARE) * near) + smallest / len(lengths)
    alive = np.cumsum(probability[::-1])[::-1] + num_cut / total
    hazard = np.clip(probability / alive, np.exp(-LARGEST_LOG_ODDS), None)
    log_odds = np.log(hazard) - np.log(np.maximum(1.0 - hazard, np.exp(-LARGEST_LOG_ODDS)))
    return np.concatenate(([0.0], log_odds, log_odds[-1:]))


def _bandwidth(lengths: Doubles, counts: Doubles) -> float:
    total = float(counts.sum())
    mean = (lengths * counts).sum() / total
    deviation = math.sqrt((counts * (lengths - mean) ** 2).sum() / total)
    low, high = np.searchsorted(np.cumsum(counts), (0.25 * total, 0.75 * total))
    spread = float(high - low) / QUARTILES_IN_DEVIATIONS
    narrower = min(deviation, spread) if spread else deviation
    return float(max(1.0, 1.06 * narrower * total**-0.2))
