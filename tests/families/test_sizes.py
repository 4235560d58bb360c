"""Sizes that families share."""

from __future__ import annotations

import pytest

from anew.families._sizes import ITEMS_PER_CLUSTER, suggest_num_clusters


@pytest.mark.parametrize(
    ("items", "classes", "most", "clusters"),
    [
        (8000, 0, 128, 128),
        (8000, 10, 128, 120),
        (20, 0, 128, 0),
        (20, 3, 128, 3),
        (11 * ITEMS_PER_CLUSTER, 3, 256, 9),
        (10**6, 0, 256, 256),
    ],
)
def test_clusters_are_as_many_as_the_items_fill(items: int, classes: int, most: int, clusters: int) -> None:
    assert suggest_num_clusters(items, classes, most) == clusters
