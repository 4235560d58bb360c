"""Sprite sheets hold every pixel of their images, and the JSON says where."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from anew.data.formats.images.sprite_sheet import MAX_SIDE, capacity, enlarge, sprite_sheet


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4), (16, 16, 4)])
@pytest.mark.parametrize("count", [1, 2, 11])
def test_each_cell_is_its_image(shape: tuple[int, ...], count: int) -> None:
    images = list(np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8))
    names = [f"{index:04}.png" for index in range(count)]
    data, cells = sprite_sheet(images, names, "sheet.png")
    sheet, described = np.asarray(Image.open(io.BytesIO(data))), json.loads(cells)
    assert described["meta"]["size"] == {"w": sheet.shape[1], "h": sheet.shape[0]}
    assert list(described["frames"]) == names
    for image, cell in zip(images, described["frames"].values(), strict=True):
        at = cell["frame"]
        assert (at["h"], at["w"]) == shape[:2]
        assert np.array_equal(sheet[at["y"] : at["y"] + at["h"], at["x"] : at["x"] + at["w"]], image)


def test_a_palette_with_transparency_stays_one() -> None:
    colours = np.array([[0, 0, 0, 0], [200, 10, 10, 255], [10, 200, 10, 128]], np.uint8)
    images = list(colours[np.random.default_rng(0).integers(0, 3, (6, 8, 8))])
    data, _ = sprite_sheet(images, list("abcdef"), "sheet.png", paletted=True)
    sheet = Image.open(io.BytesIO(data))
    assert sheet.mode == "P"
    assert {tuple(c) for c in np.asarray(sheet.convert("RGBA")).reshape(-1, 4)} <= {tuple(c) for c in colours}


def test_a_sheet_is_as_large_as_a_texture_may_be() -> None:
    assert capacity(1024, 1024) == 16 and capacity(MAX_SIDE + 1, 8) == 0


def test_enlarging_adds_no_colour() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 4, 4), dtype=np.uint8)
    large = enlarge(image, 5)
    assert (
        large.shape == (15, 20, 4)
        and np.array_equal(large[2::5, 2::5], image)
        and np.array_equal(large[::5, ::5], image)
    )
