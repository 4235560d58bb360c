"""The embedding is the same every time, takes any Grid, and tells apart what differs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anew.core.arrays import Numbers
from anew.evaluation.features.random_conv import DETAIL, FEATURES, Embedding, GridEmbedder
from anew.evaluation.metrics.frechet import frechet_distance
from anew.evaluation.metrics.two_sample import two_sample_test


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize(
    "shape", [(1, 28, 28), (3, 8, 8), (3, 96, 70), (1, 1, 5), (2, 300), (3, 4, 16, 16), (1, 40, 3, 40), (3, 2, 24, 24)]
)
def test_any_grid_shape(shape: tuple[int, ...]) -> None:
    x = noise(30, *shape)
    features = Embedding(shape[0], len(shape) - 1).fit(x)(x)
    assert features.shape == (30, FEATURES) and np.isfinite(features).all()


def test_same_numbers_again_whatever_the_chunks() -> None:
    x = noise(150, 1, 16, 16)
    first, second = Embedding(1, 2).fit(x), Embedding(1, 2).fit(x)
    np.testing.assert_array_equal(first(x), second(x))
    np.testing.assert_allclose(first(x)[70:80], second(x[70:80]), atol=1e-4)


def test_standardised_on_what_it_was_fitted_on() -> None:
    x = noise(200, 3, 12, 12)
    features = Embedding(3, 2).fit(x)(x)
    np.testing.assert_allclose(features.mean(0), 0.0, atol=1e-4)
    np.testing.assert_allclose(features.std(0), 1.0, atol=1e-3)


def test_a_constant_border_does_no_harm() -> None:
    x = torch.full((60, 1, 28, 28), -1.0)
    x[:, :, 10:18, 10:18] = noise(60, 1, 8, 8)
    features = Embedding(1, 2).fit(x)(x)
    assert np.isfinite(features).all() and np.abs(features).max() < 20


def test_a_margin_that_hardly_ever_varies_decides_nothing() -> None:
    def framed(seed: int, marked: int) -> torch.Tensor:
        x = torch.full((200, 1, 28, 28), -1.0)
        x[:, :, 10:18, 10:18] = noise(200, 1, 8, 8, seed=seed)
        x[:marked, :, :2, :2] = -0.8  # a faint mark in a corner
        return x

    embedding = Embedding(1, 2).fit(framed(1, marked=1))
    reference = embedding(framed(2, marked=0))
    clean, marked = (frechet_distance(embedding(framed(3, marked)), reference) for marked in (0, 20))
    assert 0.9 * clean < marked < 1.5 * clean


def test_distance_grows_with_damage() -> None:
    def blobs(seed: int) -> torch.Tensor:
        rough = noise(300, 1, 4, 4, seed=seed)
        return torch.nn.functional.interpolate(rough, scale_factor=5, mode="bicubic").clamp(-1, 1)

    train, test, fresh = blobs(1), blobs(2), blobs(3)
    embedding = Embedding(1, 2).fit(train)
    reference = embedding(test)
    levels = [
        frechet_distance(embedding((fresh + s * noise(300, 1, 20, 20)).clamp(-1, 1)), reference) for s in (0, 0.3, 1)
    ]
    assert levels[0] < levels[1] < levels[2]
    assert levels[0] < 2 * frechet_distance(embedding(train), reference)


def test_read_outs_of_whole_items_tell_structure_from_noise_of_the_same_spectrum() -> None:
    """Boxes at any place, against the same amplitudes with random phases, as an untrained denoiser draws them; both are grainy."""
    rng = np.random.default_rng(0)
    boxes = np.zeros((300, 24, 24))
    for image in boxes:
        for _ in range(8):
            top, left = rng.integers(0, 20, 2)
            height, width = rng.integers(2, 7, 2)
            image[top : top + height, left : left + width] = rng.uniform(-0.8, 0.8)
    phases = np.fft.fft2(rng.normal(size=boxes.shape))
    clouds = np.fft.ifft2(np.abs(np.fft.fft2(boxes)) * phases / np.abs(phases)).real[:100]
    sets = [x + 0.3 * rng.normal(size=x.shape) for x in (clouds, boxes[:100], boxes[100:200])]
    embedding = Embedding(1, 2).fit(torch.tensor(boxes[200:, None], dtype=torch.float32))
    views, cells = embedding.views, embedding.views[0]
    clouds, real, train = (embedding.detailed(torch.tensor(x[:, None], dtype=torch.float32))[1] for x in sets)
    assert two_sample_test(clouds[:, :cells], real[:, :cells]).auc < 0.75
    assert two_sample_test(clouds, real, views=views).auc > 0.8
    assert two_sample_test(train, real, views=views).auc < 0.6


def values(items: object) -> torch.Tensor:
    return torch.from_numpy(np.stack(list(items)))[:, None].float()  # type: ignore[call-overload]


def test_features_and_detail_do_not_depend_on_how_many_are_prepared_together() -> None:
    items: list[Numbers] = list(np.random.default_rng(0).uniform(-1, 1, (40, 16, 16)).astype(np.float32))
    whole, parts = (GridEmbedder(values, items, at_once=count) for count in (40, 7))
    features, detail = whole.detailed(items)
    assert features.shape == (40, FEATURES) and detail.shape == (40, sum(whole.views))
    assert whole.views[0] == DETAIL
    assert np.allclose(parts(items), features, atol=1e-4) and np.allclose(parts.detailed(items)[1], detail, atol=1e-4)
    assert np.array_equal(whole(items), features)
