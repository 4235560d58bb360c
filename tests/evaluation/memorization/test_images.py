"""Exact image search, against scipy and scikit-learn on all variants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from anew.evaluation.memorization import images, search
from anew.evaluation.memorization.images import (
    ClipDistance,
    EmbeddingDistance,
    PixelDistance,
    ShiftedImages,
    WhiteDistance,
    compared_frames,
    nearest_pixels,
)
from anew.evaluation.memorization.item_types import CLIPS, IMAGES
from anew.evaluation.memorization.search import GivenVariants, Search


def pictures(n: int, shape: tuple[int, ...], seed: int = 0) -> NDArray[Any]:
    """Smooth random images, as real ones are: white noise has no near neighbours."""
    rng = np.random.default_rng(seed)
    small = rng.normal(size=(n, 3, 3, *shape[2:]))
    big = np.kron(small, np.ones((1, -(-shape[0] // 3), -(-shape[1] // 3), *(1,) * (len(shape) - 2))))
    big = big[:, : shape[0], : shape[1]] + 0.2 * rng.normal(size=(n, *shape))
    return np.clip(128 + 50 * big, 0, 255).astype(np.uint8)


def expected(
    views: NDArray[Any], rows: NDArray[Any], queries: NDArray[Any], pool: NDArray[Any], groups: NDArray[Any]
) -> NDArray[Any]:
    """(q, p) least distance over views, infinite within a group."""
    table = np.stack([cdist(views[q], rows[pool]).min(axis=0) for q in queries])
    table[groups[queries][:, None] == groups[pool][None]] = np.inf
    return table


def shifted(x: torch.Tensor) -> torch.Tensor:
    """All shifts of images (n, C, h, w) by up to a pixel each way, and their mirrors, (n, 18, C h w)."""
    wide = torch.nn.functional.pad(x, (1, 1, 1, 1), mode="replicate")
    height, width = x.shape[2:]
    views = [wide[:, :, down : down + height, right : right + width] for down in range(3) for right in range(3)]
    return torch.stack([*views, *(view.flip(3) for view in views)], dim=1).flatten(2)


@pytest.mark.parametrize("shape", [(12, 10), (30, 20), (21, 32, 4)])
def test_cores_of_shifted_images_are_those_of_their_pixels(shape: tuple[int, ...]) -> None:
    plain = images.standardise(list(pictures(6, shape)))
    axes = images.axes(plain)
    variants = ShiftedImages(plain, axes, 1, mirror=True)
    query, variant = torch.arange(6).repeat_interleave(18), torch.arange(18).repeat(6)
    pixels = variants.take(query, variant)
    same = (pixels[:, None] == shifted(plain).flatten(0, 1)[None]).all(dim=2)  # in another order
    assert same.view(6, 18, 6, 18).any(dim=3).any(dim=1).diagonal().all()
    assert torch.equal(pixels.view(6, 18, -1)[:, variants.plain], plain.flatten(1))
    torch.testing.assert_close(variants.squares().flatten(), pixels.square().sum(dim=1))
    by_pixels = ShiftedImages(pixels.view(-1, *plain.shape[1:]), axes).core()[:, 0]
    torch.testing.assert_close(variants.core().flatten(0, 1), by_pixels, atol=1e-4, rtol=1e-4)
    assert (variants.core().square().sum(dim=2) <= variants.squares() * (1 + 1e-5)).all()


@pytest.mark.parametrize("shape", [(12, 10), (12, 12, 3), (40, 36, 1), (32, 32, 4)])
@pytest.mark.parametrize("sizes", [(256, 256, 2048, 64), (7, 50, 13, 2)])
def test_nearest_image_equals_all_pairs(
    shape: tuple[int, ...], sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in zip(("QUERIES", "TILE", "POOL", "LOOSE_SHARE"), sizes, strict=True):
        monkeypatch.setattr(search, name, size)
    items = pictures(90, shape)
    groups = np.arange(90)
    groups[40:60] = np.arange(40, 60) // 3
    queries, pool = np.arange(0, 50), np.arange(20, 90)
    item, distances = PixelDistance(list(items), groups).nearest(queries, pool)
    plain = images.standardise(list(items))
    views = shifted(plain).double().numpy()
    table = expected(views, plain.flatten(1).double().numpy(), queries, pool, groups)
    table /= np.sqrt(plain[0].numel())
    np.testing.assert_allclose(distances, table.min(axis=1), atol=1e-5)
    np.testing.assert_allclose(table[np.arange(50), item - 20], table.min(axis=1), atol=1e-5)


def test_no_product_of_a_search_waits_for_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside other programs, two threads that share each product took up to 18 times as long as one."""
    distance = PixelDistance(list(pictures(90, (12, 10))), np.arange(90) // 2)
    queries, pool, block = np.arange(0, 50), np.arange(20, 90), Search._block
    threads: list[int] = []

    def noted(self: Search, *arguments: Any) -> Any:
        threads.append(torch.get_num_threads())
        return block(self, *arguments)

    monkeypatch.setattr(Search, "_block", noted)
    results = []
    for num_threads, pairs, parts in ((1, 10**9, 1), (3, 10**9, 3), (2, 700, 5)):
        monkeypatch.setattr(search, "available_threads", lambda count=num_threads: count)
        monkeypatch.setattr(search, "PAIRS_IN_PART", pairs)
        threads.clear()
        results.append((*distance.nearest(queries, pool), distance.within(queries, pool, queries[::-1])))
        assert threads == [1] * parts
    for other in results[1:]:
        assert all(map(np.array_equal, results[0], other))


@pytest.mark.parametrize("many", [1, 20, 10**6])
def test_speckled_images_are_compared_in_products(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MANY_PAIRS", many)
    rng = np.random.default_rng(0)
    real = pictures(120, (32, 32, 4))
    noise = 60.0 * rng.normal(size=(24, 32, 32, 4))  # fine grain, which cores do not hold
    speckled = np.clip(pictures(24, (32, 32, 4), seed=1) + noise, 0, 255).astype(np.uint8)
    items = [*real, *speckled, *real[:3]]  # the last are copies: at a distance of 0, exactly
    queries, pool = np.arange(120, 147), np.arange(120)
    item, distances = PixelDistance(items, np.arange(147)).nearest(queries, pool)
    plain = images.standardise(items)
    table = expected(
        shifted(plain).double().numpy(), plain.flatten(1).double().numpy(), queries, pool, np.arange(147)
    ) / np.sqrt(plain[0].numel())
    np.testing.assert_allclose(distances, table.min(axis=1), atol=1e-5)
    assert (item == table.argmin(axis=1)).all() and (distances[-3:] == 0.0).all()


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_feature_search_equals_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(80, int(rng.integers(2, 200)))) * rng.gamma(1.0, size=(80, 1)) + 3.0
    tensor = torch.from_numpy(rows.astype(np.float32))
    item, distances = Search(tensor, np.arange(80)).nearest(
        np.arange(20), np.arange(20, 80), lambda chosen: GivenVariants(tensor[torch.from_numpy(chosen)][:, None])
    )
    reference = NearestNeighbors(n_neighbors=1).fit(rows[20:].astype(np.float32))
    distance, place = reference.kneighbors(rows[:20].astype(np.float32))
    np.testing.assert_allclose(distances, distance[:, 0], rtol=1e-4)
    assert (item == place[:, 0] + 20).mean() > 0.95


def test_embedding_search_equals_all_pairs() -> None:
    items = list(pictures(60, (14, 14)))
    distance = EmbeddingDistance(items, np.arange(60))
    item, distances = distance.nearest(np.arange(10), np.arange(10, 60))
    views = images.features(images.standardise(items)).double().numpy()
    table = expected(views, views[:, 0], np.arange(10), np.arange(10, 60), np.arange(60))
    np.testing.assert_allclose(distances, table.min(axis=1), atol=1e-5)
    assert (item - 10 == table.argmin(axis=1)).all()


def test_a_bound_is_never_larger_than_the_distance() -> None:
    rows = torch.randn(50, 300) * torch.rand(300)
    bounds = Search(rows, np.arange(50)).bounds
    assert bounds.shape[1] < 80
    below, real = (cdist(x.double().numpy(), x.double().numpy()) for x in (bounds, rows))
    assert (below <= real + 1e-4).all() and below.mean() > 0.9 * real.mean()


def test_what_a_copy_is() -> None:
    items = pictures(40, (16, 16))
    base = items[0].astype(int)
    moved = np.roll(items[1], 1, axis=1)
    mirrored = items[2][:, ::-1]
    paler = (base // 2 + 60).astype(np.uint8)
    items = [*items, moved, mirrored, paler]
    near = PixelDistance(items, np.arange(43)).nearest_real(np.arange(40, 43), np.arange(40))
    assert near.item.tolist() == [1, 2, 0]
    assert (near.ratio < 0.8).all() and near.distance[1] == 0.0 and near.distance[2] < 0.15


def test_empty_pools_and_flat_images() -> None:
    items = [np.zeros((8, 8), np.uint8), np.full((8, 8), 9, np.uint8), pictures(1, (8, 8))[0]]
    distance = PixelDistance(items, np.array([0, 0, 1]))
    assert distance.nearest(np.array([0]), np.array([1]))[0].tolist() == [-1]
    item, distances = distance.nearest(np.array([0]), np.array([1, 2]))
    assert item.tolist() == [2] and np.isfinite(distances[0])
    assert np.isinf(distance.nearest(np.array([0]), np.zeros(0, dtype=np.intp))[1][0])


def test_nearest_pixels_finds_the_copy() -> None:
    training = np.random.default_rng(0).integers(0, 256, (1200, 6, 6, 3), dtype=np.uint8)
    images = training[[700, 3, 1199]].copy()
    images[1, 0, 0, 0] ^= 1
    index, distance = nearest_pixels(images, training)
    assert index.tolist() == [700, 3, 1199]
    assert distance[0] == distance[2] == 0.0
    np.testing.assert_allclose(distance[1], 1 / np.sqrt(108), rtol=1e-6)


def test_a_darkened_image_is_near_although_its_alpha_is_unchanged() -> None:
    items = pictures(40, (16, 16, 4))
    items[..., 3] = np.where(items[..., 3] > 128, 255, 0)
    dark = items[:10].copy()
    dark[..., :3] = (0.75 * dark[..., :3]).astype(np.uint8)
    for distance in (PixelDistance, EmbeddingDistance):
        nearest, distances = distance([*items, *dark], np.arange(50)).nearest(np.arange(40, 50), np.arange(40))
        usual = distance(list(items), np.arange(40)).nearest(np.arange(40), np.arange(40))[1]
        assert nearest.tolist() == list(range(10)) and distances.max() < 0.05 * usual.min()


def test_a_copy_without_its_transparency_is_near_by_pixels() -> None:
    items = pictures(40, (16, 16, 4))
    items[..., 3] = np.where(items[..., 3] > 128, 255, 0)
    flat = items[:10].copy()
    flat[..., :3] = np.where(flat[..., 3:] == 0, 255, flat[..., :3])
    flat[..., 3] = 255
    near = WhiteDistance([*items, *flat], np.arange(50)).nearest_real(np.arange(40, 50), np.arange(40))
    assert near.item.tolist() == [*range(10)] and (near.distance < 1e-3).all()
    names = [[d.name for d in IMAGES.distances(list(part), np.arange(40))] for part in (items, [*items[:30], *flat])]
    assert names == [["pixels", "embedding"], ["pixels", "embedding", "pixels on white"]]


def test_flat_frames_of_clips_are_not_compared() -> None:
    """Clips that fade in from black shared their first frame: each was said to be a copy of any other, and copies were not seen."""
    clips = [np.stack(list(pictures(6, (12, 12, 3), seed=seed))) for seed in range(2)]
    faded = [np.concatenate([np.full((3, 12, 12, 3), (200, 0, 0), dtype=np.uint8), clip]) for clip in clips]
    assert (compared_frames(faded[0], 3) == compared_frames(clips[0], 3)).all()
    assert not set(CLIPS.keys(faded[0])) & set(CLIPS.keys(faded[1]))
    assert ClipDistance(faded, np.arange(2), 3).nearest(np.array([0]), np.array([1]))[1][0] > 0.5
    flat = np.zeros((4, 12, 12), dtype=np.uint8)
    assert len(compared_frames(flat, 3)) == 3
    blinking = clips[0][[0, 1, 2, 3, 4]]
    blinking[2] = 7
    assert (compared_frames(blinking, 3) == blinking[[0, 1, 4]]).all()
