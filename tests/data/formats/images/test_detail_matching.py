"""Detail of samples becomes as strong in as many places as that of real images; colours, alpha and drawings keep theirs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from anew.data.formats.images import detail_bands, detail_matching
from anew.data.formats.images.detail_bands import NUM_BANDS, blur, detail, mirrored, strengths
from anew.data.formats.images.detail_matching import DetailStep
from anew.data.formats.images.pixel_matching import PixelMatching

SIZE = 24


def photographs(n: int, seed: int, noise: float = 0.0, contrast: float = 1.0, channels: int = 3) -> NDArray[np.float32]:
    """(n, C, H, W) levels of smooth areas beside rough ones. noise: levels of grain on top."""
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(n, channels, SIZE, SIZE)).astype(np.float32)
    rough = blur(base, 1) * 90.0 * contrast
    is_rough = (np.arange(SIZE) < rng.integers(6, 18, (n, 1)))[:, None, None]  # the left part of each
    slopes = rng.normal(size=(n, channels, 1, 1)) * np.linspace(-50.0, 50.0, SIZE)
    x = 128.0 + slopes + np.where(is_rough, rough, 0.0)
    x = x + (noise + 0.5) * rng.normal(size=x.shape)
    return np.rint(np.clip(x, 0, 255)).astype(np.float32)


def mean_strengths(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """(bands, 2) of brightness, in the smooth half and in the rough half."""
    rows = []
    for _, strength in strengths(x):
        ordered = np.sort(strength[:, 0], axis=None)
        rows.append([ordered[: len(ordered) // 3].mean(), ordered[len(ordered) // 3 :].mean()])
    return np.array(rows)


@pytest.mark.parametrize("channels", [1, 3])
def test_grain_of_smooth_areas_goes_and_soft_detail_becomes_stronger(channels: int) -> None:
    real = photographs(200, 0, channels=channels)
    step = DetailStep.learn(photographs(64, 1, noise=6.0, contrast=0.75, channels=channels), real)
    assert step is not None and len(step.rounds) == detail_matching.ROUNDS
    others = photographs(64, 2, noise=6.0, contrast=0.75, channels=channels)
    before, after, goal = map(mean_strengths, (others, detail(others, step.rounds), real))
    assert np.abs(after - goal).sum() < 0.5 * np.abs(before - goal).sum()
    assert after[0, 0] < 0.5 * before[0, 0] and after[0, 1] > 0.98 * before[0, 1]


def test_real_images_stay_nearly_as_they_are() -> None:
    step = DetailStep.learn(photographs(128, 3), photographs(400, 4))
    assert step is not None
    x = photographs(32, 5)
    assert np.abs(detail(x, step.rounds) - x).mean() < 0.1 * np.abs(x - x.mean(axis=(2, 3), keepdims=True)).mean()


def test_what_is_learned_fits_a_run_and_comes_back() -> None:
    matching = PixelMatching.learn(photographs(40, 6, noise=5.0), photographs(100, 7))
    assert matching.steps[0].step == "detail"
    again = PixelMatching.model_validate_json(matching.model_dump_json())
    x = photographs(8, 8, noise=5.0)
    assert again == matching and (again(x) == matching(x)).all() and (matching(x) != x).any()
    matching.check(3)


def test_few_samples_grey_drawings_and_clips_are_left_out() -> None:
    real, noisy = photographs(60, 9), photographs(40, 11, noise=5.0)
    assert DetailStep.learn(photographs(detail_matching.MIN_SAMPLES - 1, 10, noise=5.0), real) is None
    on_white = photographs(60, 9, channels=1)
    on_white[:, :, :8] = 255.0  # a background
    grey = PixelMatching.learn(photographs(40, 11, noise=5.0, channels=1), on_white)
    clips = PixelMatching.learn(noisy, real, num_frames=4)
    assert "detail" not in {step.step for step in (*grey.steps, *clips.steps)}


def test_drawings_keep_their_brightness_and_lose_noise_of_colours() -> None:
    real, noisy = photographs(60, 9), photographs(40, 11, noise=12.0)
    on_white, plain = real.copy(), real.copy()
    on_white[:, :, :8] = 255.0  # a background
    plain[:, :, :, ::2] = plain[:, :, :, 1::2] = 128.0
    plain[:, :, 8:16] = np.where(np.arange(SIZE) < 12, 30.0, 220.0)
    alpha = np.full((40, 1, SIZE, SIZE), 255.0, dtype=np.float32)
    transparent = np.concatenate([real[:40], alpha], axis=1)
    for others in (on_white, plain, transparent):
        samples = noisy if others.shape[1] == 3 else np.concatenate([noisy, alpha], axis=1)
        step = PixelMatching.learn(samples, others).steps[0]
        assert isinstance(step, DetailStep)
        assert all(curves[0] is None and None not in curves[1:] for bands in step.rounds for curves in bands)
        x = samples.copy()
        x[:, :3] = 128.0 + 0.5 * (x[:, :3] - 128.0)  # far from black and white, so that nothing is cut off
        after = detail(x, step.rounds)
        np.testing.assert_allclose(after[:, :3].mean(axis=1), x[:, :3].mean(axis=1), atol=0.01)
        (_, before_fine), (_, after_fine) = next(strengths(x)), next(strengths(after))
        assert np.median(after_fine[:, 1:]) < 0.8 * np.median(before_fine[:, 1:])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(2, 20), st.sampled_from([1, 3, 4]), st.integers(0, 2**32 - 1))
def test_bands_and_the_last_blur_are_the_image_at_any_size(height: int, width: int, channels: int, seed: int) -> None:
    x = np.random.default_rng(seed).uniform(0, 255, (2, channels, height, width)).astype(np.float32)
    if channels == 4:
        x[:, :3] *= x[:, 3:] / 255
    axes = detail_bands.colour_axes(x)
    rest = x[:, : axes.shape[1]]
    for number in range(NUM_BANDS):
        rest = blur(rest, 2**number)
    back = np.einsum("nkhw,kc->nchw", sum(band for band, _ in strengths(x)), axes) + rest
    assert np.abs(back - x[:, : axes.shape[1]]).max() < 1e-2
    curves = (((0.0, 300.0), (0.0, 900.0)),) * len(axes)
    out = detail(x, [[curves] * NUM_BANDS])
    most = x[:, 3:] if channels == 4 else 255.0
    assert (out[:, : axes.shape[1]] >= 0).all() and (out[:, : axes.shape[1]] <= most).all()
    assert (out[:, axes.shape[1] :] == x[:, axes.shape[1] :]).all()
    assert out.dtype == np.float32


def test_places_are_mirrored_with_the_border_repeated() -> None:
    padded = np.pad(np.arange(5), 12, mode="symmetric")
    for offset in range(-12, 13):
        assert (mirrored(5, offset) == padded[12 + offset : 17 + offset]).all()
