"""Functions on arrays that several packages use."""

from __future__ import annotations

import numpy as np

from anew.core.arrays import piece_bounds


def test_stretches_are_cut_but_not_joined() -> None:
    starts, stops = np.array([0, 7, 7, 10]), np.array([7, 7, 10, 11])
    firsts, lasts = piece_bounds(starts, stops, 3)
    assert list(zip(firsts.tolist(), lasts.tolist(), strict=True)) == [(0, 3), (3, 6), (6, 7), (7, 10), (10, 11)]
