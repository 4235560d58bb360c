"""Data that takes too long to read for the budget."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

import anew
from anew.core.machine.threads import SlowdownMeter
from anew.data.dataset import Dataset
from anew.data.types import DataBudget
from anew.errors import BudgetError, DataError
from samples import names


def test_a_budget_that_reading_uses_up_is_refused_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(self: Dataset, size: object) -> None:
        while True:
            time.sleep(0.01)

    monkeypatch.setattr(Dataset, "fit", fit)
    monkeypatch.setattr(SlowdownMeter, "read", lambda meter: 1.0)
    begin = time.monotonic()
    with pytest.raises(
        BudgetError, match=r"20 s leaves no time to train: starting and reading had not ended after .* such as 60s"
    ):
        anew.train(names(tmp_path / "names.txt", 300), tmp_path / "run", budget=20, started=begin - 10.0)
    assert time.monotonic() - begin < 10.0 and not (tmp_path / "run").exists()


def test_a_budget_that_starting_has_used_up_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was refused once reading had taken the rest."""
    monkeypatch.setattr(SlowdownMeter, "read", lambda meter: 10.0)
    monkeypatch.setattr(Dataset, "open", lambda *_, **__: pytest.fail("it is read"))
    with pytest.raises(
        BudgetError, match=r"reading a little, a single step and a short report take 40 s .* at least \d+s"
    ):
        anew.train(names(tmp_path / "names.txt", 300), tmp_path / "run", budget=60, started=time.monotonic() - 35.0)


def test_the_budget_that_is_advised_is_enough_for_the_report(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"give (at least|more)") as refusal:
        anew.train(names(tmp_path / "names.txt", 300), tmp_path / "run", budget=1)
    advised = re.search(r"(\d+)s", str(refusal.value).partition("give ")[2])
    assert advised is not None and float(advised[1]) > 5.0  # seconds that the report alone needs


@pytest.mark.parametrize("read_all", [True, False])
def test_reading_has_a_share_of_the_budget_unless_all_is_to_be_read(
    read_all: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds_left = []

    def record_time(*_: object, size: DataBudget, **__: object) -> None:
        assert size.reading is not None
        seconds_left.append(size.reading.seconds_to_division())
        raise DataError("that is enough")

    monkeypatch.setattr(Dataset, "open", record_time)
    with pytest.raises(DataError, match="that is enough"):
        anew.train(names(tmp_path / "names.txt", 300), tmp_path / "run", budget=60, settings={"read_all": read_all})
    assert seconds_left[0] == float("inf") if read_all else seconds_left[0] < 0.15 * 60
