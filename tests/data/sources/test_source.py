"""Runs and comparisons in a data folder are not data, and none of them can be given as data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import anew
from anew.data.dataset import Dataset
from anew.errors import DataError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        for i in range(40):
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(tmp_path / name / f"{i}.png")
    return tmp_path


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def test_a_run_in_its_data_folder_is_left_out(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pictures)
    before = Dataset.open(".")
    run = anew.train(".", steps=2, settings={"evaluate_samples": "1", "width": "8"}).folder.path
    after = Dataset.open(".")
    assert after.fingerprint == before.fingerprint and after.scan.labels == ("cats", "dogs")
    assert [(item.name, item.reason) for item in after.scan.skipped_items] == [
        (run.as_posix(), "it is a run that Anew made, not data")
    ]
    anew.resume(run, steps=3)


def test_comparisons_and_unfinished_runs_are_left_out(pictures: Path) -> None:
    write_json(pictures / "begun" / "config.json", {"format": 1, "status": "begun", "request": {"data": ".."}})
    write_json(pictures / "duel" / "request.json", {"data": "..", "families": ["gan", "vae"], "settings": {}})
    write_json(
        pictures / "duel" / "gan" / "config.json", {"format": 1, "status": "begun", "request": {"data": "../.."}}
    )
    shutil.copy(pictures / "cats" / "0.png", pictures / "duel" / "gan" / "final.png")
    data = Dataset.open(pictures)
    assert data.scan.items == 80
    assert [item.name for item in data.scan.skipped_items] == ["begun", "duel"]


def test_a_config_of_another_program_is_not_a_run(pictures: Path) -> None:
    write_json(pictures / "cats" / "config.json", {"format": 1, "model_type": "llama"})
    data = Dataset.open(pictures)
    assert not data.scan.skipped_items and data.scan.items == 80


def test_a_run_or_a_comparison_cannot_be_the_data(tmp_path: Path) -> None:
    write_json(tmp_path / "run" / "config.json", {"format": 1, "status": "begun", "request": {"data": "../names.txt"}})
    write_json(tmp_path / "duel" / "request.json", {"runs": ["a", "b"]})
    names = str(tmp_path.resolve() / "names.txt")
    with pytest.raises(DataError, match=r"is a run that Anew made, not data; did you mean.*names\.txt") as refused:
        Dataset.open(tmp_path / "run")
    assert repr(names) in str(refused.value)
    with pytest.raises(DataError, match="is a comparison that Anew made"):
        Dataset.open(tmp_path / "duel")
    with pytest.raises(
        DataError, match="holds no data, but 1 run and 1 comparison that Anew made: duel and run; look at one"
    ):
        Dataset.open(tmp_path)


def test_a_folder_of_many_runs_names_a_few_of_them(tmp_path: Path) -> None:
    for name in "dcba":
        write_json(tmp_path / name / "config.json", {"format": 1, "status": "begun", "request": {"data": "names.txt"}})
    with pytest.raises(DataError, match="holds no data, but 4 runs that Anew made: a, b, c and others; look at one"):
        Dataset.open(tmp_path)
