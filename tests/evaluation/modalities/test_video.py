from __future__ import annotations

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anew.evaluation.inputs import EvaluationInputs
from anew.evaluation.memorization.item_types import CLIPS
from anew.evaluation.modalities.video import EXPORT, clip_tensor, energy, speeds, stack_clips, strip


def dots(n: int, seed: int, pace: int = 1) -> list[np.ndarray[Any, Any]]:
    """Squares that move `pace` pixels a frame, in 5 or 6 frames of 16 x 16."""
    rng = np.random.default_rng(seed)
    clips = []
    for _ in range(n):
        clip = np.full((5 + rng.integers(2), 16, 16, 3), 30, np.uint8)
        row, start, colour = rng.integers(12), rng.integers(5), rng.integers(60, 255, 3)
        for frame in range(len(clip)):
            left = start + pace * frame
            clip[frame, row : row + 4, left : left + 4] = colour
        clips.append(clip)
    return clips


def measured(make: Callable[..., EvaluationInputs], samples: list[Any]) -> dict[str, Any]:
    inputs = make(dots(80, 0), dots(60, 1), samples, modality=SimpleNamespace(rate=10.0))
    return {score.name: score for score in EXPORT(inputs).scores()}


def test_real_clips_are_near_real_data_and_still_ones_near_the_naive_baseline(
    make_inputs: Callable[..., EvaluationInputs],
) -> None:
    real = measured(make_inputs, dots(60, 2))
    still = measured(make_inputs, [np.repeat(clip[:1], 6, axis=0) for clip in dots(60, 2)])
    for name in ("motion_distance", "motion_spectrum_distance"):
        assert real[name].value < 0.5 * still[name].value, name
    assert "of real motion" in real["motion_distance"].source
    assert {"frechet_distance", "coverage"} <= set(real)


def test_single_frames_of_a_limited_number_of_clips_are_measured(
    make_inputs: Callable[..., EvaluationInputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All frames of 10,000 clips took 20 GB."""
    monkeypatch.setattr("anew.evaluation.modalities.video.MAX_COMPARED_CLIPS", 20)
    assert measured(make_inputs, dots(60, 2))["sharpness"].n == 20


def test_faster_motion_is_seen(make_inputs: Callable[..., EvaluationInputs]) -> None:
    fast = measured(make_inputs, dots(60, 2, pace=2))
    assert fast["motion_distance"].low is not None and fast["motion_distance"].low > 0.5
    assert fast["motion_speeds"].low is not None and fast["motion_speeds"].low > 0.9


def test_clips_played_backwards_are_seen(make_inputs: Callable[..., EvaluationInputs]) -> None:
    backwards = measured(make_inputs, [clip[::-1] for clip in dots(60, 2)])["motion_directions"]
    assert backwards.low is not None and backwards.low > 0.9


def test_clips_are_shown_moving_and_frame_by_frame(make_inputs: Callable[..., EvaluationInputs]) -> None:
    train = dots(60, 0)
    content = EXPORT(make_inputs(train, dots(40, 1), train[:10], modality=SimpleNamespace(rate=10.0))).report_content()
    assert content.layout == "players" and content.pairs[0].close and content.pairs[0].caption == "exact copy"
    for data in (content.sheet, content.real_sheet, content.pairs[0].sample.picture):
        assert data is not None and Image.open(io.BytesIO(data)).format == "PNG"
    assert content.pairs[0].sample.media_type == "video/mp4" and b"ftyp" in (content.pairs[0].sample.media or b"")[:12]


def test_a_copied_frame_is_enough_for_a_copy() -> None:
    train, held_out = dots(40, 0), dots(10, 1)
    sample = [np.concatenate([held_out[0][:1], train[7][-1:], held_out[1][:1]])]
    items = sample + train
    distance = CLIPS.distances(items, np.arange(len(items)))[0]
    item, value = distance.nearest(np.array([0]), np.arange(1, len(items)))
    assert item[0] == 8 and value[0] == pytest.approx(0.0, abs=1e-3)
    for alter in CLIPS.alterations:
        altered = alter(train[0], np.random.default_rng(0))
        assert altered.shape == train[0].shape and not np.array_equal(altered, train[0])


def test_figures_of_motion() -> None:
    still = np.zeros((5, 8, 8), np.uint8)
    blinking = np.stack([np.full((8, 8), 255 * (t % 2), np.uint8) for t in range(8)])
    assert energy(still) == 0.0 and energy(blinking) == pytest.approx(1.0)
    assert speeds(blinking).argmax() == len(speeds(blinking)) - 1
    assert speeds(still[:1]).sum() == 0.0
    assert stack_clips([still, still[:2]], 4).shape == (2, 4, 8, 8)
    assert strip(blinking, 4).shape == (8, 32)


def test_narrow_grey_clips_are_grey() -> None:
    """The last axis of clips 4 pixels wide was taken for colours."""
    assert clip_tensor(np.zeros((2, 5, 8, 4), np.uint8)).shape == (2, 1, 5, 8, 4)
    assert clip_tensor(np.zeros((2, 5, 8, 4, 3), np.uint8)).shape == (2, 3, 5, 8, 4)
