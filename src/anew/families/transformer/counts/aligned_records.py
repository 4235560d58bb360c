"""Known records that are aligned with a new one, as the arrays that a run stores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from anew.estimators.alignment_experts import AlignmentIndex
from anew.estimators.class_odds import MAX_ODDS

Arrays = Mapping[str, NDArray[np.generic]]

IDS, LENGTHS, SUBSTITUTION = "aligned_ids", "aligned_lengths", "aligned_substitution"
# Only where records have classes that matter; runs of older versions have no such arrays
CLASSES, CLASS_ODDS = "aligned_classes", "aligned_class_odds"
RECORD_DTYPES = {
    IDS: torch.int32,
    LENGTHS: torch.int64,
    SUBSTITUTION: torch.float32,
    CLASSES: torch.int64,
    CLASS_ODDS: torch.float32,
}


def arrays_of_records(index: AlignmentIndex) -> dict[str, NDArray[np.generic]]:
    """The arrays that are stored for records."""
    arrays: dict[str, NDArray[np.generic]] = {IDS: index.ids, LENGTHS: index.lengths, SUBSTITUTION: index.substitution}
    if index.class_odds > 1.0:
        arrays |= {CLASSES: index.classes, CLASS_ODDS: np.full(1, index.class_odds, dtype=np.float32)}
    return arrays


def restore_records(arrays: Arrays, vocab_size: int) -> AlignmentIndex:
    """The records of these arrays, which may hold others, too."""
    return AlignmentIndex(
        arrays[IDS].astype(np.int32, copy=False),
        arrays[LENGTHS].astype(np.int64, copy=False),
        vocab_size,
        arrays[SUBSTITUTION].astype(np.float32, copy=False),
        arrays[CLASSES].astype(np.int64, copy=False) if CLASSES in arrays else None,
        float(arrays[CLASS_ODDS].astype(np.float64)[0]) if CLASS_ODDS in arrays else 1.0,
    )


def check_records(arrays: Arrays, vocab_size: int, num_classes: int) -> None:
    """Raise ValueError if the records, which may come from anybody, are inconsistent."""
    ids, lengths = (arrays[name].astype(np.int64) for name in (IDS, LENGTHS))
    is_consistent = bool(((ids >= 0) & (ids < vocab_size)).all() and (lengths > 0).all() and lengths.sum() == len(ids))
    if CLASSES in arrays or CLASS_ODDS in arrays:
        classes, odds = (
            arrays[name].astype(np.float64) if name in arrays else np.zeros(0) for name in (CLASSES, CLASS_ODDS)
        )
        has_classes = classes.shape == lengths.shape and bool(((classes >= -1) & (classes < num_classes)).all())
        is_consistent &= has_classes and odds.shape == (1,) and bool(((odds >= 1.0) & (odds <= MAX_ODDS)).all())
    if not is_consistent:
        raise ValueError("the aligned records are inconsistent")
