"""What data costs that a model was not made for: text beside its network alone, and all beside the uniform distribution.

    python bench/floors.py RUN --real PATH [--other PATH ...]

Items of --real (of the run's own kind) as they are, in small pieces, and shuffled; noise of their symbols, short and long, random
bytes and printable characters; and other files. `ratio`: bits beside the better of network and uniform distribution, 1.15 at most asked.
Of a VAE on images: items as they are, mirrored, inverted, blurred, and noise, beside 8 bits a value.
"""

from __future__ import annotations

import argparse
import math
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

import anew
from _common import Table, parser

ASKED = 1.15
CHARACTERS, RECORDS = 20_000, 400  # characters and records of each row
SHORT = (3, 7)  # symbols of short records
IMAGES = 200  # images of each row
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
BITS_A_VALUE = 8.0  # of 256 levels that are equally likely


def read_items(path: Path) -> list[str]:
    """Records of a FASTA file or lines, or the text of a file or folder of texts as one item."""
    paths = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())[:20]
    text = "\n".join(p.read_text(encoding="utf-8", errors="replace") for p in paths)
    if text.startswith(">"):
        return ["".join(record.split("\n")[1:]) for record in text.split(">")[1:]]
    return text.split("\n")


def drawn(symbols: str, length: int, rng: np.random.Generator) -> str:
    return "".join(rng.choice(list(symbols), length))


def shuffled(text: str, rng: np.random.Generator) -> str:
    return "".join(rng.permutation(list(text)))


def record_cases(real: list[str], rng: np.random.Generator) -> Iterator[tuple[str, list[str]]]:
    records = [real[i] for i in rng.permutation(len(real))[:RECORDS] if real[i]]
    symbols = "".join(sorted(set("".join(records))))
    yield "as they are", records
    yield "shuffled", [shuffled(record, rng) for record in records]
    yield "backwards", [record[::-1] for record in records]
    yield "noise, as long", [drawn(symbols, len(record), rng) for record in records]
    for length in SHORT:
        yield f"noise of {length}", [drawn(symbols, length, rng) for _ in range(RECORDS)]
        yield f"beginnings of {length}", [record[:length] for record in records if len(record) > length]


def text_cases(real: list[str], rng: np.random.Generator) -> Iterator[tuple[str, list[str]]]:
    whole = "\n".join(real)
    start = int(rng.integers(max(len(whole) - CHARACTERS, 1)))
    piece = whole[start : start + CHARACTERS]
    words = piece.split(" ")
    yield "as it is", [piece]
    yield "characters shuffled", [shuffled(piece, rng)]
    yield "words shuffled", [" ".join(words[i] for i in rng.permutation(len(words)))]
    yield "random bytes", [bytes(rng.integers(0, 256, CHARACTERS // 4, dtype=np.uint8)).decode("latin-1")]
    yield "random printable", [drawn(string.printable[:95], CHARACTERS // 2, rng)]
    for length in (7, 40):
        yield f"noise of {length}", [drawn(string.ascii_letters, length, rng) for _ in range(100)]
    yield "one letter", ["z" * 2_000]


def image_cases(folder: Path, rng: np.random.Generator) -> Iterator[tuple[str, list[NDArray[np.uint8]]]]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    images = []
    for i in rng.permutation(len(paths))[:IMAGES]:
        with Image.open(paths[i]) as image:
            mode = "L" if image.mode in ("1", "L") else "RGBA" if image.has_transparency_data else "RGB"
            images.append(np.asarray(image.convert(mode)))
    yield "as they are", images
    yield "mirrored", [image[:, ::-1] for image in images]
    yield "inverted", [inverted(image) for image in images]
    blur = ImageFilter.BoxBlur(1)
    yield "blurred", [np.asarray(Image.fromarray(image).filter(blur)) for image in images]
    yield "noise", [rng.integers(0, 256, image.shape, dtype=np.uint8) for image in images]


def inverted(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image in opposite colours, as transparent as before."""
    opposite = 255 - image
    if image.shape[2:] == (4,):
        opposite[..., 3] = image[..., 3]
    return opposite


def score_images(model: Any, options: argparse.Namespace, rows: Table, rng: np.random.Generator) -> None:
    for name, images in image_cases(options.real, rng):
        score = model.score(images)
        ratio = score.bits_per_unit / BITS_A_VALUE
        worst = max(item.bits_per_unit for item in score.items) / BITS_A_VALUE
        figures = {"bits": score.bits_per_unit, "uniform": BITS_A_VALUE, "ratio": ratio, "worst_record": worst}
        rows.add(run=options.run.parent.name, text=name, **figures, passes=ratio <= ASKED)


def main() -> None:
    build = parser(__doc__)
    build.add_argument("run", type=Path, help="of a Transformer on text or records, or of a VAE on images")
    build.add_argument("--real", type=Path, required=True, help="data of its kind")
    build.add_argument("--other", type=Path, nargs="*", default=[], help="files of other kinds")
    options = build.parse_args()
    rows, rng = Table("floors"), np.random.default_rng(0)
    model = anew.load(options.run)
    if model.item_modality.name == "image":
        score_images(model, options, rows, rng)
        rows.show()
        return
    head: Any = model.family.token_mixer
    uniform = math.log2(np.count_nonzero(head.uniform))
    is_text = model.spec.packed  # type: ignore[union-attr]
    cases = list((text_cases if is_text else record_cases)(read_items(options.real), rng))
    for path in options.other:
        items = read_items(path)
        cases.append((path.name, ["\n".join(items)[:CHARACTERS]] if is_text else [i for i in items if i][:RECORDS]))
    for name, items in cases:
        score = model.score([item for item in items if item])
        network, chance = score.bits_per_unit_by_part["network"], score.tokens * uniform / score.units
        ratio = score.bits_per_unit / min(network, chance)
        rows.add(
            run=options.run.parent.name,
            text=name,
            bits=score.bits_per_unit,
            network=network,
            uniform=chance,
            ratio=ratio,
            worst_record=max(item.bits / max(item.tokens * uniform, 1e-9) for item in score.items),
            passes=ratio <= ASKED,
        )
    rows.show()


if __name__ == "__main__":
    main()
