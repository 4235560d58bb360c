"""How a model works: what the page shows is computed from the model and its data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from starlette.testclient import TestClient

import anew
from anew.studio_app.insight_work import Plane
from studio_runs import client_of


def events(client: TestClient, path: str, **body: Any) -> list[dict[str, Any]]:
    answer = client.post(f"/api/play/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return [json.loads(part.removeprefix("data: ")) for part in answer.text.split("\n\n") if part]


def test_a_plane_holds_what_differs_most() -> None:
    source = torch.Generator().manual_seed(0)
    latents = torch.randn((200, 2, 3), generator=source) * torch.tensor([[9.0, 1, 1], [1, 1, 4]])
    plane = Plane.of(latents)
    flat = plane.directions.flatten(1)
    assert torch.allclose(flat @ flat.T, torch.eye(2), atol=1e-5)
    assert flat.abs().argmax(1).tolist() == [0, 5] and plane.share > 0.9
    places = plane.places(latents)
    assert torch.allclose(places.std(0), torch.ones(2), atol=1e-4)
    assert torch.allclose(plane.places(plane.latents(places)), places, atol=1e-4)


def test_a_film_ends_with_the_samples(client: TestClient) -> None:
    assert client.get("/api/play/about", params={"run": "runs/shapes"}).json()["insight"] == "noise"
    first, *levels, end = events(client, "film", run="runs/shapes", seed=4, settings={"steps": "30"})
    assert first["levels"] == 30 and end == {"end": True}
    assert len(levels) == 24 and levels[0]["step"] == 1 and levels[-1]["step"] == 30
    sigmas = [level["sigma"] for level in levels]
    assert sigmas == sorted(sigmas, reverse=True)
    assert levels[0]["noisy"] != levels[0]["estimate"]


@pytest.mark.parametrize(("path", "run"), [("film", "runs/names"), ("critic", "runs/shapes"), ("map", "runs/shapes")])
def test_what_a_family_does_not_show(path: str, run: str, client: TestClient) -> None:
    (fault,) = events(client, path, run=run)
    assert "this model" in fault["error"]["message"]


@pytest.fixture(scope="module")
def others(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a Studio with a GAN and a VAE."""
    place = tmp_path_factory.mktemp("others")
    for family in ("gan", "vae"):
        with mock.patch("anew.workflows.train.evaluate_run", lambda *arguments, **keywords: None):
            anew.train(
                root / "shapes",
                place / family,
                steps=4,
                family=family,
                settings={"width": 8, "batch_size": 8, "previews": 0},
            )
    with client_of(place) as client:
        yield client


@pytest.mark.slow
def test_what_the_critic_believes(others: TestClient) -> None:
    answer, _ = events(others, "critic", run="gan", seed=1)
    real, made = ([item["belief"] for item in answer[sort]] for sort in ("real", "made"))
    assert len(real) == len(made) == len(answer["directions"]) == 48
    pairs = [one > other for one in real for other in made]
    assert answer["told_apart"] == pytest.approx(sum(pairs) / len(pairs))


@pytest.mark.slow
def test_a_map_of_latents(others: TestClient) -> None:
    answer, _ = events(others, "map", run="vae")
    assert 0 < answer["share"] <= 1 and len(answer["points"]) > 50 and answer["pairs"]
    items, _ = events(others, "place", run="vae", places=[[0.0, 0.0], [1.0, -1.0]])
    assert len(items["items"]) == 2 and items["items"][0].startswith("data:image/png")
    assert others.post("/api/play/place", json={"run": "vae", "places": [[99.0, 0.0]]}).status_code == 400
