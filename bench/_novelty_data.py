"""Real items for the copying benchmark, and generators that copy nothing, or known shares, made of real items."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from _mnist import find, read_idx
from anew.evaluation.memorization import item_types
from anew.evaluation.memorization.item_type import ItemType

Source = np.random.Generator


@dataclass(frozen=True)
class Data:
    """A data set: real items, a mode of each (class, book, first letter), how they are compared and disturbed."""

    name: str
    item_type: ItemType[Any]
    items: Sequence[Any]
    mode: NDArray[Any]
    sharpen: Callable[[Sequence[Any], Source], list[Any]]
    blur: Callable[[Sequence[Any], Source], list[Any]]
    disturbances: dict[str, Callable[[Any, Source], Any]]
    naive: Callable[[Sequence[Any], int, Source], list[Any]]


IMAGE_DISTURBANCES: dict[str, Callable[[Any, Source], Any]] = {
    "shift": lambda x, source: item_types.shift_image(x, *item_types.SHIFTS[source.integers(4)]),
    "noise": lambda x, source: item_types.add_noise(x, source),
    "jpeg": lambda x, source: item_types.jpeg_round_trip(x),
}
TEXT_DISTURBANCES: dict[str, Callable[[Any, Source], Any]] = {"edits": item_types.edit_text}


def filtered(images: Sequence[Any], filter: ImageFilter.Filter | type[ImageFilter.Filter]) -> list[Any]:
    return [np.asarray(Image.fromarray(i).filter(filter)) for i in images]


def sharp_images(images: Sequence[Any], source: Source) -> list[Any]:
    return filtered(images, ImageFilter.UnsharpMask(radius=2, percent=150, threshold=0))


def blurred_images(images: Sequence[Any], source: Source) -> list[Any]:
    return filtered(images, ImageFilter.GaussianBlur(1.0))


def gaussian(train: Sequence[Any], count: int, source: Source, rank: int = 50) -> list[Any]:
    """Images of a Gaussian with the mean and the largest covariance directions of the training images."""
    x = np.stack(list(train)).astype(np.float64)
    flat = x.reshape(len(x), -1)
    _, size, axes = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    drawn = source.normal(size=(count, rank)) * size[:rank] / np.sqrt(len(x))
    generated = flat.mean(axis=0) + drawn @ axes[:rank]
    return list(np.clip(np.round(generated), 0, 255).astype(np.uint8).reshape(count, *x.shape[1:]))


def bigrams(train: Sequence[str], count: int, source: Source) -> list[str]:
    """A chain of characters by pairs, as long as training items; where they vary in length, it ends as they do."""
    following: dict[str, Counter[str]] = defaultdict(Counter)
    records = len({len(t) for t in train}) > 1
    for text in train:
        for a, b in zip(["\n", *text], [*text, "\n"] if records else text, strict=False):
            following[a][b] += 1
    tables = {a: (list(c), np.cumsum(list(c.values())) / sum(c.values())) for a, c in following.items()}
    max_count = max(map(len, train))
    generated = []
    for _ in range(count):
        text, last = "", "\n"
        for draw in source.random(max_count):
            symbols, edges = tables.get(last, tables["\n"])
            last = symbols[min(int(np.searchsorted(edges, draw)), len(symbols) - 1)]
            if records and last == "\n":
                break
            text += last
        generated.append(text or "a")
    return generated


def typical_texts(texts: Sequence[str], source: Source) -> list[str]:
    """As many texts, each that of three random ones with the most frequent pairs of characters: a generator at low temperature."""
    counts = Counter(t[i : i + 2] for t in texts for i in range(len(t) - 1))
    total = sum(counts.values())

    def level(text: str) -> float:
        return float(np.mean([np.log(counts[text[i : i + 2]] / total) for i in range(len(text) - 1)] or [-99.0]))

    levels = np.array([level(t) for t in texts])
    groups = source.integers(0, len(texts), (len(texts), 3))
    return [texts[g[levels[g].argmax()]] for g in groups]


def blurred_texts(texts: Sequence[str], source: Source) -> list[str]:
    return [item_types.edit_text(t, source, 0.2) for t in texts]


def digits(folder: Path) -> Data:
    images, labels = (
        read_idx(find(folder, "train-images-idx3-ubyte")),
        read_idx(find(folder, "train-labels-idx1-ubyte")),
    )
    return _images("mnist", list(images), labels)


def pictures(folder: Path) -> Data:
    """One folder a class, all pictures of one size."""
    paths = sorted(p for p in folder.glob("*/*") if p.suffix.lower() in (".jpg", ".png"))
    return _images(folder.name, [np.asarray(Image.open(p)) for p in paths], np.array([p.parent.name for p in paths]))


def _images(name: str, items: Sequence[Any], mode: NDArray[Any]) -> Data:
    return Data(name, item_types.IMAGES, items, mode, sharp_images, blurred_images, IMAGE_DISTURBANCES, gaussian)


def books(folder: Path) -> Data:
    """Passages of the books of a folder."""
    paths = sorted(folder.glob("*.txt"))
    cut = item_types.cut_passages([p.read_text(encoding="utf-8") for p in paths])
    whole = [i for i, t in enumerate(cut.texts) if len(t) == item_types.PASSAGE]
    return _texts(folder.name, item_types.PASSAGES, [cut.texts[i] for i in whole], cut.owner[whole])


def records(place: Path) -> Data:
    """One record a line, of a file or of the only file of a folder."""
    path = place if place.is_file() else sorted(place.glob("*.txt"))[0]
    lines = list(dict.fromkeys(path.read_text(encoding="utf-8").split("\n")))
    lines = [line for line in lines if line]
    return _texts(path.stem, item_types.RECORDS, lines, np.array([line[0] for line in lines]))


def _texts(name: str, item_type: ItemType[Any], items: Sequence[Any], mode: NDArray[Any]) -> Data:
    return Data(name, item_type, items, mode, typical_texts, blurred_texts, TEXT_DISTURBANCES, bigrams)
