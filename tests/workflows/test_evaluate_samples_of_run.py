"""`evaluate` with a run and samples: they are compared with the data of the run, divided as there."""

from __future__ import annotations

import contextlib
import html
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import anew
from anew.cli import main
from anew.data.dataset import Dataset
from anew.data.types import DecodedItem
from anew.runs.folder import RunFolder
from reporters import Lines
from samples import TINY, names, shapes, trained


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    trained(shapes(folder / "data", 700), folder / "run", steps=1, settings={"width": 8, "batch_size": 8})
    return folder / "run"


def items_of(run: Path, part: str, n: int) -> Sequence[DecodedItem]:
    with contextlib.closing(Dataset.reopen(RunFolder.open(run).record().data, run)) as data:
        return data.items(part, n, seed=5)


def saved(folder: Path, items: Sequence[DecodedItem]) -> Path:
    folder.mkdir()
    for number, item in enumerate(items):
        assert isinstance(item, np.ndarray)
        Image.fromarray(np.squeeze(item)).save(folder / f"{number:03d}.png")
    return folder


def test_training_items_are_copies_and_held_out_ones_are_not(images: Path, tmp_path: Path) -> None:
    heard = Lines()
    copied = saved(tmp_path / "copied", items_of(images, "train", 60))
    stolen = anew.evaluate(images, samples=copied, out=tmp_path / "a", reporter=heard)
    assert stolen.copies.detected and stolen.copies.train + stolen.copies.held_out == 700
    sentence = "60 samples of 'copied', compared with the data of the run 'run'."
    assert sentence in html.unescape((tmp_path / "a" / "report.html").read_text())
    assert any("compared with the data of the run" in line for line in heard.lines)
    assert any(note.startswith("Split at random") for note in stolen.notes)
    real = saved(tmp_path / "real", items_of(images, "test", 60))
    honest = anew.evaluate(images, samples=real, out=tmp_path / "b")
    assert "copies of training items" not in honest.verdict and honest.copies.held_out == stolen.copies.held_out
    assert not (images / "report").exists()


def test_lists_may_be_given_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    trained(names(tmp_path / "names.txt", 600), run, steps=1, settings=TINY)
    (tmp_path / "new.txt").write_text("".join(f"{text}\n" for text in items_of(run, "train", 50)))
    assert (
        main(["evaluate", str(run), "--samples", str(tmp_path / "new.txt"), "--out", str(tmp_path / "c"), "--json"])
        == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert report["copies"]["detected"] and report["run"] == "new.txt"


def test_settings_and_held_out_items_are_those_of_the_run(images: Path, tmp_path: Path) -> None:
    for refused in ({"held_out": images}, {"modality": "image"}, {"settings": {"header": False}}):
        with pytest.raises(anew.ConfigError, match="a run keeps its own settings and held-out items"):
            anew.evaluate(images, samples=images / "samples", out=tmp_path / "a", **refused)  # type: ignore[arg-type]
    with pytest.raises(anew.DataError, match="does not exist"):
        anew.evaluate(images, samples=tmp_path / "nothing", out=tmp_path / "a")
