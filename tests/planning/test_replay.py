"""A replayed plan takes everything from its run but the data, and settings that change no step."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from anew.errors import ConfigError, RunError
from anew.planning import replay
from anew.planning.replay import replay_request
from anew.runs.paths import OWN_FAMILY
from anew.runs.record import Request


def plan_of(monkeypatch: pytest.MonkeyPatch, family: str = "gan") -> None:
    request = Request(data="old", budget=60.0, seed=3, settings={"width": "8", "train.train_seconds": "5"})
    record = SimpleNamespace(request=request, family=SimpleNamespace(name=family), data=SimpleNamespace(seconds=60.0))
    monkeypatch.setattr(replay.RunFolder, "open", lambda path: SimpleNamespace(record=lambda: record, path=path))


def test_settings_outside_a_plan_may_differ_with_or_without_their_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_of(monkeypatch)
    request = replay_request(Request(data="new", settings={"train.device": "cpu", "previews": "0"}), tmp_path)
    assert (request.data, request.seed, request.budget, request.steps) == ("new", 3, None, None)
    assert request.settings == {"width": "8", "train.device": "cpu", "previews": "0"}
    assert (request.plan_from, request.fit_seconds) == (str(tmp_path), 60.0)


@pytest.mark.parametrize(
    ("conflict", "name"),
    [({"budget": 5.0}, "budget"), ({"seed": 1}, "seed"), ({"prefer": "speed"}, "prefer"),
     ({"settings": {"gan.width": "4"}}, "gan.width")],
)  # fmt: skip
def test_what_the_plan_says_cannot_be_set(
    conflict: dict[str, Any], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_of(monkeypatch)
    with pytest.raises(ConfigError, match=f"`plan` takes '{name}' from the run"):
        replay_request(Request(data="new", **conflict), tmp_path)


def test_code_of_another_run_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan_of(monkeypatch, OWN_FAMILY)
    with pytest.raises(RunError, match="then give that file as `family`"):
        replay_request(Request(data="new"), tmp_path)
    assert replay_request(Request(data="new", family=OWN_FAMILY), tmp_path).data == "new"
