"""A folder of colour images for the image benchmark: one size, a fixed split, and Anew's fixed embedding as judge.

No classifier fits any folder of images, so the judge is the random-weight embedding of `anew.evaluation`, which is
the same on every machine; centre and scale come from the training images.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from _figures import beside
from _judge import frechet
from _mnist import Pixels, write_png
from anew.evaluation.features.random_conv import Embedding

KINDS = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
HELD = 0.2
FITTED = 1000  # training images that give the embedding its centre and scale


def opened(path: Path, side: int) -> Pixels:
    """(side, side, 3): what is see-through lies on white; the middle square of an image that is not square."""
    image = Image.open(path).convert("RGBA")
    canvas = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    min_count = min(canvas.size)
    left, top = (canvas.width - min_count) // 2, (canvas.height - min_count) // 2
    square = canvas.crop((left, top, left + min_count, top + min_count))
    return np.asarray(square if min_count == side else square.resize((side, side), Image.Resampling.LANCZOS))


def read_folder(folder: Path, side: int) -> Pixels:
    """All different images of a folder and its subfolders, in the order of a hash of their pixels: the same split
    whatever the files are called, and none on both sides of it."""
    paths = [path for path in folder.rglob("*") if path.suffix.lower() in KINDS]
    if not paths:
        raise SystemExit(f"{folder} holds no images ({', '.join(KINDS)}); give a folder of images with --colour")
    images = {}
    for path in paths:
        image = opened(path, side)
        images[hashlib.sha256(image.tobytes()).digest()] = image
    return np.stack([images[key] for key in sorted(images)])


class Colour:
    """train, held_out: (N, side, side, 3); folder: `train` and `test` as PNG."""

    def __init__(self, source: Path, work: Path, side: int) -> None:
        images = read_folder(source, side)
        num_held_out = round(len(images) * HELD)
        self.held_out, self.train = images[:num_held_out], images[num_held_out:]
        self.folder = work / f"colour-{source.resolve().name}-{side}"
        if not (self.folder / "test").exists():
            write_png(self.folder / "train", self.train)
            write_png(self.folder / "part", self.held_out)
            (self.folder / "part").rename(self.folder / "test")
        self.embedding = Embedding(3, 2).fit(tensor(self.train[:FITTED]))
        self.held_features = self.features(self.held_out)

    def features(self, images: Pixels) -> NDArray[np.float64]:
        return self.embedding(tensor(images)).astype(np.float64)

    def judged(self, generated: Pixels) -> dict[str, float]:
        features = self.features(generated)
        return {
            "distance": frechet(features, self.held_features),
            **beside(features, self.held_features),
            "samples": len(generated),
        }


def tensor(images: Pixels) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 127.5 - 1  # (N, 3, H, W)
