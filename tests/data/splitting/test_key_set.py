"""Sets of 64-bit keys."""

from __future__ import annotations

import numpy as np
import pytest

from anew.data.splitting.key_set import KeySet


@pytest.mark.parametrize("count", [0, 1, 3, 1000])
def test_a_set_of_keys_holds_what_was_added(count: int) -> None:
    rng = np.random.default_rng(count)
    keys, others = (rng.integers(0, 2**64, n, dtype=np.uint64).tolist() for n in (count, 2000))
    chosen = KeySet()
    assert not chosen and 0 not in chosen and 2**64 - 1 not in chosen
    chosen.add_all(keys[: count // 2])
    chosen.add_all([*keys, *keys[:1], *([0, 2**64 - 1] if count > 1 else [])])
    expected = {*keys, *([0, 2**64 - 1] if count > 1 else [])}
    assert len(chosen) == len(expected) and all(key in chosen for key in expected)
    near = [key + 1 for key in keys if key + 1 < 2**64]
    assert [key in chosen for key in (*others, *near)] == [key in expected for key in (*others, *near)]
