"""Cells of tables as classes."""

from __future__ import annotations

import pytest

from anew.data.sources.columns import label_name


@pytest.mark.parametrize(
    ("cell", "names", "label"),
    [(float("nan"), (), None), (float("nan"), ("cat", "dog"), None), (1.0, ("cat", "dog"), "dog"), (1.0, (), "1"), (2.5, (), "2.5")],
)  # fmt: skip
def test_a_cell_that_is_no_number_has_no_class(cell: float, names: tuple[str, ...], label: str | None) -> None:
    assert label_name(cell, names) == label
