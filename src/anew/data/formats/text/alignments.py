"""Alignments in the formats Stockholm and CLUSTAL: the rows, joined over their blocks. Aligned FASTA is read by `fasta`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from anew.data.formats.file_bytes import with_line_feeds

HEAD = 4096  # characters that are looked at: names and rows of blocks are far shorter
STOCKHOLM = "# STOCKHOLM 1."
# The first word of files of CLUSTAL, and of the programs that write its format.
_CLUSTAL = re.compile(r"(CLUSTAL|MUSCLE|MSAPROBS|PROBCONS|T-COFFEE|Kalign)\b")
# A name, residues and gaps, and in CLUSTAL the number of residues so far.
_ROW = re.compile(r"(\S+)[ \t]+([A-Za-z*.~-]+)(?:[ \t]+\d+)?[ \t]*")


class AlignedRow(NamedTuple):
    """A sequence of an alignment. residues: with gaps; "" where the file is damaged."""

    name: str
    residues: str


def looks_like(text: str) -> bool:
    """Whether a file with this text, or one that begins with it, is an alignment."""
    lines = [line for line in with_line_feeds(text[:HEAD]).split("\n")[:-1] if line.strip()]  # the last may be cut
    if not lines or lines[0].startswith(STOCKHOLM):
        return bool(lines)
    return _CLUSTAL.match(lines[0]) is not None and len(lines) > 1 and _ROW.fullmatch(lines[1]) is not None


def rows(text: str) -> Iterator[AlignedRow]:
    """Yield the sequences of the alignments of a file, in the order in which they first appear."""
    lines = with_line_feeds(text).lstrip("\n").split("\n")
    if not lines[0].startswith(STOCKHOLM):
        yield from _joined(line for line in lines[1:] if not line.startswith((" ", "\t")))  # those show conservation
        return
    alignment: list[str] = []
    for line in lines:
        if line.startswith("//"):
            yield from _joined(alignment)
            alignment = []
        elif not line.startswith("#"):
            alignment.append(line)
    yield from _joined(alignment)


def _joined(lines: Iterable[str]) -> Iterator[AlignedRow]:
    """Yield the rows of one alignment, each of which has a part in every block."""
    parts: dict[str, list[str]] = {}
    for line in filter(str.strip, lines):
        row = _ROW.fullmatch(line)
        name, residues = row.groups() if row else (line.split()[0], "")
        parts.setdefault(name, []).append(residues)
    for name, row_parts in parts.items():
        yield AlignedRow(name, "".join(row_parts) if all(row_parts) else "")
