"""Texts whose records are divided by lines that hold % alone: the files of the program fortune, and record jars."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from anew.data.types import Item

MIN_DIVIDERS = 20  # of a file of records; fewer such lines may mean anything
MAX_OTHERS = 0.02  # share of other lines that begin with %, from which these are comments (TeX, PostScript, Prolog)
RULE = "each text between lines that hold % alone is a document of its own; layout=document reads them as one"
_DIVIDER = re.compile(r"^%%?[ \t]*\r?$\n?", re.MULTILINE)
_OTHER = re.compile(r"^%%?[ \t]*[^%\s]", re.MULTILINE)


def records(text: str) -> list[str]:
    """The records of a text without the lines between them; the text itself where it is not divided so."""
    pieces = _DIVIDER.split(text)
    if len(pieces) <= MIN_DIVIDERS or len(_OTHER.findall(text)) > MAX_OTHERS * len(pieces):
        return [text]
    return [piece for piece in pieces if piece.strip()]


def documents(item: Item, texts: Sequence[str]) -> Iterator[Item]:
    """The texts of a file, or of a span of a large one, as items; the outermost may go on beyond the span."""
    if len(texts) == 1:
        yield replace(item, data=texts[0], group=None)
        return
    last = len(texts)
    for number, text in enumerate(texts, 1):
        begins, ends = item.begins or number > 1, item.ends or number < last
        yield Item(f"{item.name}:{number}", text, item.label, begins, ends)
