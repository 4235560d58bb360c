"""Texts in one block of bytes."""

from __future__ import annotations

import numpy as np
import pytest

from anew.core.stores import text_column
from anew.core.stores.text_column import TextColumn, TextColumnBuilder, argsort_texts


@pytest.mark.parametrize("chunk", [3, 4096])
def test_texts_come_back_whatever_is_in_them(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_column, "CHUNK", chunk)
    texts = ["a/1.png", "", "caf\udce9.txt", "naïve.txt", "ein\0zeichen", "ok", "日本.txt", "z"]
    column = TextColumn.of(texts)
    assert len(column) == 8 and list(column) == texts and column[3] == "naïve.txt" and column[-1] == "z"
    assert column[2:5] == texts[2:5] and column.take(np.array([7, 0, 3])) == ["z", "a/1.png", "naïve.txt"]
    assert list(column.iter_take(np.array([1, 2, 4, 6, 7]))) == [texts[number] for number in (1, 2, 4, 6, 7)]
    with pytest.raises(IndexError):
        column[8]
    builder = TextColumnBuilder()
    builder.extend(["first"])
    builder.add_column(column)
    assert list(builder.column()) == ["first", *texts]


def test_a_column_that_was_saved_is_checked() -> None:
    column = TextColumn.of(["a", "bc"])
    text = np.frombuffer(column.text, dtype=np.uint8)
    assert list(TextColumn.checked(text, column.bounds, 2)) == ["a", "bc"]
    for bounds in (column.bounds[:2], column.bounds + 1, np.array([0, 0, 5]), column.bounds.astype(np.int32)):
        with pytest.raises(ValueError, match="column"):
            TextColumn.checked(text, bounds, 2)
    for damaged in (b"a\0bcd", b"a\0\xff\xff\0"):  # no end, and no UTF-8
        with pytest.raises(ValueError, match=r"column|utf-8"):
            TextColumn.checked(np.frombuffer(damaged, dtype=np.uint8), column.bounds, 2)


def test_runs_are_merged_and_the_last_of_equal_texts_counts() -> None:
    texts = ["b", "d", "a", "b", "c"]
    assert argsort_texts(TextColumn.of(texts), [0, 2]).tolist() == [2, 3, 4, 1]
