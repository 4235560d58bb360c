"""Records in files of text: those between lines of a single % (files of the program fortune, record jars), and classes of records, which
are those of a table's column or of folders, or one list for each (`Italian.txt`, `Greek.txt`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from anew.data.file_names import part_of
from anew.data.types import Item

MIN_DIVIDERS = 20  # fewest separators of a file of records; fewer may mean anything
# With more other lines that begin with %, as a share of records, they are comments (TeX, PostScript, Prolog)
MAX_OTHERS = 0.02
RULE = "each text between lines that hold % alone is a document of its own; layout=document reads them as one"
_DIVIDER = re.compile(r"^%%?[ \t]*$\n?", re.MULTILINE)
_OTHER = re.compile(r"^%%?[ \t]*[^%\s]", re.MULTILINE)


def records(text: str) -> list[str]:
    """The records of a text without the separators; the text itself if it is not separated so."""
    pieces = _DIVIDER.split(text)
    if len(pieces) <= MIN_DIVIDERS or len(_OTHER.findall(text)) > MAX_OTHERS * len(pieces):
        return [text]
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
            f"each list is a class ({names[0]}, {names[1]}{', ...' if len(names) > 2 else ''}); labels=off learns none"
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
