"""What a word is, in any script: letters, with the marks that are written on, under, before or after them.

Vowel signs of Devanagari, points of Hebrew and Arabic, tones of Thai and accents that are stored apart are such marks. `re` takes
them for punctuation, and cuts a word at each of them.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BMP = 0xFFFF  # the last code point of the basic plane
LAST_LETTER = 0x3FFFF  # no code point above is a letter, a mark that is written, or a number
# Sets are spelt out, since `re` has no \p{L} and each library has its own \s.
SPACES = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_JOINERS = "\u200c\u200d"  # they stand inside words of Persian and of Indian scripts, and say how letters are joined
# Share of characters that are marks on letters; with fewer, sub-words hardly gain by keeping them; chosen.
MANY_MARKS = 0.001


@functools.cache
def _categories(last_point: int) -> NDArray[np.uint8]:
    """The first letters of the general categories of the code points up to `last_point`, (n,)."""
    names = "".join(map(unicodedata.category, map(chr, range(last_point + 1))))
    return np.frombuffer(names.encode(), dtype=np.uint8)[::2]


@functools.cache
def _ranges(category: str, last_point: int) -> str:
    """The code points up to `last_point` of a general category (L: letters, M: marks, N: numbers), as the inside of a set."""
    points = np.flatnonzero(_categories(last_point) == ord(category))
    starts = points[np.diff(points, prepend=-2) > 1]
    stops = points[np.diff(points, append=last_point + 2) > 1]
    return "".join(f"{chr(a)}-{chr(b)}" for a, b in zip(starts, stops, strict=True))


@functools.cache
def sub_word_rule(with_marks: bool, last_point: int = LAST_LETTER) -> str:
    """The regular expression by which text is cut into words before they are cut into sub-words; it matches all of a text.

    Args:
        with_marks: Whether a word keeps the marks on its letters. If not, the rule is that of GPT-2, which llama.cpp has built in.
        last_point: The largest code point of the text.
    """
    letters, numbers = _ranges("L", last_point), _ranges("N", last_point)
    # A mark belongs to the character before it, so that those after a sign (emoji have some) are cut as GPT-2 cuts them
    word = f"[{letters}][{letters}{_ranges('M', last_point)}{_JOINERS}]*" if with_marks else f"[{letters}]+"
    return (
        f"'(?:[stmd]|re|ve|ll)| ?{word}| ?[{numbers}]+| ?[^{SPACES}{letters}{numbers}]+"
        f"|[{SPACES}]+(?![^{SPACES}])|[{SPACES}]+"
    )


def word_rule(letter: str) -> str:
    """The regular expression of a word. letter: the regular expression of one of its letters."""
    # Only marks of the basic plane, which has those of living scripts: a set beyond it is slow to search
    mark = f"[{_ranges('M', BMP)}{_JOINERS}]"
    # Marks where a word begins have no letter: they are part of it, so that it is one which no text has
    return rf"(?:(?<!\S){mark}+)?{letter}+(?:{mark}+{letter}*)*"


def has_marks(texts: Sequence[str]) -> bool:
    """Whether letters of texts have marks, more than here and there."""
    marked = re.compile(rf"[^\W\d_][{_ranges('M', BMP)}{_JOINERS}]")
    return sum(len(marked.findall(text)) for text in texts) > MANY_MARKS * sum(map(len, texts))
