"""Which real items no generator makes without having seen them: those that need far more bits than the choice of any one of its samples."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Numbers
from anew.evaluation.metrics.baselines import kneser_ney_bits

ORDER = 6  # characters of context; more change no result of lists of names, molecules or messages
FOLDS = 4  # the bits of an item are those by the items of the other folds
MAX_CHARACTERS = 400_000  # of the items of a fold that are counted: half a second
# Even a generator that needs only half the bits that counts need makes such an item by chance in only one of 100 audits. Median
# bits: 24 of names, 28 of receptors, 35 of names of colours, 49 of molecules, 64 of messages, 154 of rows of numbers.
MODEL_ADVANTAGE = 2.0
AUDITS_PER_FALSE_ALARM = 100.0


def content_bits(items: Sequence[str | Numbers], others: Sequence[str | Numbers]) -> NDArray[np.float64]:
    """About how many bits each item needs (n,): texts by the characters of others, arrays by themselves."""
    if not all(isinstance(item, str) for item in items):
        return np.array([_array_bits(np.asarray(item)) for item in items])
    texts, counted = list(map(str, items)), list(map(str, others))
    length = max(sum(map(len, counted)) / max(len(counted), 1), 1.0)
    bits = kneser_ney_bits(counted[: max(int(MAX_CHARACTERS / length), 1)], texts, ORDER, records=True)
    return np.add.reduceat(bits, np.cumsum([0, *(len(text) + 1 for text in texts[:-1])]))  # and of its end


def _array_bits(item: Numbers) -> float:
    """How many more bits an array takes, compressed, than a plain one."""
    sizes = [len(zlib.compress(np.ascontiguousarray(array).tobytes())) for array in (item, np.zeros_like(item))]
    return 8.0 * max(sizes[0] - sizes[1], 0)


def min_unguessable_bits(n_samples: int, n_real: int) -> float:
    """The bits from which on no generator makes an item that it has not seen."""
    return MODEL_ADVANTAGE * float(np.log2(max(n_samples * n_real, 1) * AUDITS_PER_FALSE_ALARM))
