"""The size of images, and the budget that keeps them whole."""

from __future__ import annotations

import numpy as np
import pytest

from anew.data.formats.image_size import choose_size, size_notes
from anew.data.modalities.image import Image, ImageConfig
from anew.data.types import DataBudget, Item


def remarks(sizes: list[int], seconds: float | None, **settings: object) -> str:
    modality = Image(ImageConfig(**settings))  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    items = [Item(str(i), rng.integers(0, 255, (side, side, 3), dtype=np.uint8)) for i, side in enumerate(sizes)]
    modality.fit(items, DataBudget(seconds, len(items), 10_000), ())
    return " ".join(modality.remarks())


@pytest.mark.parametrize("sizes", [[72] * 8, [40] * 6 + [48] * 2])
def test_the_budget_that_keeps_images_whole_is_named(sizes: list[int]) -> None:
    note = remarks(sizes, 60.0)
    assert f"size={sizes[0]} keeps more, and a budget of " in note
    named = note.partition("a budget of ")[2].split()[0]
    seconds = float(named[:-1]) * {"m": 60.0, "h": 3600.0}[named[-1]]
    assert "keeps more" not in remarks(sizes, seconds)  # what is named is enough


def test_no_budget_is_named_where_none_is_needed_or_none_is_enough() -> None:
    assert "a budget of" not in remarks([32] * 8, 60.0) + remarks([900] * 8, 60.0) + remarks([72] * 8, 60.0, size="16")
    assert "size=900 keeps more." in remarks([900] * 8, 60.0)


@pytest.mark.parametrize("frame", ["crop", "pad"])
def test_a_few_odd_sizes_do_not_change_the_usual_one(frame: str) -> None:
    sizes = [(22, 22)] * 224 + [(176, 88)]
    assert choose_size(sizes, 32, frame) == (22, 22) != choose_size(sizes[206:], 32, frame)
    fitted = "centred on a canvas" if frame == "pad" else "scaled to cover and cropped at the centre"
    assert size_notes(sizes, (22, 22), frame, "images", "") == [
        f"1 of the 225 images looked at has another size (176x88) and is {fitted} at 22x22."
    ]
    assert size_notes([*sizes, (8, 8)], (16, 16), frame, "videos", "as asked") == [
        "Videos of 22x22 are learned at 16x16: as asked.",
        f"2 of the 226 videos looked at have other sizes (from 8x8 to 176x88) and are {fitted} at 16x16.",
    ]
    assert size_notes([(22, 22)] * 9, (22, 22), frame, "images", "") == []
