"""Holds out whole clusters of related records, besides random records, for a score on records unlike those of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anew.core.splitmix import splitmix64
from anew.core.wording import plural, sentence
from anew.data.modality import Modality
from anew.data.splitting.split import MIN_ITEMS, TEST, TEST_CLUSTERS, TRAIN, VALIDATION, assign_parts
from anew.estimators.sequence_clusters import SequenceClusters

# A larger share of the sequences would be shown as 100%.
NEARLY_ALL = 0.995


def assign_parts_with_clusters(
    relatives: SequenceClusters,
    keys: Sequence[int],
    share: float,
    held_out: Sequence[int],
    *,
    validates_clusters: bool = False,
) -> tuple[NDArray[np.uint8], list[str]]:
    """Whole clusters go to TEST_CLUSTERS, random other records to TEST and VALIDATION; without TEST, all are random.

    Validation is random, since the gate between counts and network is fitted to it: fitted to outlying records, it draws samples that are
    none of the family (docs/log.md, 2026-12-01).

    Args:
        relatives: Clusters of related records.
        keys: The key of each record; records with one key stay together.
        share: The share of each held-out part.
        held_out: The parts to fill.
        validates_clusters: Whether half of VALIDATION is whole clusters, too, and all of that half without TEST, as in older runs.

    Returns:
        (n,) part numbers, and sentences on the clusters.
    """
    n = len(keys)
    hashes = np.array(keys, dtype=np.uint64)
    target = share * n
    num_requested = target if TEST in held_out else 0.0
    if validates_clusters and VALIDATION in held_out:
        num_requested += target / 2
    if not num_requested:
        return assign_parts(keys, [1] * n, share, held_out), []
    at_random = np.argsort(splitmix64(hashes), kind="stable")
    # (n,) number of each record's cluster, -1 if it is not held out
    cluster, num_in_large = relatives.hold_out(at_random, round(num_requested), max(target / 2, 1.0))
    num_clusters, num_held = int(cluster.max(initial=-1)) + 1, int((cluster >= 0).sum())
    too_few = num_held < num_requested / 3
    if num_clusters < MIN_ITEMS or too_few:
        reason = f"only {plural(num_clusters, 'cluster')} of relatives could be held out whole, and at least {MIN_ITEMS} are needed"
        if too_few:
            large = _share(num_in_large, relatives)
            reason = f"{large} sequences are in clusters of relatives that are too large to be held out whole"
        note = sentence(
            f"{reason}, so single sequences are held out; the figures hold for new members "
            "of the families in train, not for new families"
        )
        return assign_parts(keys, [1] * n, share, held_out), [note, _criterion(relatives)]
    parts = np.full(n, TRAIN, dtype=np.uint8)
    unclustered = np.flatnonzero(cluster < 0)
    parts[unclustered] = assign_parts(hashes[unclustered].tolist(), [1] * len(unclustered), share, held_out)
    if not validates_clusters:
        parts[cluster >= 0] = TEST_CLUSTERS
        return parts, _cluster_notes(relatives, parts, num_in_large, validates_clusters)
    # Half of validation is random records, the other half clusters.
    parts[(parts == VALIDATION) & (splitmix64(hashes + np.uint64(1)) % 2 == 0)] = TRAIN
    in_clusters = np.flatnonzero(cluster >= 0)
    in_clusters = in_clusters[np.argsort(cluster[in_clusters], kind="stable")]  # cluster by cluster
    num_scored = _num_scored(cluster[in_clusters], num_clusters, target, held_out)
    parts[in_clusters[:num_scored]] = TEST_CLUSTERS
    parts[in_clusters[num_scored:]] = VALIDATION
    return parts, _cluster_notes(relatives, parts, num_in_large, validates_clusters)


def _num_scored(cluster: NDArray[np.int64], num_clusters: int, target: float, held_out: Sequence[int]) -> int:
    """Number of records, cluster by cluster, that go to TEST_CLUSTERS: whole clusters up to the target."""
    if TEST not in held_out:
        return 0
    if VALIDATION not in held_out:
        return len(cluster)
    ends = np.searchsorted(cluster, np.arange(num_clusters), side="right")
    return int(ends[np.searchsorted(ends, target)]) if ends[-1] > target else 0


def no_clusters_note(modality: Modality) -> list[str]:
    """A sentence for records that may have relatives, but are too many to search for them."""
    if not modality.traits.max_cluster_bytes or modality.layout != "list":
        return []
    return [
        "There is no part `test_clusters`: clusters of relatives are looked for in up to "
        f"{modality.traits.max_cluster_bytes >> 20} MB of sequences. "
        "The figures hold for new members of the families in train, not for new families."
    ]


def _criterion(relatives: SequenceClusters) -> str:
    return (
        f"Two sequences count as relatives if they have at least {relatives.threshold:.0%} of their {relatives.k}-mers in common "
        "(of those of the sequence with fewer)."
    )


def _share(n: int, relatives: SequenceClusters) -> str:
    """A share of the sequences, as a lower bound, in words."""
    if n == relatives.n:
        return "all"
    return "nearly all" if n > NEARLY_ALL * relatives.n else f"at least {n / relatives.n:.0%} of the"


def _cluster_notes(
    relatives: SequenceClusters, parts: NDArray[np.uint8], num_in_large: int, validates_clusters: bool
) -> list[str]:
    """Sentences on clusters that are held out. num_in_large: sequences in clusters that are too large for that."""
    num_scored = int((parts == TEST_CLUSTERS).sum())
    if num_scored:
        subject = "figures of the part test_clusters hold"
        too = ", and half of the validation part is whole clusters, too" if validates_clusters else ""
        note = f"{num_scored:,} of the items are held out as whole clusters of relatives (part `test_clusters`){too}."
    else:
        subject = "that half holds"
        note = (
            "Half of validation is whole clusters of relatives. There is no part `test_clusters`, since the "
            "test part is the source's own."
        )
    if num_in_large <= relatives.n / 2:
        return [note, _criterion(relatives)]
    return [
        note,
        _criterion(relatives),
        sentence(
            f"{_share(num_in_large, relatives)} sequences are in clusters that are too large to be held out and stay in train: "
            f"{subject} for outlying relatives of these, not for an unrelated family"
        ),
    ]
