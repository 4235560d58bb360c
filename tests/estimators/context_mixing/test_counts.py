"""What contexts know of open brackets, and of the numbers of lines."""

from __future__ import annotations

import numpy as np
import pytest

from anew.core.arrays import Int32s
from anew.estimators.context_mixing.counts import HEADS, MAX_OPEN, NUM_OPEN
from anew.estimators.context_mixing.mixer import ContextMixer

LETTERS = "\0\n ()[]{}:,._=123456789abcdefghijklmnopqrstuvwxyz"


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


def test_lines_that_count_up_are_continued() -> None:
    """Verses: by the number of the one before, which is farther away than the other contexts reach."""
    rng = np.random.default_rng(0)

    def verses(first: int) -> str:
        words = ["".join(rng.choice(list("abcdefghij"), 12)) for _ in range(6)]
        return "\0" + "".join(f"{first + line} {word}\n" for line, word in enumerate(words))

    def tokens(text: str) -> Int32s:
        return np.array([LETTERS.index(letter) for letter in text], dtype=np.int32)

    spellings = tuple(letter.encode() for letter in LETTERS)
    mixer = ContextMixer.fit(spellings, tokens("".join(verses(int(rng.integers(1, 5))) for _ in range(150))))
    text = verses(2)
    logits, orders = mixer.read(mixer.document(len(text)), tokens(text))
    network = mixer.network_logits(np.full((len(text), len(LETTERS)), 1 / len(LETTERS), np.float32), tokens(text))
    log_probs = mixer.log_probs(tokens(text), logits, network, orders, mixer.joint)
    numbers = [place for place, letter in enumerate(text) if letter.isdigit()][1:]
    assert np.exp(log_probs[numbers]).min() > 0.5, np.exp(log_probs[numbers])
