"""Pictures without a contour (plaster, rust) are held out like others; runs of older versions keep their division."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from anew.data.dataset import Dataset
from anew.data.types import DataBudget

PLAIN, WITH_CONTOUR = 60, 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Plain pictures are dark, those with a contour are bright on average."""
    rng, folder = np.random.default_rng(0), tmp_path / "data"
    folder.mkdir()
    for number in range(PLAIN):
        Pillow.fromarray(rng.integers(0, 12, (20, 20, 3), dtype=np.uint8)).save(folder / f"plain-{number}.png")
    for number in range(WITH_CONTOUR):
        blocks = rng.integers(0, 2, (10, 10, 1), dtype=np.uint8) * np.uint8(255)
        Pillow.fromarray(np.kron(blocks, np.ones((2, 2, 3), dtype=np.uint8))).save(folder / f"contour-{number}.png")
    return folder


def plain_held_out(data: Dataset) -> int:
    return sum(int(np.asarray(item).max() < 128) for part in ("validation", "test") for item in data.items(part, 200))


def test_plain_pictures_are_held_out_like_others(folder: Path, tmp_path: Path) -> None:
    data = Dataset.open(folder, cache=tmp_path / "cache")
    data.fit(DataBudget(60.0, 0, 0))
    assert plain_held_out(data) > 5
    assert "nearly" not in " ".join(data.scan.notes)
    state = data.state()
    assert plain_held_out(Dataset.reopen(state, tmp_path)) == plain_held_out(data)
    older = Dataset.reopen(state.model_copy(update={"signature_version": 1, "parts": {}}), tmp_path)
    assert plain_held_out(older) == 0 and older.state().signature_version == 1
