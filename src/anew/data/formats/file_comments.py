"""The comments in a file, by which a sample says where it comes from. Does not import PyTorch: decoders are a process of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from anew.data.formats.images import pixels
from anew.data.formats.sound import audio
from anew.data.formats.text import fasta
from anew.data.formats.video import frames

MAX_COMMENT = 65536  # characters that are read of a comment: an origin has at most a few thousand


def has_comments(data: bytes) -> bool:
    """Whether a file is of a format that has comments, by its content."""
    return _reader(data) is not None


def comments_with(mark: str, data: bytes) -> list[str]:
    """The beginnings of the comments of a file in which a mark is; none of a format without comments. Raises ValueError (one clause)."""
    reader = _reader(data)
    comments = () if reader is None else reader(data)
    return [text[:MAX_COMMENT] for text in comments if mark in text]


def _reader(data: bytes) -> Callable[[bytes], Sequence[str]] | None:
    """The function that gives all comments of a file of this content; None for a format without comments."""
    if data[:4] == b"\x89PNG" or data[:4] == b"GIF8" or data[:3] == b"\xff\xd8\xff" or data[8:12] == b"WEBP":
        return lambda file: [pixels.read_comment(file)]
    if data[:4] in (b"RIFF", b"fLaC"):
        return lambda file: [audio.read_comment(file)]
    if data[4:8] == b"ftyp":
        return lambda file: [frames.read_comment(file)]
    if data[:1] == b">":
        return lambda file: [record.header for record in fasta.parse(fasta.decode_file(file))]
    return None
