"""The size of images, and the budget that keeps them whole."""

from __future__ import annotations

import numpy as np
import pytest

from anew.data.formats.images.image_size import choose_size, settings_like, size_notes
from anew.data.modalities.image import Image, ImageConfig
from anew.data.types import DataBudget, Item


def remarks(sizes: list[int], seconds: float | None, **settings: object) -> str:
    modality = Image(ImageConfig(**settings))  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    items = [Item(str(i), rng.integers(0, 255, (side, side, 3), dtype=np.uint8)) for i, side in enumerate(sizes)]
    modality.fit(items, DataBudget(seconds, len(items), 10_000), ())
    return " ".join(modality.remarks())


@pytest.mark.parametrize(("sizes", "amount"), [([72] * 8, "every pixel"), ([40] * 6 + [48] * 2, "more")])
def test_the_budget_that_keeps_as_much_as_a_setting_is_named(sizes: list[int], amount: str) -> None:
    note = remarks(sizes, 60.0)
    assert f"size={sizes[0]} keeps {amount}, as a budget of " in note
    named = note.partition("a budget of ")[2].split()[0].strip(".,")
    seconds = float(named[:-1]) * {"m": 60.0, "h": 3600.0}[named[-1]]
    assert "keeps" not in remarks(sizes, seconds)  # what is named is enough


def test_no_budget_is_named_where_none_is_needed_or_none_is_enough() -> None:
    assert "a budget of" not in remarks([32] * 8, 60.0) + remarks([900] * 8, 60.0) + remarks([72] * 8, 60.0, size="16")
    assert "size=900 keeps every pixel." in remarks([900] * 8, None)


def test_the_budget_of_a_larger_size_is_named_where_none_keeps_all() -> None:
    """Photographs of 128 to 1,024 pixels were learned at 32x32, and all that was offered was size=512."""
    note = remarks([900] * 8, 60.0)
    assert "size=900 keeps every pixel; in " in note and "they are learned at 48x48." in note
    named = note.partition("every pixel; in ")[2].split()[0]
    seconds = float(named[:-1]) * {"m": 60.0, "h": 3600.0}[named[-1]]
    assert "at 48x48:" in remarks([900] * 8, seconds)


@pytest.mark.parametrize("frame", ["crop", "pad"])
def test_a_few_odd_sizes_do_not_change_the_usual_one(frame: str) -> None:
    sizes = [(22, 22)] * 224 + [(176, 88)]
    assert choose_size(sizes, 32, frame) == (22, 22) != choose_size(sizes[206:], 32, frame)
    is_padded = frame == "pad"
    fitted = "centred on a canvas of" if is_padded else "scaled to cover and cropped at the centre at"
    shrunk, if_larger = ("scaled down and ", "scaled down if larger and ") if is_padded else ("", "")
    assert size_notes(sizes, (22, 22), frame, "images", "") == [
        f"1 of the 225 images looked at has another size (176x88) and is {shrunk}{fitted} 22x22."
    ]
    assert size_notes([*sizes, (8, 8)], (16, 16), frame, "videos", "as asked") == [
        "Videos of 22x22 are learned at 16x16: as asked.",
        f"2 of the 226 videos looked at have other sizes (from 8x8 to 176x88) and are {if_larger}{fitted} 16x16.",
    ]
    assert size_notes([(22, 22)] * 9, (22, 22), frame, "images", "") == []


def test_sprites_of_one_shape_lie_on_a_canvas_of_that_shape() -> None:
    sizes = [(32, 24)] * 60 + [(80, 60)] * 30 + [(48, 48)] * 5
    assert choose_size(sizes, 40, "pad") == (32, 24) and choose_size(sizes, 100, "pad") == (80, 60)
    assert choose_size([*sizes, *[(24, 32)] * 20], 40, "pad") == (32, 32)


def test_how_many_sprites_shrink_and_what_keeps_them_is_said() -> None:
    modality = Image(ImageConfig(channels="rgba", frame="pad"))
    shapes = [(24, 32)] * 6 + [(60, 80)] * 3
    items = [Item(str(i), np.full((*shape, 4), 9 * i, dtype=np.uint8)) for i, shape in enumerate(shapes)]
    modality.fit(items, DataBudget(60.0, len(items), 10_000), ())
    note = next(note for note in modality.remarks() if "differ in size" in note)
    assert "canvas of 32x24; 3 of the 9 looked at are larger and scaled down, to fit" in note
    assert "size=80x60 keeps more" in note
    large = [Item(str(i), np.full((side, 80, 4), i, dtype=np.uint8)) for i, side in enumerate([60, 70, 80])]
    modality.fit(large, DataBudget(60.0, 3, 10_000), ())
    assert "; all looked at are larger and scaled down" in " ".join(modality.remarks())


def test_one_picture_that_is_scaled_down_is_not_said_in_the_plural() -> None:
    (note,) = size_notes([(24, 24), (30, 30), (60, 80)], (32, 32), "pad", "images", "")
    assert note.endswith("; 1 of the 3 looked at is larger and scaled down.")


def test_real_items_take_the_size_of_smaller_samples() -> None:
    assert settings_like([(24, 24)] * 9, [(64, 64)] * 9, 32) == {"size": "24x24"}
    assert settings_like([(24, 24)] * 9, [(20, 16)] * 9, 32) == {}
    assert settings_like([(24, 24), (25, 24)], [(64, 64)] * 9, 32) == {}
    # Most are smaller, but they lie on a canvas of the size of the largest
    assert settings_like([(24, 24)] * 9, [(20, 20)] * 6 + [(48, 40)] * 3, 32) == {"size": "24x24"}
