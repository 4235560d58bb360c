"""Exact search, against plain loops."""

from __future__ import annotations

import difflib
import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.evaluation.memorization.nearest import (
    Match,
    codes,
    covered,
    edit_distances,
    longest_matches,
    nearest_pixels,
    window_hashes,
)

few = st.text(alphabet="abc ", min_size=0, max_size=60)


@given(few, few)
@settings(max_examples=150, deadline=None)
def test_longest_match_equals_difflib(text: str, training: str) -> None:
    expected = difflib.SequenceMatcher(None, text, training, autojunk=False).find_longest_match().size
    match = longest_matches([text], codes(training), k=2)[0]
    if expected < 2:
        assert match is None
        return
    assert match is not None and match.length == expected
    end = match.place + match.length
    passage = text[match.start : match.start + match.length]
    assert passage == training[match.place : end] and match.place == training.find(passage)
    assert not any(text[i : i + match.length] in training for i in range(match.start))


def test_longest_matches_of_several_texts_and_of_none() -> None:
    training = codes("the quick brown fox jumps over the lazy dog")
    found = longest_matches(["a brown fox jumped", "nothing here to see", "", "héllo lazy dog 🐶"], training)
    assert [None if m is None else m.length for m in found] == [15, None, None, 9]
    assert longest_matches(["anything at all"], codes("")) == [None]
    many = "".join(map(chr, range(0x4E00, 0x5200)))  # more letters than a byte tells apart
    assert longest_matches([many[300:700]], codes("ab" + many)) == [Match(0, 400, 302)]


def test_what_repeats_everywhere_takes_no_more_time() -> None:
    training = codes((" " * 12 + "x = 1\n") * 60_000)  # a million characters; eight spaces stand at a quarter of them
    texts = [" " * 1500, (" " * 8 + "y = 2\n") * 100, (" " * 12 + "x = 1\n") * 80]
    begin = time.process_time()
    found = longest_matches(texts, training)
    assert time.process_time() - begin < 5.0  # pairs of places would be a billion
    assert [None if m is None else m.length for m in found] == [12, 9, 1440]


@given(few, few)
@settings(max_examples=100, deadline=None)
def test_covered_equals_a_plain_loop(text: str, training: str) -> None:
    k = 4
    known = np.sort(window_hashes(codes(training), k)) if len(training) >= k else np.zeros(0, dtype=np.uint64)
    inside = set()
    for start in range(len(text) - k + 1):
        if text[start : start + k] in training:
            inside |= set(range(start, start + k))
    assert covered(text, known, k) == len(inside)


def plain_distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


@given(few, st.lists(few, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_edit_distance_equals_a_plain_loop(text: str, records: list[str]) -> None:
    assert edit_distances(text, records).tolist() == [plain_distance(text, r) for r in records]


def test_edit_distance_to_nothing() -> None:
    assert len(edit_distances("abc", [])) == 0


def test_nearest_pixels_finds_the_copy() -> None:
    training = np.random.default_rng(0).integers(0, 256, (1200, 6, 6, 3), dtype=np.uint8)
    images = training[[700, 3, 1199]].copy()
    images[1, 0, 0, 0] ^= 1
    index, distance = nearest_pixels(images, training)
    assert index.tolist() == [700, 3, 1199]
    assert distance[0] == distance[2] == 0.0
    np.testing.assert_allclose(distance[1], 1 / np.sqrt(108), rtol=1e-6)
