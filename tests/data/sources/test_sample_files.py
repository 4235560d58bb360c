"""Folders of samples: sheets and second formats are not samples of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anew.core.registry import load
from anew.data.dataset import Dataset
from anew.data.modality import Modality
from anew.data.sources.listing import File
from anew.data.sources.sample_files import drop_duplicate_formats
from anew.data.types import DataBudget


def listed(modality: str, *names: str) -> tuple[list[str], list[str]]:
    owner: type[Modality] = load("data", modality)
    files, notes = drop_duplicate_formats([File(name, 9 + len(name), 1) for name in sorted(names)], owner, names)
    return [file.path for file in files], notes


def test_a_clip_in_two_formats_is_one_sample() -> None:
    files, notes = listed("video", *(f"{i:04}.{end}" for i in range(3) for end in ("mp4", "gif")))
    assert files == ["0000.gif", "0001.gif", "0002.gif"] and "only in the suffix" in notes[0]
    assert listed("video", "talk.mp4", "talk.gif")[0] == ["talk.mp4"]
    assert listed("audio", "a.wav", "a.flac", "b.flac")[0] == ["a.flac", "b.flac"]  # the larger file
    assert listed("image", "cat/1.png", "dog/1.jpg")[0] == ["cat/1.png", "dog/1.jpg"]  # two folders, two samples
    assert listed("code", "list.c", "list.h") == (["list.c", "list.h"], [])


@pytest.mark.parametrize("sheet", ["all.png", "final.png", "sheet.png", "step-00000100.png"])
def test_a_sheet_is_a_sample_only_where_it_is_alone(sheet: str) -> None:
    files, notes = listed("image", "0000.png", "0001-cat.png", sheet)
    assert files == ["0000.png", "0001-cat.png"] and sheet in notes[0]
    assert listed("image", sheet) == ([sheet], [])
    assert listed("image", sheet, "cat.png") == (sorted([sheet, "cat.png"]), [])
    assert listed("image", "0000.png", f"more/{sheet}")[0] == ["0000.png", f"more/{sheet}"]


def test_a_list_of_all_beside_the_file_of_all() -> None:
    assert listed("molecule", "samples.smi", "final.txt")[0] == ["samples.smi"]
    assert listed("text", "0000.txt", "0001.txt", "all.txt")[0] == ["0000.txt", "0001.txt"]


def test_samples_are_opened_without_them_and_data_with_them(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    rng = np.random.default_rng(0)
    for name in [*(f"{i:04}.png" for i in range(40)), "all.png"]:
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / "d" / name)
    data = Dataset.open(tmp_path / "d")
    assert data.scan.items == 41
    data.fit(DataBudget(None, 41, 1))
    for samples, n in ((True, 40), (False, 41)):
        other = Dataset.open_like(data.state(), tmp_path, str(tmp_path / "d"), samples)
        assert other.part_size("all") == n and bool(other.scan.notes) == samples
