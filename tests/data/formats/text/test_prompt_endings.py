"""What may stand at the end of a prompt instead of its last tokens: the same text, in the tokens that texts have there."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.data.formats.text.prompt_endings import prompt_ending
from anew.data.formats.text.tokenizer import Characters, SubWords

TEXT = "let rec length = function\n    | [] -> 0\n    | x :: rest -> 1 + length rest\n(* 대화 상자의 길이 *)\n" * 20
TOKENS = SubWords.fit([TEXT], 340)
ALPHABET = sorted(set(TEXT)) + list(" \n\té")
PROMPTS = st.lists(st.sampled_from(ALPHABET), max_size=30).map("".join) | st.text(max_size=12)


@settings(max_examples=150, deadline=None)
@given(PROMPTS)
def test_every_ending_keeps_the_text_of_the_prompt(prompt: str) -> None:
    ids = TOKENS.encode(prompt).tolist()
    ending = prompt_ending(TOKENS, ids)
    if ending is None:
        return
    remaining, replaced = ids[: -len(ending.replaced)], ids[-len(ending.replaced) :]
    cut = b"".join(TOKENS.pieces[token] for token in replaced)
    assert tuple(replaced) == ending.replaced and ending.replaced in ending.sequences and len(set(ending.sequences)) > 1
    for sequence in ending.sequences:
        spelt = b"".join(TOKENS.pieces[token] for token in sequence)
        assert spelt.startswith(cut) and len(spelt) - len(TOKENS.pieces[sequence[-1]]) < len(cut)
    assert TOKENS.decode(remaining + replaced) == TOKENS.decode(ids)


@pytest.mark.parametrize(
    ("prompt", "goes_on"), [("let rec ", " length"), ("a\n    ", "\n    | x"), ("대화 ", " 상자의")]
)
def test_a_blank_gives_way_to_the_tokens_that_texts_have_there(prompt: str, goes_on: str) -> None:
    ids = TOKENS.encode(prompt).tolist()
    ending = prompt_ending(TOKENS, ids)
    assert ending is not None
    expected = TOKENS.encode(prompt.rstrip() + goes_on).tolist()
    following = expected[len(ids) - len(ending.replaced) :]
    assert any(tuple(following[: len(sequence)]) == sequence for sequence in ending.sequences)


def test_special_ids_and_characters_stay() -> None:
    assert prompt_ending(TOKENS, []) is None
    assert prompt_ending(TOKENS, [*TOKENS.encode("let ").tolist(), TOKENS.size]) is None
    assert prompt_ending(TOKENS, [TOKENS.size, *TOKENS.encode(" ").tolist()]) is not None
    assert prompt_ending(Characters.fit([TEXT]), [1, 2]) is None
