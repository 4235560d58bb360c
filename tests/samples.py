"""Small real-looking data as ordinary files, for tests of whole commands."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

WORDS = [
    "the", "a", "one", "old", "new", "small", "river", "stone", "light", "house",
    "garden", "letter", "winter", "morning", "walked", "spoke", "found", "lost", "kept", "gave",
]  # fmt: skip


def prose(path: Path, sentences: int = 1500, seed: int = 0) -> Path:
    """A text of made sentences, one file."""
    source = random.Random(seed)
    lines = []
    for _ in range(sentences):
        words = [source.choice(WORDS) for _ in range(source.randint(4, 12))]
        lines.append(
            " ".join(words).capitalize() + source.choice([".", ".", "?", "!"]) + source.choice([" ", " ", "\n\n"])
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def names(path: Path, count: int = 1200, seed: int = 0) -> Path:
    """A list of made names, one a line."""
    source = random.Random(seed)
    parts = ["an", "bel", "cor", "da", "el", "fi", "gan", "ha", "is", "jo", "ka", "lin", "mar", "ni", "or", "pa"]
    made = {"".join(source.choice(parts) for _ in range(source.randint(2, 4))) for _ in range(3 * count)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(sorted(made)[:count]) + "\n")
    return path


def shapes(folder: Path, count: int = 240, size: int = 12, seed: int = 0) -> Path:
    """Discs and bars of random place and size, in class folders, as PNG."""
    source = random.Random(seed)
    for index in range(count):
        kind = ("bar", "disc")[index % 2]
        image = Image.new("L", (size, size), 0)
        x, y, r = source.randint(3, size - 4), source.randint(3, size - 4), source.randint(2, 4)
        draw = ImageDraw.Draw(image)
        shade = source.randint(150, 255)
        if kind == "disc":
            draw.ellipse((x - r, y - r, x + r, y + r), fill=shade)
        else:
            draw.rectangle((x - r, y - 1, x + r, y + 1), fill=shade)
        target = folder / kind / f"{index:04d}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        image.save(target)
    return folder


def tone(seed: int, rate: int = 8000, seconds: float = 0.4) -> NDArray[np.float32]:
    """A plucked tone with harmonics, and some noise."""
    source = np.random.default_rng(seed)
    t = np.arange(round(rate * seconds)) / rate
    pitch = source.uniform(110, 330)
    parts = sum(np.sin(2 * np.pi * pitch * k * t + source.uniform(0, 6)) / k for k in range(1, 5))
    x = parts * np.exp(-t / (0.3 * seconds)) + source.normal(0, 0.01, len(t))
    return (0.5 * x / np.abs(x).max()).astype(np.float32)


def tones(folder: Path, count: int = 60, rate: int = 8000, seconds: float = 0.4) -> Path:
    """Tones as WAV, named by class and number."""
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        soundfile.write(folder / f"{'ab'[i % 2]}_{i}.wav", tone(i, rate, seconds), rate)
    return folder
