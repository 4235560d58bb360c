"""Data without labels is as likely as it is under the mixture of all classes."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import anew
from anew.core.reporter import SilentReporter
from anew.core.specs import UNKNOWN_CLASS
from anew.data.dataset import Dataset
from anew.sampling import class_mixture, scoring
from samples import TINY, trained
from server_runs import serving

TEXTS = ["efghe", "abcda", "g" * 40]  # the last one is longer than the context


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> anew.Model:
    """A model of three classes of unequal size."""
    folder = tmp_path_factory.mktemp("classes")
    rows = [
        f"{letters[i % 4] * 2}{letters[i // 4 % 4]}{letters[i // 16 % 4]}{letters[i // 64 % 4]},{letters[0]}"
        for letters, count in (("abcd", 300), ("efgh", 200), ("hijk", 100))
        for i in range(count)
    ]
    (folder / "data.csv").write_text("\n".join(["text,label", *rows]))
    settings = {"text_column": "text", "evaluate_samples": 1, "previews": 0, "context": 16, **TINY}
    return trained(folder / "data.csv", folder / "run", modality="text", steps=30, settings=settings)


def bits_given(model: anew.Model, folder: Path, label: str) -> list[float]:
    """The bits of TEXTS, of which each has this label."""
    path = folder / f"{label}.csv"
    path.write_text("\n".join(["text,label", *(f"{text},{label}" for text in TEXTS)]))
    scores = model.score(path, per_item=True)
    assert not [note for note in scores.notes if "classes" in note]
    return [item.bits for item in scores.items]


def mixture(model: anew.Model, folder: Path) -> list[float]:
    columns = [bits_given(model, folder, label) for label in model.labels]
    shares = model.label_shares
    assert len(set(shares)) == 3
    return [
        -math.log2(sum(share * 2**-bits for share, bits in zip(shares, row, strict=True)))
        for row in zip(*columns, strict=True)
    ]


@pytest.mark.parametrize("together", [1, 1000])
def test_without_a_label_the_probability_is_the_mean_over_the_classes(
    model: anew.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr(scoring, "SCORED_TOGETHER", together)
    expected = mixture(model, tmp_path)
    (tmp_path / "lines.txt").write_text("\n".join(TEXTS))
    (tmp_path / "unknown.csv").write_text("\n".join(["text,label", *(f"{text},zzz" for text in TEXTS)]))
    for data in (TEXTS, tmp_path / "lines.txt", tmp_path / "unknown.csv"):
        scores = model.score(data, per_item=not isinstance(data, list))
        assert [item.bits for item in scores.items] == pytest.approx(expected, rel=1e-4)
        assert [note for note in scores.notes if note.startswith("3 of 3 records have no label that the model knows")]
        assert scores.bits == pytest.approx(sum(expected), rel=1e-4)
    counts: list[tuple[int, int]] = []
    monkeypatch.setattr(SilentReporter, "progress", lambda self, task, count, total: counts.append((count, total)))
    model.score(TEXTS, reporter=SilentReporter())
    total = 3 * sum(len(text) + 2 for text in TEXTS)  # with the ids of beginning and end, once for each class
    assert counts[-1] == (total, total) and [count for count, _ in counts] == sorted(count for count, _ in counts)


def test_labels_that_are_known_are_used(model: anew.Model, tmp_path: Path) -> None:
    expected = mixture(model, tmp_path)
    labelled = bits_given(model, tmp_path, "e")
    (tmp_path / "some.csv").write_text(f"text,label\n{TEXTS[0]},e\n{TEXTS[1]},\n{TEXTS[2]},e\n")
    scores = model.score(tmp_path / "some.csv", per_item=True)
    assert [item.bits for item in scores.items] == pytest.approx([labelled[0], expected[1], labelled[2]], rel=1e-4)
    assert [note for note in scores.notes if note.startswith("1 of 3 records has no label")]


def test_parts_of_data_and_batches_without_labels_are_scored_so_too(
    model: anew.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = mixture(model, tmp_path)
    (tmp_path / "lines.txt").write_text("\n".join(TEXTS[:2]))
    counts: list[tuple[int, int]] = []
    monkeypatch.setattr(SilentReporter, "progress", lambda self, task, count, total: counts.append((count, total)))
    scores = model.score(tmp_path / "lines.txt", limit=1000, reporter=SilentReporter())
    assert counts[-1] == (scores.units, scores.units)
    assert scores.bits == pytest.approx(sum(expected[:2]), rel=1e-4)
    assert [note for note in scores.notes if "2 of 2 records" in note]
    records = model.score(TEXTS[:2])
    assert scores.bits_per_unit_by_part == pytest.approx(records.bits_per_unit_by_part, rel=1e-4)
    with contextlib.closing(
        Dataset.open_like(model.record.data, model.folder.path, str(tmp_path / "lines.txt"))
    ) as data:
        batches = list(data.scoring("all"))
    for labels in (torch.full((2,), UNKNOWN_CLASS), None):
        pairs = model.bits([replace(batch, labels=labels) for batch in batches])
        assert [bits for bits, _ in pairs] == pytest.approx(expected[:2], rel=1e-4)


def test_the_server_scores_so_too(model: anew.Model, tmp_path: Path) -> None:
    with serving([model.folder.path]) as client:
        answer = client.post("/v1/score", json={"model": model.folder.path.name, "input": TEXTS}).json()
    assert [row["bits"] for row in answer["data"]] == pytest.approx(mixture(model, tmp_path), rel=1e-4)
    assert "3 of 3 records have no label" in answer["notes"][0] and "3 classes" in answer["notes"][0]


def test_what_no_label_changes_is_scored_once(model: anew.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(model.family), "scores_by_class", False)
    assert class_mixture.log_shares(model) == {}
    assert model.score(TEXTS).notes == ()


def test_sequences_that_are_all_of_one_class_are_scored_as_that_class(tmp_path: Path) -> None:
    """ "Each of the 25 headers says 'II', so no classes are learned", said `anew score`, which learns nothing."""
    rng = np.random.default_rng(0)
    names, letters = ("I", "II"), ("ACDEFGHIKL", "MNPQRSTVWY")
    records = [f">p{i} class={names[i % 2]}\n{''.join(rng.choice(list(letters[i % 2]), 30))}\n" for i in range(80)]
    (tmp_path / "all.fasta").write_text("".join(records))
    settings = {"labels": r"class=(\w+)", "evaluate_samples": 1, "previews": 0, **TINY}
    model = trained(tmp_path / "all.fasta", tmp_path / "run", steps=5, settings=settings)
    (tmp_path / "II.fasta").write_text("".join(records[1:13:2]))
    scores = model.score(tmp_path / "II.fasta", per_item=True)
    assert not [note for note in scores.notes if "classes" in note]
    of_class = model.score([record.split("\n")[1] for record in records[1:13:2]], label="II")
    assert scores.bits == pytest.approx(of_class.bits, rel=1e-4)
