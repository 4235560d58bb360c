"""Samples that are identical to whole texts of the data.

The two tests of running text compare passages, and parts of texts that no other text has. Where documents are short, as sayings are, they
miss copies that a reader sees at once: a text that is word for word one of the data.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from anew.core.sequences import Joined, Rearranged
from anew.evaluation.memorization.brief_test import MAX_STAND_INS
from anew.evaluation.memorization.identical import ItemKeys, RepeatedItems, count_repeats, with_repeats
from anew.evaluation.memorization.item_type import are_unguessable, content_bits
from anew.evaluation.memorization.result import CopyTestResult
from anew.evaluation.memorization.thresholds import COPIED_ALPHA


def repeated_texts(
    samples: Sequence[str], train: Sequence[str], held_out: Sequence[str], rng: np.random.Generator
) -> RepeatedItems:
    """Count samples that are identical to a training or held-out text, and real texts that are identical to others."""
    order = rng.permutation(len(train) + len(held_out)).astype(np.int32)
    real = Rearranged(Joined(train, held_out), order)
    keys = [_keys(sample) for sample in samples]
    stand_ins = np.arange(min(len(real), MAX_STAND_INS), dtype=np.int32)
    asked = partial(are_unguessable, real=real, bits=content_bits, num_samples=len(samples))
    return count_repeats(keys, ItemKeys(_keys, real), stand_ins, order < len(train), asked)


def _keys(text: str) -> list[Hashable]:
    """A text without the white space at its ends, which files add; an empty one is not identical to anything."""
    return [text.strip()] if text.strip() else []


def with_repeated_texts(result: CopyTestResult, repeats: RepeatedItems) -> CopyTestResult:
    """The result of a test of whole texts with the numbers of identical ones, and the copies that these prove."""
    result = with_repeats(result, repeats)
    if not proves_copies(repeats) or result.method != "scan" or result.invalid:
        return result
    copies, visible_share = repeats.copies, result.train / result.n_train_total
    share, low = (min(number / repeats.num_samples / visible_share, 1.0) for number in copies)
    low = max(low, 1.0 / repeats.num_samples)  # that there is none is excluded
    return replace(
        result,
        detected=True,
        p=min(result.p, repeats.copied_p),
        share=max(result.share, share, low),
        low=max(result.low, low),
        plain_low=max(result.plain_low, low),
        copied_distance=0.0 if result.copied_distance is None else result.copied_distance,
    )


def proves_copies(repeats: RepeatedItems) -> bool:
    """Whether samples repeat training texts that no generator makes unseen, far more often than chance has it."""
    return repeats.copied_p <= COPIED_ALPHA
