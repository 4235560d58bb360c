"""Enlarged pixel art is recognised by its blocks, and reduced to the drawing without loss."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from anew.data.formats.images.pixel_blocks import block_side, common_side, drawing
from anew.data.formats.images.sprite_sheet import enlarge


def drawn(height: int = 9, width: int = 12, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("side", [1, 2, 3, 5])
def test_blocks_have_the_factor_of_the_enlargement(side: int) -> None:
    picture = Image.fromarray(enlarge(drawn(), side))
    assert block_side(picture) == side
    assert np.array_equal(np.asarray(drawing(picture, side)), drawn())


def test_a_single_pixel_off_the_grid_is_no_block() -> None:
    values = enlarge(drawn(), 4)
    values[6, 3] ^= 1
    assert block_side(values) == 1
    assert drawing(Image.fromarray(values), 4).size == (48, 36)


def test_what_is_invisible_does_not_count() -> None:
    values = enlarge(drawn(channels=4) | 128, 4)
    values[:8, :8, 3] = 0
    values[1, 2, :3] = 7
    assert block_side(values) == 4


def test_one_colour_says_nothing() -> None:
    assert block_side(np.zeros((12, 12), np.uint8)) == block_side(np.zeros((5, 7, 3), np.uint8)) == 0
    assert common_side([0] * 100, [(64, 64)]) == 1


def test_nearly_all_pictures_have_the_common_block() -> None:
    sizes = [(64, 64)] * 3
    assert common_side([4] * 10 + [8] * 10 + [0] * 5, sizes) == 4
    assert common_side([4] * 96 + [1] * 4, sizes) == 4
    assert common_side([4] * 90 + [1] * 10, sizes) == 1
    assert common_side([4] * 5, sizes) == 1  # too few
    assert common_side([32] * 50, sizes) == 8  # a drawing of 2 x 2 is none
