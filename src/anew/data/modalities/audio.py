"""Sound as a grid of log-mel magnitudes in [-1, 1]: any common format, rate, depth and channels in; WAV or FLAC out.

A clip is stored as a waveform; `batch` turns it into a spectrogram, and `decode` finds phases for a generated spectrogram.
docs/log.md says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from anew.core import isolation
from anew.core.arrays import Numbers, Values, as_array
from anew.core.reading_time import ReadingTime
from anew.core.settings import setting
from anew.core.specs import Condition, Grid, Spec
from anew.data.formats import learned_schemas
from anew.data.formats.sound import (
    audio,
    audio_clips,
    clip_signature,
    signal_survey,
    sound_survey,
    stereo_survey,
    stored_clips,
)
from anew.data.formats.sound.audio_grid import STORED_SCALE, SoundScale, spectrogram_pictures
from anew.data.formats.sound.clip_levels import FULL_SCALE, ClipLevels, loudness
from anew.data.formats.sound.signal_grid import scale_type, signal_pictures, with_known
from anew.data.formats.sound.stored_clips import PEAK
from anew.data.modalities.grids import GridModality
from anew.data.modality import ModalityTraits, each
from anew.data.types import Artifact, DataBudget, DecodedItem, FileSlice, Item
from anew.errors import ConfigError, DataError

if TYPE_CHECKING:
    from torch import Tensor

FITTED_CLIPS = 256  # clips of the train part from which scale and spread are measured
# The same where the budget leaves no time to read more, and where it hardly leaves any; chosen
MIN_FITTED_CLIPS, LEAST_FITTED_CLIPS = 64, 16
# Generated clips whose ends and levels are compared with real ones: with 48, levels were 0.2 dB worse
CALIBRATION_CLIPS = 96
# Hz at which signals are compared: with as many values as a second or two of a telephone's voice, the figures of sounds fit them
COMPARED_SIGNAL_RATE = 8_000
FADE_SECONDS = 0.004  # the fade at both ends of a clip
SEARCHED_SECONDS = 120.0  # the loudest stretch of a long file is searched in so much of it, which bounds the time
MIN_STD = 0.02  # least standard deviation reported: noise levels are chosen relative to it
# Fields of `SoundScale` that a run keeps
LEARNED_SCALE = ("top", "gain", "noise_from", "pitched", "floor", "tail", "lag", "steadiness", "band_levels", "longest")

SUFFIXES = frozenset(
    [".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64"]
)
_MAGIC = (b"fLaC", b"OggS", b"ID3", b".snd", b"caff")
FILE_FORMATS = ("wav", "flac")


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """Settings for cutting sound into clips of one length, and clips into spectrograms."""

    seconds: float = setting(0.0, "clip length; 0: suited to the files and the budget", unit="s", low=0.0, high=60.0)
    rate: int = setting(0, "sample rate; 0: suited to the files and the budget", unit="Hz", low=0, high=96_000)
    trim: bool = setting(True, "cut silence off both ends of a file")
    channels: str = setting(
        "auto", "channels of clips; auto follows files and budget", choices=tuple(audio_clips.CHANNELS)
    )
    level: str = setting(
        "data",
        "loudness; data: samples are as loud as the data, clip: all are brought to the same peak, keep: it is learned with "
        "the spectrogram",
        choices=("data", "clip", "keep"),
    )
    rounds: int = setting(2, "rounds of Griffin-Lim that find the phase of a sample", low=0, high=1000)
    file: str = setting("wav", "file format of samples", choices=FILE_FORMATS)
    labels: str = setting("auto", "condition the generator on classes", choices=("auto", "off"))


class Audio(GridModality):
    """Clips of sound. Items are (N,) float32 in [-1, 1], or (N, 2) for stereo; stored as int16."""

    name = "audio"
    suffixes = SUFFIXES
    Config = AudioConfig
    file_formats = FILE_FORMATS
    encoded_by = ("clip", "singles", "trims_first", "beginnings")
    traits = ModalityTraits(
        singular="sound",
        reads_file_slices=True,
        decodes_natively=True,
        labels_from_filenames=True,
        unsupported_suffixes=dict.fromkeys((".m4a", ".m4b", ".aac", ".wma", ".amr", ".ac3"), "WAV, FLAC, OGG or MP3"),
        num_saved_samples=24,
        unfit_sampling=frozenset({"tile", "frames"}),
    )

    config: AudioConfig

    def __init__(self, config: AudioConfig, *, generated: bool = False) -> None:
        super().__init__(config, generated=generated)
        if config.rate and config.rate < audio.RATES[0]:
            lowest = audio.RATES[0]
            raise ConfigError(f"rate={config.rate} is too low; give 0 (Anew chooses) or at least {lowest}", "rate")
        self.clip_shape: audio_clips.Shape | None = None
        self._has_singles = False  # whether long files may be one clip each, and are listened to before they are cut
        self._trims_first = False  # whether silence is cut off both ends of those before they are cut
        self._takes_beginnings = False  # whether only beginnings are learned, see `sound_survey.have_one_length`
        self._written_rate: int | None = None  # Hz of files of samples; None: the rate of clips
        self._scale: SoundScale
        self._levels: ClipLevels | None = None  # None: samples are scaled to one peak, or keep their learned level

    @classmethod
    def sniff(cls, head: bytes) -> float:
        return _likelihood(head)

    @property
    def _shape(self) -> audio_clips.Shape:
        if self.clip_shape is None:
            raise DataError("audio is inspected before it is read; open it as a dataset")
        return self.clip_shape

    @property
    def rate(self) -> int:
        """Sample rate of items in Hz."""
        return self._shape.rate

    @property
    def _fade(self) -> int:
        """Length of the fade at the ends of a clip, in samples of the waveform; 0 for signals, which nobody hears."""
        return 0 if self._shape.is_signal else max(1, round(FADE_SECONDS * self._shape.rate))

    @property
    def compared_rate(self) -> int:
        """Rate in Hz at which clips are compared; signals as if they were played so fast that they can be heard."""
        return COMPARED_SIGNAL_RATE if self._shape.is_signal else self._shape.rate

    @property
    def trims(self) -> bool:
        """Whether silence is cut off both ends of files."""
        return self.config.trim and not self._shape.is_signal

    # ---- what clips are ----

    def inspect(self, sample: Sequence[Item], budget: DataBudget | None = None) -> list[str]:
        results = list(isolation.each(self.header, sample))
        headers = [result for result in results if not isinstance(result, ValueError)]
        items = [item for item, result in zip(sample, results, strict=True) if not isinstance(result, ValueError)]
        if not headers:  # single files that cannot be read are refused by name later
            raise DataError("no sound file of the sample can be read")
        config, channels = self.config, audio_clips.CHANNELS[self.config.channels]
        seconds, rate = config.seconds or None, config.rate or None
        is_signal = audio_clips.are_signals(headers, rate)
        highest = signal_survey.highest_frequency(items) if is_signal else None
        self.clip_shape = audio_clips.choose(headers, budget, seconds, rate, channels, highest)
        self._written_rate = audio_clips.usual_rate(headers) if is_signal and not rate else None
        self._trims_first = self.trims
        contents = sound_survey.listen(self.contents, items, headers, self.clip_shape, budget)
        notes = [] if rate or is_signal else sound_survey.describe_brightness(self.clip_shape, contents)
        if notes:
            self.clip_shape = audio_clips.choose(headers, budget, seconds, audio_clips.whole_rate(headers), channels)
            contents = sound_survey.listen(self.contents, items, headers, self.clip_shape, budget)
        # A signal may begin anywhere, a note may not
        self._takes_beginnings = not (seconds or is_signal) and sound_survey.have_one_length(headers, self.clip_shape)
        may_be_single = not is_signal and not self._takes_beginnings
        self._has_singles = may_be_single and sound_survey.can_find_singles(contents, headers, self.clip_shape, budget)
        notes += sound_survey.describe_files(
            headers, self.clip_shape, budget, contents, config.rate > 0, self.trims, self._takes_beginnings
        )
        notes += sound_survey.describe_missing({item.name: audio.missing_share(item.file) for item in items})
        return notes + sound_survey.describe_changes(self.trims, config.level == "clip", budget)

    def contents(self, item: Item) -> sound_survey.Contents:
        """Contents of a sound file. Raises ValueError (one clause)."""
        return sound_survey.contents_of(item.file, self._shape, self._trims_first)

    def settings_like(self, samples: Sequence[Item], real: Sequence[Item]) -> dict[str, object]:
        return audio_clips.settings_like(list(map(self.header, samples)), list(map(self.header, real)))

    def header(self, item: Item) -> audio.Header:
        """Header of a sound file. Raises ValueError (one clause)."""
        return audio.read_header(item.file)

    def split_records(self, item: Item) -> Iterator[Item]:
        if isinstance(item.data, np.ndarray):
            yield item
            return
        handle = item.file if isinstance(item.file, FileSlice) else FileSlice(Path(item.name), body=item.file)
        header = audio.read_header(handle)
        is_beginning = self._takes_beginnings and sound_survey.is_few_clips(header.seconds, self._shape)
        extent = sound_survey.Extent(is_beginning, 0, header.frames)
        if self._has_singles and handle.count == 1 and sound_survey.may_be_single(header, self._shape):
            extent = sound_survey.extent_of(item.file, self._shape, self._trims_first)
        yield from _cut(item, handle, header.rate, extent, self._shape)

    def validate_header(self, item: Item) -> str | None:
        if isinstance(item.data, np.ndarray) or (isinstance(item.data, FileSlice) and item.data.at is not None):
            return None  # a waveform, or a clip whose file's header was read when it was cut
        try:
            audio.read_header(item.file)
        except ValueError as error:
            return str(error)
        return None

    # ---- reading ----

    def waveform(self, item: Item) -> audio.Samples:
        """(N,) or (N, 2): a clip as it is learned. Raises ValueError (one clause)."""
        x = self._samples_at_own_level(item)
        return x if self.config.level == "keep" else audio.scale_to_peak(x, PEAK)

    def _samples_at_own_level(self, item: Item) -> audio.Samples:
        """`waveform` at the clip's own level."""
        shape = self._shape
        x, rate = _samples_of(item, shape)
        x = audio.resample(x, rate, shape.rate)
        audio.check_audible(x)
        x = audio.trim_silence(x, shape.rate) if self.trims and _slice_bounds(item) is None else x
        x = x[: shape.length] if self._takes_beginnings else x
        return audio.fade_ends(audio.fit_length(x, shape.length), self._fade)

    def validate_body(self, item: Item) -> str | None:
        slice_bounds = _slice_bounds(item)
        try:
            if slice_bounds is None:
                self.waveform(item)
            else:
                audio.check_audible(audio.read(item.file, *slice_bounds, self._shape.channels)[0])
        except ValueError as error:
            return str(error)
        return None

    def signature(self, item: Item) -> bytes | None:
        """Bytes that most copies of one clip share, even if they differ in encoding, level or small details: they say which of
        two neighbouring bands or stretches of time is louder."""
        return clip_signature.rises(self._samples_at_own_level(item))

    def signature_state(self) -> dict[str, object]:
        shape = self._shape
        return {"clip": [shape.rate, shape.length, shape.channels], "beginnings": self._takes_beginnings}

    def fit(self, items: Iterable[Item], budget: DataBudget, labels: Sequence[str]) -> Spec:
        rows, self.notes = _first_clips(self.encode, items, budget.reading), []  # (n, N) or (n, N, 2) int16
        if self._shape.channels == 2 and self.config.channels == "auto":
            waves = self.to_items(rows)
            is_stereo, note = stereo_survey.needs_two_channels(waves, self._shape.is_signal, budget.use)
            self.notes.append(note)
            if not is_stereo:
                self.clip_shape, rows = replace(self._shape, channels=1), _stored_mono(waves, self.config.level)
        shape = self._shape
        clips, levels = stored_clips.split_levels(rows, self._keeps_levels)
        scale, grids = scale_type(shape).of(shape, clips, self.config.level == "keep", PEAK, budget.reading)
        endings = [audio.end_of(clip) for clip in self.to_items(rows[:CALIBRATION_CLIPS])]
        self.clip_shape = shape = scale.shape
        self.notes += sound_survey.describe_pairs(shape)
        self._scale = scale.lagging_as(grids[:CALIBRATION_CLIPS], endings)
        if self._keeps_levels:
            self._levels = ClipLevels.learn(self._scale.levels(grids), levels, _loudness(clips, shape.rate))
        classes = self._num_classes(self.config.labels, labels, budget.items)
        self.spec = Grid(shape.grid_shape, self.axes, classes)
        std = scale.deviation(grids)
        if std < MIN_STD:
            self.notes.append("The sampled clips sound almost all the same: there is hardly anything to learn.")
        self.spec = replace(self._grid, std=max(std, MIN_STD), brightness_channels=1)
        return self.spec

    def encode(self, item: Item) -> NDArray[np.int16]:
        return _stored(self._samples_at_own_level(item), self.config.level)

    @property
    def _keeps_levels(self) -> bool:
        """Whether a stored clip ends with its own level."""
        return self.config.level == "data"

    # ---- samples and spectrograms ----

    def _values(self, rows: Numbers) -> Tensor:
        return self._scale.grid(stored_clips.split_levels(rows, self._keeps_levels)[0])

    def to_items(self, rows: Numbers) -> list[audio.Samples]:
        return stored_clips.waveforms(rows, self._keeps_levels)

    def decode(self, x: Values) -> list[audio.Samples]:
        """(n, C, R, T) in [-1, 1] -> (N,) or (N, 2) float32 each: magnitudes of the bands, then a phase for them."""
        return self._decoded(x, self._scale)

    def decode_real(self, x: Values) -> list[audio.Samples]:
        """`decode` without the corrections for samples: fluctuations of real clips belong to them."""
        return self._decoded(x, self._scale.of_clips())

    def keep_known(self, items: Sequence[DecodedItem], condition: Condition) -> Sequence[DecodedItem]:
        if not self._shape.is_signal:  # a known spectrogram gives no value of the waveform
            return items
        shape = (len(items), *self._grid.shape)  # (n, C, 1, N)
        scale, x = self._scale.of_clips(), np.broadcast_to(as_array(condition.x), shape).copy()
        waves = _at_peaks(scale.waves(x, self.config.rounds), scale.levels(x), self.config.level, self._levels)
        mask = np.ones(1) if condition.mask is None else as_array(condition.mask)
        return with_known(items, waves, np.broadcast_to(mask, shape) >= 1.0)

    def _decoded(self, x: Values, scale: SoundScale) -> list[audio.Samples]:
        # Faded as clips are; a sample that begins loud would click.
        ends = [max(end, 2 * self._fade) for end in scale.ends(x)]
        sounds = zip(scale.waves(x, self.config.rounds), ends, strict=True)
        waves = [audio.end_at(wave, end, self._fade) for wave, end in sounds]
        return _at_peaks(waves, scale.levels(x), self.config.level, self._levels)

    @property
    def _cuts_tails(self) -> bool:
        """Whether the silent end of samples is cut off: of signals if that of the clips comes from their different lengths."""
        return self.config.trim and (not self._shape.is_signal or self._scale.lag is not None)

    def calibration_size(self) -> tuple[int, int]:
        return CALIBRATION_CLIPS, FITTED_CLIPS

    def calibrate(self, samples: Values, real: Values) -> None:
        self._scale = self._scale.as_steady_as(samples, real).as_silent_as(samples, real)
        if self._cuts_tails:
            self._scale = self._scale.ending_as(samples, real)
        if self._levels:
            waves = self._scale.waves(samples, self.config.rounds)
            loudest = [loudness(audio.scale_to_peak(wave, PEAK), self._shape.rate) for wave in waves]
            self._levels = self._levels.matched_to(self._scale.levels(samples), np.asarray(loudest))

    def save_item(self, item: DecodedItem, comment: str = "") -> Artifact:
        return self.save_as(item, self.config.file, comment)

    def save_as(self, item: DecodedItem, file_format: str, comment: str = "") -> Artifact:
        """A decoded item in one of `file_formats`."""
        wave = np.asarray(item, np.float32)
        wave = audio.cut_tail(wave, self._shape.rate)[: self._scale.longest] if self._cuts_tails else wave
        rate = self._written_rate or self._shape.rate
        data = audio.to_file(audio.resample(wave, self._shape.rate, rate), rate, file_format, comment)
        is_playable = rate >= audio.MIN_PLAYED_RATE
        return Artifact(f".{file_format}", data, media=f"audio/{file_format}", is_playable=is_playable)

    def draw_grids(self, x: Tensor) -> Tensor:
        return signal_pictures(x) if self._shape.is_signal else spectrogram_pictures(x, self._shape.bands_per_row)

    def picture(self, item: DecodedItem) -> NDArray[np.uint8]:
        wave = np.asarray(item, np.float32)
        return self._scale.picture(wave if self.config.level == "keep" else audio.scale_to_peak(wave, PEAK))

    def sound_scale(self) -> dict[str, object]:
        """The numbers that turn a grid into a waveform, see `decode`, and `trim`: whether its silent end is cut off."""
        peak = None if self.config.level == "keep" else PEAK
        levels = self._levels and self._levels.for_export()
        audio_state = {"fade": self._fade, "peak": peak, "levels": levels, "rounds": self.config.rounds}
        rates = {"written_rate": self._written_rate or self._shape.rate}
        return {**self._scale.numbers(), **audio_state, **rates, "trim": self._cuts_tails}

    # ---- keeping ----

    def state(self) -> dict[str, object]:
        return self._grid_state() | {
            "clip": self._shape.to_json(),
            **{name: getattr(self._scale, name) for name in LEARNED_SCALE},
            "levels": self._levels and self._levels.model_dump(),
            "written_rate": self._written_rate,
            "singles": self._has_singles,
            "trims_first": self._trims_first,
            "beginnings": self._takes_beginnings,
        }

    def restore(self, state: Mapping[str, object], folder: Path) -> None:
        record = learned_schemas.read(learned_schemas.LearnedAudio, state)
        self._restore_grid(record, brightness_channels=1)
        self.clip_shape = _restored_shape(record)
        scale = {name: getattr(record, name) for name in LEARNED_SCALE}
        self._scale = scale_type(self.clip_shape)(self.clip_shape, **scale)
        self._written_rate = record.written_rate
        self._levels = record.levels
        self._has_singles = record.singles
        self._trims_first = record.trims_first
        self._takes_beginnings = record.beginnings
        if record.levels and len(record.levels.weights) != 2 * self.clip_shape.bands:
            raise ValueError("data.learned.levels is not for clips of this shape")


def _loudness(clips: Numbers, rate: int) -> NDArray[np.float64]:
    """(n,) loudness of stored clips (n, N) or (n, N, 2)."""
    return np.asarray([loudness(clip, rate) for clip in clips.astype(np.float32) / STORED_SCALE])


def _restored_shape(record: learned_schemas.LearnedAudio) -> audio_clips.Shape:
    """The shape of clips. Raises ValueError (one clause)."""
    shape = audio_clips.Shape(**record.clip)
    if shape.bands_per_row not in (1, 2) or tuple(record.shape) != shape.grid_shape:
        raise ValueError("data.learned.shape is not that of these clips")
    return shape


def _likelihood(head: bytes) -> float:
    """How likely a file that begins with these bytes is sound, see `Modality.sniff`."""
    riff = head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE"
    form = head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC")
    if riff or form or (head.startswith(_MAGIC) and b"theora" not in head):
        return 1.0
    # The header of an MPEG frame (layer III) is only four bytes, which other files may begin with too
    is_frame = len(head) > 4 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2 and head[2] & 0xF0 not in (0, 0xF0)
    return 0.8 if is_frame and head[2] & 0x0C != 0x0C else 0.0


def _cut(
    item: Item, handle: FileSlice, rate: int, extent: sound_survey.Extent, shape: audio_clips.Shape
) -> Iterator[Item]:
    """The clips of a file, or the file itself if it is one. handle: the file or its slice; rate: its own, in Hz."""
    bounds = audio_clips.cuts(extent.stop - extent.start, rate, shape, handle.index, handle.count)
    if bounds is None or (handle.count == 1 and extent.is_single):
        yield replace(item, begins=True, ends=True)
        return
    for first, last in bounds:
        start, stop = extent.start + first, extent.start + last
        yield Item(
            f"{item.name} at {start / rate:.2f} s", replace(handle, at=(start, stop)), item.label, group=item.name
        )


def _first_clips(
    encode: Callable[[Item], NDArray[np.int16]], items: Iterable[Item], reading: ReadingTime
) -> NDArray[np.int16]:
    """(n, N) or (n, N, 2) the first usable clips, at most FITTED_CLIPS. Raises DataError if there is none."""
    reading.stage = f"choosing the scale of sounds by up to {FITTED_CLIPS} clips"
    clips: list[NDArray[np.int16]] = []
    first_error = ""
    # The clock is looked at after each portion that is decoded
    at_once = LEAST_FITTED_CLIPS if reading.is_limited else isolation.BATCH_ITEMS
    for item, clip in each(encode, items, at_once):
        if isinstance(clip, ValueError):
            first_error = first_error or f"{item.name}: {clip}"
        elif clip is not None:
            clips.append(clip)
        least = LEAST_FITTED_CLIPS if reading.is_late() else MIN_FITTED_CLIPS
        if len(clips) >= FITTED_CLIPS or (len(clips) >= least and reading.is_over()):
            break
    if not clips:
        raise DataError(f"no clip of the train part can be used; the first one: {first_error or 'none given'}")
    return np.stack(clips)


def _samples_of(item: Item, shape: audio_clips.Shape) -> tuple[audio.Samples, int]:
    """The samples (N,) or (N, 2) of an item, or of the stretch in which its clip is searched, and their rate. Raises ValueError."""
    slice_bounds = _slice_bounds(item)
    if isinstance(item.data, np.ndarray):
        x = audio.with_channels(np.asarray(item.data, dtype=np.float32), shape.channels)
        if not np.isfinite(x).all():
            raise ValueError("it holds values that are not numbers (NaN or infinite)")
        return x, shape.rate
    if slice_bounds is not None:
        return audio.read(item.file, *slice_bounds, shape.channels)
    return _searched_stretch(item.file, shape.channels)


def _searched_stretch(file: audio.SoundData, channels: int) -> tuple[audio.Samples, int]:
    """The samples (N,) or (N, 2) of a file in which its clip is searched, and their rate."""
    header = audio.read_header(file)
    return audio.read(file, 0, min(header.frames, round(SEARCHED_SECONDS * header.rate)), channels)


def _slice_bounds(item: Item) -> tuple[int, int] | None:
    """(first frame, end) of a clip that was cut out of a file; None if the item is a whole file."""
    return item.data.at if isinstance(item.data, FileSlice) else None


def _stored(x: audio.Samples, level: str) -> NDArray[np.int16]:
    """A clip at its own level, as it is stored with the setting `level`."""
    if level == "data":
        return stored_clips.with_level(x)
    return stored_clips.stored(x if level == "keep" else audio.scale_to_peak(x, PEAK))


def _at_peaks(
    waves: Sequence[audio.Samples], levels: Tensor, loudness_setting: str, clip_levels: ClipLevels | None
) -> list[audio.Samples]:
    """Waves of samples, whose grids have levels (n, M, T), as loud as they are with the setting `level`."""
    if loudness_setting == "keep":  # scaled down only if its peaks would be clipped, which crackles
        return [audio.scale_to_peak(wave, FULL_SCALE) if np.abs(wave).max() > FULL_SCALE else wave for wave in waves]
    if clip_levels is None:
        return [audio.scale_to_peak(wave, PEAK) for wave in waves]
    peaks = [min(PEAK * 10.0 ** (level / 20.0), FULL_SCALE) for level in clip_levels(levels)]
    return [audio.scale_to_peak(wave, peak) for wave, peak in zip(waves, peaks, strict=True)]


def _stored_mono(waves: Sequence[audio.Samples], level: str) -> NDArray[np.int16]:
    """(n, N) the mean of both channels of clips (N, 2) each, see `_stored`."""
    return np.stack([_stored(wave.mean(axis=1), level) for wave in waves])


EXPORT = Audio
