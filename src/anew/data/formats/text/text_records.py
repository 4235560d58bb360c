"""Records in files of text: those between lines of a single % (files of the program fortune, record jars), those that begin alike after
an empty line (tunes in ABC, games in PGN, BibTeX), and classes of records, which are those of a table's column or of folders, or one
list for each (`Italian.txt`, `Greek.txt`)."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from anew.data.file_names import part_of
from anew.data.types import Item

MIN_DIVIDERS = 20  # fewest separators of a file of records; fewer may mean anything
# Other lines that begin with %, as a share of the records. With more, they are comments (TeX, PostScript, Prolog)
MAX_OTHERS = 0.02
RULE = "Each text between lines that hold % alone is a document of its own; layout=document reads them as one."
_DIVIDER = re.compile(r"^%%?[ \t]*$\n?", re.MULTILINE)
_OTHER = re.compile(r"^%%?[ \t]*[^%\s]", re.MULTILINE)
# What divides blocks: empty lines, and lines of blanks alone
_EMPTY_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")
# How a record begins: a word next to a mark (X:, [Event, @article{, BEGIN:), not a word of prose, a bullet or a heading
_START = re.compile(r"[^\w\s]{1,2}\w+[^\w\s]?|\w+[^\w\s.,]")
# The name of a field at the beginning of a line (T:, [Site, title =, @article), as lines of prose have none
_FIELD = re.compile(r"^[^\S\n]*([\[@<]\w+|\w[\w-]*(?=[^\S\n]*[:=]))", re.MULTILINE)
_ENTRY = re.compile(r"@\w+[{(]")  # begins an entry of BibTeX; @anna: may begin a message
MIN_FIELDS = 3  # fewest different fields in the first block of a record: two may be two speakers; chosen
MAX_PARTS = 3  # blocks of a record; all records have as many
MIN_ALIKE = 0.95  # share of the records that must begin alike, have as many blocks and enough fields; chosen
MIN_HELD = 0.5  # share of all blocks that belong to such records: a few at the end of a novel divide nothing; chosen


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield for each block between empty lines where the one before it ends, with its line break, and where it begins."""
    yield 0, 0
    yield from ((gap.start() + 1, gap.end()) for gap in _EMPTY_LINES.finditer(text))


def record_start(text: str) -> str:
    """The beginning that all records of a text share, after an empty line; "" if the text does not consist of such records.

    Blocks that begin alike may also be the turns of two speakers, or paragraphs. Records are blocks with several fields."""
    bounds = [*itertools.pairwise([*(begin for _, begin in _blocks(text)), len(text)])]
    blocks = [text[begin:end] for begin, end in bounds if text[begin:end].strip()]
    starts = Counter(match.group() for block in blocks if (match := _START.match(block)))
    usual = starts.most_common(1)[0][0] if starts else ""
    start = "@" if _ENTRY.fullmatch(usual) else usual  # entries of BibTeX begin with words that differ
    places = [number for number, block in enumerate(blocks) if start and block.startswith(start)]
    if len(places) <= MIN_DIVIDERS:
        return ""
    sizes = Counter(end - begin for begin, end in itertools.pairwise([*places, len(blocks)]))
    size, count = sizes.most_common(1)[0]
    num_with_fields = sum(len(set(_FIELD.findall(blocks[place]))) >= MIN_FIELDS for place in places)
    are_alike = min(count, num_with_fields) >= MIN_ALIKE * len(places)
    return start if are_alike and size <= MAX_PARTS and count * size >= MIN_HELD * len(blocks) else ""


def division(texts: Sequence[str]) -> tuple[str, list[str]]:
    """The beginning that all records of files share, see `record_start`, and a sentence on how files are divided, or []."""
    if any(len(records(text)) > 1 for text in texts):
        return "", [RULE]
    start = record_start("\n\n".join(texts))
    rule = f"Each text that begins with {start!r} after an empty line is a document of its own; layout=document reads files as they are."
    return start, [rule] if start else []


def _records_from(text: str, start: str) -> list[str]:
    """The records of a text that begin so after an empty line, each up to the next; the text before the first one is a record of
    its own."""
    gaps = [(end, begin) for end, begin in _blocks(text) if begin and text.startswith(start, begin)]
    begins, ends = [0, *(begin for _, begin in gaps)], [*(end for end, _ in gaps), len(text)]
    pieces = [text[begin:end] for begin, end in zip(begins, ends, strict=True)]
    return [piece for piece in pieces if piece.strip()] or [text]


def records(text: str, start: str = "") -> list[str]:
    """The records of a text without the separators; the text itself if it is not separated so. start: see `record_start`."""
    pieces = _DIVIDER.split(text)
    if len(pieces) <= MIN_DIVIDERS or len(_OTHER.findall(text)) > MAX_OTHERS * len(pieces):
        return _records_from(text, start) if start else [text]
    return [piece for piece in pieces if piece.strip()]


def documents(item: Item, texts: Sequence[str]) -> Iterator[Item]:
    """Yield the texts of a file, or of a span of a large file, as items; the outermost may continue beyond the span."""
    if len(texts) == 1:
        yield replace(item, data=texts[0], group=None)
        return
    last = len(texts)
    for number, text in enumerate(texts, 1):
        begins, ends = item.begins or number > 1, item.ends or number < last
        yield Item(f"{item.name}:{number}", text, item.label, begins, ends)


MIN_LISTS, MAX_LISTS = 2, 100  # lists that may be one class each; chosen


class RecordLabels:
    """Says which class a record has.

    Args:
        are_learned: Whether classes are to be learned at all.
        by_file: Whether each list is a class; known after `inspect`, or from a run.
    """

    def __init__(self, are_learned: bool, by_file: bool = False) -> None:
        self.are_learned, self.by_file = are_learned, by_file

    def inspect(self, sample: Sequence[Item]) -> list[str]:
        """Decide, from items of lists, whether each list is a class. Returns a sentence if so."""
        names = sorted({_stem(item.name) for item in sample if not isinstance(item.data, str)})
        self.by_file = (
            self.are_learned
            and MIN_LISTS <= len(names) <= MAX_LISTS
            and all(item.label is None for item in sample)
            and all(map(_may_be_class, names))
        )
        if not self.by_file:
            return []
        return [
            f"Each list is a class ({names[0]}, {names[1]}{', ...' if len(names) > 2 else ''}); labels=off learns none."
        ]

    def label(self, item: Item) -> str | None:
        """The class of the records of an item."""
        return _stem(item.name) if self.by_file else item.label


def _stem(name: str) -> str:
    """The name of a file without its folders and suffixes."""
    return name.rpartition("/")[2].partition(".")[0]


def _may_be_class(stem: str) -> bool:
    """Whether a file may be named by a class: the names of parts of the data and of numbered files say nothing of their records."""
    return bool(stem) and part_of(f"{stem}.txt") is None and not any(character.isdigit() for character in stem)
