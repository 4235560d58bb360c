"""Shape of sound clips (seconds, rate, channels, bands, frames) for a budget, and the cutting of long recordings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from anew.data.formats.sound.audio import Header
from anew.data.limits import AUDIO_CLIPS
from anew.data.types import DataBudget

BANDS = ((0, 48), (3_000, 64), (9_000, 96), (20_000, 128))  # (least number of values of a clip, mel bands)
WHOLE_RATE = (4_000, 80)  # (least number of values, bands) to keep a rate that fewer bands would lower
# Bands -> Hz, the highest rate that so many bands resolve.
TOP_RATES = {48: 11_025, 64: 16_000, 80: 48_000, 96: 48_000, 128: 48_000}
RATES = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000)  # Hz of common files
# Longest and shortest hop in seconds: a window is at least four hops, to reconstruct phases
HOP, SHORT_HOP = 0.016, 0.004
WINDOW = 0.064  # seconds: resolves the harmonics of a voice
MIN_SAMPLES_PER_BAND = 4  # a window has so many values for each band, which makes two frequencies for each; chosen
FRAME_MULTIPLE = 16  # the number of frames is a multiple of this: networks halve it four times
SECONDS = (0.25, 10.0)  # shortest and longest clip, unless the user asks for another
MIN_CLIPS_TO_CUT = 2.0  # a file of this many clips or more is cut
# Share of the files that should fit into one clip; chosen: a few long ones must not lengthen all clips.
FITTING_SHARE = 0.98
STEREO_SHARE = 0.2  # stereo is learned if at least this share of files has two channels; chosen
# Files of at most so many values a second are signals (ECG, EEG, vibration, earthquakes): sounds have 8,000 and more.
MAX_SIGNAL_RATE = 4_000
MIN_SOUND_RATE = 1_000  # Hz: whoever asks for less has no sounds
# Rates in Hz that signals are learned at, where hardly anything lies above half of them
SIGNAL_RATES = (50, 100, 125, 200, 250, 400, 500, 800, 1_000, 1_600, 2_000, 2_500, 3_200)
# Times the highest frequency: where files were resampled, a little lies above half of the rate.
RATE_PER_FREQUENCY = 1.9
# Values of a signal that are learned, as a multiple of those of a spectrogram: a step of the network takes about as long
SIGNAL_VALUES = 2.0
MAX_SIGNAL_VALUES = 8_192  # unless the user asks for longer clips: more are more than one event; chosen
SIGNAL_HOP = 8  # values in which the level of a signal is measured, and of which its length is a multiple; chosen
MIN_SIGNAL_FRAMES = 8  # frames of SIGNAL_HOP values in a clip, at least: shorter ones are not curves; chosen
CHANNELS = {"auto": None, "mono": 1, "stereo": 2}  # setting -> channels; None: chosen by files and budget


@dataclass(frozen=True, slots=True)
class Shape:
    """Shape of a clip.

    Attributes:
        rate: Sample rate in Hz.
        hop, window: Samples from frame to frame, and of a window.
        bands, frames: Shape of the spectrogram; bands is 1 where the values themselves are learned, see `signal_grid`.
        channels: Channels of the sound, 1 or 2.
        bands_per_row: Bands in a row of the grid that the model sees, 1 or 2; see `functional.band_pairs`.
    """

    rate: int
    hop: int
    window: int
    bands: int
    frames: int
    channels: int = 1
    bands_per_row: int = 1  # older runs have a row for each band

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """(C, R, T) of the grid that the model sees."""
        if self.is_signal:
            return self.channels, 1, self.length
        maps = 1 if self.channels == 1 else 3
        return maps + self.bands_per_row - 1, self.bands // self.bands_per_row, self.frames

    @property
    def is_signal(self) -> bool:
        """Whether clips are slow signals, whose values are learned as they are."""
        return self.bands == 1

    @property
    def with_pairs(self) -> Shape | None:
        """The shape with twice the bands in as many rows; None if its windows do not resolve them."""
        has_room = 2 * self.bands <= self.window // MIN_SAMPLES_PER_BAND
        can_pair = has_room and self.bands_per_row == 1 and not self.is_signal
        return replace(self, bands=2 * self.bands, bands_per_row=2) if can_pair else None

    @property
    def length(self) -> int:
        """Samples of a clip."""
        return self.hop * self.frames

    @property
    def seconds(self) -> float:
        return self.length / self.rate

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def values_of(budget: DataBudget | None) -> float:
    """The number of values of a clip that the budget can learn; 64 x 64 without a budget.

    It is 48 x 48 in a minute of one CPU thread, and grows as the time to the power of 0.36. An accelerator counts as a hundred
    threads.
    """
    if budget is None or budget.thread_seconds is None:
        return 64.0 * 64.0
    return float(np.clip(48.0**2 * (budget.thread_seconds / 60.0) ** 0.36, 32.0**2, 128.0 * 640.0))


def choose(
    headers: Sequence[Header],
    budget: DataBudget | None,
    seconds: float | None,
    rate: int | None,
    channels: int | None = None,
    highest_frequency: float | None = None,
) -> Shape:
    """Choose the shape of clips for files with these headers.

    Args:
        headers: Headers of some files.
        budget: The budget; None without one.
        seconds: Length that the user asks for; None to choose one.
        rate: Rate in Hz that the user asks for; None to choose one.
        channels: 1 or 2; None to choose.
        highest_frequency: Hz above which signals hold hardly anything; None where that is not known.
    """
    if are_signals(headers, rate):
        return _choose_signal(headers, budget, seconds, rate, channels, highest_frequency)
    values = values_of(budget)
    bands = next(bands for min_values, bands in reversed(BANDS) if values >= min_values)
    rate_of_files = usual_rate(headers)
    if values >= WHOLE_RATE[0] and rate_of_files > TOP_RATES[bands]:
        bands = max(bands, WHOLE_RATE[1])
    clip_rate = rate or _common_rate(min(rate_of_files, TOP_RATES[bands]))
    if rate is None and rate_of_files < RATES[0]:
        clip_rate = rate_of_files
    max_frames = max(FRAME_MULTIPLE, int(values / bands) // FRAME_MULTIPLE * FRAME_MULTIPLE)
    usual = float(np.quantile([header.seconds for header in headers], FITTING_SHARE))
    target_seconds = seconds or float(np.clip(min(usual, max_frames * HOP), *SECONDS))
    # The frames are as many as the budget affords, or fewer where the hop would be too short.
    frames = max(FRAME_MULTIPLE, min(max_frames, int(target_seconds / SHORT_HOP) // FRAME_MULTIPLE * FRAME_MULTIPLE))
    if target_seconds / frames > HOP:
        frames = math.ceil(target_seconds / HOP / FRAME_MULTIPLE) * FRAME_MULTIPLE
    hop = max(1, math.ceil(target_seconds * clip_rate / frames / 8) * 8)
    window = 2 ** max(5, round(math.log2(WINDOW * clip_rate)), math.ceil(math.log2(4 * hop)))
    stereo = sum(header.channels == 2 for header in headers) >= STEREO_SHARE * len(headers) and values >= WHOLE_RATE[0]
    return Shape(
        clip_rate, hop, window, min(bands, window // MIN_SAMPLES_PER_BAND), frames, channels or (2 if stereo else 1)
    )


def _common_rate(rate: int) -> int:
    """The lowest common rate in Hz that is as high."""
    return next((r for r in RATES if r >= rate - 1), RATES[-1])


def whole_rate(headers: Sequence[Header]) -> int:
    """The rate in Hz of clips that keep the highest tones of most files with these headers."""
    return _common_rate(usual_rate(headers))


def usual_rate(headers: Sequence[Header]) -> int:
    """The median rate of files in Hz; below that of sounds one that files have, the higher of two in the middle."""
    rates = [header.rate for header in headers]
    median = round(float(np.median(rates)))
    return median if median >= RATES[0] else int(np.quantile(rates, 0.5, method="higher"))


def are_signals(headers: Sequence[Header], rate: int | None) -> bool:
    """Whether files with these headers are slow signals, not sounds. rate: Hz that the user asks for."""
    return usual_rate(headers) <= MAX_SIGNAL_RATE or (rate is not None and rate < MIN_SOUND_RATE)


def _choose_signal(
    headers: Sequence[Header],
    budget: DataBudget | None,
    seconds: float | None,
    rate: int | None,
    channels: int | None,
    highest_frequency: float | None,
) -> Shape:
    """`choose` for slow signals: whole files if the budget affords that, at the lowest rate that loses hardly anything."""
    rate_of_files = usual_rate(headers)
    if rate is None and highest_frequency is not None:
        lower_rates = (r for r in SIGNAL_RATES if RATE_PER_FREQUENCY * highest_frequency <= r < rate_of_files)
        rate = next(lower_rates, None)
    rate = rate or rate_of_files
    usual = float(np.quantile([header.seconds for header in headers], FITTING_SHARE))
    # Rounded up, so that whole files are kept: up to SIGNAL_HOP - 1 zeros follow them
    frames = math.ceil(round((seconds or usual) * rate) / SIGNAL_HOP)
    if not seconds:
        frames = min(frames, int(min(SIGNAL_VALUES * values_of(budget), MAX_SIGNAL_VALUES)) // SIGNAL_HOP)
    frames = max(frames, MIN_SIGNAL_FRAMES)
    have_two = sum(header.channels == 2 for header in headers) >= STEREO_SHARE * len(headers)
    return Shape(rate, SIGNAL_HOP, SIGNAL_HOP, 1, frames, channels or (2 if have_two else 1))


def settings_like(headers: Sequence[Header], real: Sequence[Header]) -> dict[str, object]:
    """Settings that give real clips the rate of samples, if that is lower, and their length, if all are shorter."""
    rates = {header.rate for header in headers}
    longest = max(header.seconds for header in headers)
    usual_seconds = min(float(np.median([header.seconds for header in real])), SECONDS[1])
    rate = rates.pop()
    settings: dict[str, object] = {"rate": rate} if not rates and rate < min(usual_rate(real), TOP_RATES[64]) else {}
    return settings | ({"seconds": round(longest, 3)} if longest < usual_seconds else {})


def cuts(frames: int, rate: int, shape: Shape, index: int, count: int) -> Iterator[tuple[int, int]] | None:
    """The clips that a slice of a recording is cut into.

    Args:
        frames: Length of the recording in samples.
        rate: Its sample rate.
        shape: The shape of clips.
        index: Number of the slice, from 0.
        count: Number of equal slices.

    Returns:
        (start, stop) of each clip that begins in the slice, in samples; None if the recording is a single clip.

    Raises:
        ValueError: There are more clips than are taken (one clause).
    """
    length = shape.seconds * rate
    if count == 1 and frames < MIN_CLIPS_TO_CUT * length:
        return None
    first, stop = math.ceil(frames * index / count / length), math.ceil(frames * (index + 1) / count / length)
    if stop - first > AUDIO_CLIPS:
        raise ValueError(
            f"it is {frames / rate / 3600:,.1f} hours long: at most {AUDIO_CLIPS:,} clips of a file are taken"
        )
    bounds = ((round(i * length), round((i + 1) * length)) for i in range(first, stop))
    return ((a, b) for a, b in bounds if b <= frames)
