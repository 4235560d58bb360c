import numpy as np
import pytest

from anew.evaluation.metrics.feature_sets import FeatureSets
from anew.evaluation.metrics.image_numbers import area_numbers
from anew.evaluation.metrics.image_statistics import pixel_noise
from anew.evaluation.metrics.item_classifiers import AREAS
from anew.evaluation.reporting.grading import part_of


def things(n: int, seed: int, share_plain: float, shape: tuple[int, ...] = (24, 24)) -> np.ndarray:
    """Grey squares on black with shading: a share of them plain, the others mottled, all equally noisy on average."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    images = []
    for _ in range(n):
        inside = (np.abs(y - shape[0] / 2) < rng.uniform(6, 9)) & (np.abs(x - shape[1] / 2) < rng.uniform(6, 9))
        image = rng.uniform(90, 180) + rng.uniform(-2, 2) * (y - 12.0)
        if rng.random() >= share_plain:
            image = image + rng.normal(0.0, 8.0 / (1.0 - share_plain), shape)
        images.append(np.clip(np.where(inside, image, 0.0), 0, 255).astype(np.uint8))
    return np.stack(images)


def score_of(samples: np.ndarray, held_out: np.ndarray, train: np.ndarray):
    return AREAS.score(FeatureSets(*(area_numbers(x) for x in (samples, held_out, train))), seed=0)


def test_a_missing_kind_of_item_is_seen_although_the_mean_noise_is_the_same() -> None:
    held_out, train, mottled = things(300, 0, 0.5), things(300, 1, 0.5), things(300, 2, 0.0)
    assert pixel_noise(mottled).mean() == pytest.approx(pixel_noise(held_out).mean(), rel=0.25)
    part = part_of(score_of(mottled, held_out, train))
    assert part is not None and part.grade in ("fair", "poor")
    real = part_of(score_of(things(300, 3, 0.5), held_out, train))
    assert real is not None and real.grade == "good"
    assert "plain, striped and rough" in part.clause


def test_grain_that_cannot_be_seen_does_not_count() -> None:
    rng = np.random.default_rng(0)
    held_out, train, others = (things(300, seed, 0.5) for seed in range(3))
    grain = np.clip(others + rng.normal(0.0, 1.5, others.shape), 0, 255).astype(np.uint8)
    assert score_of(grain, held_out, train).value < 0.6


def test_specks_of_colour_are_seen_where_lightness_has_none() -> None:
    rng = np.random.default_rng(0)
    held_out, train, others = (np.repeat(things(150, seed, 0.5)[..., None], 3, axis=3) for seed in range(3))
    shift = rng.integers(-40, 41, others.shape[:3])
    speckled = others.astype(np.int64)
    speckled[..., 0] += np.where(others[..., 0] > 0, shift, 0)
    speckled[..., 1] -= np.where(others[..., 0] > 0, shift, 0)
    speckled = np.clip(speckled, 0, 255).astype(np.uint8)
    assert score_of(speckled, held_out, train).value > 0.95
    assert area_numbers(held_out).shape[1] == 2 * area_numbers(held_out[..., 0]).shape[1]


def test_large_tiny_and_transparent_images() -> None:
    assert np.isfinite(area_numbers(np.zeros((3, 2, 9), np.uint8))).all()
    assert area_numbers(np.zeros((2, 300, 411, 4), np.uint8)).shape == (2, 24)
    hidden = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 4), dtype=np.uint8)
    hidden[..., 3] = 0
    assert np.array_equal(area_numbers(hidden), area_numbers(np.zeros_like(hidden)))
