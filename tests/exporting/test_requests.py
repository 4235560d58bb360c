"""How an exported page asks its engine: the latest request counts, every error is heard, and classes are shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

import anew

from .interpreter import needs_node, node
from .network_alone import network_class_weights


@needs_node
def test_requests_of_a_page(text_run: Callable[[str], Path], tmp_path: Path) -> None:
    page = anew.export(text_run("labels"), "html", tmp_path / "page.html", number_type="f32").folder
    answer = node(Path(__file__).with_name("run_requests.mjs"), page, 1)
    (refused,) = answer["unstarted"]
    assert refused["id"] == 2 and "null" in refused["error"]
    assert answer["made"] == 3 and answer["stopped"] < 3 and answer["running"] == []
    assert answer["drawn"] == answer["classes"] and set(answer["drawn"]) == {0, 1}
    assert answer["isOfItsClass"] and answer["differs"] and answer["inside"] == 1
    assert answer["counted"] == [1, 1]  # samples that were not finished do not count as generated
    expected = network_class_weights(anew.load(text_run("labels")), "ACDWY")
    assert answer["ofPrompt"] == pytest.approx(expected, abs=1e-4)
    assert answer["labels"].count(0) == pytest.approx(40 * expected[0], abs=8)
    assert answer["results"] == [None, "the second", None] and answer["drafts"] == ["new"]
    assert answer["faults"] == ["no memory"] and answer["cancelled"] == [True, True, False]
    assert answer["hot"][2] == 0 and answer["hot"][1] / answer["hot"][0] == pytest.approx(math.exp(0.1))
    assert answer["opened"] == [False, True]  # a passage does not end before its first token
    assert answer["bom"] == 2
    assert answer["text"] == "A"
    assert answer["impossible"] == [0, 0.5, 0.5]
