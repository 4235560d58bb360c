"""Makes the large data of the scale benchmark: gigabytes of text from real words, many small image files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

FILE_BYTES = 10_000_000
IN_FOLDER = 1000


def text(folder: Path, source: str, gigabytes: float, seed: int = 0) -> Path:
    """Files of 10 MB, 100 to a folder: runs of 16 words of the source, in an order of chance. Made once."""
    marker = folder / f"made-{gigabytes:g}"
    if marker.exists():
        return folder / "text"
    words = [word.encode() for word in source.split()]
    if len(words) < 1000:
        raise SystemExit("the text given has fewer than 1,000 words; give a book or more")
    lines = [word + (b"\n\n" if number % 160 == 159 else b" ") for number, word in enumerate(words)]
    rng = np.random.default_rng(seed)
    runs = [b"".join(lines[at : at + 16]) for at in range(len(lines))]
    subset = int(FILE_BYTES / (sum(map(len, runs)) / len(runs)))
    for number in range(max(1, round(gigabytes * 1e9 / FILE_BYTES))):
        place = folder / "text" / f"{number // 100:03d}"
        place.mkdir(parents=True, exist_ok=True)
        order = rng.integers(0, len(runs), subset)
        (place / f"{number:05d}.txt").write_bytes(b"".join([runs[i] for i in order.tolist()]))
    marker.touch()
    return folder / "text"


def picture(rng: np.random.Generator, side: int) -> Image.Image:
    """A smooth ground with a disc and a box on it."""
    corners = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    image = Image.fromarray(corners).resize((side, side), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(image)
    left, top, size = (int(v) for v in rng.integers(0, side // 2, 3))
    colour = [tuple(int(v) for v in rng.integers(0, 256, 3)) for _ in range(2)]
    draw.ellipse((left, top, left + size + 3, top + size + 3), fill=colour[0])
    left, top, size = (int(v) for v in rng.integers(0, side // 2, 3))
    draw.rectangle((left, top, left + size // 2 + 2, top + size + 2), fill=colour[1])
    return image


def pictures(folder: Path, count: int, side: int = 32, seed: int = 0) -> Path:
    """PNG files, 1,000 to a folder. Made once."""
    marker = folder / f"made-{count}"
    if marker.exists():
        return folder / "images"
    rng = np.random.default_rng(seed)
    for number in range(count):
        place = folder / "images" / f"{number // IN_FOLDER:04d}"
        if number % IN_FOLDER == 0:
            place.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        picture(rng, side).save(buffer, "PNG", compress_level=1)
        (place / f"{number:07d}.png").write_bytes(buffer.getvalue())
    marker.touch()
    return folder / "images"
