"""Sound files -> samples at one rate, mono or stereo, through soundfile and soxr: headers, stretches, limits.

Legend for shapes: N samples, C channels. Samples are (N,) of mono and (N, 2) of stereo sound.
"""

from __future__ import annotations

import atexit
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from anew.core.deadline import uninterrupted
from anew.core.extras import require
from anew.core.files import clause
from anew.data.formats.by_range import open_file
from anew.data.formats.recording_id import RecordingId
from anew.data.formats.sound.mp3_cache import DecodedFiles, OpenSound, Recordings, quiet
from anew.data.limits import AUDIO_SAMPLES_PER_BYTE, OTHER_AUDIO_SAMPLES_PER_BYTE
from anew.data.types import FileSlice

Samples = NDArray[np.float32]
SoundData: TypeAlias = bytes | Path | FileSlice
MIN_SECONDS = 0.01  # shortest file: less is a click
CHANNELS, RATES = 64, (20, 768_000)  # most channels, and range of Hz, that are read
MIN_PLAYED_RATE = 3_000  # Hz of a file, below which Chromium does not play it
MAX_DECODED_VALUES = 1 << 27  # values that are decoded at once: 512 MB
SILENT = 1e-4  # a peak below this is not heard (-80 dB)
ZERO = 0.5 / 32767.0  # values up to this become zero in a file of 16 bits
SILENCE_RATIO = 1e-3  # ends of a clip below this share of its loudest window are cut off (-60 dB)
LEVEL_SECONDS = 0.01  # window in which levels are measured
WAV_HEAD = 4096  # bytes at the beginning of a WAV file in which its format stands, after chunks of notes; chosen
STREAMED = 0x7FFF0000  # lengths from here on stand for "until the end" in files that were written as a stream
# Numbers of RFC 2361 and of Vorbis in ACM
WAV_CODECS = {
    **dict.fromkeys((0x674F, 0x6750, 0x6751, 0x676F, 0x6770, 0x6771), "Vorbis"),
    **dict.fromkeys((0x0050, 0x0055), "MPEG sound"),
    **dict.fromkeys((0x0160, 0x0161, 0x0162, 0x0163), "Windows Media sound"),
    **dict.fromkeys((0x00FF, 0x1600, 0x1610, 0xA106), "AAC"),
    **dict.fromkeys((0x0092, 0x2000), "AC-3"),
}
_IN_ORDER = Recordings()
_DECODED = DecodedFiles()
atexit.register(_IN_ORDER.close)


@dataclass(frozen=True, slots=True)
class Header:
    """Header of a sound file. frames: samples per channel."""

    rate: int
    channels: int
    frames: int

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


class _SharedFile(threading.local):
    """The recording that this thread read last, which stays open: the next clip is usually the one after it."""

    recording: RecordingId | None = None
    file: OpenSound | None = None


_OPEN = _SharedFile()


@atexit.register
def _close_shared() -> None:
    """Close this thread's file: soundfile complains of one that is still open when Python ends."""
    if _OPEN.file is not None:
        _OPEN.file.close()
        _OPEN.recording = _OPEN.file = None


# libsndfile's error for bytes without a header, too, although no file is missing
NOT_REGULAR = "File does not exist or is not a regular file"


@contextmanager
def _open_shared(data: SoundData, recording: RecordingId) -> Iterator[OpenSound]:
    """Like `_open_file`, but the file stays open until this thread reads another recording."""
    if _OPEN.recording != recording:
        _close_shared()
        with _readable_errors():
            _OPEN.file = _soundfile(data)
        _OPEN.recording = recording
    try:
        with _readable_errors():
            assert _OPEN.file is not None
            yield _OPEN.file
    except ValueError:
        _OPEN.recording = None  # its position is unknown now
        raise


@contextmanager
def _open_file(data: SoundData) -> Iterator[OpenSound]:
    """Open sound data as a `soundfile.SoundFile`. Raises ValueError (one clause)."""
    with _readable_errors(), _soundfile(data) as file:
        yield file


def _soundfile(data: SoundData) -> OpenSound:
    soundfile = require("soundfile", extra="audio", purpose="reading sound")
    path_or_stream: Path | io.BytesIO
    if isinstance(data, FileSlice):
        path_or_stream = data.path if data.body is None else io.BytesIO(data.body)
    elif isinstance(data, Path):
        path_or_stream = data
    else:
        if not len(data):
            raise ValueError("the file is empty")
        path_or_stream = io.BytesIO(bytes(data))
    file: OpenSound = soundfile.SoundFile(path_or_stream)
    return file


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Within this context, errors of reading become a ValueError with one clause."""
    soundfile = require("soundfile", extra="audio", purpose="reading sound")
    try:
        yield
    except OSError as error:
        raise ValueError(f"it cannot be read ({clause(error)})") from None
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        words = _clause(error)
        reason = "" if NOT_REGULAR in words else f" ({words})"
        raise ValueError(f"it is not a sound file of a known format, or is damaged{reason}") from None


def _clause(error: BaseException) -> str:
    return str(error).strip().splitlines()[-1].rpartition(": ")[2].rstrip(".")[:100] or type(error).__name__


def read_header(data: SoundData) -> Header:
    """The header of an encoded file. Raises ValueError (one clause) if the file cannot be used."""
    recording = RecordingId.of_slice(data) if isinstance(data, FileSlice) and data.body is None else None
    return _parse_header(data) if recording is None else _header_of(recording)


@lru_cache(maxsize=4096)
def _header_of(recording: RecordingId) -> Header:
    """The header of a file, which several passes over the data ask for."""
    return _parse_header(FileSlice(Path(recording.path)))


def _parse_header(data: SoundData) -> Header:
    try:
        with _open_file(data) as file:
            head, form = Header(int(file.samplerate), int(file.channels), int(file.frames)), str(file.format)
    except ValueError as error:
        codec = _wav_codec(_first_bytes(data))
        if codec is None:
            raise
        raise ValueError(
            f"it is a WAV file with {codec} inside, which is not read; convert it to FLAC or OGG"
        ) from error
    if not 1 <= head.channels <= CHANNELS:
        raise ValueError(f"it has {head.channels:,} channels; 1 to {CHANNELS} are read")
    if not RATES[0] <= head.rate <= RATES[1]:
        raise ValueError(
            f"it has {head.rate:,} values a second (Hz); {RATES[0]:,} to {RATES[1]:,} Hz are read, so resample it"
        )
    if head.frames <= 0:
        raise ValueError("it holds no samples")
    if head.frames > (max_samples := _bytes(data) * AUDIO_SAMPLES_PER_BYTE.get(form, OTHER_AUDIO_SAMPLES_PER_BYTE)):
        raise ValueError(f"its header claims {head.frames:,} samples, but its bytes hold at most {int(max_samples):,}")
    if head.seconds < MIN_SECONDS:
        raise ValueError(
            f"it is only {1000 * head.seconds:.2g} ms long; at least {1000 * MIN_SECONDS:.0f} ms are needed"
        )
    return head


def _path_or_bytes(data: SoundData) -> Path | bytes:
    """Where a sound is to be read from."""
    if not isinstance(data, FileSlice):
        return data
    return data.path if data.body is None else data.body


def _first_bytes(data: SoundData) -> bytes:
    body = _path_or_bytes(data)
    if not isinstance(body, Path):
        return bytes(body[:WAV_HEAD])
    try:
        with open_file(body, WAV_HEAD) as stream:
            return bytes(stream.read(WAV_HEAD))
    except OSError:
        return b""


def _wav_codec(head: bytes) -> str | None:
    """The name of the codec of a WAV file that libsndfile does not read; None for any other file."""
    place = head.find(b"fmt ", 12) + 8  # its size follows the name of the chunk
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE" or place < 8:
        return None
    return WAV_CODECS.get(int.from_bytes(head[place : place + 2], "little"))


def missing_share(data: SoundData) -> float:
    """The share of a WAV file that is missing at its end; 0 for other files, and where its first bytes do not say how long it is."""
    head, size = _first_bytes(data), _bytes(data)
    place = 12 if head[:4] == b"RIFF" else len(head)
    while 12 <= place <= len(head) - 8:
        length = int.from_bytes(head[place + 4 : place + 8], "little")
        if head[place : place + 4] == b"data":
            return 0.0 if length >= STREAMED else max(0.0, 1.0 - (size - place - 8) / max(length, 1))
        place += 8 + length + length % 2
    return 0.0


def _bytes(data: SoundData) -> int:
    body = _path_or_bytes(data)
    try:
        return body.stat().st_size if isinstance(body, Path) else len(body)
    except OSError as error:
        raise ValueError(f"it cannot be read ({clause(error)})") from None


def read(data: SoundData, start: int, stop: int, channels: int = 1) -> tuple[Samples, int]:
    """Read a stretch of a file. The samples may be those of an earlier call, and are not to be changed.

    Args:
        data: The file, or a slice of it.
        start, stop: First sample, and the one after the last, at the file's own rate.
        channels: 1 or 2, see `with_channels`.

    Returns:
        (N,) or (N, 2) samples, and their rate in Hz.

    Raises:
        ValueError: It cannot be read, or holds values that are not finite (one clause).
    """
    recording = RecordingId.of_slice(data) if isinstance(data, FileSlice) else None
    is_clip = isinstance(data, FileSlice) and data.at is not None
    if recording is None or is_clip:
        return _read_checked(data, start, stop, channels, recording if is_clip else None)
    key = recording, start, stop, channels
    decoded = _DECODED.get(key)
    if decoded is None:
        decoded = _read_checked(data, start, stop, channels, None)
        _DECODED.keep(key, *decoded)
    return decoded


def _read_checked(
    data: SoundData, start: int, stop: int, channels: int, recording: RecordingId | None
) -> tuple[Samples, int]:
    """Decode what `read` reads. recording: that of a clip; None for whole files."""
    decoded = None if recording is None else _IN_ORDER.read(recording, start, stop)
    values, rate = decoded or _read(data, start, stop, recording)
    if not len(values):
        raise ValueError("it contains no samples, or is truncated")
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are not numbers (NaN or infinite)")
    return with_channels(values, channels), rate


def with_channels(x: Samples, channels: int) -> Samples:
    """Samples (N,) or (N, C) with one or two channels: mixed to mono, or mono twice.

    More than two channels, whose layout is not known, are mixed to mono first.
    """
    if x.ndim == 2 and x.shape[1] == channels == 2:
        return x
    if x.ndim == 2 and x.shape[1] <= 2:  # the mean over so short an axis takes as long as decoding does
        x = x[:, 0] if x.shape[1] == 1 else np.float32(0.5) * (x[:, 0] + x[:, 1])
    elif x.ndim == 2:
        x = x.mean(axis=1, dtype=np.float32)
    return np.ascontiguousarray(x if channels == 1 else np.stack([x, x], axis=1))


def _read(data: SoundData, start: int, stop: int, recording: RecordingId | None) -> tuple[Samples, int]:
    """Read as `read` does, with the file's own channels (N, C), unchecked. recording: that of a clip; None for whole files."""
    with _open_shared(data, recording) if recording else _open_file(data) as file:
        if (stop - start) * file.channels > MAX_DECODED_VALUES:
            raise ValueError(f"{stop - start} samples of {file.channels} channels at once are over the limit")
        mpeg = str(file.subtype).startswith("MPEG")
        if recording and mpeg and (decoded := _IN_ORDER.read(recording, start, stop, file)):
            return decoded
        if start != file.tell():
            file.seek(min(start, max(int(file.frames) - 1, 0)))
        with quiet() if mpeg else nullcontext():
            values = file.read(stop - start, dtype="float32", always_2d=True)  # (N, C)
        return values, int(file.samplerate)


def resample(x: Samples, rate: int, new_rate: int) -> Samples:
    """Resample (N,) or (N, 2) samples from `rate` to `new_rate` in Hz, band-limited."""
    if rate == new_rate:
        return x
    soxr = require("soxr", extra="audio", purpose="reading sound")
    return np.asarray(soxr.resample(x, rate, new_rate, quality="HQ"), dtype=np.float32)


def check_audible(x: Samples) -> None:
    """Raise ValueError (one clause) for silence."""
    if float(np.abs(x).max(initial=0.0)) < SILENT:
        raise ValueError("it is silent")


def trim_silence(x: Samples, rate: int) -> Samples:
    """Cut off both ends that are silent compared with the loudest window. Raises ValueError (one clause) for silence."""
    start, stop = audible_bounds(x, rate)
    return x[start:stop]


def audible_bounds(x: Samples, rate: int) -> tuple[int, int]:
    """(start, stop) of samples without the ends that `trim_silence` cuts off. Raises ValueError (one clause) for silence."""
    check_audible(x)
    step = max(1, round(LEVEL_SECONDS * rate))
    windows = np.pad(_power(x), (0, -len(x) % step)).reshape(-1, step)
    level = np.sqrt(windows.mean(axis=1))
    loud = np.flatnonzero(level > max(SILENCE_RATIO * level.max(), SILENT / 4))
    if not len(loud):  # a faint click: its peak is audible, the window around it is not
        raise ValueError("it is silent")
    return int(max(loud[0] - 1, 0)) * step, min(int(loud[-1] + 2) * step, len(x))


def _power(x: Samples) -> NDArray[np.float64]:
    """The squares of samples (N,), averaged over channels."""
    square = np.square(x, dtype=np.float64)
    return square if square.ndim == 1 else square.mean(axis=1)


def cut_tail(x: Samples, rate: int) -> Samples:
    """Cut off silence at the end of a clip, except for LEVEL_SECONDS; a silent clip stays as it is.

    Silence is relative to the clip's own peak, so that soft clips end like loud ones. Values that are zero in a file of 16 bits
    are silence, too.
    """
    end = end_of(x)
    return x[: end + round(LEVEL_SECONDS * rate)] if end else x


def end_of(x: Samples) -> int:
    """Samples up to the last that is not silent, as `cut_tail` has it; 0 for a silent clip."""
    size = np.abs(x).reshape(len(x), -1).max(axis=1)
    audible = np.flatnonzero(size > max(SILENT * float(size.max(initial=0.0)), ZERO))
    return int(audible[-1]) + 1 if len(audible) else 0


def fit_length(x: Samples, length: int) -> Samples:
    """A clip of exactly `length` samples: the loudest stretch of a longer one, or a shorter one padded with silence."""
    if len(x) == length:
        return x
    if len(x) < length:
        return np.pad(x, ((0, length - len(x)), *[(0, 0)] * (x.ndim - 1)))
    power = np.concatenate([[0.0], np.cumsum(_power(x))])
    start = int(np.argmax(power[length:] - power[:-length]))
    return x[start : start + length]


def fade_ends(x: Samples, edge: int) -> Samples:
    """Fade both ends in and out within `edge` samples, so that cuts make no clicks."""
    ramp = np.linspace(0.0, 1.0, edge, endpoint=False, dtype=np.float32).reshape(-1, *[1] * (x.ndim - 1))
    x = x.copy()
    x[:edge] *= ramp
    x[len(x) - edge :] *= ramp[::-1]
    return x


def end_at(x: Samples, end: int, edge: int) -> Samples:
    """Fade both ends of the first `end` samples within `edge` samples, and silence what follows."""
    return fit_length(fade_ends(x[:end], edge), len(x))


def scale_to_peak(x: Samples, peak: float) -> Samples:
    """Scale samples so that their largest absolute value is `peak`."""
    return np.asarray(x * np.float32(peak / max(float(np.abs(x).max()), SILENT)), dtype=np.float32)


def to_file(x: Samples, rate: int, file_format: str, comment: str = "") -> bytes:
    """Encode samples (N,) or (N, 2) in [-1, 1] as a 16-bit "wav" or "flac" file, with a comment in ASCII if it is given."""
    soundfile = require("soundfile", extra="audio", purpose="writing sound")
    out = io.BytesIO()
    channels = 1 if x.ndim == 1 else x.shape[1]
    form = file_format.upper()
    # libsndfile calls `out` back, drops what that raises, and has then written a part
    with uninterrupted(), soundfile.SoundFile(out, "w", rate, channels, "PCM_16", format=form) as file:
        if comment:
            file.comment = comment
        file.write(np.clip(x, -1.0, 1.0))
    return out.getvalue()


def read_comment(data: bytes) -> str:
    """The comment of a sound file, "" without one. Raises ValueError (one clause)."""
    soundfile = require("soundfile", extra="audio", purpose="reading sound")
    try:
        with uninterrupted(), soundfile.SoundFile(io.BytesIO(data)) as file:
            return str(file.comment)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"it is not a sound file ({error.error_string})") from None
