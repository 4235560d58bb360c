"""Names of text encodings: which of them may be given, and what sentences call them."""

from __future__ import annotations

import codecs
import re
from encodings.aliases import aliases

from anew.errors import closest_name

AUTO = "auto"
# Codecs of Python's own strings, and those that differ between computers
_NOT_OF_FILES = frozenset({"unicode_escape", "raw_unicode_escape", "charmap", "undefined", "mbcs", "oem"})
_ASCII = b"\t\r\n +-09AZaz"
_PROBES = (b"\xe9", b"\xb0\xa1", b"\x88\x9f", b"\xc3\xa9")  # an encoding of more than 7 bits has characters for one
_TITLES = {"utf-8": "UTF-8", "cp932": "Shift-JIS", "cp949": "EUC-KR", "big5hkscs": "Big5", "big5": "Big5"}


def codec_name(name: str) -> str:
    """The name that Python gives to the codec of a text encoding that extends ASCII.

    Raises ValueError (one clause, which follows `is not allowed; `) for any other name.
    """
    try:
        codec = codecs.lookup(name).name
        is_known = codec.replace("-", "_") not in _NOT_OF_FILES
        b"".decode(codec)  # a LookupError for base64 and other codecs of bytes
    except (LookupError, ValueError):
        is_known = False
    if not is_known:
        closest = closest_name(name.lower(), _all_names())
        raise ValueError(
            "give auto or an encoding, such as koi8-r or euc-jp" if closest is None else f"did you mean {closest!r}?"
        )
    if codec.startswith(("utf-16", "utf-32")):
        raise ValueError(
            "files in UTF-16 or UTF-32 are known by their byte order mark; convert those without one to UTF-8"
        )
    if not _extends_ascii(codec):
        raise ValueError("it must be an encoding of 8 bits that extends ASCII; convert other files to UTF-8")
    return "utf-8" if codec == "utf-8-sig" else codec


def why_not_encoding(name: str) -> str | None:
    """Why a name cannot be used as the setting `encoding`, one clause; None if it can."""
    if name == AUTO:
        return None
    try:
        codec_name(name)
    except ValueError as error:
        return str(error)
    return None


def title(codec: str) -> str:
    """The name of a codec's encoding in sentences."""
    if codec in _TITLES:
        return _TITLES[codec]
    if match := re.fullmatch(r"cp(125\d|874)", codec):
        return f"Windows-{match[1]}"
    return re.sub(r"^ISO(?=8859)", "ISO-", codec.upper().replace("_", "-"))


def _all_names() -> set[str]:
    """All names that may be given, with hyphens."""
    codecs_by_name = {alias.replace("_", "-"): codec for alias, codec in aliases.items()}
    codecs_by_name |= {codec.replace("_", "-"): codec for codec in aliases.values()}
    return {AUTO} | {name for name, codec in codecs_by_name.items() if _extends_ascii(codec)}


def _extends_ascii(codec: str) -> bool:
    if codec.replace("-", "_") in _NOT_OF_FILES:
        return False
    is_ascii = _decoded(_ASCII, codec) == _ASCII.decode("ascii")
    return is_ascii and any(_decoded(probe, codec) is not None for probe in _PROBES)


def _decoded(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except (LookupError, ValueError):
        return None
