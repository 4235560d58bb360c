"""Sound files: what stays open between clips of one recording; writing under a hard stop."""

from __future__ import annotations

import random
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile

from anew.core.deadline import TimeIsUp, hard_stop
from anew.data.formats.sound import audio
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


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no SIGALRM")
def test_what_is_missing_of_a_wav_file_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 8_000), 8_000)
    whole = path.read_bytes()
    assert audio.missing_share(whole) == audio.missing_share(path) == 0.0
    assert audio.missing_share(whole[: 44 + 8_000]) == 0.5
    path.write_bytes(whole[: 44 + 4_000])
    assert audio.missing_share(path) == 0.75
    place = whole.index(b"data") + 4
    streamed = whole[:place] + b"\xff\xff\xff\xff" + whole[place + 4 :]
    assert audio.missing_share(streamed) == audio.missing_share(b"") == audio.missing_share(b"fLaC" * 99) == 0.0


@pytest.mark.parametrize("file_format", ["wav", "flac"])
def test_a_hard_stop_does_not_break_a_file_that_is_being_written(file_format: str) -> None:
    """libsndfile drops what its callback raises: soundfile failed an assertion then, and FLAC freed memory twice."""
    clip = np.random.default_rng(0).uniform(-0.1, 0.1, (45_000, 2)).astype(np.float32)
    whole = audio.to_file(clip, 44_100, file_format, "a comment")
    times = random.Random(0)
    for _ in range(25):
        written = []
        with pytest.raises(TimeIsUp), hard_stop(times.uniform(0.002, 0.03)):
            while True:
                written.append(audio.to_file(clip, 44_100, file_format, "a comment"))
        assert all(file == whole for file in written)


def test_random_bytes_are_not_called_missing() -> None:
    """libsndfile says "File does not exist or is not a regular file (possibly a pipe?)" of them."""
    for data in (np.random.default_rng(0).bytes(20_000), b"\xff\xfb\x90" + bytes(20_000)):
        with pytest.raises(ValueError, match="not a sound file of a known format, or is damaged") as refusal:
            audio.read_header(data)
        assert "exist" not in str(refusal.value)


@pytest.mark.parametrize(
    ("rate", "channels", "refusal"),
    [
        (10, 1, "it has 10 values a second (Hz); 20 to 768,000 Hz are read, so"),
        (8_000, 80, "it has 80 channels; 1 to 64 are read"),
    ],
)
def test_what_is_out_of_range_is_told_with_what_is_read(rate: int, channels: int, refusal: str, tmp_path: Path) -> None:
    """A file was refused as "1 channels at 500 Hz are out of range"."""
    soundfile.write(tmp_path / "a.wav", np.zeros((4_000, channels), np.float32), rate)
    with pytest.raises(ValueError, match=f"^{re.escape(refusal)}"):
        audio.read_header((tmp_path / "a.wav").read_bytes())


@pytest.mark.parametrize(("number", "codec"), [(0x674F, "Vorbis"), (0x6771, "Vorbis"), (0x0161, "Windows Media sound")])
def test_a_wav_file_with_another_codec_is_named(tmp_path: Path, number: int, codec: str) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, np.zeros(4_000, np.float32), 8_000, format="WAV")
    plain = path.read_bytes()
    place = plain.index(b"fmt ") + 8
    data = plain[:place] + number.to_bytes(2, "little") + plain[place + 2 :]
    path.write_bytes(data)
    for sound in (data, path, FileSlice(path)):
        with pytest.raises(ValueError, match=f"^it is a WAV file with {codec} inside, which is not read; convert it"):
            audio.read_header(sound)


@pytest.mark.parametrize("level", [4, 6, 10, 17])
def test_a_click_in_digital_silence_is_silent(level: int) -> None:
    """Its peak was audible and no window was, so that the user read of an index out of bounds."""
    clip = np.zeros(44_100, np.float32)
    clip[22_050] = level / 32_768
    with pytest.raises(ValueError, match="it is silent"):
        audio.trim_silence(clip, 44_100)
