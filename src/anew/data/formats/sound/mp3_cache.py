"""Caches of decoded sound. Seeking in MP3 is slow and prints warnings. So a recording is decoded once, in order, into a file without a
name, which the system removes with the process; clips are read from that file. Files that were decoded last are
in memory: finding what a file holds, comparing it and learning it follow each other.

Legend for shapes: N samples, C channels: two for stereo, otherwise one, mixed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from anew.core.extras import require
from anew.core.files import FREE_DISK_BYTES, cache_root
from anew.data.formats.recording_id import RecordingId

# Size of decoded recordings on the disk: 12 hours at 44,100 Hz; least recently used ones go first
MAX_DISK_BYTES = 4 * 1024**3
# The worker is asked for a batch of files, then for the clips of these: twice a batch, of stereo of 44.1 kHz and 2 s; chosen
MAX_BYTES = 1 << 27
MAX_SHARE = 0.125  # one file may take this share of these bytes: a long one would drive out the others; chosen
MAX_FILES = 64  # open files of decoded recordings: a process may have 1,024 open files
STRETCH_SAMPLES = 1 << 23  # samples that are decoded at once if the disk has no room for the recording: three minutes
MAX_STRETCHES = 4  # stretches in memory: 64 MB of mono, 128 MB of stereo
PIECE_VALUES = 1 << 16  # values that are decoded at once, and lost before damage at most
MAX_VALUE = 60_000.0  # about the largest value of float16; full scale is 1
# Beginnings of lines that the decoder prints about frames that it repairs.
_CHATTER = (b"[src/libmpg123", b"Note: Illegal Audio", b"Note: Trying to resync", b"Note: Skipped ", b"Warning: Xing ")
_decoding = threading.Lock()


class _DecodedRecording(NamedTuple):
    """A decoded recording on the disk. file: (N, C) float16 samples."""

    file: IO[bytes]
    bytes: int
    rate: int
    channels: int


class OpenSound(Protocol):
    """Interface of `soundfile.SoundFile`."""

    samplerate: int
    channels: int
    frames: int
    format: str
    subtype: str

    def tell(self) -> int: ...

    def seek(self, frames: int) -> int: ...

    def read(self, frames: int, dtype: str, always_2d: bool) -> NDArray[np.float32]: ...

    def close(self) -> None: ...

    def __enter__(self) -> OpenSound: ...

    def __exit__(self, *error: object) -> None: ...


class _Stretch(NamedTuple):
    """A decoded stretch of a recording in memory, beginning with sample number `first`."""

    samples: NDArray[np.float16]
    first: int
    rate: int


class Recordings:
    """Cache of decoded recordings. It is thread-safe, since shards are encoded in the background."""

    def __init__(self) -> None:
        self._decoded: OrderedDict[RecordingId, _DecodedRecording] = OrderedDict()
        self._stretches: OrderedDict[tuple[RecordingId, int], _Stretch] = OrderedDict()
        self._lock = threading.Lock()

    def read(
        self, recording: RecordingId, start: int, stop: int, file: OpenSound | None = None
    ) -> tuple[NDArray[np.float32], int] | None:
        """The samples (N, C) from `start` to `stop` of a recording, and their rate.

        Returns None if the recording is not decoded yet and `file`, the open recording, is not given.
        """
        with self._lock:
            if file is not None and recording not in self._decoded:
                self._keep(recording, file)
            decoded = self._decoded.get(recording)
            if decoded is not None:
                self._decoded.move_to_end(recording)
                frame_bytes = np.dtype(np.float16).itemsize * decoded.channels
                decoded.file.seek(frame_bytes * start)
                samples = np.frombuffer(decoded.file.read(frame_bytes * (stop - start)), dtype=np.float16)
                return samples.astype(np.float32).reshape(-1, decoded.channels), decoded.rate
            numbers = range(start // STRETCH_SAMPLES, (stop - 1) // STRETCH_SAMPLES + 1)
            if file is None and any((recording, number) not in self._stretches for number in numbers):
                return None
            stretches = [self._stretch(recording, number, file) for number in numbers]
            pieces = [stretch.samples[max(start - stretch.first, 0) : stop - stretch.first] for stretch in stretches]
            return np.concatenate(pieces).astype(np.float32), stretches[0].rate

    def _keep(self, recording: RecordingId, file: OpenSound) -> None:
        """Decode a whole recording onto the disk, if there is room."""
        size = np.dtype(np.float16).itemsize * _stored_channels(file) * int(file.frames)
        folder = cache_root(None)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if size > MAX_DISK_BYTES or shutil.disk_usage(folder).free < FREE_DISK_BYTES + size:
                return
            while self._decoded and (
                sum(other.bytes for other in self._decoded.values()) + size > MAX_DISK_BYTES
                or len(self._decoded) >= MAX_FILES
            ):
                self._decoded.popitem(last=False)[1].file.close()
            self._decoded[recording] = _decode_to_file(file, folder)
        except OSError:  # no room after all: the recording is read in stretches
            return

    def close(self) -> None:
        """Close all files and free the memory."""
        with self._lock:
            while self._decoded:
                self._decoded.popitem()[1].file.close()
            self._stretches.clear()

    def _stretch(self, recording: RecordingId, number: int, file: OpenSound | None) -> _Stretch:
        stretch = self._stretches.get((recording, number))
        if stretch is None:
            assert file is not None, "without a file, `read` returns None unless all stretches are there"
            with quiet():
                file.seek(min(number * STRETCH_SAMPLES, max(int(file.frames) - 1, 0)))
                empty = np.zeros((0, _stored_channels(file)), np.float16)
                samples = np.concatenate([empty, *_pieces(file, STRETCH_SAMPLES)])
            while len(self._stretches) >= MAX_STRETCHES:
                self._stretches.popitem(last=False)
            stretch = self._stretches[recording, number] = _Stretch(
                samples, number * STRETCH_SAMPLES, int(file.samplerate)
            )
        return stretch


class DecodedFiles:
    """Samples by a key that says which file they are of and how it was read. Thread-safe. The arrays that it keeps are read-only."""

    def __init__(self) -> None:
        self._bytes = 0
        self._files: OrderedDict[Hashable, tuple[NDArray[np.float32], int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> tuple[NDArray[np.float32], int] | None:
        """The samples (N,) or (N, 2) of a file and their rate in Hz; None if they are not kept."""
        with self._lock:
            if key in self._files:
                self._files.move_to_end(key)
            return self._files.get(key)

    def keep(self, key: Hashable, samples: NDArray[np.float32], rate: int) -> None:
        """Keep the samples (N,) or (N, 2) of a file in place of those that were not asked for the longest time."""
        if samples.nbytes > MAX_SHARE * MAX_BYTES:
            return
        with self._lock:
            if key in self._files:
                return
            samples.flags.writeable = False
            self._files[key] = samples, rate
            self._bytes += samples.nbytes
            while self._bytes > MAX_BYTES:
                self._bytes -= self._files.popitem(last=False)[1][0].nbytes


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within this context, hide lines that the decoder writes to standard error; other output follows at the end."""
    with _decoding, tempfile.TemporaryFile() as caught:
        try:
            real = os.dup(2)
        except OSError:  # closed
            yield
            return
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            caught.seek(0)
            os.write(real, b"".join(line for line in caught if not line.startswith(_CHATTER)))
            os.close(real)


def _decode_to_file(file: OpenSound, folder: Path) -> _DecodedRecording:
    """Decode all of an open sound file into a nameless file in this folder."""
    out = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (kept open: it lives as long as that)
    try:
        with quiet():
            if file.tell():
                file.seek(0)
            size = sum(out.write(piece.tobytes()) for piece in _pieces(file, int(file.frames)))
    except OSError:
        out.close()
        raise
    return _DecodedRecording(out, size, int(file.samplerate), _stored_channels(file))


def _stored_channels(file: OpenSound) -> int:
    return 2 if file.channels == 2 else 1


def _pieces(file: OpenSound, n: int) -> Iterator[NDArray[np.float16]]:
    """Yield the next n samples (N, C) of an open sound file in pieces; fewer if it ends or is damaged before."""
    soundfile = require("soundfile", extra="audio", purpose="reading sound")
    while n > 0:
        try:
            values = file.read(min(n, PIECE_VALUES // file.channels), dtype="float32", always_2d=True)  # (N, C)
        except (soundfile.SoundFileError, RuntimeError):
            return
        if not len(values):
            return
        channels = values if values.shape[1] <= 2 else values.mean(axis=1, keepdims=True, dtype=np.float32)
        yield np.clip(channels, -MAX_VALUE, MAX_VALUE).astype(np.float16)
        n -= len(values)
