import numpy as np
import pytest

from anew.data.formats.images import plain_areas
from anew.data.formats.images.pixel_matching import PixelMatching
from anew.data.formats.images.plain_matching import PlainStep, has_plain_areas


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
    assert step is not None
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


def test_noise_is_left_as_it_is() -> None:
    """Samples of a network that has hardly begun to learn became images of one colour, each like many others."""
    noise = np.random.default_rng(0).uniform(0, 255, (64, 3, 20, 20)).astype(np.float32)
    assert PlainStep.learn(noise, stripes(120, 1)) is None


def test_shades_are_left_as_they_are() -> None:
    """Real images with smooth shades have no areas of one colour: nothing becomes plain, however mottled samples are."""
    rng = np.random.default_rng(2)
    slope = rng.uniform(2.0, 5.0, (80, 3, 1, 1)) * np.arange(24)[:, None] + rng.uniform(0, 100, (80, 3, 1, 1))
    real = (slope + rng.uniform(-2, 2, (80, 3, 24, 24))).clip(0, 255).round().astype(np.float32)
    assert PlainStep.learn(mottled(real, 5), real) is None


@pytest.mark.parametrize("background", [0.0, 255.0])
def test_a_plain_background_makes_no_plain_areas(background: float) -> None:
    """As in digits: strokes of many levels on one background."""
    rng = np.random.default_rng(4)
    real = np.full((60, 3, 20, 20), background, dtype=np.float32)
    real[:, :, 6:14, 6:14] = rng.integers(40, 216, (60, 3, 8, 8))
    assert not has_plain_areas(real) and PlainStep.learn(mottled(real, 5), real) is None
    real[:, :, 6:14, 6:14] = rng.integers(40, 216, (60, 3, 1, 1))
    assert has_plain_areas(real)


def test_few_plain_areas_among_smooth_ones_are_none() -> None:
    """As in photographs: a tenth of what is nearly plain is exactly so."""
    smooth = np.random.default_rng(5).integers(100, 108, (80, 3, 16, 16)).astype(np.float32)
    smooth[:8] = 104.0
    assert not has_plain_areas(smooth)
    smooth[:40] = 104.0 + np.arange(40, dtype=np.float32)[:, None, None, None]
    assert has_plain_areas(smooth)


def test_regions_of_clear_and_opaque_pixels_stay_apart() -> None:
    x = np.zeros((1, 4, 6, 6), dtype=np.float32)
    x[:, :, 2:4, 2:4] = 255.0
    x[:, :3, 2, 2] = 200.0
    regions = plain_areas.Regions(x, plain_areas.wholly_opaque(x))
    regions.merge(plain_areas.RUNGS[0])
    assert (regions.levels() == x).all()
    for limit in plain_areas.RUNGS[1:]:
        regions.merge(limit)
    levels = regions.levels()
    assert (levels[:, 3] == x[:, 3]).all() and (levels[0, 0, 2:4, 2:4] == 241.25).all()


@pytest.mark.parametrize("channels", [3, 4])
def test_shares_of_regions_are_those_of_their_levels(channels: int) -> None:
    x = mottled(stripes(6, 1, channels, 12), 2, 4.0)
    x[:, -1, :4] = 0.0
    regions = plain_areas.Regions(x, plain_areas.wholly_opaque(x))
    for limit, share in zip(plain_areas.RUNGS, plain_areas.reached_shares(x), strict=True):
        regions.merge(limit)
        assert (plain_areas.equal_share(regions.levels()) == share).all()


@pytest.mark.parametrize("rung", [0, 6, 12])
def test_each_image_gets_its_own_rung(rung: int) -> None:
    """The first at which its share is that of the curve, alone and among others; the last where none is."""
    x = mottled(stripes(8, 1), 2, 6.0)
    curve = ([0.0, 1.0], [0.4, 0.9])
    reached = plain_areas.reached_shares(x)
    together = plain_areas.as_plain(x, rung, curve)
    for index, image in enumerate(together):
        assert (plain_areas.as_plain(x[index : index + 1], rung, curve)[0] == image).all()
        is_enough = reached[:, index] >= np.interp(reached[rung, index], *curve)
        wanted = reached[is_enough.argmax() if is_enough.any() else -1, index]
        assert plain_areas.equal_share(image[None])[0] == wanted


def test_tiny_images() -> None:
    for shape in [(0, 3, 4, 4), (2, 1, 1, 5), (1, 3, 1, 1)]:
        x = np.full(shape, 9.0, dtype=np.float32)
        assert plain_areas.equal_share(x).shape == shape[:1]
        assert plain_areas.surroundings(x, 2).shape == shape
        assert plain_areas.reached_shares(x).shape == (len(plain_areas.RUNGS), shape[0])
        assert plain_areas.as_plain(x, 3, ([0.0, 1.0], [0.0, 1.0])).shape == shape
        assert not has_plain_areas(x)


def test_what_was_learned_survives_json() -> None:
    matching = PixelMatching.learn(mottled(stripes(40, 2), 3), stripes(80, 1))
    assert "plain" in {step.step for step in matching.steps}
    samples = mottled(stripes(10, 7), 8)
    restored = PixelMatching.model_validate_json(matching.model_dump_json())
    assert (restored(samples) == matching(samples)).all()
