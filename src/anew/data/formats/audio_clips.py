"""Shape of sound clips: seconds, rate, channels, bands and frames that a budget affords, and how long recordings are cut."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from anew.data.formats.audio import Head
from anew.data.limits import AUDIO
from anew.data.types import DataBudget

BANDS = ((0, 48), (3_000, 64), (9_000, 96), (20_000, 128))  # (values of a clip from which on, mel bands)
WHOLE_RATE = (4_000, 80)  # values from which on so many bands keep a rate that fewer would lower
TOP_RATES = {
    48: 11_025,
    64: 16_000,
    80: 48_000,
    96: 48_000,
    128: 48_000,
}  # Hz, the most that so many bands are enough for
RATES = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000)
HOP, SHORT_HOP = 0.016, 0.004  # seconds, most and least: a window is at least four hops, so that phases can be found
WINDOW = 0.064  # seconds: resolves the harmonics of a voice
ROUND = 16  # frames come in multiples, which halve well inside a network
SECONDS = (0.25, 10.0)  # of a clip, unless asked for
LONG = 2.0  # a file longer than so many clips is cut into clips
USUAL = 0.98  # of the files should fit into one clip
STEREO_SHARE = 0.2  # of the files have two channels where stereo is learned: the others then sound from the middle
CHANNELS = {"auto": None, "mono": 1, "stereo": 2}  # setting -> channels; None: as files and budget have it


@dataclass(frozen=True, slots=True)
class Shape:
    """rate in Hz; hop and window in samples; bands x frames is what the model sees; channels: 1 or 2, of the sound."""

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


def values_of(size: DataBudget | None) -> float:
    """Values of a clip that the budget can learn: 48 x 48 in a minute of one CPU thread, four times as many for sixty
    squared times the work; 64 x 64 without a budget. An accelerator counts as a hundred threads."""
    if size is None or size.thread_seconds is None:
        return 64.0 * 64.0
    return float(np.clip(48.0**2 * (size.thread_seconds / 60.0) ** 0.36, 32.0**2, 128.0 * 640.0))


def choose(
    heads: Sequence[Head],
    size: DataBudget | None,
    seconds: float | None,
    rate: int | None,
    channels: int | None = None,
) -> Shape:
    """The shape of clips for files with these headers. seconds, rate, channels: what the user asks for."""
    values = values_of(size)
    bands = next(bands for min_values, bands in reversed(BANDS) if values >= min_values)
    usual_rate = float(np.median([head.rate for head in heads]))
    if values >= WHOLE_RATE[0] and usual_rate > TOP_RATES[bands]:
        bands = max(bands, WHOLE_RATE[1])
    chosen = rate or next((r for r in RATES if r >= min(usual_rate, TOP_RATES[bands]) - 1), RATES[-1])
    if rate is None and usual_rate < RATES[0]:
        chosen = round(usual_rate)
    max_frames = max(ROUND, int(values / bands) // ROUND * ROUND)
    usual = float(np.quantile([head.seconds for head in heads], USUAL))
    target_seconds = seconds or float(np.clip(min(usual, max_frames * HOP), *SECONDS))
    # As many frames as the budget has where the hop stays above its least, else fewer.
    frames = max(ROUND, min(max_frames, int(target_seconds / SHORT_HOP) // ROUND * ROUND))
    if target_seconds / frames > HOP:
        frames = math.ceil(target_seconds / HOP / ROUND) * ROUND
    hop = max(1, math.ceil(target_seconds * chosen / frames / 8) * 8)
    window = 2 ** max(5, round(math.log2(WINDOW * chosen)), math.ceil(math.log2(4 * hop)))
    stereo = sum(head.channels == 2 for head in heads) >= STEREO_SHARE * len(heads) and values >= WHOLE_RATE[0]
    return Shape(chosen, hop, window, min(bands, window // 4), frames, channels or (2 if stereo else 1))


def cuts(frames: int, rate: int, shape: Shape, part: int, of: int) -> Iterator[tuple[int, int]] | None:
    """(start, stop) in samples of the file's own rate of the clips that begin in part `part` of `of`; None: one clip, all.

    Raises ValueError (one clause) where they are more than anybody has use for."""
    length = shape.seconds * rate
    if of == 1 and frames < LONG * length:
        return None
    first, stop = math.ceil(frames * part / of / length), math.ceil(frames * (part + 1) / of / length)
    if stop - first > AUDIO.clips:
        raise ValueError(
            f"it is {frames / rate / 3600:,.1f} hours long: at most {AUDIO.clips:,} clips of a file are taken"
        )
    bounds = ((round(i * length), round((i + 1) * length)) for i in range(first, stop))
    return ((a, b) for a, b in bounds if b <= frames)


def describe_files(heads: Sequence[Head], shape: Shape, size: DataBudget | None) -> list[str]:
    """Sentences on how files with these headers become clips."""
    out = [
        f"Clips are {shape.seconds:.2f} s at {shape.rate:,} Hz, as {shape.bands} bands x {shape.frames} frames, to fit "
        f"{(size or DataBudget(None, 0, 0)).describe()} (settings: seconds, rate)."
    ]
    rates, channels = Counter(h.rate for h in heads), max(h.channels for h in heads)
    if set(rates) != {shape.rate}:
        rates_in_files = f"{min(rates):,} Hz" if len(rates) == 1 else f"{min(rates):,} to {max(rates):,} Hz"
        out.append(f"Files of {rates_in_files} are resampled to {shape.rate:,} Hz.")
    if channels > 1 and shape.channels == 1:
        mixed = "Stereo is mixed to mono" if channels == 2 else f"{channels} channels are mixed to one"
        out.append(f"{mixed} (channels=stereo keeps two).")
    long = sum(h.seconds >= LONG * shape.seconds for h in heads)
    num_short = sum(shape.seconds < h.seconds for h in heads) - long
    if long:
        out.append(
            f"Files of {LONG * shape.seconds:.1f} s and more are cut into clips ({long} of {len(heads)} looked at)."
        )
    if num_short:
        out.append(
            f"Files a little longer than a clip are cut to their loudest {shape.seconds:.2f} s ({num_short} of {len(heads)} looked at)."
        )
    return out
