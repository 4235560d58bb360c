"""Small and odd sets of images: every family of images makes a run of them, or one sentence says why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import anew
from anew.core.registry import available, load
from anew.core.specs import Grid
from anew.errors import DataError

LITTLE = {"evaluate_samples": "20", "previews": "0"}
WAYS: dict[str, dict[str, str]] = {
    "vae": {},
    "gan": {},
    "diffusion": {"space": "pixel"},
    "diffusion-latent": {"space": "latent", "vae.width": "8"},
}


def write(folder: Path, images: NDArray[np.uint8], names: list[str]) -> Path:
    for name, image in zip(names, images, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen images of 8 x 8, fewer than any batch; one of them is a class of its own."""
    images = np.random.default_rng(0).integers(0, 256, (14, 8, 8, 3), dtype=np.uint8)
    return write(tmp_path_factory.mktemp("odd") / "lonely", images, [f"{'ab'[i == 0]}/{i}.png" for i in range(14)])


def test_the_ways_are_all_families_that_make_images() -> None:
    families = {name: load("families", name) for name in available("families")}
    able = {n for n, k in families.items() if k.generates and Grid in k.spec_types}
    assert able == {variant.partition("-")[0] for variant in WAYS}


@pytest.mark.parametrize("variant", WAYS)
def test_fewer_items_than_a_batch_and_a_class_of_one(variant: str, lonely: Path, tmp_path: Path) -> None:
    family = variant.partition("-")[0]
    settings = {**LITTLE, f"{family}.width": "8", **WAYS[variant]}
    model = anew.train(lonely, tmp_path / "run", steps=2, family=family, settings=settings)
    generated = model.sample(3, label="b", seed=1)
    assert [item.shape for item in generated] == [(8, 8, 3)] * 3
    assert generated.labels == ["b"] * 3


@pytest.mark.parametrize("family", ["vae", "gan", "diffusion"])
def test_constant_images_are_refused_with_their_number(family: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "same", np.full((30, 16, 16, 3), 120, np.uint8), [f"{i}.png" for i in range(30)])
    with pytest.raises(DataError, match=r"30 images \(1 different, copies count once\)"):
        anew.train(folder, tmp_path / "run", steps=2, family=family)
    assert not (tmp_path / "run" / "model.safetensors").exists()
