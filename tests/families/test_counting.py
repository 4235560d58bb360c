"""The counting head: one target at a time and many at once see the same."""

from __future__ import annotations

import numpy as np

from anew.families._counting import Counting


def test_a_single_target_is_joined_as_among_others() -> None:
    source = np.random.default_rng(0)
    counting = Counting(vocab=7, order=3)
    counting.learn([source.integers(0, 7, 400)])
    counting.gate.normal_()
    counting.forget()
    ids = np.concatenate((source.integers(0, 7, (5, 9)), np.zeros((1, 9), dtype=np.int64)))
    logits = source.normal(size=(6, 7)).astype(np.float32)
    found = counting.last(ids)
    together = counting.probability(found, logits)
    for row in range(6):
        alone = counting.probability(found[:, row : row + 1], logits[row : row + 1])
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-4)
