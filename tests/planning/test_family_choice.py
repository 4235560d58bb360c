"""Which codec stands between data and a family does not follow from the order of names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from anew.core.registry import available
from anew.core.specs import Grid
from anew.errors import ConfigError
from anew.families.base import load_family
from anew.planning import family_choice
from anew.planning.family_choice import FamilyChoice, choose_codec, choose_family, codecs_for

IMAGES = Grid((3, 32, 32), "CHW")
CLIPS = Grid((3, 8, 32, 32), "CTHW")


@pytest.mark.parametrize("name", available("families"))
@pytest.mark.parametrize("spec", [IMAGES, CLIPS])
def test_at_most_one_codec_stands_between_data_and_a_family(name: str, spec: Grid) -> None:
    assert len(codecs_for(spec, load_family(name))) <= 1


def test_two_codecs_for_one_family_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family_choice, "codecs_for", lambda spec, family: ["first", "second"])
    data: Any = SimpleNamespace(spec=IMAGES)
    with pytest.raises(
        ConfigError, match=r"codecs first and second both turn this data into what the family 'diffusion' takes"
    ):
        choose_codec(data, FamilyChoice("diffusion", load_family("diffusion")), "latent")


@pytest.mark.parametrize("name", ["gan", "vae", "transformer"])
def test_networks_of_images_refuse_rows_of_values(name: str) -> None:
    row = Grid((1, 1, 1000), "CHW")
    with pytest.raises(ConfigError, match=rf"'{name}' does not take rows of values .*; give diffusion$"):
        choose_family(row, name, description="sounds")
    data: Any = SimpleNamespace(spec=row, modality=SimpleNamespace(traits=SimpleNamespace(plural="sounds")))
    with pytest.raises(ConfigError, match=r"no codec turns rows of values .* into what 'diffusion' takes"):
        choose_codec(data, FamilyChoice("diffusion", load_family("diffusion")), "latent")
