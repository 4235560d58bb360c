"""Samples that are written in parts have the files of those that are written at once."""

from __future__ import annotations

import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anew.data.modalities.image import Image, ImageConfig
from anew.data.modalities.molecule import Molecule
from anew.data.modalities.protein import Protein
from anew.data.modalities.text import Text, TextConfig
from anew.data.modality import Modality
from anew.data.types import DataBudget, Item, RowTable
from anew.errors import RunError
from anew.sampling.origins import Origin, origins_in
from anew.sampling.sample_writer import SampleWriter
from anew.sampling.samples import Samples

RNG = np.random.default_rng(0)


def images(n: int) -> tuple[Modality, list[Any]]:
    items = [RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in range(n)]
    modality = Image(ImageConfig())
    modality.fit([Item(f"{i}.png", item) for i, item in enumerate(items[:9])], DataBudget(60.0, 9, 10_000), ())
    return modality, items


def texts(*endings: str) -> tuple[Modality, list[Any]]:
    return Text(TextConfig()), ["a\ud800", "b\"'", "", *endings, *"defghij"]


def rows() -> tuple[Modality, list[Any]]:
    modality = Text(TextConfig())
    modality.layout, modality._table = "list", RowTable("x,y", ".csv")
    return modality, [f"{i},{i}" for i in range(10)]


def proteins() -> tuple[Modality, list[Any]]:
    return Protein(Protein.Config()), ["MKT" * i for i in range(1, 11)]


def molecules() -> tuple[Modality, list[Any]]:
    return Molecule(Molecule.Config()), ["C" * i for i in range(1, 11)]


CASES = {
    "images": images(10),
    "one image": images(1),
    "short texts": texts(),
    "long texts": texts("x" * 300),
    "lines": texts("x\ny"),
    "rows": rows(),
    "proteins": proteins(),
    "molecules": molecules(),
}


def drawn(modality: Modality, items: list[Any], total: int | None = None) -> Samples:
    origins = [Origin("run", "0" * 16, 0, i, (0, len(items))) for i in range(len(items))]
    labels = ["[a] b" if i % 2 else "c" for i in range(len(items))]
    return Samples(items, labels, modality, origins, 0 if total is None else 5, total)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("is_share", [False, True])
@pytest.mark.parametrize("size", [1, 3, 10])
@pytest.mark.parametrize("case", CASES)
def test_files_in_parts_are_those_at_once(case: str, size: int, is_share: bool, tmp_path: Path) -> None:
    samples = drawn(*CASES[case], 15 if is_share else None)
    (tmp_path / "parts").mkdir()
    at_once = samples.save(tmp_path / "once")
    if len(at_once) > 1 and not is_share:
        samples.save_sheet(tmp_path / "once")
        samples.save_sprite_sheet(tmp_path / "once")
    writer = SampleWriter(tmp_path / "parts", 10, has_sheets=not is_share)
    for start in range(0, len(samples), size):
        writer.add(samples[start : start + size])
    writer.finish()
    writer.close()
    assert contents(tmp_path / "parts") == contents(tmp_path / "once")
    assert [path.name for path in writer.paths] == [path.name for path in [at_once[0], *at_once[1:][-1:]]]
    assert writer.count == len(samples) and origins_in(tmp_path / "parts" / at_once[0].name)


@pytest.mark.parametrize("case", ["rows", "short texts"])
def test_files_of_many_samples_have_no_name_before_the_end(case: str, tmp_path: Path) -> None:
    writer = SampleWriter(tmp_path, 10, has_sheets=True)
    writer.add(drawn(*CASES[case]))
    assert not {"samples.csv", "all.txt", ".origins.json"} & contents(tmp_path).keys()
    writer.close()
    assert not [name for name in contents(tmp_path) if name.startswith(".")]


def test_memory_does_not_grow_with_the_samples(tmp_path: Path) -> None:
    """Of a million pictures, items, origins, labels and paths would take more than 2 GB."""
    modality, pictures = images(200)
    traced_bytes = []
    tracemalloc.start()
    writer = SampleWriter(tmp_path, 10_000, has_sheets=False)
    for first in range(0, 4000, 200):
        samples = drawn(modality, pictures)
        samples.first = first
        writer.add(samples)
        del samples
        traced_bytes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    writer.close()
    # Without the largest step: by chance Python's table of interned names doubles here, as it holds parts of paths
    growth = sum(sorted(np.diff(traced_bytes))[:-1])
    assert len(list(tmp_path.iterdir())) == 4000 and growth < 400_000  # 0.1 MB of it are free lists


def test_a_disk_without_space_for_texts_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    writer = SampleWriter(tmp_path, 10, has_sheets=True)
    with pytest.raises(RunError, match="set TMPDIR to another folder"):
        writer.add(drawn(*texts()))
    writer.close()
