"""Two channels are worth learning where they can be heard."""

from __future__ import annotations

import numpy as np
import pytest

from anew.data.formats.sound.stereo_survey import needs_two_channels, side_levels


def clips(side_db: float, n: int = 8) -> list[np.ndarray]:
    """Noise (N, 2) whose halved difference of channels has this level below its mean."""
    rng = np.random.default_rng(0)
    mean, side = rng.normal(size=(2, n, 4_000)).astype(np.float32) * 0.1
    side = side * 10.0 ** (side_db / 20.0)
    return list(np.stack([mean + side, mean - side], axis=2))


@pytest.mark.parametrize("side_db", [-60.0, -30.0, -6.0])
def test_the_level_of_the_side_is_that_below_the_mean(side_db: float) -> None:
    assert side_levels(clips(side_db)) == pytest.approx(side_db, abs=1.0)


def test_noise_of_a_codec_between_equal_channels_is_no_stereo() -> None:
    assert needs_two_channels(clips(-44.0), False, "learned") == (
        False,
        "Both channels of the clips sampled are alike: mono sound is learned (channels=stereo keeps two).",
    )


def test_half_of_the_clips_must_be_heard_as_stereo() -> None:
    is_stereo, sentence = needs_two_channels([*clips(-10.0, 4), *clips(-50.0, 4)], False, "learned")
    assert is_stereo and "50% of the clips sampled" in sentence and "channels=mono" in sentence
    is_stereo, sentence = needs_two_channels([*clips(-10.0, 3), *clips(-50.0, 5)], False, "learned")
    assert not is_stereo and "38% of the clips sampled, too few for stereo" in sentence
