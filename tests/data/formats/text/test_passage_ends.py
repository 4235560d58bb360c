"""Passages that were cut by their length end at a sentence, a line or a word."""

from __future__ import annotations

import pytest

from anew.data.formats.text.passage_ends import MAX_LOSS, passage_end

PROSE = "Emma had been\nhappy there for a long time with all\nof her friends and their many\nchildren. "
VERSE = "To be, or not to be, that is it.\nWhether it is nobler in the mind\nTo suffer arrows,\n"
PROGRAM = "def f(x):\n    return x.y\n\n\n"


@pytest.mark.parametrize(
    ("whole", "cut"),
    [
        (3 * PROSE + 'He said "No." ', "She went to the"),  # a sentence; wrapped lines are none
        (3 * PROSE + "No!", " And th"),
        (6 * PROSE.replace("\n", " ") + "\n\nA paragraph.", " She saw Mr. Knight"),  # a title ends no sentence
        (2 * PROSE + "It was so.", " She saw J. Smith, e.g. in No. 3. of th"),
        (
            2 * VERSE + "To be, or not to be, that is it.\n",
            "Whether it is nobler\nTo suf",
        ),  # a line that ends a sentence
        (2 * VERSE.replace(".", ","), "Whether it"),  # any line
        ("2026-11-29 10:23:10 up. It began\n" * 4, "2026-11-29 10:23:11 up. It b"),
        ("他很高兴。她也很高兴！" * 4, "我们一起去北"),
        ("words without any end " * 9 + "and so", " fort"),
    ],
)
def test_a_passage_ends_with_what_is_whole(whole: str, cut: str) -> None:
    assert (whole + cut)[: passage_end(whole + cut)] == whole.rstrip(" ")


def test_a_program_ends_with_a_whole_line_and_without_empty_ones() -> None:
    for cut in ("", "def", "x = 1. "):
        assert passage_end(3 * PROGRAM + cut, only_lines=True) == len(3 * PROGRAM) - 2


def test_no_more_than_a_quarter_is_left_out() -> None:
    for text in ("", "x", "a" * 100, "An end. " + "a" * 100, "A line.\n" + "b c" + 40 * "d", 5 * PROSE, 5 * VERSE):
        for stop in range(len(text)):
            for only_lines in (False, True):
                end = passage_end(text[:stop], only_lines)
                assert (1 - MAX_LOSS) * stop <= end <= stop
