"""Nearest spectrograms at any shift, against all differences computed one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from anew.evaluation.memorization.shifted_grids import MAX_SHIFT, MIN_SHARE, ShiftedGridDistance


def grids(n: int, seed: int = 0, bands: int = 4, frames: int = 24) -> NDArray[Any]:
    """Sounds that begin anywhere in the first third, fade, and are cut off anywhere in the last third."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames) - rng.integers(0, frames // 3, (n, 1))
    envelope = np.where(time >= 0, np.exp(-time / rng.uniform(2, 8, (n, 1))), 0.0)
    is_cut = np.arange(frames) >= rng.integers(2 * frames // 3, frames, (n, 1))
    return (np.where(is_cut, 0.0, envelope)[:, None] * rng.random((n, bands, frames))).astype(np.float32)


def difference(x: NDArray[Any], y: NDArray[Any], max_shift: int = MAX_SHIFT) -> float:
    """The least root mean squared difference of two grids (M, T) at any shift."""
    squares = []
    ends = [int(np.flatnonzero(whole.max(0)).max()) + 1 for whole in (x, y)]
    for shift in range(-max_shift, max_shift + 1):
        first, last = max(-shift, 0), min(x.shape[1] - max(shift, 0), ends[0], ends[1] - shift)
        a, b = x[:, first:last], y[:, first + shift : last + shift]
        shares = [float((part**2).sum() / (whole**2).sum()) for part, whole in ((a, x), (b, y))]
        if min(shares) >= MIN_SHARE:
            squares.append(((a - b) ** 2).sum() / (shares[0] * shares[1]))
    return float(np.sqrt(min(squares) / x.size))


def test_nearest_is_that_of_all_differences() -> None:
    items, groups = grids(40), np.arange(40) // 2
    queries, pool = np.arange(0, 40, 3), np.arange(5, 35)
    item, distance = ShiftedGridDistance(torch.from_numpy(items), groups).nearest(queries, pool)
    table = np.array([[difference(items[q], items[p]) for p in pool] for q in queries])
    table[groups[queries][:, None] == groups[pool][None]] = np.inf
    np.testing.assert_array_equal(item, pool[table.argmin(1)])
    np.testing.assert_allclose(distance, table.min(1), rtol=1e-4)


def test_bounds_are_not_below_distances() -> None:
    items = torch.from_numpy(grids(30))
    search = ShiftedGridDistance(items, np.arange(30))
    queries, pool, without = np.arange(10), np.arange(10, 30), np.arange(10, 20)
    bounds = search.within(queries, pool, without)
    for query, bound, left_out in zip(queries, bounds, without, strict=True):
        distance = search.nearest(np.array([query]), pool[pool != left_out])[1][0]
        assert distance <= bound < np.inf


@pytest.mark.parametrize("shift", [-3, 5])
def test_shifted_copies_are_next_to_their_originals(shift: int) -> None:
    items = grids(50)
    copies = np.zeros_like(items[:10])
    for frame in range(max(shift, 0), items.shape[2] + min(shift, 0)):
        copies[:, :, frame] = items[:10, :, frame - shift]
    search = ShiftedGridDistance(torch.from_numpy(np.concatenate([items, copies])), np.arange(60))
    item, distance = search.nearest(np.arange(50, 60), np.arange(50))
    later = shift > 0  # what is moved to the left may lose its beginning
    assert (item == np.arange(10)).all() if later else (item == np.arange(10)).mean() >= 0.6
    own = search.nearest(np.arange(10), np.arange(50))[1]
    assert np.median(distance / own) < 1 / 3


def test_a_delayed_copy_whose_end_is_cut_off_is_next_to_its_original() -> None:
    """Files of 400 ms, padded to 432 ms: copies that began 25 ms later lost their last 25 ms, and none of 40 was noticed."""
    items = np.random.default_rng(0).random((40, 4, 64)).astype(np.float32)
    items[:, :, 59:] = 0.0
    copies = np.zeros_like(items[:10])
    copies[:, :, 4:59] = items[:10, :, :55]
    search = ShiftedGridDistance(torch.from_numpy(np.concatenate([items, copies])), np.arange(50))
    item, distance = search.nearest(np.arange(40, 50), np.arange(40))
    assert (item == np.arange(10)).all() and (distance < 1e-3).all()
    assert (search.nearest(np.arange(10), np.arange(40))[1] > 0.2).all()


def test_smeared_ends_are_left_out_unless_they_are_most_of_a_clip() -> None:
    """Windows of nine frames mix the last four of a delayed copy with silence."""
    items = np.random.default_rng(0).random((40, 4, 64)).astype(np.float32)
    items[:, :, 59:] = 0.0
    copies = np.zeros_like(items[:10])
    copies[:, :, 4:59] = items[:10, :, :55]
    copies[:, :, 54:59] *= 0.5
    joined, groups = torch.from_numpy(np.concatenate([items, copies])), np.arange(50)
    queries, pool = np.arange(40, 50), np.arange(40)
    plain, smeared = (ShiftedGridDistance(joined, groups, width).nearest(queries, pool)[1] for width in (0, 5))
    assert (smeared < 1e-3).all() and (plain > 0.05).all()
    clicks = np.zeros((4, 4, 64), dtype=np.float32)
    clicks[:, :, :3] = np.random.default_rng(1).random((4, 4, 3))
    search = ShiftedGridDistance(torch.from_numpy(np.concatenate([clicks, clicks[:2]])), np.arange(6), 5)
    item, distance = search.nearest(np.arange(4, 6), np.arange(4))
    assert item.tolist() == [0, 1] and (distance == 0.0).all()


def test_equal_grids_are_at_distance_0_and_groups_are_left_out() -> None:
    items = np.concatenate([grids(5), grids(5)])
    search = ShiftedGridDistance(torch.from_numpy(items), np.arange(10))
    assert (search.nearest(np.arange(5), np.arange(5, 10))[1] == 0.0).all()
    together = search.with_groups(np.zeros(10))
    assert (together.nearest(np.arange(5), np.arange(5, 10))[0] == -1).all()
    assert np.isinf(together.within(np.arange(2), np.arange(5, 10), np.arange(2))).all()
    assert search.nearest(np.arange(2), np.arange(0))[0].tolist() == [-1, -1]
