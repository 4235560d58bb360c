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
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from anew.core.extras import require
from anew.data.formats.mp3_cache import OpenSound, Recording, Recordings, quiet, recording
from anew.data.limits import AUDIO
from anew.data.types import FileSlice

Samples = NDArray[np.float32]
SoundData: TypeAlias = bytes | Path | FileSlice
SHORTEST = 0.01  # seconds
CHANNELS, RATES = 64, (1_000, 768_000)  # what is taken for a damaged header beyond
DECODED = 1 << 27  # values decoded at once: 512 MB
SILENT = 1e-4  # largest value below which there is nothing to hear (-80 dB)
EDGE = 1e-3  # level of the loudest stretch, as a share, below which a clip's ends are cut off (-60 dB)
STEP = 0.01  # seconds in which levels are measured
_IN_ORDER = Recordings()
atexit.register(_IN_ORDER.close)


@dataclass(frozen=True, slots=True)
class Head:
    """Header of a sound file. frames: samples per channel."""

    rate: int
    channels: int
    frames: int

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


class _Open(threading.local):
    """The recording that this thread read a clip of last: the next clip is mostly the one after it."""

    clip: Recording | None = None
    file: OpenSound | None = None


_OPEN = _Open()


@contextmanager
def _left_open(data: SoundData, clip: Recording) -> Iterator[OpenSound]:
    """As `_opened`, but not closed before a clip of another recording is read. clip: what names the recording."""
    if _OPEN.clip != clip:
        if _OPEN.file is not None:
            _OPEN.file.close()
        _OPEN.clip = _OPEN.file = None
        with _clauses():
            _OPEN.file = _soundfile(data)
        _OPEN.clip = clip
    try:
        with _clauses():
            assert _OPEN.file is not None
            yield _OPEN.file
    except ValueError:
        _OPEN.clip = None  # who knows where it stands
        raise


@contextmanager
def _opened(data: SoundData) -> Iterator[OpenSound]:
    """A soundfile of bytes or of a FileSlice. Raises ValueError (one clause)."""
    with _clauses(), _soundfile(data) as file:
        yield file


def _soundfile(data: SoundData) -> OpenSound:
    soundfile = require("soundfile", extra="audio", purpose="reading sound")
    source: Path | io.BytesIO
    if isinstance(data, FileSlice):
        source = data.path if data.body is None else io.BytesIO(data.body)
    elif isinstance(data, Path):
        source = data
    else:
        if not len(data):
            raise ValueError("the file is empty")
        source = io.BytesIO(bytes(data))
    file: OpenSound = soundfile.SoundFile(source)
    return file


@contextmanager
def _clauses() -> Iterator[None]:
    """Errors of reading as a ValueError of one clause."""
    soundfile = require("soundfile", extra="audio", purpose="reading sound")
    try:
        yield
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror or error})") from None
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        raise ValueError(f"it is not a sound file of a known format, or is damaged ({_clause(error)})") from None


def _clause(error: BaseException) -> str:
    return str(error).strip().splitlines()[-1].rpartition(": ")[2].rstrip(".")[:100] or type(error).__name__


def head(data: SoundData) -> Head:
    """Of an encoded file. Raises ValueError (one clause) where it cannot be used."""
    with _opened(data) as file:
        head, form = Head(int(file.samplerate), int(file.channels), int(file.frames)), str(file.format)
    if not (1 <= head.channels <= CHANNELS and RATES[0] <= head.rate <= RATES[1]):
        raise ValueError(f"{head.channels} channels at {head.rate} Hz are out of range")
    if head.frames <= 0:
        raise ValueError("it holds no samples")
    if head.frames > (max_samples := _bytes(data) * AUDIO.samples_per_byte.get(form, AUDIO.other_samples_per_byte)):
        raise ValueError(
            f"its header claims {head.frames:,} samples, where its bytes hold at most {int(max_samples):,}"
        )
    if head.seconds < SHORTEST:
        raise ValueError(f"it is only {1000 * head.seconds:.2g} ms long; at least {1000 * SHORTEST:.0f} ms are needed")
    return head


def _bytes(data: SoundData) -> int:
    body = (data.path if data.body is None else data.body) if isinstance(data, FileSlice) else data
    try:
        return body.stat().st_size if isinstance(body, Path) else len(body)
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from None


def read(data: SoundData, start: int, stop: int, channels: int = 1) -> tuple[Samples, int]:
    """((N,) or (N, 2) samples from `start` up to `stop`, rate). channels: 1 or 2. Raises ValueError (one clause)."""
    clip = recording(data) if isinstance(data, FileSlice) and data.at is not None else None
    values, rate = (clip and _IN_ORDER.read(clip, start, stop)) or _read(data, start, stop, clip)
    if not len(values):
        raise ValueError("it contains no samples, or is truncated")
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are not numbers (NaN or infinite)")
    return with_channels(values, channels), rate


def with_channels(x: Samples, channels: int) -> Samples:
    """Samples (N,) or (N, C) as (N,) or (N, 2): mixed, or a single channel twice. Of more than two channels, which may stand
    anywhere, the mix is taken."""
    if x.ndim == 2 and x.shape[1] == channels == 2:
        return x
    mono = x if x.ndim == 1 else x[:, 0] if x.shape[1] == 1 else x.mean(axis=1, dtype=np.float32)
    return np.ascontiguousarray(mono if channels == 1 else np.stack([mono, mono], axis=1))


def _read(data: SoundData, start: int, stop: int, clip: Recording | None) -> tuple[Samples, int]:
    """The same with the file's channels (N, C), unchecked. clip: the recording's name, where this is one of its clips."""
    with _left_open(data, clip) if clip else _opened(data) as file:
        if (stop - start) * file.channels > DECODED:
            raise ValueError(f"{stop - start} samples of {file.channels} channels at once are over the limit")
        mpeg = str(file.subtype).startswith("MPEG")
        if clip and mpeg and (kept := _IN_ORDER.read(clip, start, stop, file)):
            return kept
        if start != file.tell():
            file.seek(min(start, max(int(file.frames) - 1, 0)))
        with quiet() if mpeg else nullcontext():
            values = file.read(stop - start, dtype="float32", always_2d=True)  # (N, C)
        return values, int(file.samplerate)


def resampled(x: Samples, rate: int, new_rate: int) -> Samples:
    """At another rate, band-limited."""
    if rate == new_rate:
        return x
    soxr = require("soxr", extra="audio", purpose="reading sound")
    return np.asarray(soxr.resample(x, rate, new_rate, quality="HQ"), dtype=np.float32)


def check_audible(x: Samples) -> None:
    """Raises ValueError (one clause) for silence."""
    if float(np.abs(x).max(initial=0.0)) < SILENT:
        raise ValueError("it is silent")


def trimmed(x: Samples, rate: int) -> Samples:
    """Without what is silent against its loudest stretch at both ends. Raises ValueError (one clause) for silence."""
    check_audible(x)
    step = max(1, round(STEP * rate))
    windows = np.pad(_power(x), (0, -len(x) % step)).reshape(-1, step)
    level = np.sqrt(windows.mean(axis=1))
    loud = np.flatnonzero(level > max(EDGE * level.max(), SILENT / 4))
    return x[max(loud[0] - 1, 0) * step : (loud[-1] + 2) * step]


def _power(x: Samples) -> NDArray[np.float64]:
    """(N,) squares of samples, a mean of both channels."""
    square = np.square(x, dtype=np.float64)
    return square if square.ndim == 1 else square.mean(axis=1)


def without_tail(x: Samples, rate: int) -> Samples:
    """A clip up to where it falls silent for good, and a little longer; all of a silent one."""
    audible = np.flatnonzero(np.abs(x).reshape(len(x), -1).max(axis=1) > SILENT)
    return x[: audible[-1] + 1 + round(STEP * rate)] if len(audible) else x


def fitted(x: Samples, length: int) -> Samples:
    """`length` samples: the loudest stretch of a longer clip, or a shorter one with silence behind it."""
    if len(x) <= length:
        return np.pad(x, ((0, length - len(x)), *[(0, 0)] * (x.ndim - 1)))
    power = np.concatenate([[0.0], np.cumsum(_power(x))])
    start = int(np.argmax(power[length:] - power[:-length]))
    return x[start : start + length]


def faded(x: Samples, edge: int) -> Samples:
    """With both ends brought to zero within `edge` samples, so that a cut is no click."""
    ramp = np.linspace(0.0, 1.0, edge, endpoint=False, dtype=np.float32).reshape(-1, *[1] * (x.ndim - 1))
    x = x.copy()
    x[:edge] *= ramp
    x[len(x) - edge :] *= ramp[::-1]
    return x


def levelled(x: Samples, peak: float) -> Samples:
    """Scaled so that its largest value is `peak`."""
    return np.asarray(x * np.float32(peak / max(float(np.abs(x).max()), SILENT)), dtype=np.float32)


def written(x: Samples, rate: int, file_format: str, comment: str = "") -> bytes:
    """A file of format "wav" or "flac", 16 bits, perhaps with a comment in ASCII."""
    soundfile = require("soundfile", extra="audio", purpose="writing sound")
    out = io.BytesIO()
    channels = 1 if x.ndim == 1 else x.shape[1]
    with soundfile.SoundFile(out, "w", rate, channels, "PCM_16", format=file_format.upper()) as file:
        if comment:
            file.comment = comment
        file.write(np.clip(x, -1.0, 1.0))
    return out.getvalue()


def comment(data: bytes) -> str:
    """The comment of a sound file, "" without one. Raises ValueError (one clause)."""
    soundfile = require("soundfile", extra="audio", purpose="reading sound")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            return str(file.comment)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"it is not a sound file ({error.error_string})") from None
