"""Sharpness, noise, grids, transparency and colours: each sees its own fault, and no other sample is accused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from anew.evaluation.metrics.item_statistics import compare
from anew.evaluation.metrics.media.image_statistics import (
    BLACK,
    CELLS,
    DIRECTION,
    FAINT_COLOUR_NOISE,
    WHITE,
    colour_counts,
    colour_distance,
    colour_noise,
    colours,
    grid_energy,
    image_statistics,
    oklab,
)

Images = NDArray[np.uint8]


def blobs(n: int, seed: int, alpha: bool = False) -> Images:
    """(n, 32, 32, 3 or 4) soft blobs of colour; with hard alpha."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32]
    images = []
    for _ in range(n):
        a, b, size = rng.uniform(8, 24), rng.uniform(8, 24), rng.uniform(4, 9)
        near = np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * size**2))[..., None]
        colour = near * rng.uniform(80, 255, 3) + (1 - near) * rng.uniform(0, 60, 3)
        image = colour + rng.normal(0, 3, (32, 32, 3))
        image = np.concatenate([image, 255.0 * (near > 0.3)], axis=2) if alpha else image
        images.append(np.clip(image, 0, 255).astype(np.uint8))
    return np.stack(images)


def faulty(images: Images, fault: str) -> Images:
    rng = np.random.default_rng(9)
    x = images.astype(np.float64)
    if fault == "blur":
        x = (x + np.roll(x, 1, 1) + np.roll(x, 1, 2) + np.roll(x, (1, 1), (1, 2))) / 4
    elif fault == "specks":
        x[rng.random(x.shape[:3]) < 0.03] += 120
    elif fault == "coloured specks":  # which the mean of the channels does not show
        specks = rng.normal(0, 8, x.shape[:3])
        x[..., 0] += specks
        x[..., 1] -= specks
    elif fault.startswith("grid"):
        stride = int(fault[-1])
        x[:, ::stride] += 25  # seams of patches
    elif fault == "half":
        x[..., 3] = np.where(x[..., 3] > 0, 170, 0)
    elif fault == "warm":
        x[..., 0] += 14
        x[..., 2] -= 14
    elif fault == "palette":
        x[..., :3] += rng.normal(0, 20, x[..., :3].shape)
    return np.clip(x, 0, 255).astype(np.uint8)


def scores_of(fault: str, n: int = 60) -> dict[str, float]:
    samples, held_out, train = blobs(n, 0, True), blobs(n, 1, True), blobs(n, 2, True)
    broken = faulty(samples, fault)
    scores = [compare(s, *map(s.compute, (broken, held_out, train))) for s in image_statistics(4)]
    assert all(score.low is not None and score.low <= score.value <= (score.high or 0.0) for score in scores)
    assert all((score.real_baseline or 1.0) < 0.65 for score in scores)
    return {score.name: float(score.low or 0.0) for score in scores}


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("blur", "sharpness"),
        ("specks", "pixel_noise"),
        ("coloured specks", "colour_noise"),
        ("grid2", "grid_energy"),
        ("grid4", "grid_energy"),
        ("grid8", "grid_energy"),
        ("half", "half_transparent"),
        ("palette", "colour_count"),
    ],
)
def test_each_fault_is_seen_in_sixty_images(fault: str, name: str) -> None:
    assert scores_of(fault)[name] > 0.85


def test_real_images_are_not_accused() -> None:
    assert max(scores_of("none").values()) < 0.6


def test_coloured_specks_are_no_grey_ones_and_rounding_is_none() -> None:
    assert scores_of("coloured specks")["pixel_noise"] < 0.6
    rng = np.random.default_rng(0)
    rounded = rng.integers(0, 255, (4, 32, 32, 1)) + rng.integers(0, 2, (4, 32, 32, 3))
    assert (colour_noise(rounded.astype(np.uint8)) == FAINT_COLOUR_NOISE).all()


def test_white_that_is_not_quite_white_is_seen() -> None:
    rng = np.random.default_rng(0)
    real = np.where(rng.random((180, 16, 16)) < 0.3, rng.integers(249, 256, (180, 16, 16)), 3).astype(np.uint8)
    pale = np.where(real[:60] > 200, real[:60] - 8, real[:60])
    scores = {s.spec.name: compare(s, *map(s.compute, (pale, real[60:120], real[120:]))) for s in (WHITE, BLACK)}
    assert (scores["pure_white"].low or 0.0) > 0.9 and scores["pure_black"].value < 0.6
    assert (WHITE.compute(np.full((2, 4, 4), 100, dtype=np.uint8)) == 0.0).all()  # nothing near to white


def test_the_purity_of_white_does_not_count_pixels_that_are_nearly_white() -> None:
    """Figures of skin of 240, without any white, were told from real ones by two pixels more or less."""
    skin = np.full((2, 8, 8), 100, dtype=np.uint8)
    skin[0, :4], skin[1, :5] = 240, 240
    assert np.ptp(WHITE.compute(skin)) == 0.0


def test_a_grid_too_faint_to_be_seen_is_none() -> None:
    images = np.full((5, 32, 32), 120, dtype=np.uint8)
    faint, plain = images.copy(), images.copy()
    faint[:, ::2, ::2] += 1
    plain[:, ::2, ::2] += 30
    assert (grid_energy(faint) == 1.0).all() and (grid_energy(plain) > 20.0).all()
    assert (grid_energy(images[:, :3, :3]) == 1.0).all()  # smaller than two tiles


def test_colours_are_counted_and_compared_where_they_look_different() -> None:
    flat: Any = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    flat[1, :2] = 255
    assert colours(flat).tolist() == [1.0, 2.0]
    counts = colour_counts(flat)
    assert counts.shape == (2, CELLS) and counts.sum() == 32 and colour_distance(counts[:1], counts[:1]) == 0.0
    red, green = (np.zeros((3, 4, 4, 3), dtype=np.uint8) for _ in range(2))
    red[..., 0], green[..., 1] = 255, 255
    assert colour_distance(colour_counts(red), colour_counts(green)) == pytest.approx(1.0)
    clear = np.zeros((1, 4, 4, 4), dtype=np.uint8)  # on white
    white = np.full((1, 4, 4), 255, dtype=np.uint8)
    assert colour_distance(colour_counts(clear), colour_counts(white)) == pytest.approx(0.0)
    assert oklab(np.array([1.0, 1.0, 1.0])) == pytest.approx([1.0, 0.0, 0.0], abs=1e-4)
    assert oklab(np.array([1.0, 0.0, 0.0])) == pytest.approx([0.628, 0.225, 0.126], abs=1e-3)


def icons(n: int, seed: int) -> Images:
    """(n, 32, 32, 3) greys of several levels, half of each image beside a colour of its own."""
    rng = np.random.default_rng(seed)
    images = np.repeat(rng.integers(60, 230, (n, 32, 32, 1)), 3, axis=3)
    images[:, :, 16:] = rng.integers(0, 256, (n, 1, 1, 3))
    return images.astype(np.uint8)


def test_a_colour_cast_is_seen_in_greys_and_one_too_faint_to_see_is_none() -> None:
    held_out, train = icons(60, 1), icons(60, 2)
    statistics = {s.spec.name: s for s in image_statistics(3)}
    values = {}
    for name, samples in (("real", icons(60, 3)), ("warm", faulty(icons(60, 3), "warm"))):
        for axis in ("green_red_cast", "blue_yellow_cast"):
            score = compare(statistics[axis], *map(statistics[axis].compute, (samples, held_out, train)))
            values[name, axis] = score.value
    assert values["warm", "blue_yellow_cast"] > 0.95
    assert max(values["real", "green_red_cast"], values["real", "blue_yellow_cast"]) < 0.6
    faint = np.clip(held_out.astype(int) + np.array((1, 0, -1)), 0, 255).astype(np.uint8)
    assert (
        statistics["blue_yellow_cast"].compute(faint) == statistics["blue_yellow_cast"].compute(held_out)
    ).mean() > 0.9
    assert not statistics["green_red_cast"].compute(np.zeros((2, 4, 4, 3), dtype=np.uint8)).any()


def test_pictures_on_their_side_are_told_from_upright_ones() -> None:
    rng = np.random.default_rng(0)
    upright = [
        np.asarray(128 + 40 * np.tile(rng.normal(size=(1, 16)), (16, 1)) + rng.normal(0, 30, (16, 16)))
        for _ in range(180)
    ]
    images = [image.clip(0, 255).astype(np.uint8) for image in upright]
    samples, held_out, train = images[:60], images[60:120], images[120:]
    turned = [np.rot90(image) for image in samples]
    real, other = (compare(DIRECTION, *map(DIRECTION.compute, (part, held_out, train))) for part in (samples, turned))
    assert real.low == 0.5 and other.value > 0.9
    assert DIRECTION.compute([np.zeros((8, 8), np.uint8)]).tolist() == [0.5]
