"""Playing with a model: what the page gets is what the library gives, with drafts before it."""

from __future__ import annotations

import base64
import errno
import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import soundfile
from PIL import Image
from starlette.testclient import TestClient

import anew
from anew.studio_app import play_routes
from samples import TINY, clips, programs, signals
from studio_runs import client_of, play_events

SHAPES, NAMES = "runs/shapes", "runs/names"


def made(client: TestClient, **body: Any) -> dict[str, Any]:
    return next(event for event in play_events(client, "sample", **body) if "samples" in event)


def pixels(source: str) -> np.ndarray[Any, Any]:
    """The picture of a data address, without the enlargement."""
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).convert("L"))
    return image[:: image.shape[0] // 12, :: image.shape[0] // 12]


def test_what_a_model_can_do(client: TestClient) -> None:
    shapes = client.get("/api/play/about", params={"run": SHAPES}).json()
    names = client.get("/api/play/about", params={"run": NAMES}).json()
    assert shapes["fills"] and shapes["walks"] and not shapes["tokens"] and shapes["labels"] == ["bar", "disc"]
    assert names["tokens"] and names["prompts"] and not names["fills"] and names["defaults"]["temperature"]


def test_samples_are_those_of_the_library(root: Path, client: TestClient) -> None:
    expected = anew.load(root / SHAPES).sample(3, seed=7, label="disc", steps=3)
    all_events = play_events(client, "sample", run=SHAPES, n=3, seed=7, label="disc", settings={"steps": "3"})
    final = all_events[-2]
    assert all_events[0]["draft"] == 1 and all_events[-1] == {"end": True} and final["drafts"] == 3
    assert [item["label"] for item in final["items"]] == ["disc"] * 3
    for item, sample in zip(final["items"], expected, strict=True):
        assert (pixels(item["src"]) == np.asarray(sample).reshape(12, 12)).all()
    texts = [item["text"] for item in made(client, run=NAMES, n=2, seed=1, prompt="an")["items"]]
    assert texts == list(anew.load(root / NAMES).sample(2, seed=1, prompt="an"))


def test_tokens_have_their_probabilities(root: Path, client: TestClient) -> None:
    *tokens, end = play_events(client, "tokens", run=NAMES, seed=3, prompt="an", max_tokens=20)
    assert end == {"end": True} and [token["given"] for token in tokens[:3]] == [True, True, False]
    # Tokens are shown as they are drawn, so a known name is not drawn again
    (sample,) = anew.load(root / NAMES).sample(1, seed=3, prompt="an", avoid_known=False)
    assert "".join(token["text"] for token in tokens) == sample
    for token in tokens:
        shares = [other["p"] for other in token["top"]]
        assert 0 < token["p"] <= 1 and shares == sorted(shares, reverse=True) and sum(shares) <= 1.0001
        assert all(other["drawn_p"] == pytest.approx(other["p"], abs=1e-5) for other in token["top"])  # nothing is cut
        assert token["bits"] == pytest.approx(-np.log2(token["p"])) and token["entropy"] >= 0


def test_what_temperature_and_cuts_leave(client: TestClient) -> None:
    *tokens, _ = play_events(
        client, "tokens", run=NAMES, prompt="", max_tokens=6, settings={"top_k": "2", "temperature": "0.5"}
    )
    for token in tokens:
        left = [other["drawn_p"] for other in token["top"]]
        assert sum(left[:2]) == pytest.approx(1) and not any(left[2:])
        assert left[0] / left[1] == pytest.approx((token["top"][0]["p"] / token["top"][1]["p"]) ** 2, rel=1e-3)


def test_a_part_is_kept_and_the_rest_filled_in(client: TestClient) -> None:
    source = made(client, run=SHAPES, n=1, seed=2)
    mask = np.ones((12, 12), np.uint8)
    mask[6:] = 0
    filled = made(
        client, run=SHAPES, n=2, seed=5, samples=source["samples"], mask=base64.b64encode(np.packbits(mask)).decode()
    )
    before = pixels(source["items"][0]["src"])
    for item in filled["items"]:
        assert (pixels(item["src"])[:6] == before[:6]).all()


def test_a_walk_passes_its_stops(client: TestClient) -> None:
    walk, _ = play_events(client, "walk", run=SHAPES, n=5, stops=3, seed=1, settings={"steps": "2"})
    assert len(walk["items"]) == 5 and walk["stops"] == [0, 2, 4]


def test_the_nearest_training_item(client: TestClient) -> None:
    for run in (SHAPES, NAMES):
        samples = made(client, run=run, n=2, seed=1)
        answer, _ = play_events(client, "nearest", run=run, samples=samples["samples"], index=1)
        assert answer["nearest"] and answer["caption"] and "training" in answer["explanation"]


def test_downloads_are_ordinary_files(client: TestClient) -> None:
    samples = made(client, run=SHAPES, n=2, seed=1)
    query = {"run": SHAPES, "samples": samples["samples"]}
    file = client.get("/api/play/file", params=query | {"index": 1})
    assert file.content[:4] == b"\x89PNG" and "attachment" in file.headers["content-disposition"]
    answer = client.get("/api/play/zip", params=query)
    assert 'filename="shapes-seed-1.zip"' in answer.headers["content-disposition"]
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert len(archive.namelist()) == 2 and archive.testzip() is None
    for invalid in ({"index": 2}, {"samples": "samples-999"}, {"index": "x"}):
        assert client.get("/api/play/file", params=query | {"index": 0} | invalid).status_code in (400, 404)


def test_a_full_disk_is_said(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples stay in memory, whatever cannot be written; a model that needs the disk says it, too."""
    samples = made(client, run=SHAPES, n=2, seed=1)
    query = {"run": SHAPES, "samples": samples["samples"]}

    def full(*arguments: Any, **keywords: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("tempfile.TemporaryDirectory", full)
        assert client.get("/api/play/zip", params=query).status_code == 200  # needs no disk
        patched.setattr("anew.studio_app.sample_tasks.item_views", full)
        (fault,) = play_events(client, "sample", run=SHAPES, n=1)
        assert "the disk is full" in fault["error"]["message"]
    assert client.get("/api/play/zip", params=query).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("sample", {"run": SHAPES, "label": "cat"}, "unknown"),
        ("sample", {"run": SHAPES, "settings": {"stpes": "3"}}, "did you mean 'steps'"),
        ("sample", {"run": SHAPES, "settings": {"steps": "-1"}}, "out of range"),
        ("sample", {"run": SHAPES, "prompt": "x"}, "prompt"),
        ("sample", {"run": SHAPES, "samples": "samples-99", "mask": ""}, "generate them again"),
        ("tokens", {"run": SHAPES}, "token by token"),
        ("walk", {"run": NAMES}, ""),
        ("walk", {"run": SHAPES, "settings": {"seed": "1"}}, "'seed' is an argument of its own"),
    ],
)
def test_what_cannot_be_made_is_said_in_a_sentence(
    path: str, body: dict[str, Any], sentence: str, client: TestClient
) -> None:
    (fault,) = play_events(client, path, **body)
    assert sentence in fault["error"]["message"] and fault["error"]["type"] in (
        "invalid_request_error",
        "not_found_error",
    )


@pytest.mark.parametrize(
    "body",
    [{"run": SHAPES, "n": 0}, {"run": SHAPES, "n": 65}, {"run": SHAPES, "seed": -1}, {}, {"run": SHAPES, "x": 1}],
)
def test_bodies_are_checked(body: dict[str, Any], client: TestClient) -> None:
    assert client.post("/api/play/sample", json=body).status_code == 400


def test_a_run_without_weights(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text((root / SHAPES / "config.json").read_text())
    with client_of(tmp_path) as client:
        answer = client.get("/api/play/about", params={"run": "run"})
        assert answer.status_code == 400 and "model.safetensors" in answer.json()["error"]["message"]
        assert client.get("/api/play/about", params={"run": "nothing"}).status_code == 404


def test_a_file_finds_its_run_and_is_made_again(root: Path, tmp_path: Path, client: TestClient) -> None:
    name = made(client, run=SHAPES, n=2, seed=5, label="bar", settings={"steps": "3"})["samples"]
    file = client.get("/api/play/file", params={"run": SHAPES, "samples": name, "index": "1"}).content
    origin = client.post("/api/play/origin", content=file, headers={"content-type": "application/octet-stream"}).json()
    assert origin["runs"] == [SHAPES] and (origin["seed"], origin["index"], origin["label"]) == (5, 1, "bar")
    assert origin["settings"] == {"steps": 3}
    assert origin["weights"] == client.get("/api/play/about", params={"run": SHAPES}).json()["weights"]
    (tmp_path / "it.png").write_bytes(file)
    (again,) = anew.again(tmp_path / "it.png", run=root / SHAPES)
    assert (np.asarray(again).reshape(12, 12) == np.asarray(Image.open(tmp_path / "it.png"))).all()
    strange = client.post("/api/play/origin", content=b"nothing", headers={"content-type": "application/octet-stream"})
    assert strange.status_code == 400 and "this file" in strange.json()["error"]["message"]


def test_samples_of_any_number_are_drawn(client: TestClient) -> None:
    """Of a file whose sample was not among the first 64, others were drawn, or none."""
    settings = {"steps": "2"}
    expected = made(client, run=SHAPES, n=6, seed=4, settings=settings)["items"]
    answer = made(client, run=SHAPES, n=2, first_index=4, seed=4, settings=settings)
    assert answer["items"] == expected[4:]
    query = {"run": SHAPES, "samples": answer["samples"], "index": "1"}
    file = client.get("/api/play/file", params=query).content
    origin = client.post("/api/play/origin", content=file, headers={"content-type": "application/octet-stream"}).json()
    assert (origin["index"], origin["batch"]) == (5, [4, 2])


def test_texts_end_before_what_they_stop_at(client: TestClient) -> None:
    texts = [item["text"] for item in made(client, run=NAMES, n=4, seed=1)["items"]]
    letter = next(letter for letter in texts[0][1:] if letter != texts[0][0])
    stopped = made(client, run=NAMES, n=4, seed=1, stop=letter)["items"]
    assert [item["text"] for item in stopped] == [text.partition(letter)[0] for text in texts]


def test_a_stretch_of_time_is_of_clips_and_sound(client: TestClient) -> None:
    name = made(client, run=SHAPES, n=1, settings={"steps": "2"})["samples"]
    (fault,) = play_events(client, "sample", run=SHAPES, n=1, samples=name, stretch=[0.25, 0.75])
    assert "cannot fill in a stretch" in fault["error"]["message"]


def test_a_mask_is_of_pixels(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask for a sound, which has no height, was called a bug in Anew."""
    name = made(client, run=SHAPES, n=1, settings={"steps": "2"})["samples"]
    monkeypatch.setattr(play_routes, "fill_in_mode", lambda model: "stretch")
    (fault,) = play_events(client, "sample", run=SHAPES, n=1, samples=name, mask="AAAA")
    assert "are filled in by a stretch of time" in fault["error"]["message"]


@pytest.mark.slow
def test_a_clip_between_its_ends(tmp_path: Path) -> None:
    with mock.patch("anew.workflows.train.evaluate_run", lambda *arguments, **keywords: None):
        anew.train(clips(tmp_path / "clips", 30), tmp_path / "run", steps=2, settings={"width": 8, "batch_size": 4})
    with client_of(tmp_path) as client:
        about = client.get("/api/play/about", params={"run": "run"}).json()
        assert about["fills"] == "ends"
        name = made(client, run="run", n=1, seed=1)["samples"]
        filled = made(client, run="run", n=2, seed=2, samples=name, stretch=[0.4, 0.7])
        assert len(filled["items"]) == 2 and filled["items"][0] != filled["items"][1]
        (fault,) = play_events(client, "sample", run="run", n=1, samples=name, stretch=[0.5, 0.5])
        assert "shorter than a frame" in fault["error"]["message"]


def test_a_program_between_its_beginning_and_its_end(tmp_path: Path) -> None:
    programs(tmp_path / "programs", 30)
    settings = {**TINY, "previews": 0, "contexts": False}
    with mock.patch("anew.workflows.train.evaluate_run", lambda *arguments, **keywords: None):
        anew.train(tmp_path / "programs", tmp_path / "run", steps=4, settings=settings)
    wish = {"seed": 3, "prompt": "def first(", "suffix": "return 1\n", "settings": {"max_tokens": "12"}}
    with client_of(tmp_path) as client:
        assert client.get("/api/play/about", params={"run": "run"}).json()["gap"]
        texts = [item["text"] for item in made(client, run="run", n=2, **wish)["items"]]
    expected = anew.load(tmp_path / "run").sample(2, seed=3, prompt="def first(", suffix="return 1\n", max_tokens=12)
    assert texts == list(expected)
    assert all(text.startswith("def first(") and text.endswith("return 1\n") for text in texts)


def test_no_end_is_taken_where_none_was_learned(client: TestClient) -> None:
    assert not client.get("/api/play/about", params={"run": NAMES}).json()["gap"]
    (refusal,) = play_events(client, "sample", run=NAMES, n=1, suffix="a")
    assert "suffix" in refusal["error"]["message"]


def test_a_run_whose_letters_are_damaged_says_so(root: Path, client: TestClient) -> None:
    other = shutil.copytree(root / NAMES, root / "runs" / "altered")
    config = json.loads((other / "config.json").read_text())
    config["data"]["learned"]["tokens"]["letters"] = 5
    (other / "config.json").write_text(json.dumps(config))
    answer = client.get("/api/play/about", params={"run": "runs/altered"})
    assert answer.status_code == 400 and "letters" in answer.json()["error"]["message"]
    shutil.rmtree(other)


def test_texts_that_stop_too_soon_are_said(client: TestClient) -> None:
    short = made(client, run=NAMES, n=3, seed=1, settings={"max_tokens": "1"})
    assert any("cut off after 1 token; max tokens gives more" in note for note in short["notes"])
    assert not any(
        "cut off" in note for note in made(client, run=NAMES, n=1, seed=1, settings={"max_tokens": "1000"})["notes"]
    )


@pytest.mark.slow
def test_what_is_kept_of_a_slow_signal_is_what_was_shown(tmp_path: Path) -> None:
    """Samples are filtered after they are drawn, and what is kept of one must not be what it was before."""
    with mock.patch("anew.workflows.train.evaluate_run", lambda *arguments, **keywords: None):
        anew.train(signals(tmp_path / "signals", 40), tmp_path / "run", steps=2, settings={"width": 8, "batch_size": 4})
    with client_of(tmp_path) as client:
        name = made(client, run="run", n=1, seed=1)["samples"]
        filled = made(client, run="run", n=1, seed=2, samples=name, stretch=[0.5, 1.0])["samples"]
        shown, refilled = (
            soundfile.read(
                io.BytesIO(client.get("/api/play/file", params={"run": "run", "samples": of, "index": "0"}).content)
            )[0]
            for of in (name, filled)
        )
    half = slice(0, len(shown) // 2 - 100)  # written at another rate, so the join is smooth
    factor = np.abs(refilled[half]).max() / np.abs(shown[half]).max()
    np.testing.assert_allclose(refilled[half], shown[half] * factor, atol=0.02 * np.abs(refilled[half]).max())
