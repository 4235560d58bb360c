"""Sheets: every mode of image, whole factors, labels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from anew.evaluation.reporting import sheet


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_pixels_are_kept_and_enlarged_by_a_whole_factor() -> None:
    image = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    whole = opened(sheet.sheet([image] * 4, gap=4))
    assert whole.shape == (2 * 56 + 4, 2 * 56 + 4, 4)
    np.testing.assert_array_equal(whole[:56:2, :56:2, 0], image)
    assert (whole[56:60, :, 3] == 0).all() and (whole[:56, :56, 3] == 255).all()  # gaps are see-through


def test_modes_and_sizes_may_be_mixed() -> None:
    rng = np.random.default_rng(1)
    shapes = [(60, 80), (60, 60, 1), (50, 80, 3), (60, 80, 4)]
    images = [rng.integers(0, 256, s, dtype=np.uint8) for s in shapes]
    assert opened(sheet.sheet(images, columns=2, labels=["a", "b", "ç", "3"])).shape[2] == 4


def test_transparent_pixels_become_white() -> None:
    image = np.zeros((60, 60, 4), dtype=np.uint8)
    assert (opened(sheet.png(image)) == 255).all()


def test_one_image_has_its_own_size() -> None:
    assert opened(sheet.png(np.zeros((70, 90), dtype=np.uint8))).shape == (70, 90, 3)


def test_a_sheet_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        sheet.sheet([])


def test_only_the_smallest_file_is_compressed_as_far_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    options: list[object] = []
    save = Image.Image.save

    def recorded(self: Image.Image, *arguments: object, **chosen: object) -> None:
        options.append(chosen["optimize"])
        save(self, *arguments, **chosen)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "save", recorded)
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    usual, smallest = sheet.png(image), sheet.png(image, smallest=True)
    assert options == [False, True] and len(smallest) <= len(usual)
    assert np.array_equal(*(np.asarray(Image.open(io.BytesIO(file))) for file in (usual, smallest)))
