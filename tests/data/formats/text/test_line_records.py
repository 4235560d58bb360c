"""Lists of lines are told from documents; see also `tests/data/modalities/test_text.py`, which reads files."""

from __future__ import annotations

import random

from anew.data.formats.text.line_records import (
    MIN_LINES,
    RUNNING,
    describe_documents,
    why_document,
    why_documents,
    why_list,
)


def test_empty_lines_before_json_beside_another_list() -> None:
    """There were no lines to look at for the reason."""
    texts = ["\n" * MIN_LINES + '{"a": 1}\n' * MIN_LINES, "".join(f"name {i}\n" for i in range(MIN_LINES))]
    assert why_documents(texts) == [None, None]
    assert why_list(texts) == "the lines are short, and none continues in the next"
    assert why_list(texts[:1]) == "the lines are JSON objects"


def test_a_few_short_lines_are_read_as_one_text_and_that_is_said() -> None:
    names = "\n".join(f"name{i}" for i in range(120))
    (objection,) = why_documents([names])
    assert describe_documents([names], [objection]) == [
        "The text is read as one document, not a list of lines: it has 120 lines, fewer than 200; layout=list reads each line as a record."
    ]
    prose = "It was a long day, and nobody\nhad seen the cat for hours, so\nwe went out.\n\n" * 20
    assert describe_documents([prose], why_documents([prose])) == []


def test_titles_in_lower_case_are_a_list() -> None:
    """900 subjects of commits, 78% of them in lower case, were read as prose whose sentences run over line ends."""
    rng = random.Random(0)
    words = ["fix", "add", "remove", "test", "docs", "the", "of", "a", "parser", "cache", "report", "budget", "speed"]
    subjects = [
        f"{rng.choice(('data', 'cli', 'Merge', 'docs'))}: {' '.join(rng.choices(words, k=7))}" for _ in range(900)
    ]
    assert why_document("\n".join(subjects)) is None
    prose = "\n".join(line + ("." if i % 8 == 0 else "") for i, line in enumerate(subjects))
    assert why_document(prose) == RUNNING
