"""Notes on what texts hold: control characters, the header of a table, little or nothing to learn."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

from anew.core.wording import plural
from anew.data.formats.text import line_records
from anew.errors import shorten

CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")  # but not tab, line ends and form feed
LITTLE_TEXT = 20_000  # characters: of less running text a model learns hardly more than to repeat it; chosen
NOTHING_TO_LEARN = "The text repeats itself almost wholly: there is hardly anything to learn."
REPEATED_SHARE = 0.01  # text that is compressed to this share of itself says hardly anything new; chosen
COMPRESSION_BYTES = 20  # what compression adds to any text


def control_notes(texts: Sequence[str]) -> list[str]:
    """A note if texts hold control characters, as terminal colours are: samples will hold them too."""
    count = sum(CONTROL.search(text) is not None for text in texts)
    if not count:
        return []
    files_hold = "1 file holds" if count == 1 else f"{count:,} files hold"
    return [
        f"{files_hold} control characters, such as ESC of terminal colours (of {plural(len(texts), 'file')} looked at). They are "
        "kept, and learned like any other; remove them first if samples are to have none."
    ]


def header_notes(texts: Sequence[str]) -> list[str]:
    """A note if the first line of a list looks like the header of a table."""
    header = next((line for text in texts if (line := line_records.header_of(text)) is not None), None)
    if header is None:
        return []
    return [
        f"The first line is unlike all others ({shorten(header)}) and is a record like them; if it names the columns of "
        "a table, remove it."
    ]


def content_notes(sample: Sequence[str], num_characters: int, layout: str) -> list[str]:
    """Sentences on training text of which hardly anything can be learned, or that is little. sample: pieces of it."""
    if _is_monotonous("\n".join(sample)):
        return [NOTHING_TO_LEARN]
    if layout == "list" or num_characters >= LITTLE_TEXT:
        return []
    return [
        f"There are only {num_characters:,} characters to learn from, so samples will mostly repeat them; give 100,000 or more."
    ]


def _is_monotonous(text: str) -> bool:
    data = text.encode("utf-8", "replace")
    return len(zlib.compress(data, 1)) < REPEATED_SHARE * len(data) + COMPRESSION_BYTES
