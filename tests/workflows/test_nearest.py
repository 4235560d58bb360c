"""The nearest training items: each by its place in the data, by the distance of the report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import anew
from anew.cli.summary import nearest_lines
from anew.errors import ConfigError, DataError
from commands import anew as command
from samples import TINY, names, prose, shapes, tones, trained


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("images")
    data = shapes(folder / "data", 80)
    for name in ("bar/0001a.png", "bar/0000.png"):  # refused: the names of those after them must not shift
        (data / name).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    trained(data, folder / "run", steps=1, settings={"width": 8, "batch_size": 8})
    return data, folder / "run"


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("lines")
    data = names(folder / "names.txt", 300)
    trained(data, folder / "run", steps=1, settings=TINY)
    return data, folder / "run"


def test_images_find_themselves_by_their_files(images: tuple[Path, Path]) -> None:
    data, run = images
    nearest = anew.nearest(run, data)
    same = [item for item in nearest.items if item.distance == 0.0]
    assert len(nearest.items) == 79 and len(same) >= 50
    assert [item.name for item in nearest.items] == sorted(item.name for item in nearest.items)
    pixels = {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*.png")}
    assert all(pixels[item.name] == pixels[item.nearest] and item.close for item in same)
    assert {item.caption for item in same} == {"exact copy"}
    others = [item for item in nearest.items if item.distance]
    assert others and all(
        item.caption.endswith(f"; identical to {item.name} of the data, which was held out") for item in others
    )


def test_lines_are_found_by_the_number_of_their_line(lines: tuple[Path, Path]) -> None:
    data, run = lines
    rows = data.read_text().splitlines()
    nearest = anew.nearest(run, rows[:40])
    places = [item.nearest.removeprefix("names.txt:") for item in nearest.items]
    assert [rows[int(place) - 1] for place in places] == [item.nearest_text for item in nearest.items]
    same = [item for item in nearest.items if item.distance == 0.0]
    assert len(same) >= 20 and all(item.text == item.nearest_text and item.caption == "identical" for item in same)
    other = next(item for item in nearest.items if item.distance)
    assert f"; identical to names.txt:{rows.index(other.text) + 1} of the data, which was held out" in other.caption
    changed = anew.nearest(run, [rows[0] + "q"]).items[0]
    assert changed.passage is None
    assert changed.distance in (1.0, 2.0) and "held out" not in changed.caption


def test_a_passage_is_found_in_its_document(tmp_path: Path) -> None:
    for i in range(12):
        prose(tmp_path / "data" / f"{i:02d}.txt", 60, seed=i)
    trained(tmp_path / "data", tmp_path / "run", steps=1, settings=TINY)
    texts = {path.name: path.read_text() for path in (tmp_path / "data").iterdir()}
    nearest = anew.nearest(tmp_path / "run", [text[200:500] for text in texts.values()])
    whole = [(name, item.nearest) for name, item in zip(texts, nearest.items, strict=True) if item.distance == 300.0]
    assert len(whole) >= 6 and all(name == place for name, place in whole)
    item = next(item for item in nearest.items if item.distance == 300.0)
    assert item.passage == item.text and item.to_json()["passage"] == item.passage
    assert any(line[0][0].strip() == repr(f"{item.passage[:96]} ...") for line in nearest_lines(nearest))


def test_sounds_are_drawn_too(tmp_path: Path) -> None:
    data = tones(tmp_path / "data", 30)
    trained(data, tmp_path / "run", steps=1, settings={"width": 8, "batch_size": 4})
    picture = anew.nearest(tmp_path / "run", data, 4).save(tmp_path / "pairs.png")
    with Image.open(picture) as image:
        assert image.width > 100


def test_the_command_prints_a_row_for_each_item(images: tuple[Path, Path], tmp_path: Path) -> None:
    data, run = images
    printed = command("nearest", run, data / "bar", "-n", 5, "--out", tmp_path / "pairs.png").stdout
    assert re.search(
        r"^These are 5 of the \d+ items, drawn at random and sorted by name; a larger `n` shows more\.$", printed, re.M
    )
    assert len(re.findall(r"^\d+[.]png +\S+[.]png  ", printed, re.M)) == 5 and "Nearest by pixels, among" in printed
    with Image.open(tmp_path / "pairs.png") as picture:
        assert picture.width > 2 * 56
    drawn = command("nearest", run, data / "bar", "-n", 5, "--out", tmp_path / "new folder").stdout
    assert (tmp_path / "new folder" / "nearest.png").is_file() and "nearest.png" in drawn
    refused = command("nearest", run, data / "bar", "--out", tmp_path / "pairs.jpg", code=2).stderr
    assert "must end in .png, or be a folder" in refused
    output = json.loads(command("nearest", run, data / "bar", "-n", 5, "--json").stdout)
    assert set(output["items"][0]) == {"item", "nearest", "distance", "caption", "close"} and len(output["items"]) == 5


def test_the_command_takes_texts(lines: tuple[Path, Path], tmp_path: Path) -> None:
    data, run = lines
    assert "names.txt:" in command("nearest", run, "--text", "anbelcor", "--text", "dafi").stdout
    (item, _) = json.loads(command("nearest", run, "--text", "anbelcor", "--text", "x", "--json").stdout)["items"]
    assert item["text"] == "anbelcor" and item["nearest_text"] in data.read_text().splitlines()
    refused = command("nearest", run, "--text", "dafi", "--out", tmp_path / "pairs.png", code=2).stderr
    assert refused == "anew: texts have no picture; leave out --out\n"


def test_the_samples_of_the_run_are_what_it_searches_for_first(lines: tuple[Path, Path]) -> None:
    _, run = lines
    with pytest.raises(ConfigError, match="holds no samples"):
        anew.nearest(run)
    anew.load(run).sample(3).save(run / "samples", overwrite=True)
    assert len(anew.nearest(run).items) == 3


@pytest.mark.parametrize(
    ("items", "error", "sentence"),
    [
        ("nowhere.txt", DataError, "does not exist; give a folder or a file .from Python, also a list of texts"),
        ([], ConfigError, "at least one item"),
        ([3], ConfigError, "a list of strings .item 1 is 3"),
        (b"abc", ConfigError, "a path or a list of items"),
        ([np.zeros((2, 2), np.uint8)], ConfigError, "a list of strings"),
    ],
)
def test_what_cannot_be_looked_up(
    lines: tuple[Path, Path], items: object, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        anew.nearest(lines[1], items)  # type: ignore[arg-type]


def test_options_may_stand_between_the_run_and_the_items(images: tuple[Path, Path]) -> None:
    data, run = images
    printed = command("nearest", run, "-n", 3, data / "bar").stdout
    assert len(re.findall(r"^\d+[.]png ", printed, re.M)) == 3
    assert "unexpected argument" in command("nearest", run, "-n", 3, data, data, code=2).stderr


def test_items_that_cannot_be_used_are_named(images: tuple[Path, Path]) -> None:
    data, run = images
    nearest = anew.nearest(run, data / "bar")
    assert any("0000.png" in note for note in nearest.notes)
    assert "skipped 0000.png" in command("nearest", run, data / "bar").stdout


def test_places_of_more_texts_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are searched are drawn at random, and so are those that are compared."""
    monkeypatch.setattr("anew.workflows.nearest.MAX_SEARCHED_CHARACTERS", 10_000)
    monkeypatch.setattr("anew.evaluation.modalities.text.MAX_SEARCHED_CHARACTERS", 10_000)
    data = tmp_path / "data"
    data.mkdir()
    for number in range(60):
        prose(data / f"{number:02}.txt", 40, seed=number)
    trained(data, tmp_path / "run", steps=1, settings=TINY)
    nearest = anew.nearest(tmp_path / "run", data, n=30)
    names = [item.name for item in nearest.items]
    assert names == sorted(names) and len(names) == 30 and max(names) > "50.txt"
    same = [item for item in nearest.items if item.name == item.nearest]
    assert len(same) >= 4
    others = [item for item in nearest.items if item.nearest and item.name != item.nearest]
    for item in others:
        assert item.nearest_text and item.nearest_text in (data / item.nearest).read_text()
    assert any("drawn at random" in note for note in nearest.notes)


def test_texts_are_refused_where_the_run_has_none(images: tuple[Path, Path]) -> None:
    refused = command("nearest", images[1], "--text", "hello", code=2).stderr
    assert refused.startswith("anew: this run has images; only a run of text is searched for texts")


def test_of_long_texts_the_beginning_is_shown(lines: tuple[Path, Path]) -> None:
    printed = command("nearest", lines[1], "--text", "x" * 100).stdout
    assert f"item 1 {'x' * 36} ...  " in printed
