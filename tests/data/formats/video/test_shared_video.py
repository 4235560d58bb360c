"""Clips of one video are decoded in one pass, and are the same as when each is sought by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anew.data.formats.video import frames, shared_video

COUNT, SIDE = 90, 32


@pytest.fixture
def video(tmp_path: Path) -> Path:
    shown = np.zeros((COUNT, SIDE, SIDE, 3), np.uint8)
    for number in range(COUNT):
        shown[number, :, : 1 + number % SIDE] = 60 + 2 * number
    path = tmp_path / "film.mp4"
    path.write_bytes(frames.mp4(shown, 10.0))
    return path


def pictures(path: Path, first: int, count: int = 10) -> list[bytes]:
    times = frames.timing(path).times
    return [image.tobytes() for image in frames.pictures(path, range(first, first + count), times, SIDE)]


def apart(path: Path, first: int) -> list[bytes]:
    """The same frames from a file that was not open."""
    shared_video._OPEN.close()
    return pictures(path, first)


@pytest.mark.parametrize("order", [range(0, COUNT, 10), [50, 20, 60, 60, 0], range(40, COUNT, 10)])
def test_clips_are_the_same_in_any_order(video: Path, order: range | list[int]) -> None:
    alone = {first: apart(video, first) for first in order}
    assert len({b"".join(clip) for clip in alone.values()}) == len(alone)
    shared_video._OPEN.close()
    assert [pictures(video, first) for first in order] == [alone[first] for first in order]


def test_neighbours_are_decoded_once(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    open_file = frames._open_file
    monkeypatch.setattr(frames, "_open_file", lambda data: opened.append(data) or open_file(data))
    shared_video._OPEN.close()
    times = frames.timing(video).times
    opened.clear()
    for first in range(0, COUNT, 10):
        frames.pictures(video, range(first, first + 10), times, SIDE)
    assert len(opened) == 1
    frames.pictures(video, [0], times, SIDE)  # back
    assert len(opened) == 2


def test_a_file_that_changed_is_opened_again(video: Path) -> None:
    before = pictures(video, 0)
    other = np.full((COUNT, SIDE, SIDE, 3), 200, np.uint8)
    video.write_bytes(frames.mp4(other, 10.0))
    assert pictures(video, 10) == apart(video, 10) != before
