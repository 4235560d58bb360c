"""Copies of training items, exact ones and near ones, in the place of some samples that are written as files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from anew.data.formats.sound import audio as audio_format
from anew.evaluation.memorization import item_types

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
SOUNDS = (".wav", ".flac", ".ogg")
QUIETER, MAX_SHIFT = (
    0.5,
    0.02,
)  # near copies of a sound: factor of its amplitude, seconds that are cut off its beginning
CHANGED = 0.01  # share of the characters of a near copy of a text: one at least
MAX_SECONDS = 60
Source = np.random.Generator


def chosen(train: Sequence[Any], count: int, source: Source) -> list[Any]:
    """Training items, at random, each once."""
    return [train[i] for i in source.choice(len(train), count, replace=False)] if count else []


def near_records(items: Sequence[Any], source: Source) -> list[Any]:
    """Lines, documents and records of a FASTA file with a few characters changed, one at least; paths stay as they are."""
    return [item if isinstance(item, Path) else near_record(item, source) for item in items]


def near_record(record: str, source: Source) -> str:
    head, mark, body = record.partition("\n") if record.startswith(">") else ("", "", record)
    return head + mark + item_types.edit_text(body.rstrip("\n"), source, CHANGED)


def disturb_files(folder: Path, items: Sequence[Any], source: Source) -> None:
    """Files that are copies become near copies; items that are no files have been changed before they were written."""
    for item in items:
        if isinstance(item, Path):
            path = folder / item
            content, suffix = near_file(path, source)
            path.unlink()
            path.with_suffix(suffix).write_bytes(content)


def near_file(path: Path, source: Source) -> tuple[bytes, str]:
    """A near copy of a file, and its suffix.

    A picture is shifted, noisy or compressed, a sound is quieter and begins later, a text has a few other characters.
    """
    suffix = path.suffix.lower()
    out = io.BytesIO()
    if suffix in PICTURES:
        image = Image.open(path)
        mode = image.mode if image.mode in ("L", "RGB", "RGBA") else "RGBA"
        alter = item_types.IMAGES.alterations[source.integers(len(item_types.IMAGES.alterations))]
        Image.fromarray(alter(np.asarray(image.convert(mode)), source)).save(out, "PNG")
        return out.getvalue(), ".png"
    if suffix in SOUNDS:
        rate = soundfile.info(path).samplerate
        x, rate = audio_format.read(path.read_bytes(), 0, MAX_SECONDS * rate)
        soundfile.write(
            out, QUIETER * x[int(source.integers(round(MAX_SHIFT * rate))) :], rate, format="WAV", subtype="PCM_16"
        )
        return out.getvalue(), ".wav"
    text = path.read_text(encoding="utf-8")
    return item_types.edit_text(text, source, CHANGED).encode(), path.suffix
