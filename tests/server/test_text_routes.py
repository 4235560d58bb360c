"""Scores of texts over HTTP."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import anew


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


@pytest.mark.parametrize("fields", [{"input": ""}, {"input": []}, {"input": ["a", ""]}, {"input": 5}, {"input": ["x" * 300_000]},
                                    {"model": "shapes"}, {"input": ["a"] * 300}])  # fmt: skip
def test_what_cannot_be_scored(fields: dict[str, Any], client: TestClient) -> None:
    picture = base64.b64encode(b"x").decode()
    answer = client.post("/v1/score", json={"model": "names", "input": picture, **fields})
    assert answer.status_code == 400 and answer.json()["error"]["param"] in fields
