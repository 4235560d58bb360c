"""A search block by block gives what a search of all gives, whatever the order in which items lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anew.core.sequences import Joined, Rearranged
from anew.evaluation.features.audio import CLIPS as SOUNDS
from anew.evaluation.memorization import blocks
from anew.evaluation.memorization.blocks import BlockwiseDistance, distances_of
from anew.evaluation.memorization.item_types import IMAGES, RECORDS
from anew.evaluation.memorization.memorization_test import MemorizationOptions, MemorizationTest


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "WORKING_BYTES", 1)
    monkeypatch.setattr(blocks, "MIN_BLOCK", 17)


def test_the_nearest_of_blocks_are_the_nearest_of_all(small_blocks: None) -> None:
    """Equal images lie in several blocks: of these the first is the nearest."""
    rng = np.random.default_rng(0)
    images = [np.repeat(np.repeat(image, 3, 0), 3, 1) for image in rng.integers(0, 256, (60, 4, 4, 3), np.uint8)]
    images = [images[i] for i in rng.permutation(np.arange(100) % 60)]
    order, groups, pool = rng.permutation(100), rng.integers(-3, 70, 100), np.flatnonzero(rng.random(100) < 0.7)
    items = Rearranged(images, order)
    shares: list[float] = []
    for number, expected in enumerate(IMAGES.distances(list(items), groups)):
        distance = BlockwiseDistance(IMAGES, number, items, np.arange(100), np.arange(5))
        distance.tell = shares.append
        item, away = distance.with_groups(groups).nearest(np.arange(100), pool)
        expected_item, expected_away = expected.nearest(np.arange(100), pool)
        assert np.array_equal(item, expected_item) and away == pytest.approx(expected_away, abs=1e-6)
    assert distance.at_once == 51 and shares[:5] == pytest.approx(
        [0.51 * i / (len(pool) / 17) for i in (1, 2, 3, 4)] + [0.51], abs=0.01
    )


def test_blocks_bound_distances_as_a_search_of_all_does(small_blocks: None) -> None:
    """Without a bound, all stand-ins were searched a second time. Groups are left out in every block."""
    rng = np.random.default_rng(3)
    images = list(rng.integers(0, 256, (100, 5, 5), np.uint8))
    groups, pool = rng.integers(0, 30, 100), np.flatnonzero(rng.random(100) < 0.7)
    queries, without = rng.integers(0, 100, 60), rng.integers(0, 100, 60)
    for number, whole in enumerate(IMAGES.distances(images, groups)):
        within = BlockwiseDistance(IMAGES, number, images, groups, np.arange(3)).within(queries, pool, without)
        for query, left_out, bound in zip(queries, without, within, strict=True):
            others = pool[~np.isin(groups[pool], groups[[query, left_out]])]
            least = whole.with_groups(np.arange(100)).nearest(np.array([query]), others)[1][0]
            assert least - 1e-6 <= bound < np.inf
        assert np.median(within / whole.within(queries, pool, without)) <= 1.0 + 1e-6


def test_blocks_have_the_distances_of_all_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of 800 images have transparency, which is what "pixels on white" is for."""
    rng = np.random.default_rng(4)
    images = list(rng.integers(0, 256, (800, 4, 4, 4), np.uint8))
    for number, image in enumerate(images):
        image[..., 3] = 100 if number in (405, 611) else 255
    whole = IMAGES.distances(images, np.arange(800))
    monkeypatch.setattr(blocks, "WORKING_BYTES", 1)
    monkeypatch.setattr(blocks, "MIN_BLOCK", 300)
    parts = distances_of(IMAGES, images, np.arange(800))
    assert [part.name for part in parts] == [all_of.name for all_of in whole]
    assert parts[-1].name == "pixels on white" and isinstance(parts[-1], BlockwiseDistance)
    queries, pool = np.arange(400, 410), np.flatnonzero(np.arange(800) % 400 != 11)
    item, away = parts[-1].nearest(queries, pool)
    expected_item, expected_away = whole[-1].nearest(queries, pool)
    assert np.array_equal(item, expected_item) and away == pytest.approx(expected_away, abs=1e-6)


def test_sounds_that_count_as_the_same_are_told(small_blocks: None) -> None:
    rng = np.random.default_rng(1)
    sounds = [(rng.normal(size=2000) * rng.random(2000) ** 3).astype(np.float32) for _ in range(40)]
    sounds += [sounds[i] * np.float32(0.5) for i in range(20)]
    queries, items = np.arange(40, 60), np.arange(20)[::-1].copy()
    expected = SOUNDS.distances(sounds, np.arange(60))[0].are_same(queries, items)
    distance = BlockwiseDistance(SOUNDS, 0, sounds, np.arange(60), np.arange(3))
    assert np.array_equal(distance.are_same(queries, items), expected)
    assert distance.are_same(queries, np.arange(20)).all()


def test_a_memorization_test_block_by_block_is_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    images = list(rng.integers(0, 256, (90, 5, 5), np.uint8))
    train, held_out, samples = images[:50], images[50:70], [*images[70:], *images[:6]]
    options = MemorizationOptions(controls=False)
    expected = MemorizationTest(IMAGES, samples, train, held_out, options=options).run()
    monkeypatch.setattr(blocks, "WORKING_BYTES", 1)
    monkeypatch.setattr(blocks, "MIN_BLOCK", 20)
    assert isinstance(distances_of(IMAGES, Joined(train, held_out), np.arange(70))[1], BlockwiseDistance)
    assert not isinstance(distances_of(RECORDS, ["a", "b"], np.arange(2))[0], BlockwiseDistance)
    result = MemorizationTest(IMAGES, samples, train, held_out, options=options).run()
    assert replace(result, pairs=[], training_distance=None) == replace(expected, pairs=[], training_distance=None)
    assert [pair.train for pair in result.pairs] == [pair.train for pair in expected.pairs]
