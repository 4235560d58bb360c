"""How far apart the pairs are that a test says are copies."""

from __future__ import annotations

import math

import numpy as np

from anew.evaluation.memorization.copying_test import NearestReal, ScanResult
from anew.evaluation.memorization.memorization_test import copied_distance


def test_the_farthest_pair_of_those_that_should_be_copies() -> None:
    item, is_train = np.array([0, 1, 2, 0, 1]), np.array([True, True, False])
    distance, scale = np.array([1.0, 3.0, 1.0, 8.0, 9.0]), np.array([10.0, 10.0, 10.0, 10.0, 10.0])
    nearest = NearestReal(item, distance, scale, np.full(5, -1))
    scan = ScanResult(0.001, 2, 5, 0.4, 0, nearest.order(np.random.default_rng(0)))
    # Samples 0, 1, 3 and 4 are nearest to training items, at .1, .3, .8 and .9 of the usual distance
    assert [copied_distance(nearest, scan, is_train, share) for share in (0.1, 0.3, 0.6, 1.0)] == [0.1, 0.3, 0.8, 0.9]
    assert copied_distance(nearest, scan, np.array([False, False, False]), 0.5) == math.inf
