"""Listings: `anew look` on a million files, on large archives and on pictures that are much larger than a screen.

    python bench/listings.py [--only files tar gif pictures] [--share 0.01]

Asked: the end within 60 s and 1.5 GB of memory, or a refusal in one sentence that names the file. `--share` of all sizes, for a first try.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from _common import Table, anew_command, fresh, parser, pinned

FILES, MEMBERS, FRAMES, PICTURES, SIDE = 1_000_000, 400_000, 100_000, 20, 8_000
A_FOLDER = 1_000  # files
SHORT = 20  # clips beside the long one
SECONDS, MEMORY = 60.0, 1.5e9


def png(value: int) -> bytes:
    """A picture of 8 by 8."""
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(value).integers(0, 256, (8, 8), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


def files(place: Path, share: float) -> str:
    for number in range(round(FILES * share)):
        if number % A_FOLDER == 0:
            folder = place / f"{number // A_FOLDER:04}"
            folder.mkdir()
        (folder / f"{number}.txt").write_text(f"note {number}\n")
    return f"{round(FILES * share):,} files"


def tar(place: Path, share: float) -> str:
    contents = [png(value) for value in range(4096)]
    with tarfile.open(place / "pictures.tar", "w") as archive:
        for number in range(round(MEMBERS * share)):
            member = tarfile.TarInfo(f"{number:07}.png")
            member.size = len(contents[number % len(contents)])
            archive.addfile(member, io.BytesIO(contents[number % len(contents)]))
    return f"a tar of {round(MEMBERS * share):,} pictures"


def gif(place: Path, share: float) -> str:
    frames = round(FRAMES * share)

    def shapes(first: int, last: int) -> Iterator[Image.Image]:
        for number in range(first, last):
            image = Image.new("L", (16, 16))
            image.paste(255 - number % 7, (number % 16, number // 16 % 16, 16, 16))
            yield image

    for number, count in enumerate((frames, *[8] * SHORT)):
        first, *rest = shapes(number * 8, number * 8 + 2)
        more = shapes(number * 8 + 2, number * 8 + count)
        first.save(place / f"{number}.gif", save_all=True, append_images=[*rest, *more], duration=20)
    return f"a GIF of {frames:,} frames among {SHORT} short ones"


def pictures(place: Path, share: float) -> str:
    side = max(64, round(SIDE * share**0.5))
    for number in range(PICTURES):
        blocks = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((side, side)).save(place / f"{number}.jpg", quality=80)
    return f"{PICTURES} pictures of {side * side / 1e6:.0f} megapixels"


PARTS: dict[str, Callable[[Path, float], str]] = {"files": files, "tar": tar, "gif": gif, "pictures": pictures}


def last_line(text: str) -> str:
    """What a command said at its end."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def measure(options: argparse.Namespace, name: str, rows: Table) -> None:
    place = fresh(options.work / "listings" / name)
    report = PARTS[name](place, options.share)
    completed = pinned(anew_command("look", place), options.cores, options.work, limit=10 * SECONDS)
    refusal = last_line(completed.err) if completed.code else ""
    is_within = completed.wall <= SECONDS and completed.peak <= MEMORY
    rows.add(
        what=report,
        wall=completed.wall,
        cpu=completed.cpu,
        peak_gb=completed.peak / 1e9,
        code=completed.code,
        refusal=refusal.replace(str(options.work), "WORK"),
        passes=is_within and completed.code in (0, 2),
    )


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts of it")
    build.add_argument("--share", type=float, default=1.0, help="of all sizes")
    options = build.parse_args()
    rows = Table("listings", is_recorded=options.share == 1.0)
    for name in options.only:
        measure(options, name, rows)
    rows.show()


if __name__ == "__main__":
    main()
