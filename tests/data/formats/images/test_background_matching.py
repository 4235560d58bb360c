"""The background of samples is as large as that of real images where shades around what they show made it smaller."""

import numpy as np

from anew.data.formats.images.background_matching import FringeStep
from anew.data.formats.images.pixel_matching import PixelMatching
from anew.data.formats.images.pixel_steps import fringe, has_colour

WHITE = (255, 255, 255)


def blocks(n: int, seed: int, size: int = 6, shade: float = 0.0) -> np.ndarray:
    """(n, 3, 16, 16) squares of one colour each on white, with a shade of two pixels, so far from white, at their right."""
    rng, x = np.random.default_rng(seed), np.full((n, 3, 16, 16), 255.0, dtype=np.float32)
    for image in x:
        top, left = rng.integers(1, 8, 2)
        image[:, top : top + size, left : left + size] = rng.integers(20, 120, (3, 1, 1))
        image[:, top : top + size, left + size : left + size + 2] = 255.0 - shade
    return x


def test_shades_beside_squares_become_background() -> None:
    real, samples, clean = blocks(100, 1), blocks(80, 2, shade=50.0), blocks(80, 2)
    matching = PixelMatching.learn(samples[:40], real)
    (step,) = [step for step in matching.steps if isinstance(step, FringeStep)]
    assert 50.0 < step.strength < 200.0
    assert has_colour(matching(samples[40:]), WHITE).mean() == has_colour(clean[40:], WHITE).mean()


def test_faint_limbs_remain_where_samples_have_too_few_edges() -> None:
    real, samples = blocks(100, 1, size=2), blocks(80, 2, size=2)
    for x, level in ((real, 20.0), (samples, 160.0)):
        x[:, :, 12, 2:14] = level
    samples[:, :, 13, 2:14] = 200.0  # so they have less background
    assert FringeStep.learn(blocks(80, 2, size=2, shade=60.0), blocks(100, 1, size=2), WHITE) is not None
    assert FringeStep.learn(samples, real, WHITE) is None


def test_no_step_is_learned_from_what_chance_makes() -> None:
    for seed in range(5):
        assert FringeStep.learn(blocks(40, seed), blocks(100, 9), WHITE) is None
    varied = np.concatenate([blocks(2, 1, size=9), blocks(2, 2, size=2)])
    assert FringeStep.learn(varied, blocks(100, 9, size=5), WHITE) is None


def test_clips_are_what_chance_varies_not_their_frames() -> None:
    clips = np.repeat(np.concatenate([blocks(2, 1, size=9, shade=1.0), blocks(2, 2, size=4)]), 8, axis=0)
    real = blocks(100, 9, size=6)
    assert FringeStep.learn(clips, real, WHITE, num_frames=8) is None


def test_a_fringe_is_as_wide_as_there_are_rounds() -> None:
    x = np.full((1, 3, 16, 16), 255.0, dtype=np.float32)
    x[:, :, 3:13, 3:13] = 200.0
    assert not has_colour(fringe(x, 50.0, WHITE), WHITE)[0, 6:10, 6:10].any()
    assert has_colour(fringe(x, 100.0, WHITE), WHITE)[0].sum() == 256 - 4 * 4
