"""Longest verbatim passages and edit distances, against plain loops."""

from __future__ import annotations

import difflib
import time
from difflib import SequenceMatcher

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from anew.evaluation.memorization import texts
from anew.evaluation.memorization.texts import (
    LONG_RUN,
    Match,
    PassageDistance,
    count_covered,
    longest_matches,
    nearest_record,
)
from anew.functional.text_hashes import code_points, window_hashes

few = st.lists(st.text(alphabet="abé", max_size=14), min_size=2, max_size=8)


def shared(a: str, b: str) -> int:
    first, two = (t.encode("latin-1").decode("latin-1") for t in (a, b))
    return SequenceMatcher(None, first, two, autojunk=False).find_longest_match().size


def test_a_long_run_of_a_character_is_no_passage() -> None:
    distance = PassageDistance(["—" * 70 + "abc", "-" * 90, "x" + "—" * 40, "a" + "-" * 9], np.arange(4))
    assert distance.longest(np.arange(4), np.arange(4))[1].tolist() == [24.0, 8.0, 24.0, 8.0]


@given(few, st.data())
@settings(max_examples=200, deadline=None)
def test_longest_passage_equals_difflib(texts: list[str], data: st.DataObject) -> None:
    n = len(texts)
    groups = np.array(data.draw(st.lists(st.integers(-2, 2), min_size=n, max_size=n)))
    pool = np.array(sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1))), dtype=np.intp)
    queries = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=6)), dtype=np.intp)
    distance = PassageDistance(texts, np.arange(n))
    distance.longest(queries, np.arange(n))  # what it keeps of other pools and groups must not matter
    distance = distance.with_groups(groups)
    if data.draw(st.booleans()):
        distance.longest(queries, np.arange(n))
    item, length = distance.longest(queries, pool)
    raw = [LONG_RUN.sub(r"\1", t).encode().decode("latin-1") for t in texts]  # lengths are in bytes
    for query, result, size in zip(queries, item, length, strict=True):
        others = [j for j in pool if groups[j] != groups[query]]
        assert size == max((shared(raw[query], raw[j]) for j in others), default=0)
        if size:
            assert result in others and shared(raw[query], raw[result]) == size
        else:
            assert result == -1


def test_matches_are_the_same_however_many_are_searched_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    drawn = ["".join(rng.choice(list("ab "), rng.integers(0, 60))) for _ in range(30)]
    queries, pool = np.array([3, 29, 3, 0, *range(10, 25)]), np.arange(5, 30)
    expected = PassageDistance(drawn, np.arange(30) // 3).longest(queries, pool)
    monkeypatch.setattr(texts, "SUFFIXES_AT_ONCE", 7)
    result = PassageDistance(drawn, np.arange(30) // 3).longest(queries, pool)
    assert all(np.array_equal(*pair) for pair in zip(result, expected, strict=True))


def test_a_match_never_crosses_two_texts() -> None:
    distance = PassageDistance(["abcd", "efgh", "cdef"], np.arange(3))
    item, length = distance.longest(np.array([2]), np.array([0, 1]))
    assert length[0] == 2 and item[0] in (0, 1)
    distances = distance.nearest(np.array([2]), np.array([0, 1]))[1]
    assert distances[0] == 0.5


def test_texts_without_characters() -> None:
    distance = PassageDistance(["", ""], np.arange(2))
    item, distances = distance.nearest(np.array([0]), np.array([1]))
    assert item.tolist() == [-1] and np.isinf(distances[0])
    near = distance.nearest_real(np.array([0]), np.array([1]))
    assert near.item.tolist() == [1] and np.isinf(near.distance[0])


short = st.text(alphabet="abc ", min_size=0, max_size=60)


@given(short, short)
@settings(max_examples=150, deadline=None)
def test_longest_match_equals_difflib(text: str, training: str) -> None:
    expected = difflib.SequenceMatcher(None, text, training, autojunk=False).find_longest_match().size
    match = longest_matches([text], code_points(training), k=2)[0]
    if expected < 2:
        assert match is None
        return
    assert match is not None and match.length == expected
    end = match.place + match.length
    passage = text[match.start : match.start + match.length]
    assert passage == training[match.place : end] and match.place == training.find(passage)
    assert not any(text[i : i + match.length] in training for i in range(match.start))


def test_longest_matches_of_several_texts_and_of_none() -> None:
    training = code_points("the quick brown fox jumps over the lazy dog")
    result = longest_matches(["a brown fox jumped", "nothing here to see", "", "héllo lazy dog 🐶"], training)
    assert [None if m is None else m.length for m in result] == [15, None, None, 9]
    assert longest_matches(["anything at all"], code_points("")) == [None]
    letters = "".join(map(chr, range(0x4E00, 0x5200)))  # more letters than a byte tells apart
    assert longest_matches([letters[300:700]], code_points("ab" + letters)) == [Match(0, 400, 302)]


def test_what_repeats_everywhere_takes_no_more_time() -> None:
    # A million characters; eight spaces stand at a quarter of them
    training = code_points((" " * 12 + "x = 1\n") * 60_000)
    texts = [" " * 1500, (" " * 8 + "y = 2\n") * 100, (" " * 12 + "x = 1\n") * 80]
    begin = time.process_time()
    result = longest_matches(texts, training)
    assert time.process_time() - begin < 5.0  # pairs of places would be a billion
    assert [None if m is None else m.length for m in result] == [12, 9, 1440]


@given(short, short)
@settings(max_examples=100, deadline=None)
def test_covered_equals_a_plain_loop(text: str, training: str) -> None:
    k = 4
    hashes = np.sort(window_hashes(code_points(training), k)) if len(training) >= k else np.zeros(0, dtype=np.uint64)
    inside = set()
    for start in range(len(text) - k + 1):
        if text[start : start + k] in training:
            inside |= set(range(start, start + k))
    assert count_covered(text, hashes, k) == len(inside)


def plain_distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


@given(short, st.lists(short, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_nearest_record_equals_a_plain_loop(text: str, records: list[str]) -> None:
    distances = [plain_distance(text, record) for record in records]
    assert nearest_record(text, records) == (distances.index(min(distances)), min(distances))


def test_the_nearest_record_is_found_beyond_what_begins_alike() -> None:
    """Long records that differ at their ends alone are not identical."""
    text = "a" * 200 + "bcd"
    assert nearest_record(text, ["a" * 200 + "xyz", "a" * 199 + "bcd"]) == (1, 1)


def test_the_nearest_of_many_long_records_equals_the_least_of_all_distances() -> None:
    """Records of several lengths, more than are compared at once: limits of edits must not lose the nearest, nor the first."""
    rng = np.random.default_rng(0)
    ancestor = "".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), 400))

    def variant(max_count: int) -> str:
        letters = list(ancestor)
        for _ in range(rng.integers(1, max_count + 1)):
            place = rng.integers(len(letters))
            letters[place : place + 1] = rng.choice(["", "A", "WW"])
        return "".join(letters)

    records = [variant(30) for _ in range(700)]
    for text in [variant(3), variant(30), records[500], "W" * 50, ""]:
        distances = [Levenshtein.distance(text, record) for record in records]
        assert nearest_record(text, records) == (distances.index(min(distances)), min(distances))


def test_the_nearest_of_no_records() -> None:
    assert nearest_record("abc", []) == (-1, 0)
