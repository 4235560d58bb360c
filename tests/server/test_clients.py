"""OpenAI's own package against the server, unchanged."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openai
import pytest
from PIL import Image

import anew
from anew.data.formats.images import pixels
from server_runs import listening


@pytest.fixture(scope="module")
def api(runs: dict[str, Path]) -> Iterator[openai.OpenAI]:
    with (
        listening([runs[name] for name in ("book", "shapes", "tones", "clips")], chats=True) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0) as client,
    ):
        yield client


def test_models(api: openai.OpenAI) -> None:
    assert [model.id for model in api.models.list()] == ["book", "shapes", "tones", "clips"]


def test_completions(api: openai.OpenAI, runs: dict[str, Path]) -> None:
    answer = api.completions.create(model="book", prompt="the ", max_tokens=20, seed=3, n=2, logprobs=2)
    expected = anew.load(runs["book"], "cpu").sample(2, seed=3, prompt="the ", max_tokens=20)
    assert ["the " + choice.text for choice in answer.choices] == list(expected)
    assert answer.usage is not None and answer.usage.completion_tokens == 40
    log_probs = answer.choices[0].logprobs
    assert log_probs is not None and "".join(log_probs.tokens or []) == answer.choices[0].text
    pieces = api.completions.create(model="book", prompt="the ", max_tokens=20, seed=3, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == answer.choices[0].text


def test_chats(api: openai.OpenAI) -> None:
    answer = api.chat.completions.create(
        model="book",
        messages=[{"role": "user", "content": "the "}],
        max_tokens=20,
        seed=3,
        logprobs=True,
        top_logprobs=1,
    )
    plain = api.completions.create(model="book", prompt="the ", max_tokens=20, seed=3)
    assert answer.choices[0].message.content == plain.choices[0].text
    assert answer.choices[0].logprobs is not None and answer.choices[0].logprobs.content


def test_images(api: openai.OpenAI) -> None:
    answer = api.images.generate(model="shapes", prompt="disc", n=2, response_format="b64_json", size="auto")
    pictures = [Image.open(io.BytesIO(base64.b64decode(row.b64_json or ""))) for row in answer.data or []]
    assert [picture.size for picture in pictures] == [(12, 12)] * 2
    events = list(api.images.generate(model="shapes", prompt="disc", stream=True, partial_images=2))
    assert [event.type.rpartition(".")[2] for event in events] == ["partial_image", "partial_image", "completed"]


def test_an_edit_with_a_mask(api: openai.OpenAI) -> None:
    picture = np.full((12, 12), 90, np.uint8)
    mask = np.zeros((12, 12, 4), np.uint8)
    mask[:6, :, 3] = 255
    files = {"image": ("a.png", pixels.png(picture)), "mask": ("b.png", pixels.png(mask))}
    answer = api.images.edit(model="shapes", prompt="bar", n=2, **files)  # type: ignore[call-overload]
    for row in answer.data:
        generated = np.asarray(Image.open(io.BytesIO(base64.b64decode(row.b64_json))))
        assert (generated[:6] == 90).all()


def test_sound(api: openai.OpenAI) -> None:
    answer = api.audio.speech.create(model="tones", voice="any", input="", response_format="wav")
    assert answer.content.startswith(b"RIFF")


# The warning is about the shape of the interface, not about this server
@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
def test_videos(api: openai.OpenAI) -> None:
    video = api.videos.create(model="clips", prompt="")
    deadline = time.monotonic() + 60
    while video.status != "completed" and time.monotonic() < deadline:
        time.sleep(0.05)
        video = api.videos.retrieve(video.id)
    assert api.videos.download_content(video.id).content[4:8] == b"ftyp"
    assert api.videos.delete(video.id).deleted


def test_errors(api: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="class of this model"):
        api.images.generate(model="shapes", prompt="circle")
    with pytest.raises(openai.NotFoundError, match="unknown model 'nope'"):
        api.completions.create(model="nope", prompt="x")
