"""Strings and comments are told from code, also where a text is read bit by bit."""

from __future__ import annotations

import random

import pytest

from anew.core.grammars.lexis import CODE, COMMENT, STRING, LexicalState, lexis_of

PROGRAMS = {
    "python": b"x = 'a # b'  # it's\ns = \"\"\"one\n'two' # \"\"\"\nt = ''\nu = 'open\nv = '\\''\n",
    "c": b'/* "a */ int x; // \'b\nchar *s = "a /* b \\" c"; char q = \'"\';\n',
    "lua": b'--[==[ a ] "b\n]==]\nx = [[ -- c\n]] -- d\n',
    "bash": b"echo $# 'it # is\nlong' # a 'b\n",
    "cmake": b'#[=[ a\n) ] ]=] set(x "a # b\n")\n',
}


def states(name: str, text: bytes, bounds: list[int]) -> list[int]:
    """What a text is in where each of its pieces ends."""
    state, states_after = LexicalState(lexis_of(name)), []
    for start, stop in zip([0, *bounds], bounds, strict=False):
        state = state.after(text[start:stop])
        states_after.append(state.state)
    return states_after


def test_marks_within_strings_and_comments_are_none() -> None:
    constructs = {
        name: [(c.state, text[c.start : c.stop]) for c in lexis_of(name).constructs(text)]
        for name, text in PROGRAMS.items()
    }
    assert constructs["python"] == [
        (STRING, b"'a # b'"),
        (COMMENT, b"# it's"),
        (STRING, b'"""one\n\'two\' # """'),
        (STRING, b"''"),
        (STRING, b"'open"),  # it ends with its line
        (STRING, b"'\\''"),
    ]
    assert constructs["c"] == [
        (COMMENT, b'/* "a */'),
        (COMMENT, b"// 'b"),
        (STRING, b'"a /* b \\" c"'),
        (STRING, b"'\"'"),
    ]
    assert constructs["lua"] == [(COMMENT, b'--[==[ a ] "b\n]==]'), (STRING, b"[[ -- c\n]]"), (COMMENT, b"-- d")]
    assert constructs["bash"] == [(STRING, b"'it # is\nlong'"), (COMMENT, b"# a 'b")]
    assert constructs["cmake"] == [(COMMENT, b"#[=[ a\n) ] ]=]"), (STRING, b'"a # b\n"')]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_text_that_is_read_bit_by_bit_is_in_the_same(name: str) -> None:
    text, rng = PROGRAMS[name], random.Random(0)
    whole = [LexicalState(lexis_of(name)).after(text[:stop]).state for stop in range(len(text) + 1)]
    for _ in range(50):
        bounds = sorted(rng.sample(range(1, len(text) + 1), rng.randrange(1, len(text))))
        assert states(name, text, bounds) == [whole[stop] for stop in bounds]


def test_comments_are_taken_away_and_what_has_not_ended_stays() -> None:
    lexis = lexis_of("c")
    assert lexis.without_comments(b'a/* b */c // d\n"/* e */" /* f') == b'a c \n"/* e */" /* f'
    state = LexicalState(lexis).after(b"x /* y")
    assert (state.state, state.opener, state.closer) == (COMMENT, b"/*", b"*/")


def test_of_a_language_that_is_not_known_all_is_code() -> None:
    assert lexis_of("").is_empty and not lexis_of("go").is_empty
    assert LexicalState(lexis_of("")).after(b'"a # b').state == CODE


def test_code_between_tags_is_read_after_the_tag_that_it_is_in() -> None:
    php = lexis_of("php")
    assert php.opening_after(b"<?php\nuse A;") == b"<?php "
    assert php.opening_after(b"<?php f() ?>\n<p>") == php.opening_after(b"<p>") == b""
    assert php.opening_after(b"<?php f() ?> <p> <?php g();") == b"<?php "
    assert lexis_of("python").opening_after(b"<?php") == b""
