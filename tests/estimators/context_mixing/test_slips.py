"""Words that the train part does not have, and brackets that do not match: which tokens they are, and how often they are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from anew.estimators.context_mixing import slips
from anew.estimators.context_mixing.counts import Spelling
from anew.estimators.context_mixing.mixer import ContextMixer
from anew.estimators.context_mixing.slips import NONE, NUM_SLIPS, UNOPENED, accepted_shares, words_of

LETTERS = "\0\n ()[]Tabcehnotxy"
TRAIN = "the cat (that) [hat]\n"


def ids(text: str) -> np.ndarray:
    return np.array([LETTERS.index(letter) for letter in text], dtype=np.int32)


@pytest.fixture(scope="module")
def mixer() -> ContextMixer:
    return ContextMixer.fit(tuple(letter.encode() for letter in LETTERS), ids(TRAIN))


def slip(mixer: ContextMixer, before: str, token: str) -> int:
    """The kind of slip of a token: weights of 1, where each kind is `accepted` with its own number."""
    rows = mixer.rows(1, len(before) + 1)
    for letter in before:
        mixer.observe(rows, ids(letter).astype(np.int64))
    numbers = np.arange(NUM_SLIPS, dtype=np.float32)
    weights = mixer.without_slips(rows, np.arange(1), np.ones((1, len(LETTERS)), dtype=np.float32), numbers)
    return int(weights[0, LETTERS.index(token)])


@pytest.mark.parametrize(
    ("before", "token", "kind"),
    [
        ("th", "e", slips.NONE),
        ("th", "x", slips.NEW_BEGINNING),
        ("Th", "x", slips.NEW_BEGINNING + 1),
        ("", "x", slips.NEW_BEGINNING),
        ("thx", "e", slips.NEW_REST),
        ("thx", " ", slips.NONE),
        ("the", " ", slips.NONE),
        ("The", ")", slips.UNOPENED),
        ("tha", " ", slips.NEW_ENDING),
        ("Tha", "\0", slips.NEW_ENDING + 1),
        # The document has such a word
        ("xyx ", "x", slips.NONE),
        ("xyx x", "y", slips.NONE),
        ("(cat) ", ")", slips.UNOPENED),
        ("[(cat) ", ")", slips.MISMATCHED),
        ("[(cat) ", "]", slips.NONE),
        ("[cat\n", "\0", slips.UNCLOSED),
        ("[cat]\n", "\0", slips.NONE),
        (" (cat\n", "(", slips.OUTDENTED),
        (" (cat\n", "t", slips.OUTDENTED + 1),
        (" (cat\n", "]", slips.MISMATCHED),
        (" (cat\n ", "(", slips.OUTDENTED + 3),
        (" (cat\n  ", "(", slips.NONE),
        (" (cat\n", "\n", slips.NONE),
        (" (cat\n", ")", slips.NONE),
        (" (cat)\n", "(", slips.NONE),
    ],
)
def test_which_tokens_are_slips(mixer: ContextMixer, before: str, token: str, kind: int) -> None:
    assert slip(mixer, before, token) == kind


def test_a_refused_token_is_drawn_again_from_the_rest(mixer: ContextMixer) -> None:
    n = 4000
    rows, joint = mixer.rows(n, 4), mixer.joints(n)
    network = np.full((n, len(LETTERS)), 1.0 / len(LETTERS), dtype=np.float32)
    uniform = ((np.arange(n) + 0.5) / n).astype(np.float32)
    expected = mixer.step(rows, joint, network)[0]
    accepted = np.ones(NUM_SLIPS, dtype=np.float32)
    accepted[UNOPENED] = 0.25
    tokens = np.full(n, -1)
    chances = mixer.draw(rows, joint, network, uniform, tokens, 0.0, accepted=accepted)
    np.testing.assert_allclose(chances, expected[tokens], rtol=1e-3)  # those of the model, whatever is refused
    expected[[LETTERS.index(")"), LETTERS.index("]")]] *= 0.25
    drawn = np.bincount(tokens, minlength=len(LETTERS)) / n
    np.testing.assert_allclose(drawn, expected / expected.sum(), atol=0.01)


def test_a_text_of_nothing_but_slips_goes_on(mixer: ContextMixer) -> None:
    network = np.full((1, len(LETTERS)), 1e-9, dtype=np.float32)
    network[0, LETTERS.index(")")] = 1.0
    tokens = np.array([-1])
    none = np.zeros(NUM_SLIPS, dtype=np.float32)
    mixer.draw(mixer.rows(1, 4), mixer.joints(1), network, np.array([0.5], dtype=np.float32), tokens, accepted=none)
    assert tokens[0] >= 0


def test_slips_of_a_text_are_counted_beside_those_that_are_drawn(mixer: ContextMixer) -> None:
    text = ids("the ) cat ) (hat) ")
    network = np.full((len(text), len(LETTERS)), 1e-3, dtype=np.float32)
    network[:, LETTERS.index(")")] = 1.0
    tallies = mixer.slip_tallies(mixer.document(len(text)), text, network)
    assert tallies[:, 1].tolist() == [len(text) - 2, *[0] * (UNOPENED - 1), 2, *[0] * (NUM_SLIPS - UNOPENED - 1)]
    assert tallies.sum(0).tolist() == [len(text)] * 2 and tallies[UNOPENED, 0] > 5


def test_slips_are_accepted_as_often_as_they_were_there() -> None:
    tallies = np.zeros((NUM_SLIPS, 2), dtype=np.int64)
    tallies[NONE], tallies[1], tallies[2], tallies[3] = (900, 990), (100, 10), (0, 3), (8, 0)
    shares = accepted_shares(tallies)
    np.testing.assert_allclose(shares[:5], [1.0, 10.5 / 100.5, 1.0, 0.5 / 8.5, 1.0], rtol=1e-6)


def test_all_words_of_a_long_text_are_known() -> None:
    rng = np.random.default_rng(0)
    text = rng.integers(len(LETTERS) - 8, len(LETTERS), 12_000).astype(np.int32)
    text[::6] = LETTERS.index(" ")
    spelling = Spelling(np.frombuffer(LETTERS.encode(), np.uint8), np.arange(len(LETTERS) + 1))
    words = ["".join(LETTERS[token] for token in text[first + 1 : first + 6]) for first in range(0, len(text), 6)]
    beginnings = {word[:length] for word in words for length in range(1, 6)}
    assert len(beginnings) > slips.FIRST_SLOTS / 2
    assert words_of(text, spelling).used[0] == len(beginnings)
