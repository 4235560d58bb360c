"""A distance that remembers: many queries in parts give what all at once give, and the progress is told."""

from __future__ import annotations

import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from anew.core.arrays import Numbers
from anew.core.processes.shared_work import SharedWork
from anew.errors import ProcessError
from anew.evaluation.memorization.edit_distance import EditDistance
from anew.evaluation.memorization.item_types import RECORDS as RECORDS_TYPE
from anew.evaluation.memorization.memorization_test import MemorizationOptions, MemorizationTest
from anew.evaluation.memorization.search_cache import CachedDistance
from anew.evaluation.memorization.texts import PassageDistance
from thread_worlds import SIZE, Board, ThreadWorld, on_threads

RNG = np.random.default_rng(0)
RECORDS = ["".join(RNG.choice(list("abcd"), 9)) for _ in range(70)]
GROUPS, POOL, SAMPLES = np.arange(70), np.arange(40), np.arange(40, 70)


def test_a_search_in_parts_is_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EditDistance, "at_once", 12)
    progress: list[tuple[str, int, int]] = []
    distance = CachedDistance(
        EditDistance(RECORDS, GROUPS), GROUPS, POOL, progress=lambda *event: progress.append(event)
    )
    item, away = distance.nearest(SAMPLES, POOL)
    expected_item, expected = EditDistance(RECORDS, GROUPS).nearest(SAMPLES, POOL)
    assert np.array_equal(item, expected_item) and np.array_equal(away, expected)
    samples = "finding the nearest real items"
    assert progress == [(samples, 0, 30), (samples, 12, 30), (samples, 24, 30), (samples, 30, 30)]
    distance.nearest(SAMPLES[:9], POOL)  # known already
    distance.nearest(POOL[:5], POOL)
    assert progress[4:] == [("comparing real items with each other", 0, 5)]


def test_a_search_that_cannot_be_cut_is_named_once() -> None:
    progress: list[tuple[str, int, int]] = []
    distance = CachedDistance(
        PassageDistance(RECORDS, GROUPS), GROUPS, POOL, progress=lambda *event: progress.append(event)
    )
    distance.nearest(SAMPLES, POOL)
    assert progress == [("finding the nearest real items", 0, 30)]


def test_after_its_end_a_search_holds_no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """The index of ten million records takes 330 MB, which what comes after the searches needed, too."""
    monkeypatch.setattr("anew.evaluation.memorization.edit_distance.MIN_SIGNED", 10)
    inner = EditDistance(RECORDS, GROUPS)
    distance = CachedDistance(inner, GROUPS, POOL)
    index = weakref.ref(inner._signatures)
    item, away = distance.nearest(SAMPLES, POOL)
    distance.end_search()
    assert index() is None
    assert all(np.array_equal(*pair) for pair in zip(distance.nearest(SAMPLES, POOL), (item, away), strict=True))
    with pytest.raises(RuntimeError, match="the search has ended"):
        distance.nearest(POOL[:5], POOL)


def test_a_search_of_several_processes_is_that_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process searches for some of the blocks, also where the pool is a part and where groups are others."""
    monkeypatch.setattr(EditDistance, "at_once", 7)
    groups = GROUPS // 2

    def searched(work: SharedWork) -> list[Numbers]:
        inner = EditDistance(RECORDS, GROUPS)
        distance = CachedDistance(inner, GROUPS, POOL, work=work)
        nearest = [distance.nearest(SAMPLES, POOL), distance.nearest(SAMPLES, POOL[::3])]
        return [array for pair in [*nearest, distance.with_groups(groups).nearest(POOL, POOL)] for array in pair]

    expected = searched(SharedWork())
    for results in on_threads(searched):
        assert all(np.array_equal(*pair) for pair in zip(results, expected, strict=True))


@pytest.mark.parametrize("changed", [True, False])
def test_processes_whose_items_are_not_the_same_do_not_share_a_search(changed: bool) -> None:
    """Queries are indices, which are the same whatever the items: a memorization test gives a digest of these."""
    board, samples = Board(), RECORDS[40:]

    def result_of(rank: int) -> float:
        train = [*RECORDS[:29], "another" if changed and rank else RECORDS[29]]
        work = SharedWork(ThreadWorld(rank, SIZE, board=board))
        return (
            MemorizationTest(
                RECORDS_TYPE, samples, train, RECORDS[30:40], options=MemorizationOptions(work=work, controls=False)
            )
            .run()
            .p
        )

    with ThreadPoolExecutor(SIZE) as pool:
        results = [pool.submit(result_of, rank) for rank in range(SIZE)]
        for result in results:
            if changed:
                with pytest.raises(ProcessError, match="do not measure the same items"):
                    result.result(timeout=60)
            else:
                assert result.result(timeout=60) == results[0].result(timeout=60)
