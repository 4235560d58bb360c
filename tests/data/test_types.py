"""An item gives its data as what it is, and as nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anew.data.types import DataBudget, FileSlice, Item


def test_data_is_given_as_what_it_is() -> None:
    text, file, place = Item("a", "abc"), Item("b", b"abcd"), Item("c", FileSlice(Path("c.wav")))
    assert (text.text, text.size) == ("abc", 3)
    assert (file.content, file.file, file.size) == (b"abcd", b"abcd", 4)
    assert (place.file, place.size) == (FileSlice(Path("c.wav")), 0)


def test_data_of_another_sort_is_an_error() -> None:
    with pytest.raises(TypeError, match="b holds bytes, not text"):
        Item("b", b"abcd").text  # noqa: B018
    with pytest.raises(TypeError, match="c holds FileSlice, not bytes"):
        Item("c", FileSlice(Path("c.wav"))).content  # noqa: B018
    with pytest.raises(TypeError, match="d holds ndarray, not a file"):
        Item("d", np.zeros(2)).file  # noqa: B018


def test_a_budget_that_nobody_gave_is_named_as_such() -> None:
    assert DataBudget(90.0, 0, 0).describe() == "90 s on 1 thread"
    assumed = DataBudget(600.0, 0, 0, 2, is_assumed=True)
    assert assumed.describe() == "600 s on 2 threads (assumed, as no budget was given)"
