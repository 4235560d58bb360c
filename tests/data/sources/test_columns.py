"""Cells of tables as classes."""

from __future__ import annotations

import numpy as np
import pytest

from anew.data.sources.columns import label_name, text_columns


@pytest.mark.parametrize(
    ("cell", "names", "label"),
    [(float("nan"), (), None), (float("nan"), ("cat", "dog"), None), (1.0, ("cat", "dog"), "dog"), (1.0, (), "1"), (2.5, (), "2.5")],
)  # fmt: skip
def test_a_cell_that_is_no_number_has_no_class(cell: float, names: tuple[str, ...], label: str | None) -> None:
    assert label_name(cell, names) == label


def test_a_vocabulary_that_later_rows_use_up_is_no_text() -> None:
    """225 names of aircraft in 10,000 rows, of which the first 1,000 have more than a hundred."""
    rng = np.random.default_rng(0)
    names = [f"{maker} model {number}" for maker in ("North", "South", "East") for number in range(75)]
    frequencies = 1.0 / np.arange(1, 226)
    rows = [{"aircraft": names[i]} for i in rng.choice(225, 10_000, p=frequencies / frequencies.sum())]
    assert text_columns(["aircraft"], rows[:1_000]) == ["aircraft"]
    assert not text_columns(["aircraft"], rows)
