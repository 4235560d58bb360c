"""Whole clusters of relatives are held out, besides single records."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from anew.data.splitting.clusters import assign_parts_with_clusters
from anew.data.splitting.split import TEST, TEST_CLUSTERS, TRAIN, VALIDATION
from anew.estimators.sequence_clusters import SequenceClusters

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def families(count: int, size: int) -> tuple[list[str], np.ndarray]:
    """Sequences of families that each vary one ancestor, and the family of each."""
    source = random.Random(0)
    sequences = []
    for _ in range(count):
        ancestor = source.choices(LETTERS, k=60)
        sequences += [
            "".join(source.choice(LETTERS) if source.random() < 0.05 else x for x in ancestor) for _ in range(size)
        ]
    return sequences, np.repeat(np.arange(count), size)


def test_validation_sequences_are_drawn_at_random() -> None:
    """Where half of them were outlying relatives, 39% of the samples of a family were like none of it."""
    sequences, family = families(250, 4)
    keys = [int(key) for key in np.random.default_rng(0).integers(0, 1 << 62, len(sequences))]
    relatives = SequenceClusters(sequences, 0.25)
    parts, notes = assign_parts_with_clusters(relatives, keys, 0.1, [VALIDATION, TEST])
    clusters = family[parts == TEST_CLUSTERS]
    assert len(clusters) == pytest.approx(100, abs=10) and not np.isin(family[parts != TEST_CLUSTERS], clusters).any()
    for part in (VALIDATION, TEST):
        assert (parts == part).sum() == pytest.approx(90, abs=30)
        assert np.isin(family[parts == part], family[parts == TRAIN]).mean() > 0.9
    assert (
        notes[0] == f"{len(clusters)} of the items are held out as whole clusters of relatives (part `test_clusters`)."
    )
    parts, notes = assign_parts_with_clusters(relatives, keys, 0.1, [VALIDATION])
    assert np.bincount(parts).tolist() == [900, 100] and not notes


@pytest.mark.parametrize("held_out", [[VALIDATION, TEST], [VALIDATION]])
def test_no_relative_of_a_held_out_cluster_is_trained_on_in_older_runs(held_out: list[int]) -> None:
    sequences, family = families(250, 4)
    keys = [int(key) for key in np.random.default_rng(0).integers(0, 1 << 62, len(sequences))]
    relatives = SequenceClusters(sequences, 0.25)
    parts, notes = assign_parts_with_clusters(relatives, keys, 0.1, held_out, validates_clusters=True)
    clusters = family[parts == TEST_CLUSTERS]
    assert not np.isin(family[parts == TRAIN], clusters).any()
    assert (len(clusters) > 0) == (TEST in held_out) == bool((parts == TEST).any())
    assert "whole clusters of relatives" in notes[0] and (parts == VALIDATION).sum() == pytest.approx(100, abs=30)
    if TEST in held_out:
        assert all((parts[family == number] == TEST_CLUSTERS).all() for number in set(clusters.tolist()))
        # Single records have relatives there
        assert np.isin(family[parts == TEST], family[parts == TRAIN]).mean() > 0.9


def test_without_small_clusters_single_records_are_held_out() -> None:
    sequences, _ = families(1, 200)
    keys = [int(key) for key in np.random.default_rng(0).integers(0, 1 << 62, len(sequences))]
    parts, (note, criterion) = assign_parts_with_clusters(
        SequenceClusters(sequences, 0.25), keys, 0.1, [VALIDATION, TEST]
    )
    assert not (parts == TEST_CLUSTERS).any() and np.bincount(parts).tolist() == [160, 20, 20]
    assert note.startswith("All sequences are in clusters of relatives that are too large to be held out whole")
    assert criterion.startswith("Two sequences count as relatives if they have at least 25% of their 5-mers in common")


def test_few_clusters_are_counted_without_the_sequences_that_they_would_hold_out() -> None:
    """The note named 237 held-out sequences, where 300 single ones were held out in the end."""
    sequences, _ = families(9, 30)
    sequences = [*sequences, *families(1, 430)[0]]
    keys = [int(key) for key in np.random.default_rng(0).integers(0, 1 << 62, len(sequences))]
    _, (note, _) = assign_parts_with_clusters(SequenceClusters(sequences, 0.25), keys, 0.2, [VALIDATION, TEST])
    assert re.match(
        r"Only \d clusters? of relatives could be held out whole, and at least 10 are needed, so single", note
    )
