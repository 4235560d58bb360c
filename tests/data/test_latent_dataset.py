"""Methods of a modality of latents that are those of its base."""

from __future__ import annotations

import inspect
import pickle
from types import SimpleNamespace
from typing import Any, cast

import pytest

from anew.core.specs import Grid
from anew.data.latent_dataset import LatentDataset, LatentModality
from anew.data.modalities.image import EXPORT as ImageModality
from anew.data.modality import Modality


def latent_modality() -> LatentModality:
    base, codec = ImageModality(ImageModality.Config()), SimpleNamespace(latent=Grid((4, 2, 2), "CHW"))
    base.spec = Grid((3, 8, 8), "CHW")
    return LatentModality(base, cast(Any, codec))


@pytest.mark.parametrize("name", ["encode", "units", "encoding_state", "save_item"])
def test_methods_of_the_base_keep_their_names_and_signatures(name: str) -> None:
    method, original = getattr(LatentModality, name), getattr(Modality, name)
    assert (method.__name__, method.__doc__) == (original.__name__, original.__doc__)
    assert inspect.signature(method) == inspect.signature(original)
    assert LatentDataset.items.__name__ == "items"


def test_methods_of_the_base_are_called_and_can_be_sent_to_a_process() -> None:
    modality = latent_modality()
    assert modality.calibration_size() == modality.base.calibration_size()
    assert pickle.loads(pickle.dumps(modality.calibration_size))() == modality.base.calibration_size()
