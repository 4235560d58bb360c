"""Words keep the marks on their letters, in any script; without marks they are what they were."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.languages import CHINESE, POLISH

from anew.data.formats.text.word_rules import BMP, has_marks, sub_word_rule, word_rule

WORD = re.compile(word_rule(r"[^\W\d_]"))
MARKED = {
    "Hindi": "दस्तावेज़ों का प्रबंधन करें",
    "Thai": "ภาษาไทย ที่นี่",
    "Hebrew": "בְּרֵאשִׁית בָּרָא אֱלֹהִים",
    "Arabic": "مُحَمَّدٌ رَسُولُ",
    "Persian": "می\u200cخواهم بروم",
    "decomposed": "Mu\u0308ller a\u0300 Paris",
}
SIGNS = "aZ's é東0¾²\t\n\u2003_-—\U00020000\U0001d7d9❤\ufe0f1\ufe0f\u20e3"
LETTERS = st.text(st.sampled_from(SIGNS + "कि\u094d\u0308\u200d"), max_size=40)


@pytest.mark.parametrize("text", MARKED.values(), ids=MARKED)
def test_marks_are_parts_of_words(text: str) -> None:
    assert WORD.findall(text) == text.split()
    assert has_marks([text])
    assert re.findall(sub_word_rule(with_marks=True), text) == re.findall(r" ?[^ ]+", text)


@pytest.mark.parametrize("text", [POLISH, CHINESE, "Müller's 2 cafés, x_1 = f(y)\n\t", "❤\ufe0f a1 #\ufe0f\u20e3"])
def test_text_without_marks_on_letters_has_the_words_that_it_had(text: str) -> None:
    assert WORD.findall(text) == re.findall(r"[^\W\d_]+", text)
    assert re.findall(word_rule(r"\w"), text) == re.findall(r"\w+", text)
    assert not has_marks([text])
    assert re.findall(sub_word_rule(with_marks=True), text) == re.findall(sub_word_rule(with_marks=False), text)


def test_a_few_marks_in_long_text_do_not_count() -> None:
    assert not has_marks(["plain words " * 500, "e\u0301"])
    assert not has_marks([])


def test_a_mark_without_a_letter_makes_a_word_that_no_text_has() -> None:
    assert WORD.findall("\nॉर्य, र्य") == ["ॉर्य", "र्य"]


@given(text=LETTERS)
@settings(max_examples=200, deadline=None)
def test_the_rule_of_sub_words_matches_all_of_a_text(text: str) -> None:
    pieces = re.findall(sub_word_rule(with_marks=True), text)
    assert "".join(pieces) == text
    if all(ord(letter) <= BMP for letter in text):
        assert re.findall(sub_word_rule(with_marks=True, last_point=BMP), text) == pieces
