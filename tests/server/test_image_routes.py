"""Pictures: those of the model, alone or beside others, whole or as a stream; parts made anew; what is malformed gets 400."""

from __future__ import annotations

import base64
import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

import anew
from anew.data.formats.images import pixels
from anew.server.catalog import Catalog

GENERATIONS, EDITS = "/v1/images/generations", "/v1/images/edits"
Pixels = NDArray[np.uint8]


def decoded(text: str) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def make(client: TestClient, **fields: Any) -> dict[str, Any]:
    answer = client.post(GENERATIONS, json={"model": "shapes", **fields})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def pictures(body: dict[str, Any]) -> list[Pixels]:
    return [decoded(row["b64_json"]) for row in body["data"]]


def are_close(left: Pixels, right: Pixels) -> bool:
    """The same but for the rounding of sums."""
    return left.shape == right.shape and int(np.abs(left.astype(int) - right).max()) <= 1


def refusal(answer: Any, param: str | None) -> str:
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"] == param and error["type"] == "invalid_request_error", error
    return str(error["message"])


# ---- new ones ----


def test_the_pictures_are_those_of_the_model(client: TestClient, runs: dict[str, Path]) -> None:
    body = make(client, prompt="disc", n=3, seed=5)
    expected = anew.load(runs["shapes"], "cpu").sample(3, seed=5, label="disc")
    assert all(are_close(left, np.asarray(right)) for left, right in zip(pictures(body), expected, strict=True))
    assert body["size"] == "12x12" and body["seed"] == 5 and [row["label"] for row in body["data"]] == ["disc"] * 3


def test_defaults(client: TestClient) -> None:
    body = make(client, prompt="", size="12x12", response_format="b64_json", quality="auto", user="me")
    assert len(body["data"]) == 1 and body["created"] > 1e9
    again = make(client, seed=body["seed"])
    assert again["data"][0]["b64_json"] == body["data"][0]["b64_json"]


def test_settings(client: TestClient) -> None:
    plain = make(client, seed=1)["data"]
    assert make(client, seed=1, settings={"steps": 3})["data"] != plain


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"num_inference_steps": 10}, "num_inference_steps"),  # settings have one name each
        ({"label": "disc", "settings": {"tile": True}}, "settings"),
    ],
)
def test_settings_that_exclude_each_other(fields: dict[str, Any], param: str, client: TestClient) -> None:
    refusal(client.post(GENERATIONS, json={"model": "shapes", **fields}), param)


def test_images_that_wrap_around_have_no_class(client: TestClient) -> None:
    assert len(make(client, n=2, settings={"tile": True})["data"]) == 2


def test_requests_side_by_side_get_what_they_get_alone(client: TestClient) -> None:
    def ask(seed: int) -> list[Pixels]:
        return pictures(make(client, seed=seed, n=1 + seed % 3, prompt=["", "disc", "bar"][seed % 3]))

    alone = [ask(seed) for seed in range(9)]
    with ThreadPoolExecutor(9) as pool:
        together = list(pool.map(ask, range(9)))
    assert all(
        are_close(a, b) for left, right in zip(alone, together, strict=True) for a, b in zip(left, right, strict=True)
    )


def events(answer: Any) -> list[dict[str, Any]]:
    blocks = [block.split("\n") for block in answer.text.split("\n\n") if block]
    parsed = [json.loads(lines[1].removeprefix("data: ")) for lines in blocks]
    assert [lines[0] for lines in blocks] == [f"event: {event['type']}" for event in parsed]
    return parsed


def test_a_stream_shows_drafts(client: TestClient) -> None:
    whole = make(client, seed=3)["data"][0]["b64_json"]
    answer = client.post(GENERATIONS, json={"model": "shapes", "seed": 3, "stream": True, "partial_images": 2})
    *partial, last = events(answer)
    assert [event["type"] for event in partial] == ["image_generation.partial_image"] * 2
    assert {event["seed"] for event in (*partial, last)} == {3}
    assert [event["partial_image_index"] for event in partial] == [0, 1]
    assert (
        last["type"] == "image_generation.completed"
        and last["b64_json"] == whole
        and last["usage"]["total_tokens"] == 0
    )
    distances = [np.abs(decoded(e["b64_json"]).astype(float) - decoded(whole)).mean() for e in partial]
    assert distances[0] > distances[1] > 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("prompt", value) for value in ("circle", 5, ["disc"], "x" * 3000)],
        *[("n", value) for value in (0, 65, "2", True)],
        *[("size", value) for value in ("256x256", "big", 12)],
        *[("response_format", "url"), ("output_format", "jpeg"), ("quality", "high"), ("background", "transparent")],
        *[("partial_images", value) for value in (4, -1, 2)],
        *[("seed", -1), ("label", "circle"), ("stream", 1), ("model", "book"), ("image", "x")],
        *[("settings", value) for value in ([], {"steps": []}, {"Steps": 1}, {"a": {}})],
        *[("guidance_scale", 2.0), ("negative_prompt", "dogs")],
    ],
    ids=lambda value: f"{value!r:.20}",
)
def test_a_malformed_field_gets_400(field: str, value: object, client: TestClient) -> None:
    refusal(client.post(GENERATIONS, json={"model": "shapes", field: value}), field)


def test_an_unknown_setting_names_itself(client: TestClient) -> None:
    answer = client.post(GENERATIONS, json={"model": "shapes", "settings": {"step": 5}})
    assert answer.status_code == 400 and "steps" in answer.json()["error"]["message"]


# ---- parts made anew ----


def png(values: Pixels) -> bytes:
    return pixels.png(values)


PICTURE = np.tile(np.arange(12, dtype=np.uint8) * 20, (12, 1))
HALF = np.zeros((12, 12, 4), np.uint8)
HALF[:, :6, 3] = 255


def edit(client: TestClient, files: dict[str, bytes], **fields: str) -> Any:
    return client.post(
        EDITS, data={"model": "shapes", **fields}, files={name: (name, data) for name, data in files.items()}
    )


def test_what_the_mask_keeps_stays(client: TestClient, runs: dict[str, Path]) -> None:
    answer = edit(client, {"image": png(PICTURE), "mask": png(HALF)}, n="2", seed="7", prompt="bar")
    assert answer.status_code == 200, answer.text
    generated = pictures(answer.json())
    assert all((picture[:, :6] == PICTURE[:, :6]).all() for picture in generated)
    assert (generated[0][:, 6:] != generated[1][:, 6:]).any()
    model = anew.load(runs["shapes"], "cpu")
    expected = model.sample(2, seed=7, label="bar", condition=(PICTURE, HALF[..., 3] > 0))
    assert all(are_close(left, np.asarray(right)) for left, right in zip(generated, expected, strict=True))


def test_the_picture_may_be_its_own_mask(client: TestClient) -> None:
    picture = np.dstack([PICTURE] * 3 + [HALF[..., 3]])
    answer = edit(client, {"image[]": png(picture)}, seed="7")
    assert answer.status_code == 200, answer.text
    assert (pictures(answer.json())[0][:, :6] == PICTURE[:, :6]).all()


def test_edits_as_a_stream(client: TestClient) -> None:
    answer = edit(client, {"image": png(PICTURE), "mask": png(HALF)}, stream="true", partial_images="1")
    assert [event["type"] for event in events(answer)] == ["image_edit.partial_image", "image_edit.completed"]


def test_edits_side_by_side(client: TestClient) -> None:
    def ask(shift: int) -> Pixels:
        mask = np.roll(HALF, shift, axis=1)
        return pictures(edit(client, {"image": png(PICTURE), "mask": png(mask)}, seed="1").json())[0]

    alone = list(map(ask, range(4)))
    with ThreadPoolExecutor(4) as pool:
        assert all(are_close(a, b) for a, b in zip(alone, pool.map(ask, range(4)), strict=True))


GOOD = {"image": png(PICTURE), "mask": png(HALF)}


@pytest.mark.parametrize(
    ("files", "param", "words"),
    [
        ({}, "image", "is missing"),
        ({"image": png(PICTURE)}, "mask", "transparent"),
        ({"image": b"GIF89a"}, "image", "cannot be used"),
        ({"image": b""}, "image", "is empty"),
        ({**GOOD, "mask": b"\x89PNG\r\n\x1a\n" + b"0" * 100}, "mask", "cannot be used"),
        ({**GOOD, "mask": png(PICTURE)}, "mask", "no pixel is to be filled in"),
        ({**GOOD, "mask": png(HALF[:6])}, "mask", "12x6"),
        ({**GOOD, "image": png(PICTURE[:, :4])}, "image", "4x12"),
        ({**GOOD, "images": b"x"}, "images", "unknown"),
    ],
)
def test_files_that_do_not_fit(files: dict[str, bytes], param: str, words: str, client: TestClient) -> None:
    files = files or {"mask": GOOD["mask"]}
    assert words in refusal(edit(client, files), param)


@pytest.mark.parametrize(
    "fields", [{"n": "two"}, {"n": "1.5"}, {"seed": "[1]"}, {"stream": "yes"}, {"size": "9x9"}, {"what": "x"}]
)
def test_fields_of_a_form(fields: dict[str, str], client: TestClient) -> None:
    refusal(edit(client, GOOD, **fields), next(iter(fields)))


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=a", "; boundary=" + "x" * 500])
@pytest.mark.parametrize("content", [b"", b"--a\r\n", b"--a\r\nContent-Disposition: form-data\r\n\r\nx\r\n--a--", b"\xff" * 50,
                                     b'--a\r\nContent-Disposition: form-data; name="model"\r\n\r\nshapes'])  # fmt: skip
def test_a_malformed_form_gets_400(boundary: str, content: bytes, client: TestClient) -> None:
    answer = client.post(EDITS, content=content, headers={"Content-Type": f"multipart/form-data{boundary}"})
    assert answer.status_code == 400 and "message" in answer.json()["error"]


@pytest.mark.parametrize("charset", ["punycode", "undefined", "base64", "utf-16", "none"])
def test_a_charset_that_the_form_is_not_in(charset: str, client: TestClient) -> None:
    content = b'--a\r\nContent-Disposition: form-data; name="model"\r\n\r\n\xff\r\n--a--\r\n'
    media = f"multipart/form-data; boundary=a; charset={charset}"
    answer = client.post(EDITS, content=content, headers={"Content-Type": media})
    assert answer.status_code in (400, 404) and "message" in answer.json()["error"]


def test_a_fault_of_the_server_is_not_the_fault_of_the_form(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = mock.AsyncMock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr("starlette.datastructures.UploadFile.read", fault)
    assert edit(client, GOOD).status_code == 500


def test_files_of_an_incomplete_form_are_closed(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[SpooledTemporaryFile[bytes]] = []

    def spooled(**keywords: int) -> SpooledTemporaryFile[bytes]:
        opened.append(SpooledTemporaryFile(**keywords))  # noqa: SIM115 - the parser closes it
        return opened[-1]

    monkeypatch.setattr("starlette.formparsers.SpooledTemporaryFile", spooled)
    content = b'--a\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\nhalf of it'
    client.post(EDITS, content=content, headers={"Content-Type": "multipart/form-data; boundary=a"})
    assert opened and all(file.closed for file in opened)


def test_a_model_of_sounds_edits_no_images(client: TestClient) -> None:
    assert "generates sounds, which have another path" in refusal(edit(client, GOOD, model="tones"), "model")


def test_a_family_that_cannot_keep_pixels(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The families that can are those of the registry."""
    entry = Catalog.item_entry
    monkeypatch.setattr(Catalog, "item_entry", lambda *args: replace(entry(*args), fills_in=False))
    assert "use a model of diffusion or vae" in refusal(edit(client, GOOD), "model")
