"""What contexts know of open brackets."""

from __future__ import annotations

import numpy as np
import pytest

from anew.estimators.context_mixing.counts import HEADS, MAX_OPEN, NUM_OPEN
from anew.estimators.context_mixing.mixer import ContextMixer

LETTERS = "\0\n ()[]{}:,._=1abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def mixer() -> ContextMixer:
    return ContextMixer.fit(tuple(letter.encode() for letter in LETTERS), np.zeros(0, dtype=np.int32))


def innermost(mixer: ContextMixer, text: str) -> tuple[int, int]:
    """How many brackets are open after a text, and what is kept of the innermost one."""
    rows = mixer.rows(1, len(text) + 1)
    for letter in text:
        mixer.observe(rows, np.array([LETTERS.index(letter)]))
    history = rows.history[0]
    num_open = int(history[NUM_OPEN])
    return num_open, int(history[HEADS + num_open % MAX_OPEN])


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        # A call: by the word right before the bracket, not by the first word in it
        ("foo(bar, ", "foo(qux, ", True),
        ("foo(bar, ", "zip(bar, ", False),
        ("foo(bar, ", "foo[bar, ", False),
        # As in Lisp: by the first word in the bracket
        ("zip (bar, ", "foo (bar, ", True),
        ("foo (bar, ", "foo (qux, ", False),
        ("foo = [bar, ", "zip = [bar, ", True),
        # Between the word and the bracket is something
        ("foo1(bar, ", "zip1(bar, ", True),
        # Until the first word has ended there is none
        ("(bar", "(qux", True),
        # What has been closed is forgotten
        ("foo(bar, (qux) ", "foo(bar, [zip] ", True),
    ],
)
def test_a_bracket_is_known_by_the_word_right_before_it_or_else_by_its_first_word(
    mixer: ContextMixer, first: str, second: str, same: bool
) -> None:
    assert (innermost(mixer, first) == innermost(mixer, second)) is same


def test_a_bracket_that_is_never_closed_stays_open_to_the_end_of_its_document(mixer: ContextMixer) -> None:
    """As in smileys: nothing else ends a bracket, since code has empty lines within brackets."""
    assert innermost(mixer, "hi :( a\n\nb\n :( c :( d\n\n")[0] == 3
    assert innermost(mixer, "hi :( a :( b\0c ") == innermost(mixer, "c ")
    assert innermost(mixer, "a) b) (c ")[0] == 1  # what was not open cannot be closed
