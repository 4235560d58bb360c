"""Silence at the ends of files, and the length of the sound between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from anew.data.dataset import Dataset, listed_items
from anew.data.formats.sound.audio_clips import Shape
from anew.data.formats.sound.sound_extents import file_extents
from anew.data.types import DataBudget, Item


def test_silence_is_measured_before_it_is_cut_off(tmp_path: Path) -> None:
    for i in range(40):
        sound = np.concatenate([np.zeros(80 * i), 0.3 * np.sin(np.arange(4000) * (0.1 + 0.01 * i)), np.zeros(1600)])
        soundfile.write(tmp_path / f"{i:02}.wav", sound, 8000)
    data = Dataset.open(tmp_path, size=DataBudget(60.0, 40, 400_000))
    shape = Shape(8000, 128, 512, 48, 64)
    items = sorted(listed_items(data, 40), key=lambda item: item.name)
    extents = file_extents([*items, Item("broken.wav", b"RIFF")], shape)
    assert extents.shape == (40, 3)
    assert extents[:, 0] == pytest.approx(np.arange(40) * 0.01, abs=0.02)
    assert extents[:, 1:] == pytest.approx(np.tile([0.2, 0.5], (40, 1)), abs=0.03)
    short = Shape(8000, 128, 512, 48, 24)
    assert len(file_extents(items[:4] + items[-4:], short)) == 4  # the others are cut into two or three clips
