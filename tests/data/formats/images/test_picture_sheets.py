"""Sheets of sprites and tiles: they are cut into cells, and recognised by gutters or by edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from anew.data.dataset import Dataset
from anew.data.formats.images.picture_sheets import SheetCells, cells, cut_note, grid_of, parse_cell, suggestion
from anew.data.types import DataBudget
from anew.errors import ConfigError, DataError


def sprites(rows: int, columns: int, width: int, height: int, gap: int = 0, seed: int = 0) -> NDArray[np.uint8]:
    """A sheet (H, W, 4) of blobs, with transparent margins; the last cell is empty."""
    rng = np.random.default_rng(seed)
    sheet = np.zeros((rows * (height + gap) + gap, columns * (width + gap) + gap, 4), dtype=np.uint8)
    for number in range(rows * columns - 1):
        row, column = divmod(number, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        sprite = rng.integers(0, 256, (height - 2, width - 2, 4), dtype=np.uint8)
        sprite[..., 3] = 255
        sheet[top + 1 : top + height - 1, left + 1 : left + width - 1] = sprite
    return sheet


def tiles(rows: int, columns: int, side: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """A sheet of smooth opaque tiles, each around a colour of its own."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(30, 220, (rows, columns, channels)).repeat(side, 0).repeat(side, 1)
    return (colours + rng.integers(0, 8, colours.shape)).astype(np.uint8).squeeze()


@given(st.integers(1, 4), st.integers(1, 5), st.integers(3, 9), st.integers(3, 9), st.integers(0, 2), st.booleans())
def test_cells_are_what_the_sheet_was_made_of(
    rows: int, columns: int, width: int, height: int, gap: int, has_frame: bool
) -> None:
    sheet = sprites(rows, columns, width, height, gap)
    if gap and not has_frame:
        sheet = sheet[gap:-gap, gap:-gap]
    cut = list(cells(Image.fromarray(sheet), SheetCells(width, height, gap)))
    places = [(row, column) for row in range(1, rows + 1) for column in range(1, columns + 1)]
    assert [(row, column) for row, column, _ in cut] == places[:-1]
    for _, _, values in cut:
        assert values.shape == (height, width, 4)
        assert values[1:-1, 1:-1, 3].all() and not values[[0, -1]].any() and not values[:, [0, -1]].any()


def test_cells_of_one_colour_are_empty() -> None:
    sheet = tiles(2, 2, 8)
    sheet[:8, 8:] = 77
    assert [(row, column) for row, column, _ in cells(Image.fromarray(sheet), SheetCells(8, 8))] == [
        (1, 1),
        (2, 1),
        (2, 2),
    ]


@pytest.mark.parametrize(
    ("text", "cell"),
    [("off", None), ("32", SheetCells(32, 32)), ("32x48", SheetCells(32, 48)), ("64x48+1", SheetCells(64, 48, 1))],
)
def test_cells_are_asked_for(text: str, cell: SheetCells | None) -> None:
    assert parse_cell(text) == cell


@pytest.mark.parametrize("text", ["auto", "-3", "0x4", "3x", "99999", "8+"])
def test_cells_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"cell='.*' is not allowed; give off, a side such as 32"):
        parse_cell(text)


@pytest.mark.parametrize(
    ("sheet", "size"),
    [
        (sprites(8, 12, 16, 16), (16, 16)),
        (sprites(4, 12, 24, 32), (24, 32)),
        (sprites(1, 12, 24, 32), (24, 32)),
        (np.array(Image.fromarray(sprites(8, 8, 16, 16)).convert("RGB")), (16, 16)),
        (tiles(8, 10, 16), (16, 16)),
        (tiles(8, 10, 12, channels=1), (12, 12)),
    ],
)
def test_sheets_are_recognised(sheet: NDArray[np.uint8], size: tuple[int, int]) -> None:
    assert grid_of(Image.fromarray(sheet)) == size


def test_pictures_are_no_sheets() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    ramp = np.broadcast_to(np.linspace(0, 255, 160).astype(np.uint8), (120, 160))
    sprite = np.zeros((128, 128, 4), dtype=np.uint8)
    sprite[20:100, 30:110] = 255
    for picture in (noise, ramp, sprite, np.full((64, 64), 7, np.uint8)):
        assert grid_of(Image.fromarray(picture)) is None


def test_what_is_said() -> None:
    assert suggestion([None, None, (8, 8)]) == suggestion([]) == []
    assert suggestion([(32, 48), (32, 48), None]) == [
        "2 of 3 pictures look like sheets of cells of 32x48 pixels; cell=32x48 makes each cell an item"
    ]
    assert "left out" not in cut_note([(64, 64), (20, 9)], SheetCells(32, 32)) and "left out" not in cut_note(
        [(66, 33)], SheetCells(32, 32, 1)
    )
    assert cut_note([(70, 64)], SheetCells(32, 32)).endswith(" What lies beyond whole cells is left out.")


def test_sheets_are_learned_by_their_cells(tmp_path: Path) -> None:
    """A sheet was one item, so that two of them were too few to train on."""
    for name, seed in (("a.png", 0), ("b.png", 1)):
        Image.fromarray(sprites(6, 8, 12, 16, seed=seed)).save(tmp_path / name)
    with pytest.raises(
        DataError, match=r"too few .*; give .*\. 2 of 2 pictures look like sheets .* cell=12x16 makes each cell"
    ):
        Dataset.open(tmp_path)
    data = Dataset.open(tmp_path, settings={"cell": "12x16"})
    assert data.scan.items == sum(data.scan.parts.values()) == 2 * (6 * 8 - 1) and data.scan.parts["test"] >= 10
    assert "Each cell of 12x16 pixels of a picture is an item, unless it is empty." in data.scan.notes
    data.fit(DataBudget(None, 0, 0))
    assert data.spec.shape == (4, 16, 12)
    (item,) = data.items("test", 1)
    assert item.shape == (16, 12, 4) and item[1:-1, 1:-1, 3].all()
    again = Dataset.reopen(data.state(), tmp_path)
    assert np.array_equal(np.stack(again.items("train", 40)), np.stack(data.items("train", 40)))
    (tmp_path / "made").mkdir()
    Image.fromarray(item).save(tmp_path / "made" / "0.png")
    like = Dataset.open_like(data.state(), tmp_path, str(tmp_path / "made"))
    assert np.array_equal(like.items("all", 2)[0], item)
    sheets = Dataset.open_like(data.state(), tmp_path, str(tmp_path / "a.png")).records()
    assert [(record.file, record.number, record.name) for record in sheets[6:9]] == [
        ("a.png", 7, "row 1, column 7"),
        ("a.png", 8, "row 1, column 8"),
        ("a.png", 9, "row 2, column 1"),
    ]
