"""Groups of duplicates, and what they cost."""

from __future__ import annotations

import tracemalloc

from anew.evaluation.metrics.duplicate_groups import duplicate_groups, equal_keys


def test_equal_items_share_a_key_and_long_ones_take_no_memory() -> None:
    assert equal_keys(["b", "a", "b", "c"]) == [0, 1, 0, 2]
    texts = [f"text {i % 500}" for i in range(1_000)] + ["x" * 100_000]
    tracemalloc.start()
    assert len(set(equal_keys(texts))) == 501
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_groups_of_samples_are_their_own() -> None:
    groups = duplicate_groups([["a", "b", "a"], ["c", "a"], ["c", "d"]], equal_keys)
    assert [part.tolist() for part in groups] == [[0, 1, 0], [0, 1], [0, 2]]
