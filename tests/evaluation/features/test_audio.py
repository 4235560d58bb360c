"""Copies of sounds: louder or softer, resampled, earlier or later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from anew.evaluation.features import audio
from anew.evaluation.features.audio import CLIPS, NOMINAL_RATE, SpectrogramDistance, nearest_clips, pictures
from anew.evaluation.memorization.memorization_test import MemorizationOptions, MemorizationTest
from anew.evaluation.memorization.result import CopyTestResult

RATE, LENGTH = 4000, 2000


def bell(seed: int) -> NDArray[np.float32]:
    """A sound of a few partials that begins after a tenth of a second and fades; noise is 50 decibels below."""
    rng = np.random.default_rng(seed)
    time = np.arange(LENGTH) / RATE - 0.1
    partials = 200.0 * 2.0 ** rng.uniform(0, 2.5, 4)
    sound = sum(
        rng.uniform(0.2, 1) * np.exp(-time / rng.uniform(0.03, 0.3)) * np.sin(2 * np.pi * f * time) for f in partials
    )
    x = np.where(time >= 0, sound, 0.0) + rng.normal(0, 0.003, LENGTH)
    return (0.5 * x / np.abs(x).max()).astype(np.float32)


BELLS = [bell(seed) for seed in range(120)]
TRAIN, HELD, FURTHER = BELLS[:60], BELLS[60:80], BELLS[80:]


def softer(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return (np.round(0.4 * x * 32767) / 32767).astype(np.float32)


def moved(x: NDArray[np.float32], seconds: float) -> NDArray[np.float32]:
    return np.roll(x, round(seconds * RATE))


def result_of(copies: list[Any]) -> CopyTestResult:
    return MemorizationTest(
        CLIPS, [*copies, *FURTHER[len(copies) :]], TRAIN, HELD, options=MemorizationOptions(controls=False)
    ).run()


def test_softer_copies_count_as_identical() -> None:
    plain, copied = result_of([]), result_of([softer(x) for x in TRAIN[:5]])
    assert plain.identical == 0 and plain.real_identical == 0
    assert copied.identical == 5 and copied.real_identical == 0
    assert copied.identical_p is not None and copied.identical_p < 0.02


@pytest.mark.parametrize("seconds", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("pitch", [220.0, 440.0])
def test_short_tones_in_long_clips_are_not_identical_to_their_neighbours(pitch: float, seconds: float) -> None:
    time = np.arange(round(seconds * NOMINAL_RATE)) / NOMINAL_RATE
    tones = [np.exp(-50.0 * time) * np.sin(2.0 * np.pi * f * time) for f in (pitch, pitch * 2.0 ** (1 / 12))]
    clips = [tone.astype(np.float32) for tone in tones]
    distance = SpectrogramDistance(pictures([*clips, softer(clips[0])]), np.arange(3))
    assert distance.are_same(np.asarray([0, 0]), np.asarray([1, 2])).tolist() == [False, True]
    assert distance.are_same(np.asarray([], dtype=int), np.asarray([], dtype=int)).tolist() == []


def test_many_pairs_of_clips_are_compared_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once took 74 kB for each pair, and a list of 100,000 clips 7.4 GB."""
    images = np.random.default_rng(0).integers(0, 255, (40, 64, 64), dtype=np.uint8)
    distance = SpectrogramDistance(images, np.arange(40))
    queries, items = np.arange(600) % 40, np.arange(600) // 15
    sizes: list[int] = []
    whole = audio.loud_parts

    def noted(grey: NDArray[np.uint8]) -> Tensor:
        sizes.append(len(grey))
        return whole(grey)

    monkeypatch.setattr(audio, "loud_parts", noted)
    assert distance.are_same(queries, items).tolist() == (queries == items).tolist()
    assert max(sizes) <= audio.COMPARED_AT_ONCE


def test_a_third_of_shifted_copies_is_found() -> None:
    result = result_of([moved(x, 0.04) for x in TRAIN[:14]])
    assert result.detected and result.identical == 0
    assert not result_of([]).detected


@pytest.mark.parametrize("seconds", [-0.05, 0.0, 0.05])
def test_the_original_of_a_shifted_clip_is_the_nearest(seconds: float) -> None:
    index, distance = nearest_clips([moved(softer(x), seconds) for x in TRAIN[:8]], TRAIN, RATE)
    assert index.tolist() == list(range(8))
    assert (distance < 2.0).all() and (seconds != 0.0 or (distance < 0.1).all())
