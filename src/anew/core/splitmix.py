"""A hash of whole numbers. Does not import PyTorch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio, odd: the increment of splitmix64
# Multipliers of splitmix64 (Steele, Lea and Flood 2014).
_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def splitmix64(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hashes of 64-bit integers, spread evenly: the output function of SplitMix64 (Steele, Lea and Flood 2014)."""
    z = values + _GOLDEN_GAMMA
    z = (z ^ (z >> np.uint64(30))) * _MULTIPLIERS[0]
    z = (z ^ (z >> np.uint64(27))) * _MULTIPLIERS[1]
    return z ^ (z >> np.uint64(31))
