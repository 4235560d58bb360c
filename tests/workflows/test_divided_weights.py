"""Processes that share the weights: what they hold and write at the end, and what reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

import anew
from anew.runs import weights
from processes import Ended, finish, fork
from samples import names

SETTINGS = {"width": 32, "layers": 2, "heads": 1, "mlp_size": 64, "precision": "fp32", "previews": 1, "timelapse": False,
            "evaluate_samples": 4, "parallel": "fsdp"}  # fmt: skip
LIMIT = 20_000
SCRIPT = """
import json
from unittest import mock
import anew
from anew.api.training import several_processes
from anew.runs import weights
weights.MAX_FILE_BYTES = {limit}
with mock.patch("anew.workflows.train.evaluate_run", lambda *of_the_run, **limits: None):
    model = {command}
is_loaded = "family" in model.__dict__
print(json.dumps([is_loaded, list(model.sample(3, seed=1))]))
"""


def together(folder: Path, command: str, limit: float = LIMIT) -> list[Ended]:
    script = SCRIPT.format(limit=limit, command=command)
    ended = finish(fork([("-c", script)] * 2, [folder] * 2), 300)
    assert [process.code for process in ended] == [0, 0], ended
    return ended


def train(folder: Path, run: str, limit: float) -> list[Ended]:
    command = f"anew.train('names.txt', {run!r}, family='transformer', steps=12, settings={SETTINGS})"
    return together(folder, command, limit)


class Trained(NamedTuple):
    """A run of two processes, "divided", whose weights are divided into several files."""

    folder: Path
    drawn: list[list[str]]  # by each process


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    path = tmp_path_factory.mktemp("divided")
    names(path / "names.txt", 300)
    printed = [json.loads(process.out.splitlines()[-1]) for process in train(path, "divided", LIMIT)]
    assert [is_loaded for is_loaded, _ in printed] == [True, False]  # only the first process has loaded the model
    return Trained(path, [samples for _, samples in printed])


@pytest.fixture
def folder(trained: Trained) -> Path:
    return trained.folder


@pytest.mark.slow
def test_divided_weights_are_those_of_one_file(folder: Path) -> None:
    train(folder, "whole", 5e9)
    first, second = (weights.read_weights(folder / run) for run in ("whole", "divided"))
    assert first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)


def test_weights_are_divided(folder: Path) -> None:
    assert not (folder / "divided" / "model.safetensors").exists()
    assert (folder / "divided" / "model.safetensors.index.json").exists()
    assert not [path for path in (folder / "divided").iterdir() if path.name.endswith(".tmp")]


def test_all_processes_and_a_later_one_draw_the_same_samples(trained: Trained) -> None:
    first, second = trained.drawn
    assert first == second == list(anew.load(trained.folder / "divided").sample(3, seed=1))


def test_a_run_with_divided_weights_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together(folder, "anew.resume('divided', steps=20)")
    monkeypatch.setattr(weights, "MAX_FILE_BYTES", LIMIT)
    model = anew.load(folder / "divided")
    assert model.record.plan.steps == 20 and not model.notes
    anew.export(folder / "divided", "hub", folder / "hub")
    assert (folder / "hub" / "model.safetensors.index.json").exists()
    assert list(anew.load(folder / "hub").sample(2)) == list(model.sample(2))
