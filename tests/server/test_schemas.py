"""What /openapi.json says is what the server does: answers have the described fields, and all that is referred to is there."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient

from anew.server import answer_schemas
from server_runs import serving

COMPLETION: dict[str, Any] = {"model": "names", "prompt": "an", "max_tokens": 3}
CHAT: dict[str, Any] = {"model": "names", "messages": [{"role": "user", "content": "an"}], "max_tokens": 3}


@pytest.fixture(scope="module")
def schema(client: TestClient) -> dict[str, Any]:
    value: dict[str, Any] = client.get("/openapi.json").json()
    return value


def operations(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for methods in schema["paths"].values() for operation in methods.values()]


def test_each_operation_has_a_name_a_group_and_an_answer(schema: dict[str, Any]) -> None:
    names = [operation["operationId"] for operation in operations(schema)]
    assert len(set(names)) == len(names) and all(re.fullmatch("[a-z_]+", name) for name in names)
    assert all(operation["tags"] for operation in operations(schema))
    for operation in operations(schema):
        contents = operation["responses"]["200"]["content"].values()
        assert contents and all(content["schema"] for content in contents)


def test_all_that_is_referred_to_is_there(schema: dict[str, Any]) -> None:
    references = set(re.findall(r'"\$ref": "#/components/(\w+)/(\w+)"', json.dumps(schema)))
    assert references and all(name in schema["components"][section] for section, name in references)


def test_errors_are_those_of_this_server(schema: dict[str, Any], client: TestClient) -> None:
    assert not any("422" in operation["responses"] for operation in operations(schema))
    assert "HTTPValidationError" not in json.dumps(schema)
    refused = client.post("/v1/completions", json={"model": "names"})
    described = schema["paths"]["/v1/completions"]["post"]["responses"]
    assert {"400", "401", "403", "404", "408", "413", "429", "503", "504"} < set(described)
    assert described[str(refused.status_code)]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorAnswer")
    assert set(refused.json()["error"]) == set(schema["components"]["schemas"]["ErrorObject"]["properties"])


def test_keys_are_described(schema: dict[str, Any], runs: dict[str, Path]) -> None:
    scheme = schema["components"]["securitySchemes"]["bearerAuth"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer") and {} in schema["security"]
    with serving([runs["names"]], keys=("key",)) as locked:
        described = locked.get("/openapi.json", headers={"Authorization": "Bearer key"}).json()
    assert described["security"] == [{"bearerAuth": []}] and described["paths"]["/health"]["get"]["security"] == []


@pytest.mark.parametrize(
    ("answer", "path", "body"),
    [
        (answer_schemas.Health, "/health", None),
        (answer_schemas.ServedModels, "/v1/models", None),
        (answer_schemas.ServedModel, "/v1/models/shapes", None),
        (answer_schemas.Completion, "/v1/completions", COMPLETION),
        (answer_schemas.Completion, "/v1/completions", COMPLETION | {"logprobs": 2, "n": 2, "echo": True}),
        (answer_schemas.ScoredItems, "/v1/score", {"model": "names", "input": ["an", "jo"]}),
        (
            answer_schemas.ImagesResponse,
            "/v1/images/generations",
            {"model": "shapes", "n": 2, "settings": {"steps": 1}},
        ),
        (answer_schemas.ClipJobs, "/v1/videos", None),
    ],
)
def test_answers_are_as_described(
    answer: type[BaseModel], path: str, body: dict[str, Any] | None, client: TestClient
) -> None:
    response = client.get(path) if body is None else client.post(path, json=body)
    assert response.status_code == 200, response.text
    answer.model_validate_json(response.content)
    described = client.get("/openapi.json").json()["components"]["schemas"][answer.__name__]
    assert set(response.json()) == set(described["properties"])


def test_chats_are_as_described(runs: dict[str, Path]) -> None:
    with serving([runs["names"]], chats=True) as chatty:
        for body in (CHAT, CHAT | {"logprobs": True, "top_logprobs": 2}):
            answer_schemas.ChatCompletion.model_validate_json(chatty.post("/v1/chat/completions", json=body).content)


def test_clips_are_as_described(client: TestClient) -> None:
    answer = client.post("/v1/videos", json={"model": "clips", "settings": {"steps": 1}}).content
    job = answer_schemas.ClipJob.model_validate_json(answer)
    deadline = time.monotonic() + 60
    while job.status in ("queued", "in_progress") and time.monotonic() < deadline:
        time.sleep(0.05)
        job = answer_schemas.ClipJob.model_validate_json(client.get(f"/v1/videos/{job.id}").content)
    assert job.status == "completed"
    answer_schemas.DeletedClip.model_validate_json(client.delete(f"/v1/videos/{job.id}").content)


def test_paths_that_no_model_answers_are_marked(runs: dict[str, Path]) -> None:
    with serving([runs["names"]]) as texts:
        schema, page = texts.get("/openapi.json").json(), texts.get("/docs").text
    assert "description" not in schema["paths"]["/v1/completions"]["post"]
    assert schema["paths"]["/v1/images/edits"]["post"]["description"] == "None of the served models answers here."
    assert page.count("(no model here)") == page.count("<strong>None of the served models answers here.</strong>") > 5
