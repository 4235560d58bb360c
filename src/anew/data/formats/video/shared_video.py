"""The video that a thread decoded last stays open: the next clip is usually the one after it, and seeking means decoding all
frames from the key frame before it, often hundreds, again."""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from anew.data.formats.recording_id import RecordingId

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

# So much of a video is decoded rather than skipped: a seek goes back by about as much; chosen.
FORWARD_SECONDS = 2.0

OpenFile: TypeAlias = "Callable[[], AbstractContextManager[tuple[InputContainer, VideoStream]]]"


class _OpenVideo(threading.local):
    """An open video. number: number of the next frame."""

    recording: RecordingId | None = None
    frames: Iterator[tuple[int, VideoFrame]] | None = None
    number: int = 0
    stack: contextlib.ExitStack | None = None

    def close(self) -> None:
        stack, self.stack, self.recording, self.frames = self.stack, None, None, None
        if stack is not None:
            stack.close()


_OPEN = _OpenVideo()
atexit.register(_OPEN.close)  # while PyAV is still there


def frames_from(
    first: int, times: NDArray[np.float64], open_file: OpenFile, recording: RecordingId | None
) -> Iterator[tuple[int, VideoFrame]]:
    """Frames with their numbers, from number `first` or an earlier one on.

    Args:
        first: Number of the first frame that is needed.
        times: Times of all frames in seconds.
        recording: Its identity, if it may stay open for the next call; else None.
    """
    if recording is None:
        with open_file() as (container, stream):
            yield from _numbered(container, stream, first, times)
        return
    if _OPEN.recording != recording or not 0.0 <= times[first] - times[_OPEN.number] <= FORWARD_SECONDS:
        _OPEN.close()
        stack = contextlib.ExitStack()
        container, stream = stack.enter_context(open_file())
        _OPEN.stack, _OPEN.frames = stack, _numbered(container, stream, first, times)
    assert _OPEN.frames is not None
    _OPEN.recording = None  # set again only if this ends well
    for number, frame in _OPEN.frames:
        if number + 1 < len(times):
            _OPEN.recording, _OPEN.number = recording, number + 1
        yield number, frame
    _OPEN.recording = None


def _numbered(
    container: InputContainer, stream: VideoStream, first: int, times: NDArray[np.float64]
) -> Iterator[tuple[int, VideoFrame]]:
    stream.thread_type = "NONE"  # threads cost more than they bring for small pictures, and training uses the cores
    base, start = float(stream.time_base or 1 / 1000), stream.start_time or 0
    is_sought = times[first] > FORWARD_SECONDS
    if is_sought:
        container.seek(start + int(times[first] / base), stream=stream)
    number = None if is_sought else 0
    for frame in container.decode(stream):
        if number is None:
            number = 0 if frame.pts is None else int(np.argmin(np.abs(times - (frame.pts - start) * base)))
        yield number, frame
        number += 1
