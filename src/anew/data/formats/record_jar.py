"""Texts whose records are separated by lines of a single %: the files of the program fortune, and record jars."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

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
