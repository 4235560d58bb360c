"""Texts in one block of bytes."""

from __future__ import annotations

import numpy as np
import pytest

from anew.core.stores import text_column
from anew.core.stores.text_column import (
    ChosenTexts,
    TextColumn,
    TextColumnBuilder,
    argsort_texts,
    different,
    numbered_containing,
)


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


def initial(text: str) -> str:
    return text[:1]


def test_what_follows_from_texts_is_that_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{'abc'[i % 3]}{i}" for i in range(20)] + ["", "é"]
    chosen = np.array([21, 0, 20, 1, 4])
    column = TextColumn.of(texts)
    for column_texts, expected in (
        (ChosenTexts(column), texts),
        (ChosenTexts(column, chosen), [texts[i] for i in chosen]),
    ):
        assert list(column_texts) == expected and column_texts[1] == expected[1] and column_texts[1:3] == expected[1:3]
        names, codes = column_texts.coded(initial)
        assert [names[code] for code in codes] == [text[:1] for text in expected]
        assert (
            sorted(different(column_texts, initial))
            == sorted(different(expected, initial))
            == sorted(set(map(initial, expected)))
        )
        numbers = column_texts.named(initial, ("b", "é").__contains__)
        assert column_texts.take(numbers) == [text for text in expected if text[:1] in ("b", "é")]


@pytest.mark.parametrize("searched", [1, 3, 1000])
def test_texts_that_hold_a_word_are_among_those_found(searched: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_column, "SEARCHED_TEXTS", searched)
    texts = ["a/1.png", "a/TEST/1.png", ".hidden", "b/.x", "", "z/", "ﬁ\N{KELVIN SIGN}ind", "café.png", "x.png"]
    words = {"test": {1}, "\0.": {2}, "/.": {3}, "\0\0": {4}, "/\0": {5}, "kind": {6}, "nothing": set()}
    for word, expected in words.items():
        column, chosen = TextColumn.of(texts), np.arange(len(texts))[::-1]
        candidates = dict(ChosenTexts(column).numbered_containing((word,)))
        assert expected <= candidates.keys() and all(texts[number] == text for number, text in candidates.items())
        in_others = dict(ChosenTexts(column, chosen).numbered_containing((word,)))
        assert {texts.index(text) for text in in_others.values()} == candidates.keys()
        assert expected <= dict(numbered_containing(iter(texts), (word,))).keys()
        if searched == 1:  # names beyond ASCII are near any word
            assert candidates.keys() == expected | {6, 7}
