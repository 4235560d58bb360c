"""Values of two fields that go together."""

from __future__ import annotations

import numpy as np
import pytest

from anew.estimators import field_pairs
from anew.estimators.field_pairs import paired_values, related_columns

N = 4_000


def places() -> dict[int, np.ndarray]:
    """Cities, the state that each lies in, and a number that has nothing to do with them."""
    rng = np.random.default_rng(0)
    cities = rng.integers(0, 40, N)
    return {3: cities, 5: cities // 8, 7: rng.integers(0, 3, N)}


def test_a_city_goes_together_with_its_state_alone() -> None:
    codes = places()
    assert related_columns(codes) == [(3, 5)]
    firsts = [0, 40, 45]
    pairs = paired_values([values + first for values, first in zip(codes.values(), firsts, strict=True)], [3, 5, 7])
    assert pairs.tolist() == [[city, 40 + city // 8] for city in range(40)]


def test_views_of_one_field_are_no_pair_and_pairs_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = places()
    views = [codes[3], codes[5] + 40]
    assert not len(paired_values(views, [3, 3]))
    monkeypatch.setattr(field_pairs, "MAX_PAIRS", 30)
    assert not len(paired_values(views, [3, 5]))


def test_pairs_that_are_often_new_do_not_go_together() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 60, (2, N))
    assert not related_columns({0: first, 1: second})
    assert not related_columns({0: np.zeros(N, dtype=np.int64), 1: second}) and not related_columns({})
