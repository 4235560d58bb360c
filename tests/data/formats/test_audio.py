"""Reading sound files: what stays open between clips of one recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from anew.data.formats import audio
from anew.data.types import FileSlice


def test_the_recording_of_the_last_clip_stays_open_until_python_ends(tmp_path: Path) -> None:
    """soundfile would complain of a file that is open when Python ends."""
    path = tmp_path / "long.flac"
    soundfile.write(path, np.zeros(40_000, np.float32), 8_000)
    samples, rate = audio.read(FileSlice(path, at=(0, 8_000)), 0, 8_000)
    file = audio._OPEN.file
    assert (len(samples), rate) == (8_000, 8_000) and isinstance(file, soundfile.SoundFile) and not file.closed
    audio._close_shared()
    assert file.closed and audio._OPEN.file is None
    assert len(audio.read(FileSlice(path, at=(8_000, 16_000)), 8_000, 16_000)[0]) == 8_000
