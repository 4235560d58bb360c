"""Completions: what is asked for comes back, alone or beside others, whole or as a stream; what is malformed gets 400."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from starlette.testclient import TestClient

import anew
from anew.core.specs import Batch
from anew.server import completions, text_tasks
from anew.server.bodies import CompletionBody
from anew.server.completions import Answer
from anew.server.limits import MAX_TOKENS
from anew.server.text_tasks import TextPiece, TokenLogProb
from server_runs import serving
from toys import score_as_drawn

TEXTS = ("book", "names", "words", "proteins", "programs")


def complete(client: TestClient, model: str, prompt: object, **fields: Any) -> dict[str, Any]:
    answer = client.post("/v1/completions", json={"model": model, "prompt": prompt, **fields})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def texts(body: dict[str, Any]) -> list[str]:
    return [choice["text"] for choice in body["choices"]]


def stream(client: TestClient, model: str, prompt: object, **fields: Any) -> list[dict[str, Any]]:
    body = {"model": model, "prompt": prompt, "stream": True, **fields}
    lines = [line for line in client.post("/v1/completions", json=body).text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]" and all(line.startswith("data: ") for line in lines)
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


# ---- what is asked for ----


@pytest.mark.parametrize("name", ["book", "names", "words"])
def test_the_text_is_that_of_the_model(name: str, client: TestClient, runs: dict[str, Path]) -> None:
    model = anew.load(runs[name], "cpu")
    expected = model.sample(3, seed=5, prompt="an", max_tokens=24)
    body = complete(client, name, "an", n=3, seed=5, max_tokens=24)
    assert ["an" + text for text in texts(body)] == list(expected)
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]


def test_defaults_and_usage(client: TestClient) -> None:
    body = complete(client, "book", "the")
    assert body["object"] == "text_completion" and body["model"] == "book" and body["id"].startswith("cmpl-")
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 16, "total_tokens": 19}
    assert body["choices"][0]["finish_reason"] == "length" and body["choices"][0]["logprobs"] is None
    assert texts(complete(client, "book", "the", seed=1)) == texts(complete(client, "book", "the", seed=1))


def test_several_prompts_and_token_ids(client: TestClient, runs: dict[str, Path]) -> None:
    answer = complete(client, "names", ["an", "jo"], seed=3, n=2, max_tokens=8)
    assert len(answer["choices"]) == 4 and answer["usage"]["prompt_tokens"] == 4
    assert texts(complete(client, "names", "an", seed=3, n=2, max_tokens=8)) == texts(answer)[:2]
    modality: Any = anew.load(runs["names"], "cpu").item_modality
    ids = modality.tokenizer.encode("an").tolist()
    assert texts(complete(client, "names", ids, seed=3, n=2, max_tokens=8)) == texts(answer)[:2]
    assert texts(complete(client, "names", [ids], seed=3, max_tokens=8, echo=True))[0].startswith("an")


@pytest.mark.parametrize("name", TEXTS)
def test_an_empty_prompt(name: str, client: TestClient) -> None:
    body = complete(client, name, "", seed=1, max_tokens=20, logprobs=1, echo=True)
    assert texts(body)[0] == "".join(body["choices"][0]["logprobs"]["tokens"])


def test_a_stop_with_a_line_end_of_windows_is_that_of_the_data(client: TestClient) -> None:
    ended = [
        texts(complete(client, "book", "the ", seed=2, max_tokens=60, stop=[stop])) for stop in ("\n", "\r\n", "\r")
    ]
    assert ended[0] == ended[1] == ended[2]


def test_stop_ends_before_the_string(client: TestClient) -> None:
    (plain,) = texts(complete(client, "book", "the ", seed=2, max_tokens=60))
    stop = plain[20:23]
    body = complete(client, "book", "the ", seed=2, max_tokens=60, stop=["@@", stop])
    assert texts(body) == [plain[: plain.index(stop)]] and body["choices"][0]["finish_reason"] == "stop"


def test_a_record_ends_by_itself(client: TestClient) -> None:
    body = complete(client, "names", "an", seed=1, max_tokens=200, n=8)
    assert {choice["finish_reason"] for choice in body["choices"]} == {"stop"}
    assert not any("\n" in text for text in texts(body))


def test_temperature_zero_takes_the_most_probable(client: TestClient) -> None:
    body = complete(client, "book", "the", temperature=0, n=3, max_tokens=12, logprobs=1)
    assert len(set(texts(body))) == 1
    log_probs = body["choices"][0]["logprobs"]
    assert [next(iter(top)) for top in log_probs["top_logprobs"]] == log_probs["tokens"]
    assert texts(complete(client, "book", "the", top_k=1, max_tokens=12)) == texts(body)[:1]


def test_a_suffix_stands_behind_the_text(client: TestClient, runs: dict[str, Path]) -> None:
    (text,) = texts(complete(client, "programs", "def f", suffix="return x", seed=1, max_tokens=12))
    whole = anew.load(runs["programs"], "cpu").sample(1, seed=1, prompt="def f", suffix="return x", max_tokens=12)
    assert "def f" + text + "return x" == whole[0]
    proteins = complete(client, "proteins", "", suffix="MK", seed=1, max_tokens=12, echo=False)
    events = stream(client, "proteins", "", suffix="MK", seed=1, max_tokens=12)
    assert len(events) == 1 and events[0]["choices"][0]["text"] == texts(proteins)[0]


def test_a_label(client: TestClient, runs: dict[str, Path]) -> None:
    label = anew.load(runs["proteins"], "cpu").labels[1]
    body = complete(client, "proteins", "M", label=label, seed=1, max_tokens=12)
    expected = anew.load(runs["proteins"], "cpu").sample(1, seed=1, prompt="M", label=label, max_tokens=12)
    assert "M" + texts(body)[0] == expected[0]
    anyone = complete(client, "proteins", "M", label="any", seed=1, max_tokens=12)
    assert texts(anyone) == texts(complete(client, "proteins", "M", seed=1, max_tokens=12))


# ---- log-probabilities ----


def test_log_probs_of_a_prompt_are_the_bits_of_the_model(client: TestClient, runs: dict[str, Path]) -> None:
    body = complete(client, "names", "corbel", max_tokens=0, echo=True, logprobs=2)
    assert texts(body) == ["corbel"] and body["usage"]["completion_tokens"] == 0
    log_probs = body["choices"][0]["logprobs"]
    assert log_probs["tokens"] == list("corbel") and log_probs["text_offset"] == list(range(6))
    model = anew.load(runs["names"], "cpu")
    score_as_drawn(model.family)
    ids: Any = model.modality.condition_from_prompt("corbel")
    ((bits, _),) = model.bits([Batch(torch.as_tensor(ids)[None], units=torch.ones(1))])
    assert -sum(log_probs["token_logprobs"]) / math.log(2) == pytest.approx(bits, rel=1e-3)
    assert all(len(top) <= 2 and max(top.values()) <= 0 for top in log_probs["top_logprobs"])


@pytest.mark.parametrize("prompt", ["corbel", "c"])
@pytest.mark.parametrize("name", ["names", "book"])
def test_no_new_tokens_are_none(name: str, prompt: str, client: TestClient) -> None:
    """Without log-probabilities one was drawn: "the network" became "the networks"."""
    whole = complete(client, name, prompt, max_tokens=0, echo=True)
    options = {"include_usage": True}
    *pieces, last = stream(client, name, prompt, max_tokens=0, echo=True, stream_options=options)
    assert texts(whole) == [prompt] and "".join(piece["choices"][0]["text"] for piece in pieces) == prompt
    assert whole["usage"]["completion_tokens"] == last["usage"]["completion_tokens"] == 0
    measured = complete(client, name, prompt, max_tokens=0, echo=True, logprobs=0)
    assert len(measured["choices"][0]["logprobs"]["tokens"]) == whole["usage"]["prompt_tokens"]


def test_an_answer_tells_its_seed(client: TestClient) -> None:
    first = complete(client, "names", "c", max_tokens=8)
    assert 0 <= first["seed"] < 2**53
    assert texts(complete(client, "names", "c", max_tokens=8, seed=first["seed"])) == texts(first)


def test_log_probs_change_nothing_of_the_text(client: TestClient) -> None:
    plain = complete(client, "book", "the", seed=4, max_tokens=20)
    echoed = complete(client, "book", "the", seed=4, max_tokens=20, logprobs=0, echo=True)
    assert texts(echoed) == ["the" + texts(plain)[0]]
    log_probs = echoed["choices"][0]["logprobs"]
    assert "".join(log_probs["tokens"]) == texts(echoed)[0] and log_probs["token_logprobs"][0] is None
    assert all(top == {} for top in log_probs["top_logprobs"][1:])


# ---- streams, and requests side by side ----


@pytest.mark.parametrize("name", TEXTS)
def test_a_stream_joins_to_the_whole(name: str, client: TestClient) -> None:
    fields = {"n": 2, "seed": 9, "max_tokens": 40, "echo": True, "stop": ["e t", "zz"], "logprobs": 0}
    whole = complete(client, name, "M" if name == "proteins" else "an", **fields)
    events = stream(client, name, "M" if name == "proteins" else "an", **fields, stream_options={"include_usage": True})
    assert events[-1]["choices"] == [] and events[-1]["usage"] == whole["usage"]
    for choice in whole["choices"]:
        mine = [c for event in events for c in event["choices"] if c["index"] == choice["index"]]
        assert "".join(c["text"] for c in mine) == choice["text"]
        assert [c["finish_reason"] for c in mine if c["finish_reason"]] == [choice["finish_reason"]]
        for field in ("tokens", "text_offset"):
            assert [value for c in mine for value in c["logprobs"][field]] == choice["logprobs"][field]


def test_offsets_of_a_stream_count_tokens_whose_text_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions, "TextTask", lambda request, channel: None)
    body = CompletionBody.model_validate({"model": "m", "prompt": "x", "stream": True, "logprobs": 0, "stop": ["cde"]})
    request: Any = SimpleNamespace(n=1, seed=0, prompt=[1], num_begin_tokens=0)
    a, c, x = (TokenLogProb(text, -1.0, {}) for text in ("ab", "c", "x"))

    async def offsets() -> list[list[int]]:
        answer = Answer(body, SimpleNamespace(name="m"), [request])  # type: ignore[arg-type]
        answer.channel.put(TextPiece(0, "ab", (a, c)))  # "c" may begin the stop
        answer.channel.put(TextPiece(0, "cx", (x,), "length", 3))
        clock: Any = SimpleNamespace(on_piece=lambda: None)
        return [chunk["choices"][0]["logprobs"]["text_offset"] async for chunk in answer.chunks(clock)]  # type: ignore[index]

    assert asyncio.run(offsets()) == [[0, 2], [3]]


def test_requests_side_by_side_get_what_they_get_alone(client: TestClient) -> None:
    def ask(seed: int) -> list[str]:
        return texts(
            complete(client, "book", ["the", "old"][seed % 2], seed=seed, max_tokens=10 + seed, temperature=0.8)
        )

    alone = [ask(seed) for seed in range(12)]
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(ask, range(12))) == alone


# ---- malformed ----

GOOD = {"model": "names", "prompt": "an"}
MALFORMED: list[tuple[str, object]] = [
    *[("prompt", value) for value in (None, 1, True, {}, [], [[]] * 65, ["a", 1], ["a", [1]], [-1], [1.5], [2**40], [True],
                                      [["a"]], [60000], "a\nb", ["x"] * 65)],
    *[("model", value) for value in (None, 1, "", [], "x" * 400)],
    *[("max_tokens", value) for value in (-1, 0, 1.5, "5", True, 2**31, 10**30, [], {})],
    *[("temperature", value) for value in (-0.1, 10.1, "1", True, [], 1e400)],
    *[("top_p", value) for value in (-0.1, 1.1, "1", False)],
    *[("top_k", value) for value in (-2, 1.5, "3", 2**25)],
    *[("min_p", value) for value in (-1, 2, "x")],
    *[("seed", value) for value in (-1, 2**63, 1.5, "1", True)],
    *[("n", value) for value in (0, -1, 65, 1.5, "2", True)],
    *[("best_of", value) for value in (0, 2, "1")],
    *[("stop", value) for value in ("", [""], [1], ["a"] * 5, 3, {}, "x" * 300)],
    *[("echo", value) for value in (1, "true", [])],
    *[("logprobs", value) for value in (-1, 21, True, "2", 1.5)],
    *[("stream", value) for value in (1, "yes", [])],
    *[("stream_options", value) for value in (1, [], {"include_usage": 1}, {"x": True}, {"include_usage": True})],
    *[("suffix", value) for value in (1, [], "end")],
    *[("label", value) for value in ("x", 1, "")],
    *[("frequency_penalty", value) for value in (0.5, "0", [1])],
    *[("presence_penalty", 1), ("logit_bias", {"5": 1}), ("user", 5), ("max_token", 5), ("messages", [])],
]  # fmt: skip


def is_error(answer: Any, status: int = 400) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error"} and set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"] and "\n" not in body["error"]["message"] and "/" not in str(body["error"]["code"])
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.parametrize(("field", "value"), MALFORMED, ids=lambda value: f"{value!r:.30}")
def test_a_malformed_field_gets_400(field: str, value: object, client: TestClient) -> None:
    content = json.dumps({**GOOD, field: value})
    error = is_error(client.post("/v1/completions", content=content, headers={"Content-Type": "application/json"}))
    assert error["type"] == "invalid_request_error"
    assert error["param"] in (field, "stream_options"), error


BODIES: list[bytes] = [
    b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b'{"model": "names"}', b'{"prompt": "an"}', b"[" * 100_000,
    b'{"model": "names", "prompt": ' + b"[" * 5000 + b"]" * 5000 + b"}", b'{"model": "names", "prompt": "\\ud800"}',
    b'{"model": "names", "prompt": "a", "temperature": NaN}', b'{"model": "names", "prompt": "a", "top_p": Infinity}',
    b'{"model": "names", "prompt": "a", "seed": ' + b"9" * 5000 + b"}", b"model=names&prompt=an",
]  # fmt: skip


@pytest.mark.parametrize("content", BODIES, ids=lambda content: repr(content[:40]))
def test_a_malformed_body_gets_400(content: bytes, client: TestClient) -> None:
    is_error(client.post("/v1/completions", content=content, headers={"Content-Type": "application/json"}))


def test_an_unknown_field_is_named_before_the_one_that_is_missing(client: TestClient) -> None:
    error = client.post("/v1/completions", json={"model": "names", "promt": "an"}).json()["error"]
    assert error["message"] == "unknown field 'promt'; did you mean 'prompt'?" and error["param"] == "promt"


def test_there_are_enough_of_them() -> None:
    assert len(MALFORMED) + len(BODIES) >= 60


def test_no_more_is_made_than_the_cap(client: TestClient) -> None:
    n = MAX_TOKENS // 32_768 + 1
    assert (
        "the limit is"
        in is_error(client.post("/v1/completions", json=GOOD | {"n": n, "max_tokens": 32_768}))["message"]
    )


def test_a_model_that_makes_no_text(client: TestClient) -> None:
    error = is_error(client.post("/v1/completions", json={"model": "shapes", "prompt": "x"}))
    assert error["param"] == "model" and "images" in error["message"]


@pytest.mark.parametrize("name", ["nope", "../names", "/etc/passwd", "names/../book", "\x00"])
def test_an_unknown_model(name: str, client: TestClient) -> None:
    error = is_error(client.post("/v1/completions", json={"model": name, "prompt": "x"}), 404)
    assert error["code"] == "model_not_found"


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
    monkeypatch.setattr(text_tasks, "SECONDS_BETWEEN_PIECES", 0.0)
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


def test_a_prompt_that_ends_within_a_token_is_continued_as_that_of_the_model(
    client: TestClient, runs: dict[str, Path]
) -> None:
    """What was cut and drawn again is not sent again, streamed or not; with log-probabilities the prompt stays as it is."""
    model, prompt = anew.load(runs["words"], "cpu"), "a "
    expected = model.sample(3, seed=5, prompt=prompt, max_tokens=12, avoid_known=False)
    assert all(text.startswith(prompt) for text in expected)
    body = complete(client, "words", prompt, n=3, seed=5, max_tokens=12)
    assert [prompt + text for text in texts(body)] == list(expected)
    measured = complete(client, "words", prompt, n=3, seed=5, max_tokens=12, logprobs=0)
    for choice in measured["choices"]:
        assert "".join(choice["logprobs"]["tokens"]) == choice["text"]
