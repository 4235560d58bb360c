"""Settings of sampling that do not fit a kind of data."""

from __future__ import annotations

import pytest

from anew.data.modalities.audio import Audio
from anew.data.modalities.image import Image
from anew.errors import ConfigError
from anew.families.diffusion.config import DiffusionSampling
from anew.sampling.request_checks import class_index, class_named, sampling_config


@pytest.mark.parametrize("name", ["tile", "frames"])
def test_settings_of_pictures_are_refused_for_sounds(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"the setting '{name}' does not fit sounds; leave it out"):
        sampling_config(DiffusionSampling, Audio.traits, {name: "1"})
    assert sampling_config(DiffusionSampling, Audio.traits, {"steps": "5"}) == DiffusionSampling(steps=5)


def test_textures_may_tile() -> None:
    assert sampling_config(DiffusionSampling, Image.traits, {"tile": "true"}) == DiffusionSampling(tile=True)


def test_the_dot_of_a_suffix_may_be_left_out() -> None:
    names = [".ml", ".mli", "mli"]
    assert [class_named(names, label) for label in ("ml", ".ml", "mli", "m")] == [".ml", ".ml", "mli", None]
    assert class_index(names[:2], "mli") == class_index(names[:2], ".mli") == class_index(names, 1) == 1
    with pytest.raises(ConfigError, match=r"did you mean '\.mli'"):
        class_index(names[:2], ".mil")
