"""Makes the large data of the scale benchmark: gigabytes of text from real words, many small image files."""

from __future__ import annotations

import io
import re
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

FILE_BYTES = 10_000_000
IN_FOLDER = 1000


def sentences(words: Counter[str], count: int, rng: np.random.Generator) -> list[bytes]:
    """Sentences of 4 to 24 words, each word as frequent as in the source; every eighth ends a paragraph."""
    names = np.array(list(words))
    shares = np.array([words[name] for name in names], dtype=np.float64)
    lengths = rng.integers(4, 25, count)
    drawn = names[rng.choice(len(names), int(lengths.sum()), p=shares / shares.sum())]
    made, start = [], 0
    for number, length in enumerate(lengths):
        text = " ".join(drawn[start : start + length])
        start += length
        made.append((text[:1].upper() + text[1:] + (".\n\n" if number % 8 == 7 else ". ")).encode())
    return made


def text(folder: Path, source: str, gigabytes: float, seed: int = 0) -> Path:
    """Files of 10 MB, 100 to a folder: random orders of a million random sentences. Made once."""
    done = folder / f"made-{gigabytes:g}"
    if done.exists():
        return folder / "text"
    words = Counter(re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*,?", source))
    if len(words) < 1000:
        raise SystemExit("the text given has fewer than 1,000 words; give a book or more")
    rng = np.random.default_rng(seed)
    pool = sentences(words, 1_000_000 if gigabytes >= 1 else 50_000, rng)
    some = int(FILE_BYTES / (sum(map(len, pool)) / len(pool)))
    for number in range(max(1, round(gigabytes * 1e9 / FILE_BYTES))):
        place = folder / "text" / f"{number // 100:03d}"
        place.mkdir(parents=True, exist_ok=True)
        order = rng.integers(0, len(pool), some)
        (place / f"{number:05d}.txt").write_bytes(b"".join([pool[i] for i in order]))
    done.touch()
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
    done = folder / f"made-{count}"
    if done.exists():
        return folder / "images"
    rng = np.random.default_rng(seed)
    for number in range(count):
        place = folder / "images" / f"{number // IN_FOLDER:04d}"
        if number % IN_FOLDER == 0:
            place.mkdir(parents=True, exist_ok=True)
        held = io.BytesIO()
        picture(rng, side).save(held, "PNG", compress_level=1)
        (place / f"{number:07d}.png").write_bytes(held.getvalue())
    done.touch()
    return folder / "images"
