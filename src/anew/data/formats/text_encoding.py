"""Bytes of a file -> text, in any encoding."""

from __future__ import annotations

import codecs

MIXED = "utf-8 and cp1252"
# Control bytes that text does not have. It may have white space, escapes (colours), backspaces (which underline letters) and
# separators of records.
_CONTROLS = bytes([*range(8), *range(14, 27)])
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


def decode_text(data: bytes, is_complete: bool = True) -> tuple[str, str]:
    """The text of a file, and the encoding it was read in. is_complete: False if data may end inside a character.

    The encoding is UTF-8 or what a byte order mark says; otherwise Windows-1252, or Latin-1 for bytes that this does not define.
    If some lines have letters in UTF-8 and others are not UTF-8, each line is read by itself (MIXED).
    Raises ValueError (one clause) for binary data.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            body = data[len(bom) :]
            return body.decode(encoding, "replace" if is_complete else "ignore"), encoding
    if data.count(0) > len(data) / 1000:
        raise ValueError("is binary (it holds NUL bytes)")
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(data, final=is_complete), "utf-8"
    except UnicodeDecodeError:
        pass
    controls = sum(data.count(byte) for byte in _CONTROLS)
    if controls > len(data) / 100:
        raise ValueError("is binary (it holds control bytes)")
    lines = data.splitlines(keepends=True)
    if any(_is_utf8(line) for line in lines if not line.isascii()):
        return "".join(line.decode("utf-8") if _is_utf8(line) else _windows(line)[0] for line in lines), MIXED
    return _windows(data)


def count_guessed_lines(data: bytes) -> int:
    """The number of lines that are not UTF-8."""
    return sum(not _is_utf8(line) for line in data.splitlines())


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _windows(data: bytes) -> tuple[str, str]:
    try:
        return data.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"
