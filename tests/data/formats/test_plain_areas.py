import numpy as np
import pytest

from anew.data.formats import plain_areas
from anew.data.formats.pixel_matching import PixelMatching
from anew.data.formats.plain_matching import PlainStep


def stripes(n: int, seed: int, channels: int = 3, side: int = 20) -> np.ndarray:
    """Flags (n, C, side, side): three stripes of colours far apart, level or upright; with four channels, opaque."""
    rng = np.random.default_rng(seed)
    levels = np.broadcast_to(np.array([20, 120, 230]), (n, 3, 3)).copy()
    colours = rng.permuted(levels, axis=2) + rng.integers(-15, 16, (n, 3, 3))  # (n, stripes, channels)
    stripe = np.sort(rng.integers(4, side - 4, (n, 2)), axis=1)
    place = (np.arange(side)[None] >= stripe[:, :1]).astype(int) + (np.arange(side)[None] >= stripe[:, 1:])
    out = np.take_along_axis(colours, place[..., None], axis=1).transpose(0, 2, 1)[:, :, :, None].repeat(side, 3)
    out[::2] = out[::2].swapaxes(2, 3)
    if channels == 4:
        out = np.concatenate([out, np.full_like(out[:, :1], 255)], axis=1)
    return out.astype(np.float32)


def mottled(images: np.ndarray, seed: int, strength: float = 14.0) -> np.ndarray:
    """Images whose colours vary from pixel to pixel and from square to square of four pixels."""
    rng = np.random.default_rng(seed)
    n, _, height, width = images.shape
    fine, coarse = (
        rng.normal(0, strength, (n, 3, height, width)),
        rng.normal(0, strength, (n, 3, height // 4, width // 4)),
    )
    out = images.copy()
    out[:, :3] += fine + coarse.repeat(4, 2).repeat(4, 3)
    return out.clip(0, 255).astype(np.float32)


@pytest.mark.parametrize("channels", [3, 4])
def test_mottled_areas_become_plain_and_edges_stay(channels: int) -> None:
    real = stripes(120, 1, channels)
    step = PlainStep.learn(mottled(stripes(64, 2, channels), 3), real)
    assert step is not None and step.shares is not None
    clean = stripes(40, 4, channels)
    samples = mottled(clean, 5)
    numbers = step.model_dump(exclude={"step"})
    after = plain_areas.plain(samples, **numbers)
    shares = [float(plain_areas.equal_share(x).mean()) for x in (samples, after, real)]
    assert shares[0] < 0.05 and shares[1] == pytest.approx(shares[2], abs=0.1)
    assert np.abs(after - clean).mean() < 0.5 * np.abs(samples - clean).mean()
    edges = np.abs(np.diff(clean, axis=2)).sum(axis=1) > 100
    assert (
        np.abs(np.diff(after, axis=2)).sum(axis=1)[edges].mean()
        > 0.9 * np.abs(np.diff(clean, axis=2)).sum(axis=1)[edges].mean()
    )
    if channels == 4:
        assert (after[:, 3] == 255.0).all()


def test_where_real_images_are_as_rough_nothing_becomes_plain() -> None:
    assert PlainStep.learn(mottled(stripes(40, 2), 3), mottled(stripes(80, 1), 6)) is None
    textures = np.random.default_rng(0).normal(120, 30, (80, 1, 16, 16)).clip(0, 255).astype(np.float32)
    assert PlainStep.learn(textures[:30] * 0.98, textures.round()) is None


def test_shades_stay_shades() -> None:
    """Real images with smooth shades have no equal neighbours: noise goes, the shades remain."""

    def shades(n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        slope = rng.uniform(2.0, 5.0, (n, 3, 1, 1)) * np.arange(24)[:, None] + rng.uniform(0, 100, (n, 3, 1, 1))
        return np.asarray((slope + np.zeros(24)).clip(0, 255), dtype=np.float32)

    clean = shades(40, 1)
    real = np.round(shades(80, 2) + np.random.default_rng(3).uniform(-2, 2, (80, 3, 24, 24))).astype(np.float32)
    step = PlainStep.learn(mottled(shades(40, 4), 5, 6.0), real)
    assert step is not None and step.shares is None
    samples = mottled(clean, 6, 6.0)
    after = plain_areas.plain(samples, **step.model_dump(exclude={"step"}))
    assert np.abs(after - clean).mean() < 0.8 * np.abs(samples - clean).mean()
    assert (np.abs(np.diff(after.mean(axis=3), axis=2)) > 0.5).mean() > 0.9


def test_regions_of_clear_and_opaque_pixels_stay_apart() -> None:
    x = np.zeros((1, 4, 6, 6), dtype=np.float32)
    x[:, :, 2:4, 2:4] = 255.0
    x[:, :3, 2, 2] = 200.0
    steps = plain_areas.merged(x)
    assert (steps[-1][:, 3] == x[:, 3]).all() and (steps[-1][0, 0, 2:4, 2:4] == 241.25).all()
    assert (steps[0] == x).all()


def test_tiny_images() -> None:
    for shape in [(0, 3, 4, 4), (2, 1, 1, 5), (1, 3, 1, 1)]:
        x = np.full(shape, 9.0, dtype=np.float32)
        assert plain_areas.equal_share(x).shape == shape[:1]
        assert plain_areas.surroundings(x, 2).shape == shape
        assert len(plain_areas.merged(x)) == len(plain_areas.RUNGS)


def test_what_was_learned_survives_json() -> None:
    matching = PixelMatching.learn(mottled(stripes(40, 2), 3), stripes(80, 1))
    assert "plain" in {step.step for step in matching.steps}
    samples = mottled(stripes(10, 7), 8)
    restored = PixelMatching.model_validate_json(matching.model_dump_json())
    assert (restored(samples) == matching(samples)).all()
