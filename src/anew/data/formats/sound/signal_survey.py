"""A survey of files of slow signals: the frequency above which there is hardly anything, and the rate that follows from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anew.core import isolation
from anew.data.formats.sound import audio
from anew.data.formats.sound.audio_clips import FITTING_SHARE, Shape, usual_rate
from anew.data.types import Item

SURVEYED_FILES = 64  # files whose highest frequency is looked for; chosen
SURVEYED_SECONDS = 30.0  # so much of a file is looked at; chosen
MAX_SHARE_ABOVE = 1e-5  # share of the energy of a signal that may lie above the frequencies that are learned: 50 decibels less; chosen


def highest_frequency(items: Sequence[Item]) -> float | None:
    """The frequency in Hz above which nearly no file holds more than MAX_SHARE_ABOVE; None if none can be read."""
    surveyed = items[:: max(1, math.ceil(len(items) / SURVEYED_FILES))]
    answers = isolation.each(_Spectra().highest_frequency, surveyed)
    frequencies = [answer for answer in answers if not isinstance(answer, ValueError)]
    return float(np.quantile(frequencies, FITTING_SHARE)) if frequencies else None


@dataclass(frozen=True, slots=True)
class _Spectra:
    """Decodes files in a process of their own."""

    native: bool = True

    def highest_frequency(self, item: Item) -> float:
        """The frequency in Hz above which the beginning of a file holds hardly anything. Raises ValueError (one clause)."""
        header = audio.read_header(item.file)
        x, rate = audio.read(item.file, 0, min(header.frames, round(SURVEYED_SECONDS * header.rate)), 2)  # (N, 2)
        x = (x - x.mean(0)) * np.hanning(len(x))[:, None]  # the ends would have frequencies of their own
        # Each channel has its own spectrum: in their mean, what is opposite in both would be lost
        power = (np.abs(np.fft.rfft(x, axis=0)) ** 2).sum(1)  # (F,)
        above = np.cumsum(power[::-1])[::-1]  # power at each frequency and above
        return float((above > MAX_SHARE_ABOVE * above[0]).sum()) * rate / len(x)


def describe_rate(headers: Sequence[audio.Header], shape: Shape) -> str:
    """A sentence on the rate at which slow signals are learned."""
    rates = sorted({header.rate for header in headers})
    of_files = f"{rates[0]:,} Hz" if len(rates) == 1 else f"{rates[0]:,} to {rates[-1]:,} Hz"
    usual = usual_rate(headers)
    if shape.rate >= usual:
        return f"Files of {of_files} are resampled to {shape.rate:,} Hz, the median of their rates."
    return (
        f"Hardly anything lies above {shape.rate / 2:g} Hz, so files of {of_files} are learned at {shape.rate:,} Hz, and samples are "
        f"written at {usual:,} Hz (rate={usual} learns that rate)."
    )
