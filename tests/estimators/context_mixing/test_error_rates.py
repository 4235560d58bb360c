"""Words that the train part does not have, and brackets that do not match: which tokens they are, and how often they are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from anew.estimators.context_mixing import error_rates
from anew.estimators.context_mixing.counts import Spelling
from anew.estimators.context_mixing.error_rates import NUM_ERRORS, UNOPENED, acceptance_rates
from anew.estimators.context_mixing.mixer import ContextMixer
from anew.estimators.context_mixing.words import FIRST_SLOTS, words_of

LETTERS = "\0\t\n ()[]Tabcehnotxy"
TRAIN = "the cat (that) [hat]\n"


def ids(text: str) -> np.ndarray:
    return np.array([LETTERS.index(letter) for letter in text], dtype=np.int32)


@pytest.fixture(scope="module")
def mixer() -> ContextMixer:
    return ContextMixer.fit(tuple(letter.encode() for letter in LETTERS), ids(TRAIN))


def error(mixer: ContextMixer, before: str, token: str) -> int:
    """The kind of error of a token: a weight of 1, where each kind is `accepted` with its own number."""
    rows = mixer.rows(1, len(before) + 1)
    for letter in before:
        mixer.observe(rows, ids(letter).astype(np.int64))
    numbers, weights = np.arange(NUM_ERRORS, dtype=np.float32), np.zeros((1, len(LETTERS)), dtype=np.float32)
    weights[0, LETTERS.index(token)] = 1.0
    return int(mixer.weights_if_accepted(rows, np.arange(1), weights, numbers)[0, LETTERS.index(token)])


@pytest.mark.parametrize(
    ("before", "token", "kind"),
    [
        ("th", "e", error_rates.NONE),
        ("th", "x", error_rates.NEW_BEGINNING),
        ("Th", "x", error_rates.NEW_BEGINNING + 1),
        ("", "x", error_rates.NEW_BEGINNING),
        ("thx", "e", error_rates.NEW_REST),
        ("thx", " ", error_rates.NONE),
        ("the", " ", error_rates.NONE),
        ("The", ")", error_rates.UNOPENED),
        ("tha", " ", error_rates.NEW_ENDING),
        ("Tha", "\0", error_rates.NEW_ENDING + 1),
        # The document has such a word
        ("xyx ", "x", error_rates.NONE),
        ("xyx x", "y", error_rates.NONE),
        ("xyx\nx", "y", error_rates.NONE),
        ("xyx (x", "y", error_rates.NONE),
        ("xyx x", "o", error_rates.NEW_REST),
        ("tha tha", " ", error_rates.NONE),
        ("[" + "(" * 17 + ")" * 17, "]", error_rates.NONE),
        ("[" + "(" * 17 + ")" * 16, "]", error_rates.NONE),
        ("[" + "(" * 17 + ")" * 5, "]", error_rates.MISMATCHED),
        ("(cat) ", ")", error_rates.UNOPENED),
        ("[(cat) ", ")", error_rates.MISMATCHED),
        ("[(cat) ", "]", error_rates.NONE),
        ("[cat\n", "\0", error_rates.UNCLOSED),
        ("[cat]\n", "\0", error_rates.NONE),
        (" (cat\n", "(", error_rates.OUTDENTED),
        (" (cat\n", "t", error_rates.OUTDENTED + 1),
        (" (cat\n", "]", error_rates.MISMATCHED),
        (" (cat\n ", "(", error_rates.OUTDENTED + 3),
        (" (cat\n  ", "(", error_rates.NONE),
        (" (cat\n", "\n", error_rates.EMPTY_LINE),
        (" (cat)\n", "\n", error_rates.NONE),
        ("(cat", "\n", error_rates.ENDS_LEFT + 4),
        ("[(cat", "\n", error_rates.ENDS_LEFT + 5),
        (" (cat", "\n", error_rates.ENDS_LEFT),
        ("  [(cat\n", " ", error_rates.ENDS_LEFT + 3),
        (" [(cat\n", " ", error_rates.ENDS_LEFT + 7),
        ("[(cat\n", " ", error_rates.NONE),
        ("[cat", " ", error_rates.NONE),
        # A tab ends at the eighth column, with spaces before it or not
        ("        (cat\n\t", "(", error_rates.OUTDENTED + 3),
        ("       (cat\n\t", "(", error_rates.NONE),
        ("   \t(cat\n       ", "(", error_rates.OUTDENTED),
        ("  (cat\n  ", ")", error_rates.NONE),
        ("  (cat\n ", ")", error_rates.CLOSED_LEFT),
        ("  (cat\n   ", ")", error_rates.CLOSED_RIGHT),
        (" (cat\n", ")", error_rates.CLOSED_LEFT),
        (" (cat)\n", "(", error_rates.NONE),
    ],
)
def test_which_tokens_are_errors(mixer: ContextMixer, before: str, token: str, kind: int) -> None:
    assert error(mixer, before, token) == kind


KANA = "\0 a)\nかなé"
KANA_TEXT = "かな a é\n"


@pytest.fixture(scope="module")
def kana_mixer() -> ContextMixer:
    text = np.array([KANA.index(letter) for letter in KANA_TEXT], dtype=np.int32)
    return ContextMixer.fit(tuple(letter.encode() for letter in KANA), text)


@pytest.mark.parametrize(
    ("before", "token", "kind"),
    [
        (" か", "な", error_rates.NONE),
        ("か", "か", error_rates.NEW_PAIR),
        ("a", "か", error_rates.NEW_PAIR + 1),
        ("なか", "a", error_rates.NEW_PAIR + 1),
        ("か", ")", error_rates.NEW_PAIR + 2),
        ("な", " ", error_rates.NONE),
        (" ", "é", error_rates.NONE),
        ("\n", "é", error_rates.NEW_PAIR + 2),
        ("\0", "な", error_rates.NEW_BEGINNING),  # the first one of a document
    ],
)
def test_pairs_of_characters_are_known(kana_mixer: ContextMixer, before: str, token: str, kind: int) -> None:
    rows = kana_mixer.rows(1, len(before) + 1)
    for letter in before:
        kana_mixer.observe(rows, np.array([KANA.index(letter)]))
    numbers = np.arange(NUM_ERRORS, dtype=np.float32)
    weights = kana_mixer.weights_if_accepted(
        rows, np.arange(1), np.eye(len(KANA), dtype=np.float32)[[KANA.index(token)]], numbers
    )
    assert weights[0, KANA.index(token)] == kind


def test_a_bracket_is_closed_in_place_of_an_error_that_leaves_it_open(mixer: ContextMixer) -> None:
    n, closer = 50, LETTERS.index(")")
    rows = mixer.rows(n, 8)
    for letter in "(cat":
        mixer.observe(rows, np.repeat(ids(letter).astype(np.int64), n))
    accepted = np.ones(NUM_ERRORS, dtype=np.float32)
    accepted[error_rates.ENDS_LEFT + 4] = 0.25
    network = np.full((n, len(LETTERS)), 1.0 / len(LETTERS), dtype=np.float32)
    tokens, uniform = np.full(n, LETTERS.index("\n")), np.linspace(0.0, 0.99, n, dtype=np.float32)
    mixer.draw(rows, mixer.joints(n), network, uniform, tokens, accepted=accepted)
    assert set(tokens.tolist()) == {closer, LETTERS.index("\n")} and (tokens == closer).mean() > 0.5
    weights = np.full((1, len(LETTERS)), 0.01, dtype=np.float32)
    weights[0, LETTERS.index("\n")] = 0.8
    moved = mixer.weights_if_accepted(rows, np.arange(1), weights, accepted)
    np.testing.assert_allclose(moved[0, [LETTERS.index("\n"), closer]], [0.2, 0.61], rtol=1e-5)


def test_a_refused_token_is_drawn_again_from_the_rest(mixer: ContextMixer) -> None:
    n = 4000
    rows, joint = mixer.rows(n, 4), mixer.joints(n)
    network = np.full((n, len(LETTERS)), 1.0 / len(LETTERS), dtype=np.float32)
    uniform = ((np.arange(n) + 0.5) / n).astype(np.float32)
    expected = mixer.step(rows, joint, network)[0]
    accepted = np.ones(NUM_ERRORS, dtype=np.float32)
    accepted[UNOPENED] = 0.25
    tokens = np.full(n, -1)
    chances = mixer.draw(rows, joint, network, uniform, tokens, rate=0.0, accepted=accepted)
    np.testing.assert_allclose(chances, expected[tokens], rtol=1e-3)  # those of the model, whatever is refused
    expected[[LETTERS.index(")"), LETTERS.index("]")]] *= 0.25
    drawn = np.bincount(tokens, minlength=len(LETTERS)) / n
    np.testing.assert_allclose(drawn, expected / expected.sum(), atol=0.01)


def test_a_refused_token_of_the_network_is_drawn_again(mixer: ContextMixer) -> None:
    n, closer = 50, LETTERS.index(")")
    network = np.full((n, len(LETTERS)), 1.0 / len(LETTERS), dtype=np.float32)
    accepted = np.ones(NUM_ERRORS, dtype=np.float32)
    accepted[UNOPENED] = 0.0
    tokens, uniform = np.full(n, closer), np.linspace(0.0, 0.99, n, dtype=np.float32)
    mixer.draw(mixer.rows(n, 4), mixer.joints(n), network, uniform, tokens, accepted=accepted)
    assert not (tokens == closer).any() and (tokens >= 0).all()


def test_weights_are_compared_with_the_top_one_that_is_accepted(mixer: ContextMixer) -> None:
    weights = np.full((2, len(LETTERS)), 1e-6, dtype=np.float32)
    weights[:, [LETTERS.index(letter) for letter in ")]t"]] = 0.9, 0.04, 0.03
    accepted = np.ones(NUM_ERRORS, dtype=np.float32)
    accepted[UNOPENED] = 0.02
    rows = mixer.rows(2, 4)
    exact = mixer.weights_if_accepted(rows, np.arange(2), weights, accepted)
    cut = mixer.weights_if_accepted(rows, np.arange(2), weights, accepted, np.array([0.0, 0.05]))
    np.testing.assert_array_equal(cut[0], exact[0])
    is_left = exact[1] >= 0.05 * exact[1].max()
    np.testing.assert_array_equal(cut[1, is_left], exact[1, is_left])
    assert (cut[1, ~is_left] < 0.05 * exact[1].max()).all()


def test_a_text_of_nothing_but_errors_goes_on(mixer: ContextMixer) -> None:
    network = np.full((1, len(LETTERS)), 1e-9, dtype=np.float32)
    network[0, LETTERS.index(")")] = 1.0
    tokens = np.array([-1])
    none = np.zeros(NUM_ERRORS, dtype=np.float32)
    mixer.draw(mixer.rows(1, 4), mixer.joints(1), network, np.array([0.5], dtype=np.float32), tokens, accepted=none)
    assert tokens[0] >= 0


def test_drawn_errors_are_tallied_with_those_that_are_refused(mixer: ContextMixer) -> None:
    n, closer = 50, LETTERS.index(")")
    network = np.full((n, len(LETTERS)), 1.0 / len(LETTERS), dtype=np.float32)
    accepted = np.ones(NUM_ERRORS, dtype=np.float32)
    accepted[UNOPENED] = 0.0
    tokens, tallies = np.full(n, closer), np.zeros((NUM_ERRORS, 2), dtype=np.int64)
    uniform = np.linspace(0.0, 0.99, n, dtype=np.float32)
    mixer.draw(mixer.rows(n, 4), mixer.joints(n), network, uniform, tokens, accepted=accepted, tallies=tallies)
    assert tallies[UNOPENED, 0] >= n and tallies[UNOPENED, 1] == 0 and tallies[:, 1].sum() == n


def test_errors_of_a_text_are_counted(mixer: ContextMixer) -> None:
    text = ids("the ) cat ) (hat) ")
    counts = mixer.count_errors(mixer.document(len(text)), text)
    assert counts.tolist() == [len(text) - 2, *[0] * (UNOPENED - 1), 2, *[0] * (NUM_ERRORS - UNOPENED - 1)]


def test_errors_are_accepted_as_often_as_they_were_there() -> None:
    drawn, there = np.zeros((2, NUM_ERRORS), dtype=np.int64)
    drawn[:5], there[:5] = (900, 100, 0, 8, 2), (1989, 10, 3, 0, 2)  # the last one differs by chance
    shares = acceptance_rates(drawn, 1002, there)
    np.testing.assert_allclose(shares[:5], [1.0, 5.5 / 100.5, 1.0, 0.5 / 8.5, 1.0], rtol=1e-6)


def test_all_words_of_a_long_text_are_known() -> None:
    rng = np.random.default_rng(0)
    text = rng.integers(len(LETTERS) - 8, len(LETTERS), 12_000).astype(np.int32)
    text[::6] = LETTERS.index(" ")
    spelling = Spelling(np.frombuffer(LETTERS.encode(), np.uint8), np.arange(len(LETTERS) + 1))
    words = ["".join(LETTERS[token] for token in text[first + 1 : first + 6]) for first in range(0, len(text), 6)]
    beginnings = {word[:length] for word in words for length in range(1, 6)}
    assert len(beginnings) > FIRST_SLOTS / 2
    assert words_of(text, spelling).used[0] == len(beginnings)
