"""MNIST as it is distributed (idx files), the fixed 8,000 / 2,000 split of the benchmarks, and folders of PNG."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def read_idx(path: Path) -> Pixels:
    """An idx file of unsigned bytes, gzipped or not: the last byte of its magic number is the number of axes."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    axes = raw[3]
    shape = np.frombuffer(raw, ">i4", axes, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def find(folder: Path, stem: str) -> Path:
    for path in (folder / stem, folder / f"{stem}.gz"):
        if path.exists():
            return path
    raise SystemExit(f"{folder} has no {stem} or {stem}.gz; give the folder of MNIST's four idx files with --data")


@dataclass(frozen=True)
class Digits:
    """Images (N, 28, 28) and labels (N,) of the three parts; `rest` is what neither of the other two has."""

    train: Pixels
    train_labels: Pixels
    held_out: Pixels
    held_labels: Pixels
    rest: Pixels
    rest_labels: Pixels


def digits(folder: Path, train: int = 8000, held_out: int = 2000, seed: int = 0) -> Digits:
    """The same random split of the 60,000 training digits at every call with the same seed."""
    images, labels = (
        read_idx(find(folder, "train-images-idx3-ubyte")),
        read_idx(find(folder, "train-labels-idx1-ubyte")),
    )
    order = np.random.default_rng(seed).permutation(len(images))
    first, second, third = order[:train], order[train : train + held_out], order[train + held_out :]
    return Digits(images[first], labels[first], images[second], labels[second], images[third], labels[third])


def write_png(folder: Path, images: Pixels, labels: Pixels | None = None) -> None:
    """One grey PNG an image; with labels, in a subfolder for each."""
    for i, image in enumerate(images):
        place = folder if labels is None else folder / str(labels[i])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{i:05d}.png")


def read_png(folder: Path, mode: str = "L") -> Pixels:
    """All PNG files of a folder whose names are numbers (a sheet of all is not), in order, as grey (n, H, W), or as
    (n, H, W, 3) with the mode RGB."""
    paths = [path for path in sorted(folder.rglob("*.png")) if path.name[0].isdigit()]
    return np.stack([np.asarray(Image.open(path).convert(mode)) for path in paths])


def write_sheet(path: Path, images: Pixels, columns: int = 16, rows: int = 8) -> None:
    """The first images side by side in one PNG, to look at."""
    part = images[: columns * rows]
    height, width, channels = part.shape[1], part.shape[2], part.shape[3:]
    canvas = np.zeros((-(-len(part) // columns) * height, columns * width, *channels), np.uint8)
    for i, image in enumerate(part):
        top, left = i // columns * height, i % columns * width
        canvas[top : top + height, left : left + width] = image
    Image.fromarray(canvas).save(path)


def export(data: Digits, folder: Path, labels: bool = False) -> Path:
    """`folder`/train and `folder`/test of PNG files, written once."""
    if not (folder / "test").exists():
        write_png(folder / "train", data.train, data.train_labels if labels else None)
        write_png(folder / "part", data.held_out, data.held_labels if labels else None)
        (folder / "part").rename(folder / "test")
    return folder
