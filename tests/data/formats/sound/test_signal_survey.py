"""The highest frequency of slow signals, and the sentence on their rate."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from anew.data.formats.sound.audio import Header
from anew.data.formats.sound.audio_clips import choose
from anew.data.formats.sound.signal_survey import SURVEYED_FILES, describe_rate, highest_frequency
from anew.data.types import Item


def _item(x: np.ndarray, rate: int = 2000) -> Item:  # type: ignore[type-arg]
    file = io.BytesIO()
    soundfile.write(file, x, rate, format="WAV", subtype="PCM_16")
    return Item("signal.wav", file.getvalue())


def test_what_is_opposite_in_two_channels_counts() -> None:
    time = np.arange(2000) / 2000
    fast, slow = (0.3 * np.sin(2 * np.pi * hertz * time) for hertz in (500, 5))
    frequency = highest_frequency([_item(np.stack([slow + fast, slow - fast], 1))])
    assert frequency is not None and 495 < frequency < 510
    frequency = highest_frequency([_item(slow)])
    assert frequency is not None and frequency < 10


def test_no_more_files_are_surveyed_than_allowed() -> None:
    tone, noise = np.sin(np.arange(500) / 50), np.random.default_rng(0).uniform(-1, 1, 500)
    unread = set(range(2 * SURVEYED_FILES - 1)) - set(range(0, 2 * SURVEYED_FILES - 1, 2))
    slow, fast = _item(tone), _item(noise)
    frequency = highest_frequency([fast if i in unread else slow for i in range(2 * SURVEYED_FILES - 1)])
    assert frequency is not None and frequency < 100


def test_files_of_two_rates_are_learned_at_one_of_them() -> None:
    headers = [Header(rate, 1, 2 * rate) for rate in [500] * 10 + [1000] * 10]
    shape = choose(headers, None, None, None)
    assert shape.rate == 1000
    assert (
        describe_rate(headers, shape)
        == "Files of 500 to 1,000 Hz are resampled to 1,000 Hz, the median of their rates."
    )
