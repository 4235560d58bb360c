"""Which way things move in clips, and how fast."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from anew.core.arrays import Numbers
from anew.evaluation.metrics.feature_sets import FeatureSets
from anew.evaluation.metrics.item_classifiers import DIRECTIONS, SPEEDS, ItemClassifier
from anew.evaluation.metrics.media.motion import MAX_SIDE, direction_numbers, speed_numbers
from anew.evaluation.reporting.grading import Part, part_of


def flights(n: int, seed: int, pace: float = 1.0) -> list[Numbers]:
    """Drops with a tail that fly to the left or to the right, the tail behind, in 6 frames of 16 x 20."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :20]
    clips = []
    for _ in range(n):
        way, row, start = rng.choice([-1, 1]), rng.uniform(4, 12), rng.uniform(7, 13)
        speed = pace * rng.uniform(0.6, 1.4)
        frames = []
        for t in range(6):
            behind = way * (start + way * speed * (t - 2.5) - x)
            shape = np.where(behind < 0, np.exp(-(behind**2)), np.exp(-behind / 3.0)) * np.exp(-((y - row) ** 2) / 4.0)
            frames.append(30 + 200 * shape + rng.normal(0, 2, shape.shape))
        clips.append(np.clip(frames, 0, 255).astype(np.uint8))
    return clips


@pytest.fixture(scope="module")
def real() -> tuple[list[Numbers], list[Numbers]]:
    return flights(300, 1), flights(300, 2)


def graded(classifier: ItemClassifier, samples: list[Numbers], real: tuple[list[Numbers], list[Numbers]]) -> Part:
    part = part_of(classifier.score(FeatureSets(*map(classifier.numbers, (samples, *real))), seed=0))
    assert part is not None
    return part


def test_clips_played_backwards_are_told_by_directions_alone(real: tuple[list[Numbers], list[Numbers]]) -> None:
    samples = flights(300, 0)
    backwards = [clip[::-1] for clip in samples]
    assert graded(DIRECTIONS, backwards, real).grade == "poor"
    assert graded(DIRECTIONS, samples, real).grade == "good"
    assert speed_numbers(backwards) == pytest.approx(speed_numbers(samples))


@pytest.mark.parametrize("pace", [0.5, 2.0])
def test_another_pace_is_told(pace: float, real: tuple[list[Numbers], list[Numbers]]) -> None:
    assert graded(SPEEDS, flights(300, 0, pace), real).grade == "poor"


def test_mirrored_motion_has_the_opposite_flow() -> None:
    right = np.zeros((4, 16, 16), np.uint8)
    for t in range(4):
        right[t, 5:11, 3 + t : 9 + t] = 200
    quarters = direction_numbers([right, right[:, :, ::-1], right[::-1]])[:, :4].sum(axis=1)
    assert quarters[0] > 0.5 and quarters[1:] == pytest.approx(-quarters[0])


@pytest.mark.parametrize("numbers", [direction_numbers, speed_numbers])
def test_clips_of_any_shape_have_as_many_numbers(numbers: Callable[[list[Numbers]], Numbers]) -> None:
    for shape in ((5, 2, 9), (1, 1, 1), (2, 900, 3), (3, 300, 200, 4)):
        assert np.isfinite(numbers([np.zeros(shape, np.uint8)])).all()
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 256, (length, 12, 12), dtype=np.uint8) for length in (1, 2, 3, 9)]
    assert np.isfinite(numbers(clips)).all() and numbers(clips).shape == (4, len(numbers(clips[:1])[0]))
    small = rng.integers(0, 256, (3, MAX_SIDE, MAX_SIDE), dtype=np.uint8)
    large = small.repeat(3, axis=1).repeat(3, axis=2)
    assert numbers([large]) == pytest.approx(numbers([small]))
