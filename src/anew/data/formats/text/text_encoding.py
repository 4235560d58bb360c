"""Bytes of a file -> text: UTF-8, what a byte order mark says, or an encoding that is given."""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import NamedTuple

WINDOWS = "cp1252"
MIN_UTF8 = 6  # characters that make a line UTF-8 where another encoding can read it too: fewer may be chance
# Letters and signs of the Latin alphabet, of which one alone is enough: text in Latin letters hardly looks so by chance
_ASCII = re.compile("[\x00-\x7f]+")
_LATIN = re.compile("[\xa0-\u017f\u2010-\u20af]*")
# Control bytes that text does not have. It may have white space, escapes (colours), backspaces (which underline letters) and
# separators of records.
_CONTROLS = bytes([*range(8), *range(14, 27)])
BEYOND_ASCII = bytes(range(128, 256))
# Windows-1252 as browsers read it: the five bytes that it does not define are those of Latin-1, whatever else the text holds
_WINDOWS_CHARACTERS = {byte: bytes([byte]).decode(WINDOWS, "ignore") or chr(byte) for byte in range(128, 160)}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def looks_like_text(head: bytes) -> bool:
    """Whether the first bytes of a file look like text in some encoding."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    if not head.strip() or 0 in head:
        return False
    # Without a loop over bytes, since this is called for thousands of files.
    return len(head) - len(head.translate(None, _CONTROLS)) <= len(head) / 200


class Decoded(NamedTuple):
    """A text, and how it was read.

    Attributes:
        encoding: The encoding of all of it, or of the lines that are not UTF-8.
        guessed: Number of lines in that encoding if others are UTF-8; 0: all of the text is in one encoding.
    """

    text: str
    encoding: str
    guessed: int = 0


def decode_text(data: bytes, is_complete: bool = True) -> Decoded:
    """The text of a file.

    It is read as UTF-8 or as a byte order mark says; if it is neither, by `decode_lines` as WINDOWS.

    Args:
        is_complete: False if they may end inside a character.

    Raises:
        ValueError: The data is binary (one clause).
    """
    return decode_unicode(data, is_complete) or decode_lines(data, WINDOWS)


def decode_unicode(data: bytes, is_complete: bool = True) -> Decoded | None:
    """The text of a file that is UTF-8, or begins with a byte order mark; None for any other text.

    Raises ValueError (one clause) for binary data.
    """
    for bom, marked in _BOMS:
        if data.startswith(bom):
            body = data[len(bom) :]
            return Decoded(body.decode(marked, "replace" if is_complete else "ignore"), marked)
    if data.count(0) > len(data) / 1000:
        raise ValueError("it is binary (it holds NUL bytes)")
    try:
        return Decoded(codecs.getincrementaldecoder("utf-8")().decode(data, final=is_complete), "utf-8")
    except UnicodeDecodeError:
        pass
    controls = sum(data.count(byte) for byte in _CONTROLS)
    if controls > len(data) / 100:
        raise ValueError("it is binary (it holds control bytes)")
    return None


def is_unicode(data: bytes) -> bool:
    """Whether a file is UTF-8, or begins with a byte order mark."""
    if data.isascii() or data.startswith(tuple(bom for bom, _ in _BOMS)):
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def decode_lines(data: bytes, encoding: str, in_part: bool = False) -> Decoded:
    """The text of a file that is not UTF-8, or not in all of its lines.

    If some of its lines have letters in UTF-8 and others are not UTF-8, each line is read by itself. Bytes without a meaning become
    U+FFFD.

    Args:
        encoding: Codec of text that is not UTF-8.
        in_part: Whether most lines of the file are UTF-8, so that each line that can be is.
    """
    lines = data.splitlines(keepends=True)
    is_latin = unicodedata.name(b"\xe9".decode(encoding, "ignore") or " ", "").startswith("LATIN")
    are_utf8 = [bool(_utf8(line)) if in_part else _is_utf8(line, encoding, is_latin) for line in lines]
    if not any(are_utf8):
        return Decoded(_decode_as(data, encoding), encoding)
    pieces = [
        line.decode("utf-8") if is_utf8 or line.isascii() else _decode_as(line, encoding)
        for line, is_utf8 in zip(lines, are_utf8, strict=True)
    ]
    guessed = sum(not is_utf8 and not line.isascii() for line, is_utf8 in zip(lines, are_utf8, strict=True))
    return Decoded("".join(pieces), encoding, guessed)


class DividedLines(NamedTuple):
    """Lines with bytes beyond ASCII.

    Attributes:
        num_utf8: Number of those that are UTF-8.
        num_others: Number of those that are not.
        others: The other lines, joined.
    """

    num_utf8: int
    num_others: int
    others: bytes


def divide_lines(sample: bytes) -> DividedLines:
    """The lines beyond ASCII of a text, divided into UTF-8 and others."""
    lines = [line for line in sample.splitlines(keepends=True) if not line.isascii()]
    others = [line for line in lines if _utf8(line) is None]
    return DividedLines(len(lines) - len(others), len(others), b"".join(others))


def _utf8(line: bytes) -> str | None:
    """The characters beyond ASCII of a line in UTF-8; None if it is not."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return _ASCII.sub("", text)


def _is_utf8(line: bytes, encoding: str, is_latin: bool) -> bool:
    """Whether a line beyond ASCII is UTF-8 among lines in another encoding, and not only by chance."""
    beyond = _utf8(line)
    if not beyond or len(beyond) >= MIN_UTF8:
        return bool(beyond)
    if is_latin:
        return _LATIN.fullmatch(beyond) is not None
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return True
    return False


def _decode_as(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        if encoding == WINDOWS:
            return data.decode("latin-1").translate(_WINDOWS_CHARACTERS)
        return data.decode(encoding, "replace")
