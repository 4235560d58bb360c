"""Nearest spectrograms at any shift, against all differences computed one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from anew.evaluation.memorization.shifted_grids import MAX_SHIFT, MIN_SHARE, ShiftedGridDistance


def grids(n: int, seed: int = 0, bands: int = 4, frames: int = 24) -> NDArray[Any]:
    """Sounds that begin anywhere in the first third and fade."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames) - rng.integers(0, frames // 3, (n, 1))
    envelope = np.where(time >= 0, np.exp(-time / rng.uniform(2, 8, (n, 1))), 0.0)
    return (envelope[:, None] * rng.random((n, bands, frames))).astype(np.float32)


def difference(x: NDArray[Any], y: NDArray[Any], max_shift: int = MAX_SHIFT) -> float:
    """The least root mean squared difference of two grids (M, T) at any shift."""
    frames, squares = x.shape[1], []
    for shift in range(-max_shift, max_shift + 1):
        a, b = x[:, max(-shift, 0) : frames - max(shift, 0)], y[:, max(shift, 0) : frames - max(-shift, 0)]
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


def test_equal_grids_are_at_distance_0_and_groups_are_left_out() -> None:
    items = np.concatenate([grids(5), grids(5)])
    search = ShiftedGridDistance(torch.from_numpy(items), np.arange(10))
    assert (search.nearest(np.arange(5), np.arange(5, 10))[1] == 0.0).all()
    together = search.with_groups(np.zeros(10))
    assert (together.nearest(np.arange(5), np.arange(5, 10))[0] == -1).all()
    assert np.isinf(together.within(np.arange(2), np.arange(5, 10), np.arange(2))).all()
    assert search.nearest(np.arange(2), np.arange(0))[0].tolist() == [-1, -1]
