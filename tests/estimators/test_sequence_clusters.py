"""Relatives are those that a comparison of all pairs finds."""

from __future__ import annotations

import numpy as np
import pytest

from anew.estimators import sequence_clusters
from anew.estimators.sequence_clusters import SequenceClusters, kmers


def related(n: int) -> list[str]:
    rng = np.random.default_rng(0)
    bases = rng.integers(0, 20, (8, 60))
    texts = []
    for _ in range(n):
        letters = bases[rng.integers(8)].copy()
        changed = rng.random(60) < rng.uniform(0.0, 0.5)
        letters[changed] = rng.integers(0, 20, changed.sum())
        texts.append("".join("ACDEFGHIKLMNPQRSTVWY"[letter] for letter in letters))
    return [*texts, "ACD", ""]


@pytest.mark.parametrize("pairs", [sequence_clusters.PAIRS_AT_ONCE, 50])
def test_relatives_equal_a_comparison_of_all_pairs(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequence_clusters, "PAIRS_AT_ONCE", pairs)
    texts = related(120)
    owner, values = kmers(texts)
    sets = [set(values[owner == index].tolist()) for index in range(len(texts))]
    clusters = SequenceClusters(texts, 0.25)
    for index, own in enumerate(sets):
        expected = [
            j for j, other in enumerate(sets) if own & other and len(own & other) >= 0.25 * min(len(own), len(other))
        ]
        assert clusters.related_to(np.array([index])).tolist() == expected
    assert clusters.related_to(np.arange(4)).tolist() == sorted(
        {j for i in range(4) for j in clusters.related_to(np.array([i]))}
    )
    assert clusters.related_to(np.zeros(0, dtype=np.int64)).tolist() == []
