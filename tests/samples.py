"""Small real-looking data as ordinary files, for tests of whole commands."""

from __future__ import annotations

import hashlib
import io
import random
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import anew

WORDS = [
    "the", "a", "one", "old", "new", "small", "river", "stone", "light", "house",
    "garden", "letter", "winter", "morning", "walked", "spoke", "found", "lost", "kept", "gave",
]  # fmt: skip

# Settings of a decoder that learns nothing to speak of, for tests of everything around it.
TINY = {"width": 32, "layers": 1, "heads": 1, "mlp_size": 64}


def trained(data: Path, run: Path, **arguments: Any) -> anew.Model:
    """A run that nobody measured: to evaluate it would take longer than what most tests want of it."""
    with mock.patch("anew.workflows.train.evaluate_run", lambda *of_the_run, **limits: None):
        return anew.train(data, run, **arguments)


def weights_digest(run: Path) -> str:
    """The SHA-256 of the weights of a run."""
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


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
    names_made = {"".join(source.choice(parts) for _ in range(source.randint(2, 4))) for _ in range(3 * count)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(sorted(names_made)[:count]) + "\n")
    return path


def shapes(folder: Path, count: int = 240, size: int = 12, seed: int = 0) -> Path:
    """Discs and bars of random place and size, in class folders, as PNG."""
    source = random.Random(seed)
    for index in range(count):
        shape_name = ("bar", "disc")[index % 2]
        image = Image.new("L", (size, size), 0)
        x, y, r = source.randint(3, size - 4), source.randint(3, size - 4), source.randint(2, 4)
        draw = ImageDraw.Draw(image)
        shade = source.randint(150, 255)
        if shape_name == "disc":
            draw.ellipse((x - r, y - r, x + r, y + r), fill=shade)
        else:
            draw.rectangle((x - r, y - 1, x + r, y + 1), fill=shade)
        target = folder / shape_name / f"{index:04d}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        image.save(target)
    return folder


LEVELS = (1.0, 0.5, 0.1)  # levels of tones, in turn


def tone(seed: int, rate: int = 8000, seconds: float = 0.4) -> NDArray[np.float32]:
    """A plucked tone with harmonics, and some noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(rate * seconds)) / rate
    pitch = rng.uniform(110, 330)
    parts = sum(np.sin(2 * np.pi * pitch * k * t + rng.uniform(0, 6)) / k for k in range(1, 5))
    x = parts * np.exp(-t / (0.3 * seconds)) + rng.normal(0, 0.01, len(t))
    return (0.5 * x / np.abs(x).max()).astype(np.float32)


def tones(folder: Path, count: int = 60, rate: int = 8000, seconds: float = 0.4) -> Path:
    """Tones as WAV, named by class and number, every third one loud and every third one soft."""
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        soundfile.write(folder / f"{'ab'[i % 2]}_{i}.wav", LEVELS[i % 3] * tone(i, rate, seconds), rate)
    return folder


def voice(seed: int, rate: int = 8000, seconds: float = 0.6) -> NDArray[np.float32]:
    """A low voice: harmonics up to the highest frequency, which begin together and so pulse at the pitch."""
    rng = np.random.default_rng(seed)
    pitch = rng.uniform(95, 125)
    t = np.arange(round(rate * seconds)) / rate
    x = np.sum([np.cos(2 * np.pi * pitch * k * t) for k in range(1, int(rate / 2.1 / pitch))], axis=0)
    return (0.5 * x / np.abs(x).max()).astype(np.float32)


def signals(folder: Path, count: int = 60, rate: int = 2000, seconds: float = 0.5, channels: int = 1) -> Path:
    """Slow signals as WAV: bumps that recur, and noise, nothing above 200 Hz. Every third file has half the length."""
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        rng = np.random.default_rng(i)
        t = np.arange(round(rate * seconds * (0.5 if i % 3 == 2 else 1.0))) / rate
        phase = (t * rng.uniform(4.0, 7.0) + rng.uniform()) % 1.0 - 0.5
        noise = np.fft.rfft(rng.normal(0.0, 0.2, (len(t), channels)), axis=0)
        noise[np.fft.rfftfreq(len(t), 1.0 / rate) > 195.0] = 0.0
        x = np.exp(-0.5 * (phase / 0.06) ** 2)[:, None] + np.fft.irfft(noise, len(t), axis=0)
        soundfile.write(folder / f"{'ab'[i % 2]}_{i}.wav", 0.5 * LEVELS[i % 3] * x, rate)
    return folder


def stereo_tones(folder: Path, count: int = 60, rate: int = 8000) -> Path:
    """Tones as WAV of two channels, left and right in turn, each with a little noise of its own."""
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        x = LEVELS[i % 3] * tone(i, rate)[:, None] * np.asarray([1.0, 0.3][:: 1 if i % 2 else -1])
        noise = np.random.default_rng(i).normal(0, 0.0005, x.shape)
        soundfile.write(folder / f"{'ab'[i % 2]}_{i}.wav", x + noise, rate)
    return folder


def moving_dot(seed: int, size: int = 16, rate: float = 10.0, frames: int = 0) -> bytes:
    """A GIF of a dot that moves to the right (even seeds) or down, of 5 to 7 frames unless said."""
    source = random.Random(seed)
    across, start, shade = source.randint(2, size - 4), source.randint(0, 2), source.randint(120, 255)
    pictures = []
    for step in range(frames or 5 + seed % 3):
        image = Image.new("RGB", (size, size), (20, 40, 60))
        along = (start + 2 * step) % (size - 2)
        x, y = (along, across) if seed % 2 == 0 else (across, along)
        ImageDraw.Draw(image).rectangle((x, y, x + 2, y + 2), fill=(shade, 255 - shade, step * 9))
        pictures.append(image)
    out = io.BytesIO()
    pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:], duration=round(1000 / rate), loop=0)
    return out.getvalue()


def clips(folder: Path, count: int = 60) -> Path:
    """Moving dots in class folders, as GIF."""
    for index in range(count):
        target = folder / ("right", "down")[index % 2] / f"{index:03d}.gif"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(moving_dot(index))
    return folder


def sequences(path: Path, count: int = 400, seed: int = 0) -> Path:
    """Made protein sequences as FASTA: families that each vary one ancestor, and loners."""
    source = random.Random(seed)
    letters = "ACDEFGHIKLMNPQRSTVWY"
    records = []
    for index in range(count):
        if index % 5 == 0:
            ancestor = [source.choice(letters) for _ in range(source.randint(50, 70))]
        change = 0.1 if index % 10 < 5 else 1.0
        own = "".join(source.choice(letters) if source.random() < change else letter for letter in ancestor)
        records.append(f">s{index} made OS=Genus {'ab'[index % 2]} OX=1\n{own[:40]}\n{own[40:]}\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(records))
    return path


def program(seed: int, functions: int = 4) -> str:
    """A made Python file."""
    source = random.Random(seed)
    parts = ['"""Made."""\n\nimport math\n']
    for index in range(functions):
        name, other = source.choice(WORDS), source.choice(WORDS)
        parts.append(
            f"\n\ndef {name}_{index}({other}, n=1):\n    if n > {source.randint(0, 9)}:\n"
            f"        return math.sqrt({other})\n    return [{other} + i for i in range(n)]\n"
        )
    return "".join(parts)


def programs(folder: Path, count: int = 80) -> Path:
    """Files of made Python."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        (folder / f"m{index}.py").write_text(program(index))
    return folder


def molecule(seed: int) -> str:
    """A made molecule as SMILES, always a real one."""
    source = random.Random(seed)
    pieces = ["C", "CC", "O", "N", "c1ccccc1", "C(=O)", "C(C)", "CN", "S", "C1CCCC1", "C(F)"]
    return "C" + "".join(source.choice(pieces) for _ in range(source.randint(3, 7)))


def molecules(folder: Path, count: int = 400) -> Path:
    """A list of made molecules, with a name behind some."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [molecule(i) + (f" made-{i}" if i % 4 == 0 else "") for i in range(count)]
    (folder / "made.smi").write_text("\n".join(lines) + "\n")
    return folder
