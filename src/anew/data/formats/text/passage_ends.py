"""Where a passage of running text that was cut by its length ends well: at a line, a sentence or at least a word.

A passage is never shortened by more than MAX_LOSS of itself. If no such place is near enough, it stays as it was cut.
"""

from __future__ import annotations

import re

from anew.data.formats.text.line_records import run_on

MAX_LOSS = 0.25  # share of a passage that may be left out for a good end; chosen
MAX_MEAN_LINE = 120  # characters: longer lines are paragraphs, whose sentences are nearer than their ends; chosen
_LINE_END = re.compile(r"(?<=\S)[^\S\n]*\n")
# The end of a sentence, with the word before it, and quotes and brackets after it. Chinese and Japanese have no blank after a sentence.
_SENTENCE_END = re.compile(r"""(\w*)([.!?…]+["'”’»)\]]*)(?=\s|\Z)|[。！？]+["”’」』）]*""")
_NO_LAST_WORD = re.compile(r"[A-Z][a-z]{0,2}|\d*|\w")  # what stands before a full stop in Mr. Bennet, J. Smith, No. 3
_LAST_WORD = re.compile(r"\s+\S*\Z")


def passage_end(passage: str, only_lines: bool = False) -> int:
    """The number of first characters to keep of a passage that was cut. only_lines: whether it has no sentences but lines, as programs."""
    first = len(passage) - int(MAX_LOSS * len(passage))
    lines = [match.end() for match in _LINE_END.finditer(passage) if match.end() >= first]
    sentence_ends = [match.end() for match in _SENTENCE_END.finditer(passage) if _ends_sentence(match)]
    sentences = [] if only_lines else [end for end in sentence_ends if end >= first]
    words = [match.start() for match in _LAST_WORD.finditer(passage) if match.start() >= first]
    if lines and (only_lines or _has_lines(passage)):
        sentences = [end for end in lines if len(passage[:end].rstrip()) in sentences]
        words = []
    ends = sentences or lines or words or [len(passage)]
    return ends[-1]


def _has_lines(passage: str) -> bool:
    """Whether lines are units of their own, as those of verse, dialogue or logs, unlike those of wrapped prose and paragraphs."""
    lengths = [len(line) for line in passage.split("\n") if line.strip()]
    return sum(lengths) <= MAX_MEAN_LINE * len(lengths) and not run_on(passage)


def _ends_sentence(match: re.Match[str]) -> bool:
    word, marks = match.groups()
    if marks is None:
        return True
    following = match.string[match.end() :].lstrip()[:1]
    return not following.islower() and (marks != "." or not _NO_LAST_WORD.fullmatch(word))
