"""Sizes that families share."""

from __future__ import annotations

import pytest

from anew.families._sizes import ITEMS_PER_CLUSTER, ROWS, rows_at_once, suggest_num_clusters, suggest_patch_size


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


def test_fewer_large_items_go_through_a_network_at_a_time() -> None:
    assert rows_at_once((3, 32, 32)) == ROWS
    assert rows_at_once((3, 256, 256)) == 20
    assert rows_at_once((3, 4096, 4096)) == 1


@pytest.mark.parametrize(("side", "patch_size"), [(8, 1), (12, 1), (28, 2), (72, 2), (96, 4), (128, 8), (256, 16)])
def test_patches_leave_so_many_positions(side: int, patch_size: int) -> None:
    assert suggest_patch_size(side, 24) == patch_size
