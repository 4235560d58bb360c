"""How a model works: what the page shows is computed from the model and its data."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from starlette.testclient import TestClient

import anew
from anew.core.specs import Batch
from anew.runs import snapshots
from anew.runs.folder import RunFolder
from anew.sampling.conditioning import condition_from_prompt
from anew.sampling.model import Model
from anew.studio_app.timelapse_routes import EXCERPTS, source_lines
from studio_runs import client_of, play_events


def test_noise_levels_end_with_the_samples(client: TestClient) -> None:
    assert client.get("/api/play/about", params={"run": "runs/shapes"}).json()["explanation_view"] == "noise"
    first, *levels, end = play_events(client, "noise", run="runs/shapes", seed=4, settings={"steps": "30"})
    assert first["levels"] == 30 and end == {"end": True}
    assert len(levels) == 24 and levels[0]["step"] == 1 and levels[-1]["step"] == 30
    sigmas = [level["sigma"] for level in levels]
    assert sigmas == sorted(sigmas, reverse=True)
    assert levels[0]["noisy"] != levels[0]["estimate"]


def test_whose_weights_answer_is_known(root: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(root / "runs" / "shapes", runs / "done")
    shutil.copytree(
        root / "runs" / "shapes", runs / "begun", ignore=shutil.ignore_patterns("model.safetensors", "timelapse")
    )
    with client_of(tmp_path) as client:
        about_done = client.get("/api/play/about", params={"run": "runs/done"}).json()
        about_begun = client.get("/api/play/about", params={"run": "runs/begun"}).json()
    assert (
        not about_done["unfinished"]
        and about_done["has_timelapse"] == (root / "runs" / "shapes" / "timelapse").is_dir()
    )
    assert about_begun["unfinished"] and not about_begun["has_timelapse"]


def with_early_weights(run: Path, step: int = 3) -> None:
    """Keep weights in a run as if they were of an early step: noise."""
    model = anew.load(run)
    generator = torch.Generator().manual_seed(0)
    learned = model.family.named_parameters()
    noise = {name: 0.1 * torch.randn(tensor.shape, generator=generator) for name, tensor in learned}
    snapshots.keep(run, noise, step, 12.0)


def test_weights_of_an_earlier_time_answer(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "shapes", tmp_path / "shapes")  # the data, where it is looked for
    for name in ("names", "shapes"):
        shutil.copytree(root / "runs" / name, tmp_path / "runs" / name, ignore=shutil.ignore_patterns("timelapse"))
        with_early_weights(tmp_path / "runs" / name)
    with client_of(tmp_path) as client:
        assert client.get("/api/timelapse", params={"run": "runs/names"}).json()["weights"] == [
            {"step": 3, "seconds": 12.0}
        ]
        now, early = (
            play_events(client, "sentence", run="runs/names", prompt="anna", **at)[0]["sides"]
            for at in ({}, {"step": 3})
        )
        model = Model(RunFolder.open(tmp_path / "runs" / "names"), step=3)
        bits = model.family.bits(Batch(condition_of(model, "anna")))
        assert sum(early["together"]) == pytest.approx(float(bits[0]), rel=1e-5) and early != now
        assert (
            play_events(client, "sentence", run="runs/names", prompt="anna")[0]["sides"] == now
        )  # the newest once more
        for path in ("noise", "field"):
            answers = [play_events(client, path, run="runs/shapes", **at) for at in ({}, {"step": 3})]
            assert answers[0] != answers[1] and answers[1][-1] == {"end": True}
        (refused,) = play_events(client, "noise", run="runs/shapes", step=4)
        assert "the weights of step 4 are not kept in this run; kept: 3" in refused["error"]["message"]
        assert client.post("/api/play/noise", json={"run": "runs/shapes", "step": -1}).status_code == 400


@pytest.mark.parametrize(
    ("path", "run"),
    [
        ("noise", "runs/names"),
        ("discriminator", "runs/shapes"),
        ("map", "runs/shapes"),
        ("field", "runs/names"),
        ("sentence", "runs/shapes"),
        ("softness", "runs/shapes"),
    ],
)
def test_what_a_family_does_not_show(path: str, run: str, client: TestClient) -> None:
    (fault,) = play_events(client, path, run=run)
    assert "this model" in fault["error"]["message"]


def test_the_same_start_with_each_label(client: TestClient) -> None:
    labels = client.get("/api/play/about", params={"run": "runs/shapes"}).json()["labels"]
    first, *levels, _ = play_events(
        client, "noise", run="runs/shapes", seed=4, settings={"steps": "3"}, each_label=bool(labels)
    )
    assert first["labels"] == (labels[:6] if labels else [None] * 3)
    assert len(levels) == 3 and len(levels[0]["noisy"]) == len(first["labels"])


def test_the_field_leads_to_the_data(client: TestClient) -> None:
    base, *levels, _ = play_events(client, "field", run="runs/shapes")
    assert not any("error" in level for level in levels)  # the page takes that for a refusal
    assert 0 < base["share"] <= 1 and len(base["starts"]) == 121 and len(levels) == base["levels"] == 8
    far = [sum(x * x + y * y for x, y in level["ends"]) for level in levels]
    assert far[0] < far[-1]  # from much noise all is taken for about the mean, from little for what it is


def test_a_sentence_of_ones_own(client: TestClient, root: Path) -> None:
    sentence, looks, following, _ = play_events(
        client, "sentence", run="runs/names", prompt="anna", settings={"top_k": "3"}
    )
    assert "".join(sentence["tokens"]) == "anna" and set(sentence["sides"]) >= {"network", "counts", "together"}
    assert all(len(bits) == len(sentence["tokens"]) - 1 for bits in sentence["sides"].values())
    assert len(base64.b64decode(looks["attention"])) == looks["shown"] * len(sentence["tokens"]) ** 2
    token = following["next"]
    assert token["left"] == 3 and sum(other["drawn_p"] > 0 for other in token["top"]) == 3
    assert token["cut_p"] == pytest.approx(1 - sum(other["p"] for other in token["top"][:3]), abs=1e-5)
    model = anew.load(root / "runs" / "names")
    assert sum(sentence["sides"]["together"]) == pytest.approx(
        float(model.family.bits(Batch(condition_of(model, "anna")))[0]), rel=1e-5
    )


def condition_of(model: Any, text: str) -> torch.Tensor:
    return torch.as_tensor(condition_from_prompt(model.modality, text, None).x)[None]  # type: ignore[union-attr]


def test_the_lines_of_our_source(client: TestClient) -> None:
    for name, (path, qualified) in EXCERPTS.items():
        answer = client.get("/api/source", params={"name": name}).json()
        assert answer["file"] == f"anew/{path}" and f"def {qualified.rpartition('.')[2]}(" in answer["text"]
    assert client.get("/api/source", params={"name": "../../etc/passwd"}).status_code == 404


def test_lines_are_read_by_several_threads_at_once() -> None:
    with ThreadPoolExecutor(8) as threads:
        for _ in range(3):
            source_lines.cache_clear()
            assert all(lines["text"] for lines in threads.map(source_lines, list(EXCERPTS) * 2))


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
def test_what_the_discriminator_believes(others: TestClient) -> None:
    answer, _ = play_events(others, "discriminator", run="gan", seed=1)
    real, generated = ([item["logit"] for item in answer[sort]] for sort in ("real", "generated"))
    assert len(real) == len(generated) == len(answer["directions"]) == 48
    pairs = [0.5 if frame == other else float(frame > other) for frame in real for other in generated]
    assert answer["auc"] == pytest.approx(sum(pairs) / len(pairs))


@pytest.mark.slow
def test_a_map_of_latents(others: TestClient) -> None:
    answer, _ = play_events(others, "map", run="vae")
    assert 0 < answer["share"] <= 1 and len(answer["points"]) > 50 and answer["pairs"]
    assert len(answer["directions"]) == 6 and len(answer["directions"][0]["items"]) == 7
    shares = [direction["share"] for direction in answer["directions"]]
    assert shares == sorted(shares, reverse=True) and sum(shares) <= 1.001
    *softness, real, _ = play_events(others, "softness", run="vae", seed=2)
    assert [step["temperature"] for step in softness][:2] == [0.0, 0.2] and real["real_detail"] > 0
    items, _ = play_events(others, "place", run="vae", places=[[0.0, 0.0], [1.0, -1.0]])
    assert len(items["items"]) == 2 and items["items"][0].startswith("data:image/png")
    assert others.post("/api/play/place", json={"run": "vae", "places": [[99.0, 0.0]]}).status_code == 400
