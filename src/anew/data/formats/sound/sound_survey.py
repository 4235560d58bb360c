"""What files of sound hold, and how they become clips, in sentences: whether a long one is a single sound, which is one clip, and
what a lower rate loses.

Legend for shapes: N samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anew.core import isolation
from anew.core.reading_time import ReadingTime
from anew.core.wording import are, duration, listed, percent, plural
from anew.data.formats.images.image_size import keeping_clause
from anew.data.formats.recording_id import RecordingId
from anew.data.formats.sound.audio import (
    SILENCE_RATIO,
    Header,
    Samples,
    SoundData,
    audible_bounds,
    read,
    read_header,
    with_channels,
)
from anew.data.formats.sound.audio_clips import FITTING_SHARE, MIN_CLIPS_TO_CUT, RATES, Shape, choose
from anew.data.formats.sound.signal_survey import describe_rate
from anew.data.types import DataBudget, FileSlice, Item

MAX_LITTLE = 1.25  # multiple of a clip up to which a file is a little longer than that; of longer ones it is told what keeps the rest
# Share of the time for reading in which files are listened to before the data is cut; files between two looks at the clock; and rounds
# in which files are taken, each from all over the sample, so that those heard when time is up are so, too. Chosen.
LISTENING_SHARE, LISTENED_AT_ONCE, LISTENED_ROUNDS = 0.3, 4, 8
# Seconds of listening, however late it is: enough for 60 drums on busy cores, of which four say nothing of the others
# (docs/log.md, 2026-12-01)
LEAST_LISTENING_S = 0.5
LISTENED_SECONDS = 300.0  # so much sound is decoded before the data is cut, which bounds the time: 3 s for MP3
SINGLE_SECONDS = 30.0  # a longer file holds more than one sound: the bass of a piano dies away within that
# Share of the long files that are single sounds, from which on each file is listened to as it is cut; chosen: for a
# few of them nobody waits until thousands of songs are decoded.
SINGLE_SHARE = 0.1
MAX_MISSING = 0.01  # share of a file that may be missing without a word, as where the last block is short; chosen
# Seconds of sound that are decoded before the data is cut, for each second of the budget, which is 4% of it on an idle core: that
# decodes 500 in a second (docs/log.md, 2026-11-30).
LISTENED_PER_SECOND = 20.0
SHOWN_FILES = 3  # files that a sentence names; chosen
LEVEL_SECONDS = 0.05  # window in which levels are measured: shorter ones follow the beats of a bell
# Decibels. The rest of 21 drums, bells and cymbals stays 10 to 26 below their loudest window and rises by 4 at most; that
# of strokes, guitars, speech and birds comes within 3 of it, or rises by 9 and more (docs/log.md, 2026-11-28).
FAINTER_DB, RISE_DB = 6.0, 6.0
HEARD_DB = 40.0  # decibels below the loudest window: what is fainter may rise and fall as it likes
# Longest and shortest of most files of one length, as a share of each other: some have a silence that others lack; chosen.
SAME_LENGTH = 0.9
# Share of files with one length from which on they count as sounds, not as recordings; chosen
ONE_LENGTH_SHARE = 0.8
# Clips of a file of which the beginning alone is learned: of longer ones, most would be lost; chosen
MAX_CLIPS_OF_SOUND = 4.0
MIN_LOSS = 0.001  # share of the energy above the frequencies of clips of which a sentence speaks; chosen
# Share of the energy of a file on average that is above the frequencies of clips, from which on these keep the rate of files, though
# few bands resolve it. Of 60 s, that lowered the Fréchet distance of drums (21%) from 97 to 44 and of instruments (9%) from 87 to 28;
# of the dull ones among the drums (2.4%) from 60 to 39, but their tones became noisier (docs/log.md, 2026-12-01).
BRIGHT_SHARE = 0.05
SPECTRUM_SECONDS = 1.0  # stretch of which the spectrum is taken


@dataclass(frozen=True, slots=True)
class Extent:
    """The range of a file that is cut into clips.

    Attributes:
        is_single: Whether it is a single sound that dies away, see `is_single`.
        start, stop: Samples of the file, at its own rate, without silence at both ends.
    """

    is_single: bool
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Contents:
    """Properties of a file.

    Attributes:
        is_single: Whether it is a single sound that dies away, see `is_single`.
        share_above: Share of its energy above the frequencies of clips.
        is_short: Whether it is long by the silence at its ends alone.
    """

    header: Header
    is_single: bool
    share_above: float
    is_short: bool = False

    @property
    def is_one_clip(self) -> bool:
        return self.is_single or self.is_short


def is_single(x: Samples, rate: int, seconds: float) -> bool:
    """Whether samples (N,) are a single sound that dies away: its loudest moment is within the first clip, and nothing begins
    after that.

    Args:
        x: The file.
        rate: Its rate in Hz.
        seconds: Length of a clip.
    """
    levels = _levels(x, rate)
    loudest = float(levels.max())
    begin = int(np.argmax(levels > loudest + 20.0 * math.log10(SILENCE_RATIO)))
    rest = np.maximum(levels[begin + math.ceil(seconds / LEVEL_SECONDS) :], loudest - HEARD_DB)
    if not len(rest):
        return True
    # The rise is measured from the quietest three neighbouring windows so far: a single window may dip where partials cancel.
    power = 10.0 ** (np.pad(rest, 1, mode="edge") / 10.0)
    neighbours = 10.0 * np.log10((power[:-2] + power[1:-1] + power[2:]) / 3.0)
    rise = float((rest - np.minimum.accumulate(neighbours)).max())
    return float(rest.max()) <= loudest - FAINTER_DB and rise < RISE_DB


def share_above(x: Samples, rate: int, frequency: float) -> float:
    """The share of the energy of samples (N,) above a frequency in Hz; 0 for silence."""
    size = round(SPECTRUM_SECONDS * rate)
    total = above = 0.0
    for start in range(0, len(x), size):
        power = np.abs(np.fft.rfft(x[start : start + size], size)) ** 2
        total += float(power.sum())
        above += float(power[math.ceil(frequency * size / rate) :].sum())
    return above / total if total > 0.0 else 0.0


def contents_of(data: SoundData, shape: Shape, trims: bool) -> Contents:
    """Properties of a file, by its first SINGLE_SECONDS. Raises ValueError (one clause).

    Args:
        data: The file.
        shape: The shape of clips.
        trims: Whether silence is cut off both ends.
    """
    header = read_header(data)
    x, rate = read(data, 0, min(header.frames, round(SINGLE_SECONDS * header.rate)), shape.channels)
    x = with_channels(x, 1)
    extent = (
        _extent(x, rate, shape, trims)
        if may_be_single(header, shape)
        else Extent(is_single=False, start=0, stop=header.frames)
    )
    is_short = extent.stop - extent.start < MIN_CLIPS_TO_CUT * shape.seconds * rate and is_long(header, shape)
    return Contents(header, extent.is_single, share_above(x, rate, shape.rate / 2), is_short and not extent.is_single)


def extent_of(data: SoundData, shape: Shape, trims: bool) -> Extent:
    """The range of a file of at most SINGLE_SECONDS that is cut into clips. Raises ValueError (one clause). trims: see `contents_of`."""
    recording = RecordingId.of_slice(data) if isinstance(data, FileSlice) and data.body is None else None
    return _decoded_extent(data, shape, trims) if recording is None else _extent_of_file(recording, shape, trims)


@lru_cache(maxsize=1 << 16)
def _extent_of_file(recording: RecordingId, shape: Shape, trims: bool) -> Extent:
    """`extent_of` a file, which each pass over the data asks for."""
    return _decoded_extent(FileSlice(Path(recording.path)), shape, trims)


def _decoded_extent(data: SoundData, shape: Shape, trims: bool) -> Extent:
    x, rate = read(data, 0, read_header(data).frames, shape.channels)
    return _extent(with_channels(x, 1), rate, shape, trims)


def _extent(x: Samples, rate: int, shape: Shape, trims: bool) -> Extent:
    """`extent_of` samples (N,)."""
    start, stop = audible_bounds(x, rate) if trims else (0, len(x))
    return Extent(is_single(x, rate, shape.seconds), start, stop)


def seconds_of_singles(headers: Sequence[Header], shape: Shape, num_files: int) -> float:
    """Seconds of sound in the files that may be one clip, of so many files like these."""
    seconds = sum(header.seconds for header in headers if may_be_single(header, shape))
    return seconds * max(num_files / len(headers), 1.0)


def can_survey_singles(headers: Sequence[Header], shape: Shape, budget: DataBudget | None) -> bool:
    """Whether a budget suffices to listen to each file that may be one clip."""
    if budget is None or budget.seconds is None:
        return True
    return seconds_of_singles(headers, shape, budget.items) <= LISTENED_PER_SECOND * budget.seconds


def files_in_time(headers: Sequence[Header], shape: Shape) -> list[int]:
    """Indices of files that are decoded before the data is cut: those that may be single sounds or lose something, or as many of
    them as LISTENED_SECONDS allow, evenly spaced."""
    unclear = [i for i, header in enumerate(headers) if may_be_single(header, shape) or header.rate > shape.rate]
    seconds = sum(min(headers[i].seconds, SINGLE_SECONDS) for i in unclear)
    return unclear[:: max(1, math.ceil(seconds / LISTENED_SECONDS))]


def listen(
    contents: Callable[[Item], Contents],
    items: Sequence[Item],
    headers: Sequence[Header],
    shape: Shape,
    budget: DataBudget | None,
) -> list[Contents]:
    """What the sound files of these items hold, for clips of a shape. Files that cannot be decoded are left out. Files are listened to,
    from all over the items, as long as there is time, and for LEAST_LISTENING_S at least. contents: the method of a modality."""
    reading = ReadingTime() if budget is None else budget.reading
    ends = reading.elapsed + max(LISTENING_SHARE * reading.seconds_to_division(), LEAST_LISTENING_S)
    rounds = LISTENED_ROUNDS if reading.is_limited else 1
    unclear = [items[index] for index in files_in_time(headers, shape)]
    spread = [item for first in range(rounds) for item in unclear[first::rounds]]
    listened: list[Contents] = []
    for start in range(0, len(spread), LISTENED_AT_ONCE):
        if start and reading.elapsed > ends:
            break
        results = isolation.each(contents, spread[start : start + LISTENED_AT_ONCE])
        listened += [result for result in results if not isinstance(result, ValueError)]
    return listened


def _levels(x: Samples, rate: int) -> NDArray[np.float64]:
    """The level in decibels of each window."""
    size = max(1, round(LEVEL_SECONDS * rate))
    windows = np.pad(np.square(x, dtype=np.float64), (0, -len(x) % size)).reshape(-1, size)
    return np.asarray(10.0 * np.log10(windows.mean(axis=1) + 1e-12))


def is_long(header: Header, shape: Shape) -> bool:
    """Whether a file is long enough to be cut into clips."""
    return header.seconds >= MIN_CLIPS_TO_CUT * shape.seconds


def may_be_single(header: Header, shape: Shape) -> bool:
    """Whether a long file may be a single sound, and is decoded to find out."""
    return is_long(header, shape) and header.seconds <= SINGLE_SECONDS


def can_find_singles(
    contents: Sequence[Contents], headers: Sequence[Header], shape: Shape, budget: DataBudget | None
) -> bool:
    """Whether every long file is listened to before it is cut: enough of them are one clip each, and the budget suffices."""
    return has_singles(contents, shape) and can_survey_singles(headers, shape, budget)


def has_singles(contents: Sequence[Contents], shape: Shape) -> bool:
    """Whether enough of the long files are one clip each for every one to be listened to before it is cut."""
    singles = [content.is_one_clip for content in contents if is_long(content.header, shape)]
    return any(singles) and sum(singles) >= SINGLE_SHARE * len(singles)


def describe_brightness(shape: Shape, contents: Sequence[Contents]) -> list[str]:
    """A sentence, in a list, on why clips have the rate of files; [] if those of this shape, whose rate is lower, lose little."""
    share = float(np.mean([content.share_above for content in contents])) if contents else 0.0
    if share < BRIGHT_SHARE:
        return []
    return [
        f"High tones are kept: {percent(share)} of the energy of a file lies above {shape.rate // 2:,} Hz, on average of the "
        f"{len(contents)} that were listened to."
    ]


def have_one_length(headers: Sequence[Header], shape: Shape) -> bool:
    """Whether files are sounds of one length, a few clips long: a clip that is cut out of them would mostly begin in the middle
    of a note, so only their beginnings are learned."""
    usual = float(np.median([header.seconds for header in headers]))
    num_alike = sum(SAME_LENGTH * usual <= header.seconds <= usual / SAME_LENGTH for header in headers)
    return is_few_clips(usual, shape) and len(headers) > 1 and num_alike >= ONE_LENGTH_SHARE * len(headers)


def is_few_clips(seconds: float, shape: Shape) -> bool:
    """Whether a file of so many seconds would be cut into clips, but only a few."""
    return MIN_CLIPS_TO_CUT * shape.seconds <= seconds <= MAX_CLIPS_OF_SOUND * shape.seconds


def describe_files(
    headers: Sequence[Header],
    shape: Shape,
    budget: DataBudget | None,
    contents: Sequence[Contents] = (),
    is_rate_asked: bool = False,
    trims: bool = False,
    takes_beginnings: bool = False,
) -> list[str]:
    """Sentences on how files become clips.

    Args:
        headers: Headers of some files.
        shape: The shape of clips.
        budget: The budget; None without one.
        contents: Contents of the files that were decoded.
        is_rate_asked: Whether the user gave the rate of clips.
        trims: Whether silence is cut off the ends of files, whose lengths without it their headers do not say.
        takes_beginnings: Whether only the beginnings of long files are learned.
    """
    budget = budget or DataBudget(None, 0, 0)
    reason = "" if budget.only_compared else f", to fit {budget.describe()}; settings: seconds, rate"
    longest = max((header.seconds for header in headers), default=0.0)
    rounded = f" (whole frames; files have at most {longest:.3g} s)" if 0.0 < longest < shape.seconds else ""
    if shape.is_signal:
        form = f"{shape.length:,} values each, learned as they are, without a spectrogram, since these are slow signals"
        usual = float(np.quantile([header.seconds for header in headers], FITTING_SHARE)) if headers else 0.0
        reason = reason if usual > shape.seconds else ""
    else:
        form = f"as {shape.bands} bands x {shape.frames} frames"
    notes = [f"Clips are {shape.seconds:.2f} s{rounded} at {shape.rate:,} Hz, {form}{reason}."]
    surveyed = f"the {len(headers)} files that were looked at" if len(headers) > 1 else "1 file"
    rates = [h.rate for h in headers if h.rate != shape.rate]
    if rates and shape.is_signal and not is_rate_asked:
        notes.append(describe_rate(headers, shape))
    elif rates:
        rates_of_files = f"{rates[0]:,} Hz" if len(set(rates)) == 1 else f"{min(rates):,} to {max(rates):,} Hz"
        count = "" if len(rates) == len(headers) else f" ({len(rates)} of {surveyed})"
        loss = _describe_loss(headers, shape, budget, contents, is_rate_asked)
        notes.append(f"Files of {rates_of_files} are resampled to {shape.rate:,} Hz{count}{loss}.")
    channels = [h.channels for h in headers if h.channels > 1]
    if channels and shape.channels == 1:
        mixed = "Stereo is mixed to mono" if max(channels) == 2 else f"Up to {max(channels)} channels are mixed to one"
        count = "" if len(channels) == len(headers) else f" in {len(channels)} of {surveyed}"
        notes.append(f"{mixed}{count} (channels=stereo keeps two).")
    if takes_beginnings:
        usual = float(np.median([header.seconds for header in headers]))
        return [
            *notes,
            f"Most files are {usual:.3g} s long: each is one clip, its first {shape.seconds:.2f} s, and the rest is left out "
            f"(seconds={usual:.3g} learns whole files).",
        ]
    return notes + _describe_cutting(headers, shape, budget, contents, surveyed, trims)


def describe_missing(shares: Mapping[str, float]) -> list[str]:
    """A sentence on the files of which a part is missing, in a list; [] if there are none.

    shares: the share that is missing of each file that was looked at, by its name.
    """
    cut_off = [name for name, share in shares.items() if share > MAX_MISSING]
    if not cut_off:
        return []
    names = listed(
        [*cut_off[:SHOWN_FILES], *([f"{len(cut_off) - SHOWN_FILES:,} more"] if cut_off[SHOWN_FILES:] else [])]
    )
    largest = max(shares.values())
    return [f"The end of {names} is missing (up to {percent(largest)} of a file): what is there is used."]


def _describe_loss(
    headers: Sequence[Header], shape: Shape, budget: DataBudget, contents: Sequence[Contents], is_rate_asked: bool
) -> str:
    """The end of a sentence on what a lower rate loses, and how to keep it; "" if it loses hardly anything."""
    shares = [content.share_above for content in contents if content.header.rate > shape.rate]
    if not shares or float(np.mean(shares)) < MIN_LOSS:
        return ""
    average, largest = (percent(share) for share in (float(np.mean(shares)), max(shares)))
    is_part = len(shares) < sum(header.rate > shape.rate for header in headers)
    if len(shares) == 1:
        extent = " that was listened to" if is_part else ""
    else:
        extent = f" on average and up to {largest}" + (
            f" in the {len(shares)} that were listened to" if is_part else ""
        )
    loss = f": what lies above {shape.rate // 2:,} Hz is lost, {average} of the energy of a file{extent}"
    if is_rate_asked:
        return loss
    highest = max(header.rate for header in headers)
    rate = next((r for r in RATES if r >= highest - 1), RATES[-1])
    is_highest = rate == highest and min(header.rate for header in headers) < rate
    setting = f"rate={rate}, the highest of them," if is_highest else f"rate={rate}"
    return loss + keeping_clause(
        setting,
        "all of it" if rate >= highest else "more",
        budget,
        lambda longer: choose(headers, longer, None, None).rate >= rate,
    )


def _describe_cutting(
    headers: Sequence[Header],
    shape: Shape,
    budget: DataBudget,
    contents: Sequence[Contents],
    surveyed: str,
    trims: bool,
) -> list[str]:
    notes = []
    num_long = sum(is_long(h, shape) for h in headers)
    shorter = [h.seconds for h in headers if h.seconds > shape.seconds and not is_long(h, shape)]
    least = f"{MIN_CLIPS_TO_CUT * shape.seconds:.1f} s"
    if can_find_singles(contents, headers, shape, budget):
        among = f" among the {len(headers):,} that were looked at" if len(headers) > num_long else ""
        notes += _describe_one_clip(
            contents, shape, f"Of {plural(num_long, 'file')} of {least} and more{among}", num_long, least
        )
    elif num_long:
        notes.append(f"Files of {least} and more are cut into clips ({num_long} of {surveyed}).")
        if has_singles(contents, shape):
            enough = seconds_of_singles(headers, shape, budget.items) / LISTENED_PER_SECOND
            notes.append(
                f"Some of these hold one short sound each, but a budget of {budget.describe()} is too short to listen to every file: "
                f"with about {duration(enough)} each such file is one clip."
            )
    if shorter:
        # Silence at their ends may be most of what is beyond a clip, so no count is claimed if it is trimmed
        when = " once silence is trimmed" if trims else ""
        count = "" if trims else f"{len(shorter)} of {surveyed}"
        usual = float(np.median(shorter))
        if usual > MAX_LITTLE * shape.seconds:
            unless = "unless they are shorter without the silence at both ends, " if trims else ""
            notes.append(
                f"Files of about {usual:.2g} s are longer than a clip: {unless}their loudest {shape.seconds:.2f} s are learned, and "
                f"the rest is left out{f' ({count})' if count else ''}; seconds={usual:.2g} learns whole files."
            )
        else:
            counted = f" ({count})" if count else ""
            notes.append(
                f"Files a little longer than a clip{when} are cut to their loudest {shape.seconds:.2f} s{counted}."
            )
    return notes


def _describe_one_clip(contents: Sequence[Contents], shape: Shape, files: str, num_long: int, least: str) -> list[str]:
    """Sentences on long files of which each is one clip.

    Args:
        contents: Contents of the files that were decoded.
        shape: The shape of clips.
        files: The long files that were looked at, the beginning of a sentence.
        num_long: Their number.
        least: Length of the shortest long file, with its unit.
    """
    notes = []
    heard = [content for content in contents if is_long(content.header, shape)]
    singles = [content.header for content in heard if content.is_single]
    num_short = sum(content.is_short for content in heard)
    listened = (
        f"{len(heard):,} {'was' if len(heard) == 1 else 'were'} listened to, and " if len(heard) < num_long else ""
    )
    of_them = " of them" if listened else ""
    if singles:
        hold, rest = "holds" if len(singles) == 1 else "hold", "the fainter rest"
        if not listened:
            rest += f" ({plural(sum(int(header.seconds / shape.seconds) - 1 for header in singles), 'clip')})"
        notes.append(
            f"{files}, {listened}{len(singles):,}{of_them} {hold} a single sound that dies away: "
            f"each is one clip, its loudest {shape.seconds:.2f} s, and {rest} is left out."
        )
    if num_short:
        notes.append(
            f"{files}, {listened}{num_short:,}{of_them} {are(num_short)} shorter without the silence at both ends: each is one clip."
        )
    if len(heard) > len(singles) + num_short:
        notes.append(f"Other files of {least} and more are cut into clips.")
    return notes


def describe_changes(trims: bool, levels: bool, budget: DataBudget | None) -> list[str]:
    """A sentence on what is done to clips: whether silence is trimmed, and all are brought to one peak; [] for nothing."""
    changes = ["silence is trimmed at both ends"] * trims + ["every clip is brought to the same peak"] * levels
    if not changes:
        return []
    settings = ", ".join(["trim=false"] * trims + ["level=keep"] * levels)
    undone = "" if budget is not None and budget.only_compared else f" ({settings} to leave this out)"
    return [f"{' and '.join(changes).capitalize()}{undone}."]


def describe_pairs(shape: Shape) -> list[str]:
    """A sentence on pairs of bands, in a list; [] without pairs."""
    if shape.bands_per_row == 1:
        return []
    usual = shape.bands // shape.bands_per_row
    return [
        f"Sounds are learned as {shape.bands} bands in pairs instead of {usual} bands, which would blur their tones."
    ]
