"""When frames are shown, whatever a file claims."""

from __future__ import annotations

import numpy as np

from anew.data.formats.video import frames


def timed(*times: float) -> frames.Timing:
    return frames._timing_from_stamps(8, 8, [(time, 0.0) for time in times], 10.0, False)


def test_frames_at_another_rate_are_those_that_are_to_be_seen() -> None:
    timing = timed(0.0, 0.1, 0.4, 0.5)
    assert timing.at(10.0).tolist() == [0, 1, 1, 1, 2, 3]


def test_no_frame_lasts_for_years() -> None:
    timing = timed(0.0, 0.1, 0.2, 3e8, 3e8 + 0.1)
    assert timing.length < 2 * frames.MAX_FRAME_SECONDS and timing.rate > 0.1
    shown = timing.at(10.0)
    assert len(shown) < 20 * frames.MAX_FRAME_SECONDS and set(shown.tolist()) == {0, 1, 2, 3, 4}
    assert np.diff(timing.times).max() > 1e8  # where the reader seeks in the file


def test_no_more_frames_are_shown_than_are_used() -> None:
    timing = timed(*(np.arange(30_000) * 9.0 + np.arange(30_000) % 2 * 4.0).tolist())
    assert len(timing.at(30.0)) == frames.MAX_FRAMES
