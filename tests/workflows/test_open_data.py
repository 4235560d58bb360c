"""Data that takes too long to read for the budget."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

import anew
from anew.data.dataset import Dataset
from anew.errors import BudgetError
from samples import names


def test_a_budget_that_reading_uses_up_is_refused_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(self: Dataset, size: object) -> None:
        while True:
            time.sleep(0.01)

    monkeypatch.setattr(Dataset, "fit", fit)
    begin = time.monotonic()
    with pytest.raises(
        BudgetError, match=r"20 s leaves no time to train: starting and reading had not ended after .* such as 60s"
    ):
        anew.train(names(tmp_path / "names.txt", 300), tmp_path / "run", budget=20, started=begin - 10.0)
    assert time.monotonic() - begin < 10.0 and not (tmp_path / "run").exists()


def test_the_budget_that_is_advised_is_enough_for_the_report(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"give (at least|more)") as refusal:
        anew.train(names(tmp_path / "names.txt", 300), tmp_path / "run", budget=1)
    advised = re.search(r"(\d+)s", str(refusal.value).partition("give ")[2])
    assert advised is not None and float(advised[1]) > 5.0  # seconds that the report alone needs
