"""How models of sounds, of clips and on latents work: shown by the same views as models of pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image

import anew
from samples import clips, shapes, tones
from studio_app.test_explanation_tasks import with_early_weights
from studio_runs import client_of, play_events

LATENT = {"space": "latent", "vae.width": 8, "vae.latent_channels": 2, "diffusion.width": 8}


def opened(source: str) -> Image.Image:
    """The picture at a data address."""
    return Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))


def train(place: Path, make: Callable[[Path], Path], family: str, settings: dict[str, Any]) -> None:
    with mock.patch("anew.workflows.train.evaluate_run", lambda *arguments, **keywords: None):
        anew.train(make(place / "data"), place / "run", steps=3, family=family, settings={"previews": 0, **settings})


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (tones, {"width": 8, "batch_size": 8}),
        pytest.param(clips, {"width": 8, "batch_size": 8}, marks=pytest.mark.slow),
        pytest.param(shapes, LATENT, marks=pytest.mark.slow),
        pytest.param(tones, LATENT, marks=pytest.mark.slow),
    ],
)
def test_from_noise_to_a_sample(make: Callable[[Path], Path], settings: dict[str, Any], tmp_path: Path) -> None:
    train(tmp_path, make, "diffusion", settings)
    with_early_weights(tmp_path / "run")
    with client_of(tmp_path) as client:
        about = client.get("/api/play/about", params={"run": "run"}).json()
        assert about["explanation_view"] == "noise" and about["latents"] == ("space" in settings)
        _, *levels, end = play_events(client, "noise", run="run", seed=1, settings={"steps": "3"})
        assert len(levels) == 3 and end == {"end": True}
        noisy, clean = opened(levels[0]["noisy"][0]), opened(levels[-1]["estimate"][0])
        assert noisy.size == clean.size and np.asarray(noisy).std() > 0
        _, *earlier, _ = play_events(client, "noise", run="run", seed=1, settings={"steps": "3"}, step=3)
        assert earlier[-1]["estimate"] != levels[-1]["estimate"]
        base, *field, _ = play_events(client, "field", run="run")
        assert len(field) == base["levels"] and 0 < base["share"] <= 1


@pytest.mark.slow
def test_sounds_are_judged(tmp_path: Path) -> None:
    train(tmp_path, tones, "gan", {"width": 8, "batch_size": 8})
    with client_of(tmp_path) as client:
        answer, _ = play_events(client, "discriminator", run="run", seed=1)
    picture, direction = opened(answer["generated"][0]["src"]), opened(answer["directions"][0])
    assert picture.mode == "RGB" and picture.width / picture.height == pytest.approx(
        direction.width / direction.height, rel=0.1
    )


@pytest.mark.slow
def test_a_map_of_sounds(tmp_path: Path) -> None:
    train(tmp_path, tones, "vae", {"width": 8, "batch_size": 8})
    with client_of(tmp_path) as client:
        answer, _ = play_events(client, "map", run="run")
        assert answer["points"] and answer["pairs"] and opened(answer["points"][0]["src"]).mode == "RGB"
        *softness, real, _ = play_events(client, "softness", run="run", seed=2)
        assert len(softness) == 8 and real["real_detail"] > 0
