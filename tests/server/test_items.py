"""Sound, clips, and files of any kind."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from starlette.testclient import TestClient

import anew
from anew.server.limits import Limits
from server_runs import serving

# ---- sound ----


@pytest.mark.parametrize("path", ["/v1/audio/generate", "/v1/audio/speech"])
def test_sound(path: str, client: TestClient, runs: dict[str, Path]) -> None:
    answer = client.post(path, json={"model": "tones", "seed": 3, "input": "", "voice": "any"})
    assert answer.status_code == 200 and answer.headers["content-type"] == "audio/wav"
    wave, rate = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    model = anew.load(runs["tones"], "cpu")
    expected = np.asarray(model.sample(1, seed=3)[0])
    assert rate == 8000 and 0 < len(wave) <= len(expected)  # a quiet tail is not written
    assert np.abs(wave - np.clip(expected[: len(wave)], -1, 1)).max() < 1e-3


def test_another_format(client: TestClient) -> None:
    answer = client.post("/v1/audio/generate", json={"model": "tones", "seed": 3, "response_format": "flac"})
    assert answer.headers["content-type"] == "audio/flac" and answer.content.startswith(b"fLaC")


@pytest.mark.parametrize("fields", [{"voice": "alloy"}, {"input": "say this"}, {"response_format": "mp3"}, {"speed": 2},
                                    {"instructions": "cheerful"}, {"stream_format": "sse"}, {"model": "shapes"}])  # fmt: skip
def test_sound_that_is_not_made(fields: dict[str, Any], client: TestClient) -> None:
    answer = client.post("/v1/audio/speech", json={"model": "tones", **fields})
    assert answer.status_code == 400 and answer.json()["error"]["param"] in fields


# ---- files of any kind ----


def unzipped(client: TestClient, **fields: Any) -> dict[str, bytes]:
    answer = client.post("/v1/samples", json=fields)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != ".origins.json"}


@pytest.mark.parametrize(
    ("name", "suffix"), [("shapes", ".png"), ("tones", ".wav"), ("names", ".txt"), ("programs", ".py")]
)
def test_a_zip_holds_a_file_each(name: str, suffix: str, client: TestClient) -> None:
    files = unzipped(client, model=name, n=3, seed=1)
    assert len(files) == 3 and all(file.endswith(suffix) for file in files)


def test_the_files_are_those_of_anew_sample(client: TestClient, runs: dict[str, Path], tmp_path: Path) -> None:
    files = unzipped(client, model="proteins", n=70, seed=2, settings={"max_tokens": 12})
    anew.load(runs["proteins"], "cpu").sample(70, seed=2, max_tokens=12).save(tmp_path)
    sequences = [[line for line in text.decode().splitlines() if not line.startswith(">")]
                 for text in (files["samples.fasta"], (tmp_path / "samples.fasta").read_bytes())]  # fmt: skip
    assert sequences[0] == sequences[1] and len(sequences[0]) >= 70


def test_prompt_suffix_stop_and_label(client: TestClient, runs: dict[str, Path]) -> None:
    files = unzipped(
        client, model="programs", n=2, seed=1, prompt="def f", suffix="return x", settings={"max_tokens": 12}
    )
    assert all(data.startswith(b"def f") and data.endswith(b"return x") for data in files.values())
    stopped = unzipped(client, model="book", n=2, seed=1, prompt="the ", stop="e", settings={"max_tokens": 40})
    assert all(b"e" not in data.removeprefix(b"the ") for data in stopped.values())
    label = anew.load(runs["proteins"], "cpu").labels[0]
    assert label.encode() in unzipped(client, model="proteins", n=2, label=label)["samples.fasta"]


@pytest.mark.parametrize("fields", [{"n": 0}, {"n": 1001}, {"prompt": "x"}, {"stop": "x"}, {"label": "x"}, {"first_index": -1},
                                    {"settings": {"steps": -1}}])  # fmt: skip
def test_files_that_are_not_made(fields: dict[str, Any], client: TestClient) -> None:
    assert client.post("/v1/samples", json={"model": "shapes", **fields}).status_code == 400


def test_no_more_is_made_than_the_cap(client: TestClient) -> None:
    answer = client.post("/v1/samples", json={"model": "clips", "n": 1000, "settings": {"frames": 10_000}})
    assert answer.status_code == 400 and "values" in answer.json()["error"]["message"]


def test_a_thousand_records_are_within_the_cap(client: TestClient) -> None:
    assert len(unzipped(client, model="names", n=1000, settings={"temperature": 0.1})) == 1000
    answer = client.post("/v1/samples", json={"model": "book", "n": 1000})
    assert answer.status_code == 400 and "settings.max_tokens" in answer.json()["error"]["message"]


# ---- clips ----


def test_a_clip_is_a_job(client: TestClient) -> None:
    job = client.post("/v1/videos", json={"model": "clips", "prompt": "", "seed": 1}).json()
    assert job["object"] == "video" and job["status"] in ("queued", "in_progress") and job["size"] == "16x16"
    deadline = time.monotonic() + 60
    while job["status"] != "completed" and time.monotonic() < deadline:
        job = client.get(f"/v1/videos/{job['id']}").json()
        time.sleep(0.02)
    assert job["progress"] == 100 and job["error"] is None
    answer = client.get(f"/v1/videos/{job['id']}/content")
    assert answer.headers["content-type"] == "video/mp4" and answer.content[4:8] == b"ftyp"
    assert job in client.get("/v1/videos").json()["data"]
    assert client.delete(f"/v1/videos/{job['id']}").json()["deleted"] is True
    assert client.get(f"/v1/videos/{job['id']}").status_code == 404


def test_a_form_asks_for_a_clip(client: TestClient) -> None:
    form = {name: (None, value) for name, value in {"model": "clips", "prompt": "", "seed": "1"}.items()}
    answer = client.post("/v1/videos", files=form)
    assert answer.status_code == 200, answer.text
    client.delete(f"/v1/videos/{answer.json()['id']}")


@pytest.mark.parametrize("fields", [{"prompt": ""}, {"prompt": None, "suffix": ""}])
def test_an_empty_prompt_of_clips_is_none(fields: dict[str, Any], client: TestClient) -> None:
    assert len(unzipped(client, model="clips", n=1, settings={"steps": 1}, **fields)) == 2  # an MP4 and a GIF


@pytest.mark.parametrize("prompt", ["/etc/passwd", "../clips", "0.mp4"])
def test_no_path_is_opened(prompt: str, client: TestClient) -> None:
    answer = client.post("/v1/samples", json={"model": "clips", "n": 1, "prompt": prompt})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "prompt"


@pytest.mark.parametrize(
    "fields", [{"size": "640x480"}, {"seconds": "4"}, {"prompt": "a dog"}, {"model": "shapes"}, {"n": 2}]
)
def test_clips_that_are_not_made(fields: dict[str, Any], client: TestClient) -> None:
    answer = client.post("/v1/videos", json={"model": "clips", **fields})
    assert answer.status_code == 400 and answer.json()["error"]["param"] in fields


def test_too_many_clips(runs: dict[str, Path]) -> None:
    with serving([runs["clips"]], Limits(jobs=1)) as client:
        first = client.post("/v1/videos", json={"model": "clips"}).json()
        answer = client.post("/v1/videos", json={"model": "clips"})
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) > 0
        client.delete(f"/v1/videos/{first['id']}")
        assert client.post("/v1/videos", json={"model": "clips"}).status_code == 200
