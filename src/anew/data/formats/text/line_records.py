"""Decide whether a file of lines is a list (each line is a record) or a document. If in doubt, it is a document.

At least MIN_LINES lines that are all JSON objects are a list. Any other list meets all of these rules, which are checked on at most
SAMPLE_LINES lines:

- There are at least MIN_LINES lines, and 99% of them have at most MAX_LINE_LENGTH characters.
- At most 1 line in 200 is blank.
- At most 1 in 100 is indented, at most half begin with a date, a time or a bracket (logs), and 1 in 100 with `>` (FASTA), unless
  the lines are rows of a table (see below).
- At most 95% of the lines have the same length of 40 or more (wrapped data).
- At most 1 in 5 has a blank and ends in `:`, `{`, `}`, `;`, `)`, a backslash or `->` (speakers, code). A semicolon may also end a
  row of cells that semicolons divide, and a bracket one whose last cell opens it, as a remark does.
- If more than 5% of the lines have more than three words, and the lines are not rows of a table (99% have the same number of three
  or more cells, divided by commas, semicolons, tabs or bars), lines must look like whole sentences or titles: at most 3% end in a
  comma, a hyphen or a semicolon, at most 10% begin in lower case after a line that did not end a sentence, unless 95% do
  (wrapped prose and verse do both), and at most half begin with the same word. If each file is a class, all of its lines may begin alike.
  So three files or more are judged by all of their lines together, unless the word ends like a speaker's name.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence

from anew.core.wording import plural
from anew.data.types import FEW_DOCUMENTS

MIN_LINES = 200  # fewest lines of a list: fewer may be anything
MIN_DOUBTFUL_LINES = 20  # from so many on they may be a list, which is said; chosen
MAX_LINE_LENGTH = 200  # characters: longer lines are paragraphs
SHORT_ROWS = 0.99  # share of the rows of a table that are a short line each, if it is a list: a few may be damaged
SAMPLE_LINES = 20_000  # lines that are checked: bounds the time

# Addresses such as 45.14.159.5 are not dates
_STAMP = re.compile(r"\s*(?:[\[(<{]|(?!\d+\.\d+\.\d+\.\d)\d{1,4}[-/:.]\d{1,2}[-/:.]\d|\w{3} +\d{1,2} \d\d:\d\d)")
_DIGIT = re.compile(r"\d")
_CELL_ENDS = ",;\t|"  # what divides the cells of a table
MIN_CELLS = 3  # fewest cells of a row of a table: two can be a sentence with a comma
SAMPLED_CHARACTERS = SAMPLE_LINES * MAX_LINE_LENGTH  # so many hold the lines that are checked
_CODE_ENDS = (":", "{", "}", ";", ")", "\\", "->")
MIN_CLASS_FILES = 3  # files from which on each may hold a class of its own; chosen
_SPEAKER_ENDS = (":", ">")
# Reasons why a text is a document, which hold for prose and programs
PARAGRAPHS = "blank lines divide it into paragraphs"
INDENTED = "its lines are indented"
CODE = "its lines end like speakers' names or program code"
UNENDED = "its lines end in the middle of sentences"
RUNNING = "its sentences run over line ends"
RUNNING_TEXT = frozenset((PARAGRAPHS, INDENTED, CODE, UNENDED, RUNNING))
FEW_FILES = 3  # if there are at most so many files, it is said in any case why they are documents; chosen
RUNNING_ON = 0.25  # share of lines in lower case at their beginning from which on sentences run over line ends; chosen
MAX_PARAGRAPH_LINES = 50  # lines between two empty ones, on average, where these divide a text into paragraphs; chosen
# Share of the lines of prose that end a sentence, at least: 5 to 15% of wrapped ones do; chosen
MIN_SENTENCE_ENDS = 0.01


def why_documents(texts: Sequence[str]) -> list[str | None]:
    """`why_document` of each text. If one of them is a list, shorter ones (such as a test part) can be lists, too."""
    together = _beginning_alike([line for text in texts for line in _lines(text) if line.strip()])
    are_classes = len(texts) >= MIN_CLASS_FILES and not together
    reasons = [why_document(text, is_one_of_many=are_classes) for text in texts]
    if None not in reasons:
        return reasons
    return [
        None if reason is None else why_document(text, 1, are_classes)
        for reason, text in zip(reasons, texts, strict=True)
    ]


def why_document(text: str, min_lines: int = MIN_LINES, is_one_of_many: bool = False) -> str | None:
    """None if a text is a list of at least `min_lines` lines, else the first reason (one clause) why it is a document.

    is_one_of_many: Whether there are other files whose lines begin otherwise."""
    lines = _lines(text)
    full = [line for line in lines if line.strip()]
    n = len(full)
    if n < min_lines:
        return f"it has {plural(n, 'line')}, fewer than {min_lines}"
    if all(map(_is_object, full)):
        return None
    reason = _shape(lines, full)
    if reason is not None or _are_rows(full):
        return reason
    return _beginnings(full) or _flow(full, is_one_of_many)


def _lines(text: str) -> list[str]:
    """The lines of a text that are checked."""
    lines = text.split("\n", SAMPLE_LINES)[:SAMPLE_LINES]
    if lines and not lines[-1]:
        lines.pop()
    return lines


def describe_documents(texts: Sequence[str], objections: Sequence[str | None]) -> list[str]:
    """A sentence on files that might be lists, in a list; [] if less than half of them have as many lines. objections: `why_document` of
    each text.

    Many files whose lines are those of prose or programs are not lists, and need no sentence."""
    if len(texts) == 1 and has_too_few_lines(texts[0]):
        return [
            f"The text is read as one document, not a list of lines: {objections[0]}; layout=list reads each line as a record."
        ]
    of_long = [objections[i] for i, text in enumerate(texts) if text.count("\n") >= MIN_LINES]
    reasons = Counter(objection for objection in of_long if objection is not None)
    if not reasons or 2 * len(of_long) < len(texts):
        return []
    (reason, times), n = reasons.most_common(1)[0], len(texts)
    if n > FEW_FILES and reason in RUNNING_TEXT:
        return []
    reading, of_files = "one document, not a list", ""
    if n > 1:
        reading, of_files = "documents, not lists", f" (of {times:,} of {n:,} files)"
    texts_are = "The text is" if n == 1 else "The texts are"
    return [f"{texts_are} read as {reading} of lines: {reason}{of_files}; layout=list reads each line as a record."]


def has_too_few_lines(text: str) -> bool:
    """Whether a text would be a list if that took fewer lines."""
    lines = _lines(text)
    return MIN_DOUBTFUL_LINES <= len(lines) < MIN_LINES and why_document(text, MIN_DOUBTFUL_LINES) is None


def why_list(texts: Sequence[str]) -> str:
    """Why texts that `why_document` has nothing against are lists, a clause."""
    first_lines = [text.split("\n", MIN_LINES)[:MIN_LINES] for text in texts]
    if all(_is_object(line) for lines in first_lines for line in lines if line.strip()):
        return "the lines are JSON objects"
    if all(_are_rows([line for line in lines if line.strip()]) for lines in first_lines):
        return "the lines are rows of a table"
    return "the lines are short, and none continues in the next"


def are_short_records(rows: Sequence[str]) -> bool:
    """Whether nearly all rows of a table are a short line each."""
    short_rows = sum(len(row) <= MAX_LINE_LENGTH and "\n" not in row.strip("\n") for row in rows)
    return len(rows) >= MIN_LINES and short_rows >= SHORT_ROWS * len(rows)


def _is_object(line: str) -> bool:
    if not line.startswith("{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _share(lines: Sequence[str], holds: Callable[[str], bool]) -> float:
    return sum(map(holds, lines)) / max(len(lines), 1)


def _shape(lines: list[str], full: list[str]) -> str | None:
    if (len(lines) - len(full)) / len(lines) > 1 / 200:
        return PARAGRAPHS
    if _share(full, lambda line: len(line) > MAX_LINE_LENGTH) > 0.01:
        return f"more than 1% of its lines are longer than {MAX_LINE_LENGTH} characters"
    length, times = Counter(map(len, full)).most_common(1)[0]
    if length >= 40 and times / len(full) > 0.95:
        return "its lines are all of one length"
    return None


def _beginnings(full: list[str]) -> str | None:
    if _share(full, lambda line: line[0] in " \t") > 0.01:
        return INDENTED
    if _share(full, lambda line: line[0] == ">") > 0.01:
        return "its lines are the headers and bodies of longer records"
    if _share(full, lambda line: _STAMP.match(line) is not None) > 0.5:
        return "its lines begin with dates, times or brackets"
    return None


def _are_rows(lines: Sequence[str]) -> bool:
    """Whether 99% of lines have the same number of cells, MIN_CELLS or more, and they do not look like generated code."""
    if not lines:
        return False
    for mark in _CELL_ENDS:
        width, count = Counter(_num_cells(line, mark) for line in lines).most_common(1)[0]
        if width >= MIN_CELLS and count >= 0.99 * len(lines):
            return not _rows_end_like_code(lines, mark)
    return False


def _rows_end_like_code(lines: Sequence[str], mark: str) -> bool:
    """`_end_like_code` of rows whose cells `mark` divides. The bracket of `draw(1, 2, 3)` was opened in another cell, that of
    `1998;4;Song (live)` was not."""
    ends = tuple(end for end in _CODE_ENDS if end != mark)
    others = [line for line in lines if not _closes_itself(line.rsplit(mark, 1)[-1].strip(' "'))]
    return _end_like_code(others, ends, len(lines))


def _closes_itself(cell: str) -> bool:
    """Whether a cell ends in a bracket that is opened within it."""
    return any(cell.endswith(close) and cell.count(open_) == cell.count(close) for open_, close in ("()", "{}"))


def _end_like_code(lines: Sequence[str], ends: tuple[str, ...], num_lines: int) -> bool:
    return sum(" " in line and line.rstrip().endswith(ends) for line in lines) > 0.2 * num_lines


def _num_cells(line: str, mark: str) -> int:
    """The number of cells of a line, which may be quoted; 1 if no reader of tables takes it."""
    if mark not in line:
        return 1
    try:
        return len(next(csv.reader([line], delimiter=mark)))
    except csv.Error:
        return 1


def _flow(full: list[str], is_one_of_many: bool) -> str | None:
    if _end_like_code(full, _CODE_ENDS, len(full)):
        return CODE
    if _share(full, lambda line: len(line.split()) > 3) <= 0.05:
        return None
    if _share(full, lambda line: line.rstrip().endswith((",", "-", "--", ";"))) > 0.03:
        return UNENDED
    runs = sum(
        line[0].islower() and not before.rstrip().endswith((".", "!", "?", '"', "'", ")", "”", "…"))
        for before, line in itertools.pairwise(full)
    )
    # Where hardly a line ends a sentence, lines in lower case do not continue one: they are titles, or messages of commits
    has_sentences = _share(full, lambda line: line.rstrip().endswith((".", "!", "?"))) > MIN_SENTENCE_ENDS
    if has_sentences and _share(full, lambda line: line[0].islower()) < 0.95 and runs / len(full) > 0.10:
        return RUNNING
    word = _beginning_alike(full)
    if word and (not is_one_of_many or word.endswith(_SPEAKER_ENDS)):
        return f"more than half of its lines begin with {word!r}"
    return None


def _beginning_alike(full: Sequence[str]) -> str:
    """The word that more than half of the lines begin with; "" without one."""
    words = Counter(line.split()[0] for line in full).most_common(1)
    return next((word for word, times in words if times > 0.5 * len(full)), "")


def header_of(text: str) -> str | None:
    """The first line if it is unlike all others: it has no digit, they all have, and are divided into as many cells."""
    lines = records(text[:SAMPLED_CHARACTERS])[:SAMPLE_LINES]
    if (
        len(lines) < MIN_LINES
        or any(map(str.isdigit, lines[0]))
        or not all(_DIGIT.search(line) for line in lines[1:-1])
    ):
        return None
    divided = any(lines[0].count(mark) == lines[1].count(mark) > 0 for mark in _CELL_ENDS)
    return lines[0] if divided else None


def records(text: str) -> list[str]:
    """The records of a list: its lines without line ends and without blank lines."""
    return [line for _, line in numbered_records(text)]


def numbered_records(text: str) -> list[tuple[int, str]]:
    """The records of a list, each with the number of its line, from 1."""
    return [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def passage_break(texts: Sequence[str], num_documents: int) -> str:
    """The text before a passage of few long documents: an empty line where they have paragraphs, else a line end; where sentences
    run over line ends, the line end after a sentence.

    It is "" where documents have beginnings enough to learn from: many documents, or no fewer than there are such places within them.
    Lines of prose may end within a sentence, so empty lines count if there is one among MAX_PARAGRAPH_LINES lines.
    """
    if num_documents >= FEW_DOCUMENTS:
        return ""
    # Nothing but the end of the document comes after its last line.
    bodies = [text.rstrip() for text in texts]

    def count(mark: str) -> int:
        return sum(body.count(mark) for body in bodies)

    num_lines = count("\n")
    if count("\n\n") * MAX_PARAGRAPH_LINES >= num_lines > 0:
        mark = "\n\n"
    elif count(".\n") * MAX_PARAGRAPH_LINES >= num_lines > 0 and run_on("\n".join(texts)[:SAMPLED_CHARACTERS]):
        mark = ".\n"
    else:
        mark = "\n"
    # The only document has no end token to begin by.
    num_beginnings = num_documents if num_documents > 1 else 0
    return mark if count(mark) > num_beginnings else ""


def run_on(text: str) -> bool:
    """Whether sentences run over the line ends of a text, as those of wrapped prose."""
    lines = [line for line in text.split("\n") if line.strip()]
    return _share(lines[1:], lambda line: line.lstrip()[0].islower()) >= RUNNING_ON
