"""Small runs to export, one of each sort, trained once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import anew
from samples import names, prose, sequences

QUICK = {"previews": 0}
TINY_CONV = {"width": 8, "batch_size": 8}
DECODER = {"width": 32, "layers": 2, "heads": 2, "mlp_size": 64, "context": 256}


def write_small_report(model: anew.Model, *arguments: Any, **keywords: Any) -> None:
    """In place of an evaluation, which would take longer than everything that is tested here."""
    unit = model.item_modality.unit
    named = {f"bits_per_{unit}": 2.0, f"bits_per_{unit}_network": 2.5, "precision": 0.75}
    scores = [{"name": name, "title": name.capitalize(), "value": value} for name, value in named.items()]
    scores[-1] |= {"real_baseline": 0.9, "naive_baseline": 0.1}
    verdict = {"closeness": "The samples are close.", "novelty": "No copies found."}
    (model.folder.path / "report").mkdir()
    report = {"run": "run", "scores": scores, "verdict": verdict, "notes": []}
    (model.folder.path / "report" / "report.json").write_text(json.dumps(report))


def train(data: Path, run: Path, settings: dict[str, Any], steps: int = 10, **keywords: Any) -> Path:
    """A run with a report that nobody measured."""
    with mock.patch("anew.workflows.train.evaluate_run", write_small_report):
        anew.train(data, run, steps=steps, settings=settings | QUICK, **keywords)
    return run


def documents(folder: Path) -> Path:
    for index in range(4):
        prose(folder / f"{index}.txt", 400, seed=index)
    return folder


def programs(folder: Path) -> Path:
    """Programs of sixty small functions."""
    folder.mkdir()
    for index in range(8):
        functions = (f"def f{index * 100 + i}(x):\n    return x + {i}\n\n\n" for i in range(60))
        (folder / f"{index}.py").write_text("".join(functions))
    return folder


TEXT_RUNS: dict[str, tuple[Callable[[Path], Path], dict[str, object]]] = {
    "characters": (lambda place: prose(place / "book.txt"), {"tokens": "characters"}),
    "sub-words": (lambda place: documents(place / "docs"), {"tokens": "bpe", "vocab": 400, "tie_embeddings": True}),
    "list": (lambda place: names(place / "names.txt"), {"context": 0}),
    "programs": (lambda place: programs(place / "programs"), {"fim": 0.5, "context": 64}),
    "labels": (lambda place: sequences(place / "seq.fasta", 200), {"context": 0, "labels": "organism"}),
}


@pytest.fixture(scope="session")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A run over text by the name of its sort."""
    runs: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in runs:
            place = tmp_path_factory.mktemp("text")
            make_data, settings = TEXT_RUNS[name]
            runs[name] = train(make_data(place), place / "run", DECODER | settings)
        return runs[name]

    return make
