import numpy as np
import pytest

from anew.evaluation.metrics.feature_sets import FeatureSets
from anew.evaluation.metrics.item_classifiers import AREAS, FAINT_PATTERNS, SLOPES, ItemClassifier
from anew.evaluation.metrics.media.image_numbers import MAX_SIDE, area_numbers, repeat_numbers, slope_numbers
from anew.evaluation.metrics.media.image_statistics import pixel_noise
from anew.evaluation.reporting.grading import Part, part_of


def dunes(n: int, seed: int, size: int = 24) -> np.ndarray:
    """Waves at any place that rise gently to the right and fall steeply, as things that are lit from one side."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    images = []
    for _ in range(n):
        phase = (x + rng.uniform(0, 12) + 2 * np.sin(y / rng.uniform(3, 6))) % rng.uniform(8, 12)
        images.append(np.clip(8 * phase + rng.uniform(40, 120) + rng.normal(0, 3, (size, size)), 0, 255))
    return np.stack(images).astype(np.uint8)


def grains(n: int, seed: int, tile: np.ndarray) -> np.ndarray:
    """Noise with a tile of 8 x 8 that repeats faintly."""
    grain = np.random.default_rng(seed).normal(128, 6, (n, 32, 32))
    return np.clip(np.round(grain + np.tile(tile, (4, 4))), 0, 255).astype(np.uint8)


def graded(classifier: ItemClassifier, samples: np.ndarray, held_out: np.ndarray, train: np.ndarray) -> Part:
    sets = FeatureSets(*(classifier.numbers(x) for x in (samples, held_out, train)))
    part = part_of(classifier.score(sets, seed=0))
    assert part is not None
    return part


@pytest.fixture(scope="module")
def real() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return dunes(300, 0), dunes(300, 1), dunes(300, 2)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[:, :, ::-1],
        lambda x: x[:, ::-1, ::-1],
        lambda x: np.rot90(x, axes=(1, 2)),
        lambda x: x.swapaxes(1, 2),
    ],
    ids=["mirrored", "turned by 180 degrees", "turned by 90 degrees", "transposed"],
)
def test_pictures_in_another_position_are_told_by_their_slopes(change, real) -> None:
    samples, held_out, train = real
    assert graded(SLOPES, change(samples), held_out, train).grade == "poor"
    assert graded(SLOPES, samples, held_out, train).grade == "good"


def test_a_faint_pattern_is_told_wherever_it_lies() -> None:
    board = 1.0 - 2.0 * (np.indices((8, 8)).sum(0) % 2)
    seams = np.zeros((8, 8))
    seams[0] = seams[:, 0] = 4.0
    plain, blocks = grains(300, 0, 0.0 * board), grains(300, 1, seams)
    assert graded(FAINT_PATTERNS, grains(300, 2, board), plain, grains(300, 3, 0.0 * board)).grade in ("fair", "poor")
    assert graded(FAINT_PATTERNS, grains(300, 2, seams)[:, :, ::-1], blocks, grains(300, 3, seams)).grade == "poor"
    assert graded(FAINT_PATTERNS, grains(300, 2, seams), blocks, grains(300, 3, seams)).grade == "good"


@pytest.mark.parametrize("numbers", [slope_numbers, repeat_numbers])
def test_large_tiny_and_transparent_images(numbers) -> None:
    for shape in ((3, 2, 9), (1, 1, 1), (2, 1, 900), (2, 900, 3), (2, 7, 7, 3)):
        assert np.isfinite(numbers(np.zeros(shape, np.uint8))).all()
    small = np.random.default_rng(0).integers(0, 256, (2, 64, 64), dtype=np.uint8)
    assert numbers(np.zeros((2, 300, 411, 4), np.uint8)).shape == numbers(small).shape
    hidden = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 4), dtype=np.uint8)
    hidden[..., 3] = 0
    assert numbers(hidden) == pytest.approx(0.0)


def test_large_images_are_read_coarsely() -> None:
    small = np.random.default_rng(0).integers(0, 256, (2, MAX_SIDE, MAX_SIDE), dtype=np.uint8)
    large = small.repeat(3, axis=1).repeat(3, axis=2)
    assert slope_numbers(large) == pytest.approx(slope_numbers(small))


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


def area_score(samples: np.ndarray, held_out: np.ndarray, train: np.ndarray):
    return AREAS.score(FeatureSets(*(area_numbers(x) for x in (samples, held_out, train))), seed=0)


def test_a_missing_kind_of_item_is_seen_although_the_mean_noise_is_the_same() -> None:
    held_out, train, mottled = things(300, 0, 0.5), things(300, 1, 0.5), things(300, 2, 0.0)
    assert pixel_noise(mottled).mean() == pytest.approx(pixel_noise(held_out).mean(), rel=0.25)
    part = part_of(area_score(mottled, held_out, train))
    assert part is not None and part.grade in ("fair", "poor")
    real = part_of(area_score(things(300, 3, 0.5), held_out, train))
    assert real is not None and real.grade == "good"
    assert "plain, striped and rough" in part.clause


def test_grain_that_cannot_be_seen_does_not_count() -> None:
    rng = np.random.default_rng(0)
    held_out, train, others = (things(300, seed, 0.5) for seed in range(3))
    grain = np.clip(others + rng.normal(0.0, 1.5, others.shape), 0, 255).astype(np.uint8)
    assert area_score(grain, held_out, train).value < 0.6


def test_specks_of_colour_are_seen_where_lightness_has_none() -> None:
    rng = np.random.default_rng(0)
    held_out, train, others = (np.repeat(things(150, seed, 0.5)[..., None], 3, axis=3) for seed in range(3))
    shift = rng.integers(-40, 41, others.shape[:3])
    speckled = others.astype(np.int64)
    speckled[..., 0] += np.where(others[..., 0] > 0, shift, 0)
    speckled[..., 1] -= np.where(others[..., 0] > 0, shift, 0)
    speckled = np.clip(speckled, 0, 255).astype(np.uint8)
    assert area_score(speckled, held_out, train).value > 0.95
    assert area_numbers(held_out).shape[1] == 2 * area_numbers(held_out[..., 0]).shape[1]


def test_areas_of_large_tiny_and_transparent_images() -> None:
    assert np.isfinite(area_numbers(np.zeros((3, 2, 9), np.uint8))).all()
    assert area_numbers(np.zeros((2, 300, 411, 4), np.uint8)).shape == (2, 24)
    hidden = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 4), dtype=np.uint8)
    hidden[..., 3] = 0
    assert np.array_equal(area_numbers(hidden), area_numbers(np.zeros_like(hidden)))
