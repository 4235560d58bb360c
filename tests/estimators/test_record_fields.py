"""Fields of rows: how records are divided, what their contexts are, and which field tells most about another."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from anew.estimators.kneser_ney import KneserNey
from anew.estimators.record_fields import NUM_ELEMENTS, ORDER, OWN_ELEMENTS, FieldReader

LETTERS = [chr(code) for code in range(9, 127)]
BEGIN, END = len(LETTERS), len(LETTERS) + 1
SPELLINGS = [*(letter.encode() for letter in LETTERS), b"\0", b"\0"]


def tokens(lines: list[str]) -> list[np.ndarray]:
    return [np.array([BEGIN, *(LETTERS.index(letter) for letter in line), END]) for line in lines]


def rows(count: int, mark: str = ";", seed: int = 0) -> list[str]:
    """Rows of a number, a word that goes with its first digit, a number without a meaning, and the word once more."""
    source = np.random.default_rng(seed)
    words = ["ash", "birch", "cedar", "date", "elm", "fig", "gorse", "hazel", "ivy", "juniper"]
    lines = []
    for first, other in zip(source.integers(0, 10, count), source.integers(0, 1000, count), strict=True):
        lines.append(mark.join([f"{first}.{other % 7}", words[first], str(other), words[first].upper()]))
    return lines


@pytest.mark.parametrize("mark", [";", ",", "\t", "|"])
def test_a_field_that_follows_from_another_has_it_as_parent(mark: str) -> None:
    reader = FieldReader.learn(tokens(rows(400, mark)), SPELLINGS)
    assert reader is not None
    assert reader.parents.tolist()[:2] == [-1, 0] and reader.parents[2] in (-1, 0) and reader.parents[3] in (0, 1)


def test_other_lists_are_no_rows() -> None:
    source = np.random.default_rng(1)
    names = ["".join(source.choice(list("abcde "), 8)) for _ in range(300)]
    sentences = [", ".join(["so"] * int(source.integers(1, 5))) for _ in range(300)]
    for lines in (names, sentences, [line[:6] for line in rows(300)], []):
        assert FieldReader.learn(tokens(lines), SPELLINGS) is None


def test_marks_within_quotes_divide_nothing() -> None:
    lines = [f'{number},"a, {number}","b ""{number}"", c"' for number in range(300)]
    reader = FieldReader.learn(tokens([*lines, *["1,2,3"] * 30]), SPELLINGS)
    assert reader is not None and len(reader.parents) == 3
    measures = [f'{number};5" pipe;steel' if number % 2 else f"{number};rod;iron" for number in range(300)]
    reader = FieldReader.learn(tokens(measures), SPELLINGS)  # quotes that are letters
    assert reader is not None and len(reader.parents) == 3


def test_values_of_objects_are_fields_of_their_own() -> None:
    lines = [json.dumps({"id": n, "name": f'the "{"xyz"[n % 3]}", of', "sort": "pqr"[n % 3] * 3}) for n in range(300)]
    reader = FieldReader.learn(tokens(lines), SPELLINGS)
    assert reader is not None and reader.parents.tolist()[::2] == [-1, -1, -1] and len(reader.parents) == 6


@pytest.mark.parametrize("mark", [";", ","])
def test_contexts_of_a_record_are_those_of_its_beginnings(mark: str) -> None:
    lines = [f'{line}{mark}"x{mark} y"' for line in rows(200, mark)]
    reader = FieldReader.learn(tokens(lines), SPELLINGS)
    assert reader is not None
    ids = np.stack([row[:18] for row in tokens(lines) if len(row) >= 18])
    elements, depth = (array.reshape(*array.shape[:-1], *ids.shape) for array in reader.contexts(ids))
    for place in range(ids.shape[1]):
        last, last_depth = reader.contexts(ids[:, : place + 1], place)
        is_used = np.arange(ORDER)[:, None] < last_depth
        assert np.array_equal(last_depth, depth[:, place])
        assert np.array_equal(np.where(is_used, last, 0), np.where(is_used, elements[:, :, place], 0))


def test_the_field_so_far_is_one_element_wherever_the_field_begins() -> None:
    reader = FieldReader.learn(tokens(rows(200)), SPELLINGS)
    assert reader is not None
    last = [reader.contexts(row[None, :-1], len(row) - 2)[0][:, 0] for row in tokens(["1;ab;7", "123;a;7", "1;b;8"])]
    so_far = [elements[OWN_ELEMENTS - 1] for elements in last]
    assert so_far[0] == so_far[1] != so_far[2] and last[0][0] == last[1][0]
    assert [elements[2] for elements in last] == [LETTERS.index(letter) for letter in "778"]


def test_counts_of_fields_predict_what_another_field_says() -> None:
    records, others = tokens(rows(400)), tokens(rows(100, seed=1))
    reader = FieldReader.learn(records, SPELLINGS)
    assert reader is not None
    counts = KneserNey.fit_elements(*reader.targets(records), len(SPELLINGS), NUM_ELEMENTS)
    targets, elements, depth = reader.targets(others)
    by_field = counts.probability(counts.walk_elements(elements, depth), targets)
    plain = KneserNey.fit(records, len(SPELLINGS), 6)
    before = np.concatenate([plain.score(row)[1:] for row in others])
    is_letter = np.isin(targets, [LETTERS.index(letter) for letter in "abcdefghijklmnopqrstuvwxyz"])
    assert np.log2(by_field[is_letter]).sum() > 0.3 * np.log2(before[is_letter]).sum()
    assert np.allclose(counts.distribution(counts.walk_elements(elements[:, :9], depth[:9])).sum(1), 1.0, atol=1e-4)


def test_numbers_of_different_sizes_are_told_apart_by_their_first_element() -> None:
    lines = [f"{n};{'small' if n < 10 else 'large'};{n % 3}" for n in (*range(1, 10), *range(10, 90)) for _ in range(4)]
    reader = FieldReader.learn(tokens(lines), SPELLINGS)
    assert reader is not None and reader.parents[1] == 0
    small, large = (
        reader.contexts(np.array([row]), len(row) - 1)[0] for row in (tokens(["1;"])[0][:-1], tokens(["10;"])[0][:-1])
    )
    assert small[OWN_ELEMENTS, 0] != large[OWN_ELEMENTS, 0]


def test_fields_of_a_stranger_are_checked() -> None:
    reader = FieldReader.learn(tokens(rows(200)), SPELLINGS)
    assert reader is not None
    reader.check()
    for parents in ([-1, -1], [-1, 1, 0], [-1, -2, 0]):
        with pytest.raises(ValueError, match="fields of rows"):
            replace(reader, parents=np.array(parents)).check()
