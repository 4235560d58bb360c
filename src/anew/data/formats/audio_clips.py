"""Shape of sound clips: seconds, rate, channels, bands and frames that a budget affords, and how long recordings are cut."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from anew.data.formats.audio import Header
from anew.data.limits import AUDIO
from anew.data.types import DataBudget

BANDS = ((0, 48), (3_000, 64), (9_000, 96), (20_000, 128))  # (values of a clip from which on, mel bands)
WHOLE_RATE = (4_000, 80)  # values from which on so many bands keep a rate that fewer would lower
# Bands -> Hz, the highest rate that so many bands resolve.
TOP_RATES = {48: 11_025, 64: 16_000, 80: 48_000, 96: 48_000, 128: 48_000}
RATES = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000)  # Hz, as common files have
HOP, SHORT_HOP = 0.016, 0.004  # seconds, most and least: a window is at least four hops, so that phases can be found
WINDOW = 0.064  # seconds: resolves the harmonics of a voice
FRAME_MULTIPLE = 16  # of frames: networks halve them four times
SECONDS = (0.25, 10.0)  # least and most of a clip, unless the user asks for others
MIN_CLIPS_TO_CUT = 2.0  # length from which a file is cut into clips, in clips
# Share of the files that should fit into one clip; chosen: a few long ones must not shorten all others
FITTING_SHARE = 0.98
STEREO_SHARE = 0.2  # share of files with two channels from which stereo is learned; chosen
CHANNELS = {"auto": None, "mono": 1, "stereo": 2}  # setting -> channels; None: as files and budget have it


@dataclass(frozen=True, slots=True)
class Shape:
    """Shape of a clip.

    Attributes:
        rate: Hz.
        hop, window: Samples from frame to frame, and of a window.
        bands, frames: Shape of the spectrogram that the model sees.
        channels: 1 or 2, of the sound.
    """

    rate: int
    hop: int
    window: int
    bands: int
    frames: int
    channels: int = 1

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
    """Values of a clip that the budget can learn: 48 x 48 in a minute of one CPU thread, four times as many for sixty
    squared times the work; 64 x 64 without a budget. An accelerator counts as a hundred threads."""
    if budget is None or budget.thread_seconds is None:
        return 64.0 * 64.0
    return float(np.clip(48.0**2 * (budget.thread_seconds / 60.0) ** 0.36, 32.0**2, 128.0 * 640.0))


def choose(
    headers: Sequence[Header],
    budget: DataBudget | None,
    seconds: float | None,
    rate: int | None,
    channels: int | None = None,
) -> Shape:
    """The shape of clips for files with these headers.

    Args:
        headers: Headers of some files.
        budget: The budget, None without one.
        seconds: Length that the user asks for, None for one that suits.
        rate: Rate in Hz that the user asks for, None for one that suits.
        channels: 1 or 2, None for what suits.
    """
    values = values_of(budget)
    bands = next(bands for min_values, bands in reversed(BANDS) if values >= min_values)
    usual_rate = float(np.median([header.rate for header in headers]))
    if values >= WHOLE_RATE[0] and usual_rate > TOP_RATES[bands]:
        bands = max(bands, WHOLE_RATE[1])
    clip_rate = rate or next((r for r in RATES if r >= min(usual_rate, TOP_RATES[bands]) - 1), RATES[-1])
    if rate is None and usual_rate < RATES[0]:
        clip_rate = round(usual_rate)
    max_frames = max(FRAME_MULTIPLE, int(values / bands) // FRAME_MULTIPLE * FRAME_MULTIPLE)
    usual = float(np.quantile([header.seconds for header in headers], FITTING_SHARE))
    target_seconds = seconds or float(np.clip(min(usual, max_frames * HOP), *SECONDS))
    # As many frames as the budget has where the hop stays above its least, else fewer.
    frames = max(FRAME_MULTIPLE, min(max_frames, int(target_seconds / SHORT_HOP) // FRAME_MULTIPLE * FRAME_MULTIPLE))
    if target_seconds / frames > HOP:
        frames = math.ceil(target_seconds / HOP / FRAME_MULTIPLE) * FRAME_MULTIPLE
    hop = max(1, math.ceil(target_seconds * clip_rate / frames / 8) * 8)
    window = 2 ** max(5, round(math.log2(WINDOW * clip_rate)), math.ceil(math.log2(4 * hop)))
    stereo = sum(header.channels == 2 for header in headers) >= STEREO_SHARE * len(headers) and values >= WHOLE_RATE[0]
    return Shape(clip_rate, hop, window, min(bands, window // 4), frames, channels or (2 if stereo else 1))


def settings_like(headers: Sequence[Header], real: Sequence[Header]) -> dict[str, object]:
    """Settings with which real clips have the rate of samples where that is lower, and their length where all are shorter than real
    clips usually are."""
    rates, usual_rate = {header.rate for header in headers}, float(np.median([header.rate for header in real]))
    longest = max(header.seconds for header in headers)
    usual_seconds = min(float(np.median([header.seconds for header in real])), SECONDS[1])
    rate = rates.pop()
    settings: dict[str, object] = {"rate": rate} if not rates and rate < min(usual_rate, TOP_RATES[64]) else {}
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
        (start, stop) of each clip that begins in the slice, in samples; None where the recording is one clip.

    Raises:
        ValueError: They are more than are taken (one clause).
    """
    length = shape.seconds * rate
    if count == 1 and frames < MIN_CLIPS_TO_CUT * length:
        return None
    first, stop = math.ceil(frames * index / count / length), math.ceil(frames * (index + 1) / count / length)
    if stop - first > AUDIO.clips:
        raise ValueError(
            f"it is {frames / rate / 3600:,.1f} hours long: at most {AUDIO.clips:,} clips of a file are taken"
        )
    bounds = ((round(i * length), round((i + 1) * length)) for i in range(first, stop))
    return ((a, b) for a, b in bounds if b <= frames)


def describe_files(headers: Sequence[Header], shape: Shape, budget: DataBudget | None) -> list[str]:
    """Sentences on how files with these headers become clips."""
    out = [
        f"Clips are {shape.seconds:.2f} s at {shape.rate:,} Hz, as {shape.bands} bands x {shape.frames} frames, to fit "
        f"{(budget or DataBudget(None, 0, 0)).describe()} (settings: seconds, rate)."
    ]
    rates, channels = Counter(h.rate for h in headers), max(h.channels for h in headers)
    if set(rates) != {shape.rate}:
        rates_in_files = f"{min(rates):,} Hz" if len(rates) == 1 else f"{min(rates):,} to {max(rates):,} Hz"
        out.append(f"Files of {rates_in_files} are resampled to {shape.rate:,} Hz.")
    if channels > 1 and shape.channels == 1:
        mixed = "Stereo is mixed to mono" if channels == 2 else f"{channels} channels are mixed to one"
        out.append(f"{mixed} (channels=stereo keeps two).")
    long = sum(h.seconds >= MIN_CLIPS_TO_CUT * shape.seconds for h in headers)
    num_short = sum(shape.seconds < h.seconds for h in headers) - long
    if long:
        out.append(
            f"Files of {MIN_CLIPS_TO_CUT * shape.seconds:.1f} s and more are cut into clips ({long} of {len(headers)} looked at)."
        )
    if num_short:
        out.append(
            f"Files a little longer than a clip are cut to their loudest {shape.seconds:.2f} s ({num_short} of {len(headers)} looked at)."
        )
    return out
