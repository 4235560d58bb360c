from __future__ import annotations

import numpy as np
import pytest

from anew.evaluation.memorization.item_groups import are_alone, are_in, group_labels, group_numbers, with_match_groups


def test_what_tables_say_of_groups_is_what_sorting_says() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 7, 400):
        groups = rng.integers(0, size, 400).astype(np.int32)
        assert np.array_equal(are_alone(groups), np.bincount(groups)[groups] == 1)
        chosen = rng.choice(groups, 5)
        assert np.array_equal(are_in(groups, chosen), np.isin(groups, chosen))
    assert are_in(np.array([0, 1], dtype=np.int32), np.array([7])).tolist() == [False, False]


def test_labels_of_groups() -> None:
    groups = np.array([4, 0, 4, 2], dtype=np.int32)
    items = np.arange(4)
    labels = group_labels(groups, np.array([True, False, True, False]), items)
    assert labels.exists.tolist() == [True, False, True, False, True]
    assert labels.is_train.tolist() == [False, False, False, False, True]
    assert (labels.num_train, labels.num_held_out, labels.train_share) == (1, 2, 1 / 3)
    with pytest.raises(ValueError, match="has training and held-out items"):
        group_labels(groups, np.array([True, False, False, False]), items)


def test_labels_of_the_groups_of_some_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """All are looked at, though in parts; a group that none of them is in does not exist."""
    monkeypatch.setattr("anew.evaluation.memorization.item_groups.AT_ONCE", 3)
    groups = np.arange(20, dtype=np.int32)[::-1].copy()
    labels = group_labels(groups, np.arange(20) % 4 > 0, np.arange(2, 17))
    assert (labels.num_train, labels.num_held_out) == (11, 4)
    assert np.flatnonzero(labels.exists).tolist() == list(range(3, 18))
    assert np.flatnonzero(labels.is_train).tolist() == [g for g in range(3, 18) if (19 - g) % 4]


def test_numbers_of_any_integers() -> None:
    """Those that are small enough are not copied: of ten million records a copy takes 40 MB."""
    assert group_numbers(np.array([-5, 10**12, -5])).tolist() == [0, 1, 0]
    numbers = np.array([3, 0, 3], dtype=np.int32)
    assert group_numbers(numbers) is numbers


def test_match_groups_of_whole_items_are_single_ones() -> None:
    shuffled, paired = np.array([2, 0, 1], dtype=np.int32), np.array([0, 1, 0], dtype=np.int32)
    single, match = with_match_groups(shuffled, whole=True)
    assert single is match
    assert match.tolist() == [0, 1, 2]
    kept, match = with_match_groups(paired, whole=True)
    assert kept is paired
    assert match.tolist() == [0, 1, 2]
    assert all(groups is paired for groups in with_match_groups(paired, whole=False))
