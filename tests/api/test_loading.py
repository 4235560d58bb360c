"""Imports within the time of a command."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

import pytest
import torch  # noqa: F401 (is loaded)

from anew.api import loading
from anew.api.loading import ImportPace, load_in_time, note_loading, time_advice
from anew.errors import BudgetError


def module_that_takes(seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module whose import waits so long."""
    name = f"slow_for_{seconds:.0f}_s"
    lines = [
        "import time",
        f"end = time.monotonic() + {seconds}",
        "while time.monotonic() < end:",
        "    time.sleep(0.01)",
    ]
    (tmp_path / f"{name}.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


def test_an_import_that_outlasts_the_budget_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = time.monotonic()
    name = module_that_takes(30.0, tmp_path, monkeypatch)
    with pytest.raises(BudgetError, match=r"the budget was over before PyTorch was loaded.*; give more time, or wait"):
        load_in_time(name, time.monotonic() + 0.2)
    assert time.monotonic() - begin < 15.0


def test_more_time_is_asked_for_by_the_share_of_a_core_that_the_import_had() -> None:
    assert (
        time_advice(ImportPace(32.0, 2.0, 30.0), 32.0) == "give at least 122 s more"
    )  # 16 times as long: 128 s in all
    assert time_advice(ImportPace(32.0, 2.0, 0.0), 32.0) == "give at least 14 s more"  # files were waited for
    assert time_advice(ImportPace(10.0, 9.0, 1.0), 30.0) == "give at least 1 s more"
    assert time_advice(ImportPace(30.0, 0.01, 29.0), 30.0) == "give more time"


@pytest.mark.parametrize(("queued_per_second", "is_given_up"), [(60.0, True), (0.2, False)])
def test_an_import_that_leaves_no_time_for_the_rest_is_given_up_early(
    queued_per_second: float, is_given_up: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = time.monotonic()

    def scheduled() -> tuple[float, float]:
        seconds = time.monotonic() - begin
        return seconds, queued_per_second * seconds

    monkeypatch.setattr(loading, "scheduled_seconds", scheduled)
    monkeypatch.delitem(sys.modules, "torch")
    name = module_that_takes(4.0, tmp_path, monkeypatch)
    if not is_given_up:
        load_in_time(name, time.monotonic() + 5.0)  # on idle cores, how long the rest takes is not known so exactly
        return
    with pytest.raises(BudgetError, match=r"would be over before anything was done: .* give at least [\d,]+ s more"):
        load_in_time(name, time.monotonic() + 6.0)
    assert time.monotonic() - begin < 4.0


def test_an_import_in_time_is_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = module_that_takes(0.0, tmp_path, monkeypatch)
    load_in_time(name, None)
    load_in_time(name, time.monotonic() + 60.0)
    assert name in sys.modules


def test_what_takes_seconds_is_said_at_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "anew.reading"):
        note_loading("PyTorch and the run")
        assert not caplog.messages  # PyTorch is there
        monkeypatch.delitem(sys.modules, "torch")
        note_loading("PyTorch and the run")
    assert caplog.messages == ["loading PyTorch and the run"]
