"""A sequence's own passages are those that a search finds, and how often it goes on is counted by kind."""

from __future__ import annotations

import numpy as np

from anew.estimators.own_passages import (
    MIN_MATCH,
    NUM_KINDS,
    NUM_LENGTHS,
    OwnPassage,
    largest_surplus,
    own_passages,
    tally_passages,
)


def ids(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64)


def kind(length: int, distance: int) -> int:
    """The kind of a passage, from class of length and of distance."""
    return 1 + length + NUM_LENGTHS * distance


def test_a_passage_is_found_where_its_first_tokens_were_and_left_where_they_go_on_otherwise() -> None:
    passage = OwnPassage()
    expected = []
    for letter in ids("abcdefgh abcdeX"):
        passage.read(int(letter))
        expected.append(chr(passage.next_token) if passage.next_token >= 0 else ".")
    assert "".join(expected) == "............ef."


def test_a_token_of_a_passage_is_the_one_after_an_earlier_place_with_the_same_tokens() -> None:
    sequence = np.random.default_rng(0).integers(0, 3, 400)
    passage = OwnPassage()
    for place, token in enumerate(sequence.tolist()):
        passage.read(token)
        ending = sequence[: place + 1][-MIN_MATCH:]
        followers = [
            int(sequence[i]) for i in range(MIN_MATCH, place + 1) if (sequence[i - MIN_MATCH : i] == ending).all()
        ]
        assert passage.next_token in (followers or [-1])


def test_kinds_tell_loops_by_period_and_length() -> None:
    places = own_passages(ids("x" * 12 + "y"))
    # From the fifth letter on: as the one before, at lengths from 4 and then from 8 on
    assert places[:, 0].tolist() == [kind(0, 0)] * 4 + [kind(1, 0)] * 4
    assert places[:, 1].tolist() == [1] * 7 + [0]
    assert own_passages(ids("abc" * 6))[-1].tolist() == [kind(1, 1), 1]
    assert own_passages(ids("abcdefghijklmnopqrstuvw" * 2))[0].tolist() == [kind(0, 3), 1]
    tallies = tally_passages(places)
    assert tallies.shape == (NUM_KINDS, 2) and tallies[kind(1, 0)].tolist() == [4, 3] and tallies.sum() == 8 + 7


def test_a_copy_goes_on_by_itself() -> None:
    passage = OwnPassage()
    for letter in ids("abcd abcd"):
        passage.read(int(letter))
    other = passage.copy()
    other.read(ord("!"))
    assert (chr(passage.next_token), other.next_token) == (" ", -1)


def test_copies_share_what_was_read_before_and_find_it() -> None:
    sequence = np.random.default_rng(0).integers(0, 3, 300).tolist()
    passage, alone = OwnPassage(), OwnPassage()
    copies = []
    for place, token in enumerate(sequence):
        if place in (0, 100, 200):  # also of a copy of one that has read more
            passage = passage.copy()
            copies.append(passage)
        passage.read(token)
        alone.read(token)
        assert (passage.next_token, passage.kind) == (alone.next_token, alone.kind)
    assert [len(copy._tokens) for copy in copies] == [100, 200, 300]
    first, second = alone.copy(), alone.copy()
    assert first._shared_places is second._shared_places


def test_the_largest_surplus_is_that_of_a_stretch() -> None:
    places = np.array([[1, 0]] * 4 + [[1, 1]] * 6 + [[1, 0]] * 2 + [[1, 1]])
    assert largest_surplus(places, np.full(NUM_KINDS, 0.5)) == 3.0
    fall = np.array([[1, 1]] * 4 + [[1, 0]] * 20)  # a stretch does not begin after its end
    assert largest_surplus(fall, np.full(NUM_KINDS, 0.5)) == 2.0
    assert largest_surplus(places[:0], np.full(NUM_KINDS, 0.5)) == 0.0
