"""Samples that come near the values of real pixels get them exactly; what has no such values stays as it is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from anew.core.schema import checked
from anew.data.formats.images import pixel_steps, pixels
from anew.data.formats.images.palettes import palette_note, palette_of
from anew.data.formats.images.pixel_matching import ClipColoursStep, PixelMatching

PALETTE = np.array(
    [[0, 0, 0, 0], [0, 0, 0, 255], [200, 40, 30, 255], [40, 170, 60, 255], [50, 60, 190, 255], [240, 220, 90, 255]]
)


def sprites(n: int, seed: int, side: int = 16) -> np.ndarray:
    """(n, 4, side, side) discs with an outline, in colours of the palette, on a clear background."""
    rng = np.random.default_rng(seed)
    down, right = np.mgrid[:side, :side]
    images = []
    for _ in range(n):
        middle, radius = rng.uniform(5, side - 5, 2), rng.uniform(3, 6)
        distance = np.hypot(down - middle[0], right - middle[1])
        index = np.where(distance < radius, rng.integers(2, len(PALETTE)), 0)
        index[np.abs(distance - radius) < 0.7] = 1
        images.append(PALETTE[index].transpose(2, 0, 1))
    return np.stack(images).astype(np.float32)


def drawn(n: int, seed: int) -> np.ndarray:
    """The same as a generator would make them: noise on every pixel, and specks."""
    rng, images = np.random.default_rng(seed), sprites(n, seed)
    noisy = images + rng.normal(0, 14, images.shape)
    specks = rng.random((n, 1, *images.shape[2:])) < 0.03
    return np.where(specks, rng.uniform(0, 255, images.shape), noisy).astype(np.float32)


def half_transparent(x: np.ndarray) -> float:
    alpha = np.rint(x[:, 3])
    return float(((alpha > 0) & (alpha < 255)).mean())


@pytest.fixture(scope="module")
def matching() -> PixelMatching:
    return PixelMatching.learn(drawn(64, 1), sprites(300, 2))


def test_sprites_get_alpha_palette_and_no_more_specks(matching: PixelMatching) -> None:
    before, real = drawn(64, 3), sprites(200, 4)
    after = matching(before)
    assert half_transparent(before) > 0.5 and half_transparent(after) == half_transparent(real) == 0.0
    assert matching.is_paletted
    assert {tuple(pixel) for pixel in np.moveaxis(after, 1, -1).reshape(-1, 4)} <= set(map(tuple, PALETTE))
    table = PALETTE.astype(np.float32)
    alone = [float(pixel_steps.alone(pixel_steps.nearest(x, table)).mean()) for x in (before, after, real)]
    assert alone[0] > 2 * alone[2] and alone[1] <= 1.5 * alone[2] + 0.002


def test_as_many_images_are_opaque_as_in_the_data() -> None:
    real, samples = sprites(300, 2), sprites(100, 3)
    for images in (real, samples):
        images[::4, 3] = 255.0
    samples[:, 3] = np.clip(samples[:, 3] + np.random.default_rng(0).normal(0, 3, samples[:, 3].shape), 0, 255)

    def opaque_share(x: np.ndarray) -> float:
        return float((np.rint(x[:, 3]) == 255.0).all(axis=(1, 2)).mean())

    matching = PixelMatching.learn(samples[:60], real)
    assert opaque_share(real) == 0.25 and opaque_share(samples) == 0.0
    assert opaque_share(matching(samples[60:])) == 0.25
    assert not any(step.step == "opaque_images" for step in PixelMatching.learn(drawn(64, 1), sprites(300, 2)).steps)


def test_images_that_are_half_clear_do_not_become_opaque() -> None:
    """However many real images are opaque."""
    real = sprites(60, 2)
    real[:, 3] = 255.0
    real[0, 3, :8] = 0.0
    matched = PixelMatching.learn(drawn(40, 1), real)(drawn(40, 3))
    assert (np.rint(matched[:, 3]) == 0.0).any(axis=(1, 2)).all()


def drawings(n: int, seed: int, opaque: bool = False) -> np.ndarray:
    """(n, 4 or 3, 16, 16) discs in three colours of their own each, on a clear or white background."""
    rng, images = np.random.default_rng(seed), []
    down, right = np.mgrid[:16, :16]
    for _ in range(n):
        colours = np.concatenate([rng.integers(30, 225, (3, 3)), np.full((3, 1), 255)], axis=1)
        distance = np.hypot(down - rng.uniform(6, 10), right - rng.uniform(6, 10))
        ring = np.digitize(distance, [2, 4, rng.uniform(5, 6)])
        table = np.concatenate([colours, [[255, 255, 255, 255] if opaque else [0, 0, 0, 0]]])
        images.append(table[ring].transpose(2, 0, 1)[: 3 if opaque else 4])
    return np.stack(images).astype(np.float32)


def noisy(images: np.ndarray, seed: int, share: float = 0.02) -> np.ndarray:
    """Images as a generator would make them: noise on every pixel, and single pixels of any colour, or clear."""
    rng = np.random.default_rng(seed)
    x = images + rng.normal(0, 8, images.shape)
    is_speck = rng.random((len(x), 1, *x.shape[2:])) < share
    other = rng.uniform(0, 255, x.shape)
    if x.shape[1] == 4:
        other[:, 3] = np.where(x[:, 3] < 127.5, 220.0, 30.0)
        other[:, :3] = np.minimum(other[:, :3], other[:, 3:])
    return np.where(is_speck, other, x).astype(np.float32)


def num_colours(images: np.ndarray) -> list[int]:
    return [len(np.unique(np.rint(image).reshape(len(image), -1), axis=1).T) for image in images]


@pytest.mark.parametrize("opaque", [False, True])
def test_no_single_pixels_lie_in_a_background_that_has_none(opaque: bool) -> None:
    real, samples = drawings(200, 1, opaque), noisy(drawings(80, 2, opaque), 3)
    matching = PixelMatching.learn(samples[:40], real)
    background = ((255, 255, 255), 64.0) if opaque else (None, 0.0)

    def dots(x: np.ndarray) -> float:
        return float(pixel_steps.single_pixels(pixel_steps.foreground_depth(x, *background))[0].sum()) / len(x)

    assert [step.step for step in matching.steps[:2]] == ["detail", "islands"]
    assert dots(real) == 0.0 and dots(samples[40:]) > 1.0 and dots(matching(samples[40:])) < 0.1


def test_single_pixels_of_the_data_remain() -> None:
    real, samples = drawings(200, 1), drawings(80, 2)
    for images in (real, samples):
        images[::2, :, 0, 0] = 255.0
    matched = PixelMatching.learn(noisy(samples[:40], 3, share=0.0), real)(noisy(samples[40:], 4, share=0.0))
    assert (matched[::2, 3, 0, 0] == 255.0).mean() > 0.9


def test_a_step_that_older_runs_have_is_left_out() -> None:
    margin = {"step": "margin", "colour": [0], "sides": [1, 1, 1, 1]}
    stray = {"step": "stray", "strength": 230.0, "colour": None}
    matching = checked(PixelMatching, {"steps": [stray, margin]}, "matching")
    assert [step.step for step in matching.steps] == ["margin"]


@pytest.mark.parametrize("opaque", [False, True])
def test_images_of_few_colours_each_get_as_few(opaque: bool) -> None:
    real, clean = drawings(200, 1, opaque), drawings(60, 2, opaque)
    matching = PixelMatching.learn(noisy(drawings(60, 4, opaque), 5, 0.0), real)
    samples = noisy(clean, 3, 0.0)
    matched = matching(samples)
    assert not matching.is_paletted and "few_colours" in {step.step for step in matching.steps}
    assert np.median(num_colours(samples)) > 50 and set(num_colours(matched)) <= {2, 3, 4}
    assert np.abs(matched - clean).mean() < np.abs(samples - clean).mean() / 2


@pytest.mark.parametrize("every", [8, 5, 3])
def test_detailed_images_among_drawings_leave_the_drawings_few_colours(every: int) -> None:
    def collection(n: int, seed: int) -> np.ndarray:
        """Drawings, of which one in so many is a photograph: shades from corner to corner, and noise."""
        rng, images = np.random.default_rng(seed), drawings(n, seed, opaque=True)
        for image in images[::every]:
            corners = rng.uniform(0, 255, (2, 2, 3, 1, 1))
            down, right = np.mgrid[:16, :16] / 15
            shades = (1 - down) * ((1 - right) * corners[0, 0] + right * corners[0, 1])
            shades = shades + down * ((1 - right) * corners[1, 0] + right * corners[1, 1])
            image[:] = np.rint(np.clip(shades + rng.normal(0, 25, (3, 16, 16)), 0, 255))
        return images

    matching = PixelMatching.learn(noisy(collection(96, 4), 5, 0.0), collection(240, 1))
    matched = np.array(num_colours(matching(noisy(collection(96, 2), 3, 0.0))))
    is_photograph = np.arange(96) % every == 0
    assert np.mean(matched[~is_photograph] <= 8) > 0.9
    assert np.mean(matched[is_photograph] > 64) > 0.7
    assert abs(np.mean(matched > 64) - 1 / every) < 0.04


def test_half_transparent_images_get_as_few_colours_and_the_opaque_stay_so() -> None:
    def glass(n: int, seed: int) -> np.ndarray:
        """Drawings of which each has a ring with an alpha of its own, from 200 to 254."""
        rng, images = np.random.default_rng(seed), drawings(n, seed)
        for image in images:
            pane = np.unique(image[:, image[3] == 255.0], axis=1)[:, 0]
            level = rng.integers(200, 255)
            where = (image == pane[:, None, None]).all(axis=0)
            image[:, where] = np.array([*np.minimum(pane[:3], level), level])[:, None]
        return images

    def half_transparent_colours(images: np.ndarray) -> float:
        rows = np.moveaxis(np.rint(images), 1, -1).reshape(len(images), -1, 4)
        kinds = [np.unique(row[(row[:, 3] > 127.5) & (row[:, 3] < 254.5)], axis=0) for row in rows]
        return float(np.median([len(colours) for colours in kinds]))

    real = glass(200, 1)
    samples = noisy(glass(60, 2), 3, 0.0)
    matched = PixelMatching.learn(noisy(glass(60, 4), 5, 0.0), real)(samples)
    assert half_transparent_colours(samples) > 40.0 and half_transparent_colours(matched) <= 4.0
    opaque = [float((np.rint(x[:, 3]) == 255.0).mean()) for x in (matched, real)]
    assert abs(opaque[0] - opaque[1]) < 0.05


def test_colours_that_images_share_are_exact() -> None:
    shades = np.array([[20, 20, 20], [200, 40, 30], [40, 170, 60], [50, 60, 190], [240, 220, 90], [120, 120, 120]])

    def painted(n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        images = drawings(n, seed)
        for image in images:
            for colour in np.unique(image.reshape(4, -1), axis=1).T:
                if colour[3] and rng.random() < 0.9:  # a tenth of the colours are those of one image
                    where = (image == colour[:, None, None]).all(axis=0)
                    image[:3, where] = shades[rng.integers(len(shades))][:, None]
        return images

    def share(images: np.ndarray) -> float:
        pixels = np.moveaxis(np.rint(images), 1, -1)[images[:, 3] > 127.5][:, :3]
        return float((pixels[:, None] == shades).all(axis=2).any(axis=1).mean())

    real = painted(200, 1)
    matched = PixelMatching.learn(noisy(painted(60, 4), 5, 0.0), real)(noisy(painted(60, 6), 7, 0.0))
    assert 0.8 < share(real) < 0.98 and abs(share(matched) - share(real)) < 0.06


def moving(n: int, seed: int, opaque: bool) -> np.ndarray:
    """(n * 4, 4 or 3, 16, 16) frames of clips of 4 in which a drawing moves to the right, by a pixel in the third frame."""
    clips = drawings(n, seed, opaque).repeat(4, axis=0).reshape(n, 4, -1, 16, 16)
    clips[:, 2:] = np.roll(clips[:, 2:], 1, axis=4)
    return clips.reshape(n * 4, -1, 16, 16)


def unchanged(frames: np.ndarray) -> float:
    clips = np.rint(frames).reshape(-1, 4, *frames.shape[1:])
    return float((clips[:, 1:] == clips[:, :-1]).all(axis=2).mean())


@pytest.mark.parametrize("opaque", [False, True])
def test_clips_get_few_colours_each_that_do_not_flicker(opaque: bool) -> None:
    real, clean = moving(60, 1, opaque), moving(30, 1, opaque)
    matching = PixelMatching.learn(noisy(moving(16, 4, opaque), 5, 0.0), real, num_frames=4)
    assert "clip_colours" in {step.step for step in matching.steps} and not matching.is_paletted  # each has its own
    samples = noisy(clean, 3, 0.0)
    matched = np.concatenate([matching(clip) for clip in np.split(samples, 30)])
    whole = matched.reshape(30, 4, -1, 16, 16).swapaxes(1, 2).reshape(30, matched.shape[1], -1, 16)
    assert set(num_colours(whole)) <= {3, 4, 5}
    assert unchanged(samples) < 0.8 < unchanged(real) - 0.05 < unchanged(matched) < unchanged(real) + 0.05
    assert np.abs(matched - clean).mean() < np.abs(samples - clean).mean() / 2


def test_clips_whose_pixels_mix_two_colours_do_not_get_their_mean() -> None:
    red_or_blue = np.array([[220.0, 20.0, 20.0], [20.0, 20.0, 220.0]])
    rng = np.random.default_rng(0)

    def squares(chosen: np.ndarray) -> np.ndarray:
        x = np.full((len(chosen), 3, 16, 16), 255.0, dtype=np.float32)
        x[:, :, 4:12, 4:12] = np.moveaxis(red_or_blue[chosen], -1, 1)
        return x

    real = squares(np.broadcast_to(rng.integers(0, 2, (40, 1, 1)).repeat(4, axis=0), (160, 8, 8)))
    samples = squares(rng.integers(0, 2, (64, 8, 8)))
    for x in (samples, noisy_real := real.copy()):
        x[:, :, 4:12, 4:12] += rng.normal(0, 4, (len(x), 3, 8, 8))
    palette, white = np.array([[220, 20, 20], [20, 20, 220], [255, 255, 255]], dtype=np.uint8), ((255, 255, 255),)
    assert ClipColoursStep.learn(noisy_real, real, 4, white, palette)
    assert ClipColoursStep.learn(samples, real, 4, white, palette) is None


def test_pixels_of_a_clip_change_where_that_pays() -> None:
    distance = np.array([[[0.0, 3.0]], [[1.0, 0.0]], [[0.0, 3.0]], [[9.0, 0.0]]])
    assert pixel_steps.steady(distance, 0.0)[:, 0].tolist() == [0, 1, 0, 1]
    assert pixel_steps.steady(distance, 2.0)[:, 0].tolist() == [0, 0, 0, 1]
    assert pixel_steps.steady(distance, 9.5)[:, 0].tolist() == [1, 1, 1, 1]


def test_colours_that_replace_many_keep_the_contrast() -> None:
    pixels = np.random.default_rng(0).normal(128.0, 30.0, (2000, 3))
    centres = pixel_steps.clusters(pixels, 6)
    nearest = centres[((pixels[:, None] - centres) ** 2).sum(2).argmin(1)]
    colours = pixel_steps.spread(centres, pixels, nearest)
    shown = colours[((pixels[:, None] - centres) ** 2).sum(2).argmin(1)]
    assert nearest.var(axis=0).sum() < 0.8 * pixels.var(axis=0).sum()
    assert abs(shown.var(axis=0).sum() / pixels.var(axis=0).sum() - 1.0) < 0.02


def test_colours_are_not_reduced_among_photographs_nor_frame_by_frame() -> None:
    photographs = np.random.default_rng(0).integers(0, 256, (200, 3, 16, 16)).astype(np.float32)
    mixed = np.concatenate([drawings(80, 1, opaque=True), photographs[:120]])
    samples, real = noisy(drawings(60, 2, opaque=True), 3, 0.0), drawings(150, 1, opaque=True)
    learned = [
        PixelMatching.learn(samples, mixed[np.random.default_rng(1).permutation(200)]),
        PixelMatching.learn(photographs[:60] + np.float32(0.3), photographs),
        PixelMatching.learn(samples, real, num_frames=4),
    ]
    assert all("few_colours" not in {step.step for step in matching.steps} for matching in learned)


def test_samples_are_not_half_transparent_where_few_real_images_are() -> None:
    real = drawings(200, 1)
    real[::5, 3][real[::5, 3] == 255.0] = 200.0
    matched = PixelMatching.learn(noisy(drawings(60, 2), 3), real)(noisy(drawings(60, 4), 5))
    assert half_transparent(matched) == 0.0


def test_a_background_is_exact_and_shades_remain() -> None:
    def digits(n: int, seed: int) -> np.ndarray:
        shape = sprites(n, seed)[:, 3:]
        soft = np.mean([np.roll(shape, (a, b), (2, 3)) for a in (-1, 0, 1) for b in (-1, 0, 1)], axis=0)
        return np.rint(soft).astype(np.float32)

    rng = np.random.default_rng(0)
    samples = digits(96, 1) + rng.normal(0, 5, (96, 1, 16, 16))
    matched = PixelMatching.learn(samples[:64], digits(300, 2))(samples[64:])
    shares = [float((np.rint(x) == 0).mean()) for x in (samples[64:], matched, digits(96, 1)[64:])]
    assert shares[0] < 0.4 < 0.5 < shares[2] and abs(shares[1] - shares[2]) < 0.03
    middle = (np.abs(matched - 128) < 100).mean(), (np.abs(digits(96, 1)[64:] - 128) < 100).mean()
    assert abs(middle[0] - middle[1]) < 0.05


def test_strokes_of_neighbouring_levels_are_as_white_as_real_ones() -> None:
    def strokes(seed: int, levels: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(seed)
        images = np.zeros((40, 1, 16, 16), np.float32)
        images[:, :, 4:12, 6:9] = rng.choice(levels, (40, 1, 8, 3))
        images[:, :, 4:12, 9] = rng.uniform(0, 255, (40, 1, 8))  # edges
        return images.round()

    real, samples = strokes(0, np.array([252, 253, 254])), strokes(1, np.arange(236, 250))
    matched = PixelMatching.learn(samples, real)(samples)
    white = [float((x[:, :, 4:12, 6:9] > 251).mean()) for x in (samples, matched, real)]
    assert white[0] == 0.0 and white[1] > 0.9 and white[2] == 1.0
    edges = matched[:, :, 4:12, 9]
    assert abs(float(edges.mean()) - float(real[:, :, 4:12, 9].mean())) < 12.0


@pytest.mark.parametrize("channels", [1, 3])
def test_photographs_stay_as_they_are(channels: int) -> None:
    def photographs(n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        coarse = np.kron(rng.uniform(40, 215, (n, channels, 4, 4)), np.ones((4, 4)))
        return np.rint(np.clip(coarse + rng.normal(0, 12, coarse.shape), 0, 255)).astype(np.float32)

    matching = PixelMatching.learn(photographs(64, 1), photographs(300, 2))
    new = photographs(64, 3)
    assert not matching.is_paletted
    assert np.abs(matching(new) - new).mean() < 1.5


def tiles(n: int, seed: int) -> np.ndarray:
    """(n, 3, 16, 8) tiles of four colours each out of 100, of which the rare ones are in few tiles."""
    rng = np.random.default_rng(seed)
    table = np.random.default_rng(7).integers(0, 256, (100, 3))
    rarity = 1.0 / np.arange(1, 101) ** 1.5
    images = [table[rng.choice(rng.choice(100, 4, p=rarity / rarity.sum()), (16, 8))] for _ in range(n)]
    return np.stack(images).transpose(0, 3, 1, 2).astype(np.float32)


def test_few_colours_are_a_palette_even_where_most_are_rare() -> None:
    real = tiles(600, 1)
    known = {tuple(pixel) for pixel in np.moveaxis(real, 1, -1).reshape(-1, 3)}
    halves = [{tuple(pixel) for pixel in np.moveaxis(real[k::2], 1, -1).reshape(-1, 3)} for k in (0, 1)]
    assert max(len(known - half) for half in halves) > 5 and len(known) <= 100
    samples = tiles(64, 2) + np.random.default_rng(3).normal(0, 14, (64, 3, 16, 8))
    matching = PixelMatching.learn(samples, real)
    assert matching.is_paletted
    assert {tuple(pixel) for pixel in np.moveaxis(matching(samples), 1, -1).reshape(-1, 3)} <= known
    expected = f"The data has a palette ({len(known)} colours in the 600 images looked at)"
    assert palette_note(real, "images", files_have_palettes=True)[0].startswith(expected)


def test_colours_that_each_item_has_of_its_own_are_no_palette() -> None:
    """Clips of two random colours each had "a palette of 384 colours", which forbade new clips the colours that they need."""
    rng = np.random.default_rng(0)
    table = rng.integers(0, 256, (60, 2, 3))
    frames = np.stack([table[clip][rng.integers(0, 2, (12, 12))] for clip in range(60) for _ in range(4)])
    images = frames.transpose(0, 3, 1, 2).astype(np.float32)
    assert palette_of(images, np.arange(240) // 4) is None and palette_of(images[::4]) is None
    shared = np.stack([table[0][rng.integers(0, 2, (12, 12))] for _ in range(240)]).transpose(0, 3, 1, 2)
    found = palette_of(shared.astype(np.float32), np.arange(240) // 4)
    assert found is not None and len(found) == 2


def test_few_colours_of_few_pixels_are_no_palette() -> None:
    photographs = np.random.default_rng(0).integers(0, 256, (3, 3, 8, 8)).astype(np.float32)
    assert palette_of(photographs) is None and palette_note(photographs, "images") == []
    note = palette_note(photographs, "images", files_have_palettes=True)
    assert note == [
        "The files have palettes, but the images, as they are learned, share none: samples will have no palette."
    ]


def test_a_margin_that_all_images_leave_empty_stays_empty() -> None:
    samples, real = (np.pad(images, [(0, 0), (0, 0), (1, 2), (0, 3)]) for images in (sprites(64, 1), sprites(300, 2)))
    real[0, :, 1, 0] = real[0, :, 16, 15] = 255.0  # reaches the inner corners
    matching = PixelMatching.learn(samples + np.random.default_rng(0).normal(0, 30, samples.shape), real)
    new = np.random.default_rng(1).uniform(0, 255, (8, 4, 19, 19))
    outer = np.ones((19, 19), bool)
    outer[1:17, :16] = False
    matched = matching(new)
    assert matching.is_paletted and matching.steps[-1].step == "margin"
    within = PixelMatching(steps=matching.steps[:-1])(new)[:, :, ~outer]
    assert (matched[:, :, outer] == 0).all() and (matched[:, :, ~outer] == within).all()
    assert all(step.step != "margin" for step in PixelMatching.learn(samples, real[:, :, 1:17, :16]).steps)
    blank = np.zeros((20, 3, 4, 4), np.float32)
    assert all(step.step != "margin" for step in PixelMatching.learn(blank, blank).steps)


def test_tiny_and_empty_images() -> None:
    pixel = np.full((3, 3, 1, 1), 7.0, dtype=np.float32)
    assert PixelMatching.learn(pixel, pixel)(pixel).shape == (3, 3, 1, 1)
    assert (PixelMatching()(pixel) == pixel).all()


def test_what_was_learned_survives_json(matching: PixelMatching) -> None:
    again = PixelMatching.model_validate_json(matching.model_dump_json())
    assert again == matching and (again(drawn(4, 9)) == matching(drawn(4, 9))).all()
    with pytest.raises(ValueError, match="not for images of 3 channels"):
        again.check(3)


@pytest.mark.parametrize("channels", [3, 4])
def test_paletted_png(channels: int) -> None:
    image = pixels.as_bytes(sprites(1, 5)[0, :channels] / 127.5 - 1.0)
    written = Pillow.open(io.BytesIO(pixels.png(image, paletted=True)))
    assert written.mode == "P"
    assert (np.asarray(written.convert("RGBA" if channels == 4 else "RGB")) == image).all()
    noise = np.random.default_rng(0).integers(0, 255, (20, 20, channels)).astype(np.uint8)
    assert (np.asarray(Pillow.open(io.BytesIO(pixels.png(noise, paletted=True)))) == noise).all()
