import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pytest import MonkeyPatch

from anew.evaluation.memorization import bit_rows
from anew.evaluation.memorization.bit_rows import BitRows


@given(
    num_rows=st.integers(1, 30), num_columns=st.integers(1, 40), at_once=st.integers(1, 300), seed=st.integers(0, 99)
)
def test_bits_are_those_that_were_packed(num_rows: int, num_columns: int, at_once: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    bits = rng.integers(2, size=(num_rows, num_columns)).astype(np.uint8)
    columns, rows = rng.integers(num_columns, size=17), BitRows(bits)
    with MonkeyPatch.context() as patch:
        patch.setattr(bit_rows, "BITS_AT_ONCE", at_once)
        assert (np.concatenate(list(rows.parts(columns))) == bits[:, columns]).all()
    assert (rows.first(columns) == bits[0, columns]).all()
    assert all((rows.row(number) == bits[number]).all() for number in range(num_rows))


def test_a_thousand_rows_take_a_bit_for_each_column() -> None:
    tracemalloc.start()
    rows = BitRows(np.zeros(10_000, dtype=np.bool_) for _ in range(1_000))
    current = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(rows) == 1_000
    assert current < 1_500_000
