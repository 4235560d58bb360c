"""Chats, scores, and what the server counts."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import anew
from anew.server import text_work
from server_runs import serving

CHAT = {"model": "book", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "the "}]}


@pytest.fixture(scope="module")
def chatty(runs: dict[str, Path]) -> Iterator[TestClient]:
    with serving([runs["book"]], chats=True) as client:
        yield client


def test_a_chat_is_refused_and_names_completions(client: TestClient) -> None:
    answer = client.post("/v1/chat/completions", json=CHAT)
    assert answer.status_code == 400
    assert (
        "/v1/completions" in answer.json()["error"]["message"] and "--chat plain" in answer.json()["error"]["message"]
    )


def test_a_plain_chat_continues_the_last_message(chatty: TestClient) -> None:
    fields = {"seed": 4, "max_tokens": 20}
    chat = chatty.post("/v1/chat/completions", json=CHAT | fields | {"logprobs": True, "top_logprobs": 2}).json()
    plain = chatty.post("/v1/completions", json={"model": "book", "prompt": "the ", **fields}).json()
    (choice,) = chat["choices"]
    assert chat["object"] == "chat.completion" and chat["usage"] == plain["usage"]
    assert choice["message"] == {"role": "assistant", "content": plain["choices"][0]["text"], "refusal": None}
    tokens = choice["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == choice["message"]["content"]
    assert all(len(token["top_logprobs"]) == 2 and token["logprob"] <= 0 for token in tokens)


def test_a_chat_as_a_stream(chatty: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_work, "SECONDS_BETWEEN_PIECES", 0.0)
    fields: dict[str, Any] = {"seed": 4, "max_completion_tokens": 20}
    whole = chatty.post("/v1/chat/completions", json=CHAT | fields).json()["choices"][0]["message"]["content"]
    text = chatty.post("/v1/chat/completions", json=CHAT | fields | {"stream": True}).text
    *events, last_line = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    deltas = [json.loads(event)["choices"][0]["delta"] for event in events]
    assert last_line == "[DONE]" and len(deltas) > 5
    assert [delta.get("role") for delta in deltas] == ["assistant"] + [None] * (len(deltas) - 1)
    assert "".join(delta["content"] for delta in deltas) == whole


@pytest.mark.parametrize(
    "fields",
    [{"messages": []}, {"messages": [{"role": "system", "content": "x"}]}, {"messages": [{"role": "robot", "content": "x"}]},
     {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, {"messages": "hello"},
     {"top_logprobs": 2}, {"max_tokens": 3, "max_completion_tokens": 4}, {"tools": []}, {"n": 0}, {"max_tokens": 0}],
    ids=lambda value: f"{value!r:.40}",
)  # fmt: skip
def test_a_malformed_chat_gets_400(fields: dict[str, Any], chatty: TestClient) -> None:
    assert chatty.post("/v1/chat/completions", json=CHAT | fields).status_code == 400


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_chat_has_at_least_one_token(field: str, chatty: TestClient) -> None:
    answer = chatty.post("/v1/chat/completions", json=CHAT | {field: 0})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == field and "must be at least 1" in answer.json()["error"]["message"]


# ---- scores ----


def test_texts_are_scored(client: TestClient, runs: dict[str, Path]) -> None:
    answer = client.post("/v1/score", json={"model": "names", "input": ["anna", "jo"]}).json()
    scores = anew.load(runs["names"], "cpu").score(["anna", "jo"])
    assert [row["bits"] for row in answer["data"]] == pytest.approx([item.bits for item in scores.items], rel=1e-4)
    assert answer["bits_per_unit"] == pytest.approx(scores.bits_per_unit, rel=1e-4) and answer["bound"] == "exact"
    assert answer["unit"] == "character" and [row["index"] for row in answer["data"]] == [0, 1]


def test_items_of_a_class_are_scored_as_such(client: TestClient, runs: dict[str, Path]) -> None:
    model = anew.load(runs["proteins"], "cpu")
    first, second = model.labels
    body = {"model": "proteins", "input": ["MKVL"]}
    answers = [client.post("/v1/score", json=body | {"label": label}).json() for label in (first, second)]
    assert answers[0]["data"][0]["bits"] != answers[1]["data"][0]["bits"] and answers[0]["notes"] == []
    assert answers[1]["data"][0]["bits"] == pytest.approx(model.score(["MKVL"], label=second).bits, rel=1e-4)
    bits = [client.post("/v1/score", json=body | more).json()["data"] for more in ({}, {"label": "any"})]
    assert bits[0] == bits[1]
    refused = client.post("/v1/score", json=body | {"label": "none"})
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "label"
    assert client.post("/v1/score", json={"model": "names", "input": "an", "label": first}).status_code == 400


def test_an_unknown_field_is_named_before_the_one_that_is_missing(client: TestClient) -> None:
    error = client.post("/v1/completions", json={"model": "names", "promt": "an"}).json()["error"]
    assert error["message"] == "unknown field 'promt'; did you mean 'prompt'?" and error["param"] == "promt"


@pytest.mark.parametrize("fields", [{"input": ""}, {"input": []}, {"input": ["a", ""]}, {"input": 5}, {"input": ["x" * 300_000]},
                                    {"model": "shapes"}, {"input": ["a"] * 300}])  # fmt: skip
def test_what_cannot_be_scored(fields: dict[str, Any], client: TestClient) -> None:
    picture = base64.b64encode(b"x").decode()
    answer = client.post("/v1/score", json={"model": "names", "input": picture, **fields})
    assert answer.status_code == 400 and answer.json()["error"]["param"] in fields


# ---- what is counted ----


def figures(client: TestClient) -> dict[str, float]:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_metrics(client: TestClient) -> None:
    before = figures(client)
    client.post("/v1/completions", json={"model": "book", "prompt": "the", "max_tokens": 5})
    client.post("/v1/images/generations", json={"model": "shapes", "n": 2})
    after = figures(client)

    def risen(name: str) -> float:
        return after[name] - before.get(name, 0.0)

    assert risen('vllm:generation_tokens_total{model_name="book"}') == 5
    assert risen('vllm:prompt_tokens_total{model_name="book"}') == 3
    assert risen('vllm:request_success_total{finished_reason="length",model_name="book"}') == 1
    assert risen('vllm:e2e_request_latency_seconds_count{model_name="book"}') == 1
    assert risen('vllm:time_to_first_token_seconds_count{model_name="book"}') == 1
    assert risen('anew:samples_total{model_name="shapes"}') == 2
    assert (
        after['vllm:num_requests_running{model_name="book"}']
        == after['vllm:num_requests_waiting{model_name="book"}']
        == 0
    )
