"""Tests of the division of records that are alike."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from anew.data.dataset import Dataset
from anew.data.types import DataBudget

NUM_COLUMNS, NUM_KINDS = 12, 40


def written(folder: Path, lines: Sequence[str]) -> Path:
    folder.mkdir()
    (folder / "records.txt").write_text("\n".join(lines) + "\n")
    return folder


def of_one_schema(count: int) -> list[str]:
    """JSON objects of several kinds; those of one differ in a few of their many characters."""
    source = random.Random(3)
    kinds = [{f"column {n} of kind {kind}": "unknown" for n in range(NUM_COLUMNS)} for kind in range(NUM_KINDS)]
    return [json.dumps({"number": source.random(), **kinds[i % NUM_KINDS]}) for i in range(count)]


def opened(path: Path) -> Dataset:
    data = Dataset.open(path, modality="text", settings={"layout": "list"})
    data.fit(DataBudget(60.0, 0, 0))
    return data


@pytest.mark.parametrize("repeats", [0, 40])
def test_records_of_one_schema_are_held_out_one_by_one(repeats: int, tmp_path: Path) -> None:
    lines = of_one_schema(600)
    data = opened(written(tmp_path / "d", lines + lines[:repeats]))
    train, *held_out = (data.text(part) for part in ("train", "validation", "test"))
    assert all(80 <= len(part) <= 110 for part in held_out)
    assert not set(train) & {record for part in held_out for record in part}
    notes = " ".join(data.scan.notes)
    assert (
        "items are nearly the same as an earlier one. This is usual in this data" in notes
        and "only exact copies" in notes
    )
    assert "found to be alike are kept" not in notes
    assert len(set(data.near_duplicate_groups(train))) == len(set(train))


def test_a_run_keeps_its_division(tmp_path: Path) -> None:
    data = opened(written(tmp_path / "d", of_one_schema(400)))
    state = data.state()
    assert state.splits_near_duplicates
    assert Dataset.reopen(state, tmp_path).text("test") == data.text("test")
    older = state.model_copy(update={"splits_near_duplicates": False, "parts": {}})
    again = Dataset.reopen(older, tmp_path)
    assert not again.state().splits_near_duplicates and again.text("test") != data.text("test")
    assert len(set(again.near_duplicate_groups(again.text("train")))) < len(again.text("train")) / 2


def test_a_few_edited_copies_of_records_stay_together(tmp_path: Path) -> None:
    source = random.Random(5)
    lines = [" ".join(str(source.randrange(10**5)) for _ in range(60)) for _ in range(300)]
    edited = [line.replace(" ", " 7 ", 2) for line in lines[:100]]
    data = opened(written(tmp_path / "d", lines + edited))
    assert not data.state().splits_near_duplicates
    assert "100 of 400 items are the same as an earlier one, or nearly" in " ".join(data.scan.notes)
