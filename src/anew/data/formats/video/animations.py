"""Animated WebP and PNG (APNG) -> frames and their times, with Pillow: PyAV decodes no animated WebP."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from typing import NamedTuple

from PIL import Image

from anew.data.formats.images import pixels

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SHORTEST = 0.011  # seconds; browsers show a frame that is to be shown for less for DEFAULT
DEFAULT = 0.1  # seconds
MAX_CHUNKS = 1 << 20  # bounds memory; APNGs of many frames have some thousands
Stamps = list[tuple[float, float]]  # when each frame begins, and how long it is shown, in seconds
_ANIMATED = 0x02  # flag of a WebP's header
_SAYS_ANIMATED = 0.9  # confidence where a WebP says that it is animated, but its second frame is not in sight


def sniff(head: bytes) -> float:
    """The confidence from 0 to 1 that a file beginning with `head` is a WebP or PNG of more than one frame."""
    if _is_webp(head):
        if not head[20:21] or not head[20] & _ANIMATED:
            return 0.0
        frames = sum(name == b"ANMF" for name, _, _ in _webp_chunks(head))
        is_whole = len(head) >= 8 + int.from_bytes(head[4:8], "little")
        if frames > 1:
            return 1.0
        return 0.0 if is_whole else _SAYS_ANIMATED
    if not head.startswith(PNG_SIGNATURE):
        return 0.0
    chunks = takewhile(lambda chunk: chunk[0] != b"IDAT", _png_chunks(head))  # those before the pixels
    return float(any(name == b"acTL" and body[:4] > b"\0\0\0\1" for name, body, _ in chunks))


class AnimationHead(NamedTuple):
    """The size of an animation in pixels, and the times of its frames."""

    width: int
    height: int
    stamps: Stamps


def read_times(data: bytes) -> AnimationHead:
    """Size and times of an animation, without decoding. Raises ValueError (one clause) if it is truncated."""
    if _is_webp(data):
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        chunks = list(islice(_webp_chunks(data), MAX_CHUNKS))
        durations = [int.from_bytes(body[12:15], "little") / 1000.0 for name, body, _ in chunks if name == b"ANMF"]
        is_whole = chunks[-1][2] and len(data) >= 8 + int.from_bytes(data[4:8], "little")
    else:
        width, height = struct.unpack(">II", data[16:24].ljust(8, b"\0"))
        png_chunks = list(islice(_png_chunks(data), MAX_CHUNKS))
        controls = [body[20:24].ljust(4, b"\0") for name, body, _ in png_chunks if name == b"fcTL"]
        parts = [struct.unpack(">HH", control) for control in controls]
        durations = [numerator / (denominator or 100) for numerator, denominator in parts]
        is_whole = png_chunks[-1][0] == b"IEND"
    if not is_whole:
        raise ValueError("it is truncated")
    shown_durations = [duration if duration >= SHORTEST else DEFAULT for duration in durations]
    stamps, begin = [], 0.0
    for duration in shown_durations:
        stamps.append((begin, duration))
        begin += duration
    return AnimationHead(width, height, stamps)


def decode(data: bytes, numbers: Sequence[int], min_side: int) -> dict[int, Image.Image]:
    """Decode frames of an animation, as RGB or RGBA, by their numbers, which rise.

    They are reduced to about twice `min_side` pixels, as far as a whole factor can. Raises ValueError (one clause) if the file is
    damaged or truncated.
    """
    image = pixels.open_image(data)
    # An APNG may have a default image, which only programs without support for APNG show: it is not a frame
    skipped = int(bool(image.info.get("default_image")))
    result = {}
    for number in numbers:
        try:
            image.seek(skipped + number)
        except Exception:  # Pillow's readers raise almost anything on damaged files
            raise ValueError("it is damaged or truncated: frames are missing") from None
        frame = pixels.to_eight_bits(pixels.load(image))
        frame = frame.convert("RGB") if frame.mode == "L" or not pixels.has_alpha(frame) else frame
        factor = max(1, min(frame.size) // (2 * max(min_side, 1)))
        result[number] = frame.reduce(factor) if factor > 1 else frame.copy()
    return result


def _is_webp(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8X"


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """(name, the first bytes, whether it is whole) of each chunk of a WebP that has begun."""
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + min(size, 32)], at + 8 + size <= len(data)
        at += 8 + size + size % 2


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """As `_webp_chunks`, of a PNG."""
    at = len(PNG_SIGNATURE)
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + min(size, 32)], at + 12 + size <= len(data)
        at += 12 + size
