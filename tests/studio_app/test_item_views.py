"""Items as the page of the Studio shows them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from anew.data.types import Artifact
from anew.sampling.samples import Samples
from anew.studio_app.item_views import item_views


@pytest.mark.parametrize("is_playable", [False, True])
def test_sound_has_a_source_if_browsers_play_it(is_playable: bool) -> None:
    modality: Any = SimpleNamespace(
        pictures=lambda items: [np.zeros((8, 8, 3), np.uint8) for _ in items],
        class_suffix=lambda label: "",
        save_item=lambda item, comment="": Artifact(".wav", b"RIFF", media="audio/wav", is_playable=is_playable),
    )
    (view,) = item_views(Samples([np.zeros(8, np.float32)], [None], modality))
    assert view["type"] == "sound" and str(view["picture"]).startswith("data:image/png")
    assert (view["src"] is not None) == is_playable
