"""Records: what it takes to evaluate many samples against millions of records, all of which are searched.

    python bench/records.py --names names.txt [--records 10000000] [--samples 300 3000 100000]

A line is a given name, by Zipf's law, and a surname that a chain of letters makes of the names in the file, one a line. Memory and
processor time of `anew evaluate` without a budget, of a run of a few steps. Asked: less than 2 GB a process for 100,000 samples and ten
million records.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from _common import Table, anew, fresh, parser, setting_words

MEMORY = 2e9
NUM_SURNAMES, NUM_GIVEN = 150_000, 5_000
ORDER = 3  # letters that decide the next one
AT_ONCE = 500_000  # lines that are written at once
MAX_LETTERS = 12


def surnames(names: Sequence[str], count: int, seed: int) -> list[str]:
    """About so many different surnames."""
    following: dict[str, list[str]] = defaultdict(list)
    for name in names:
        padded = "^" * ORDER + name + "$"
        for place in range(ORDER, len(padded)):
            following[padded[place - ORDER : place]].append(padded[place])
    rng = np.random.default_rng(seed)
    made: dict[str, None] = {}
    while len(made) < count:
        text = "^" * ORDER
        while not text.endswith("$") and len(text) < ORDER + MAX_LETTERS:
            letters = following[text[-ORDER:]]
            text += letters[int(rng.integers(len(letters)))]
        name = text.strip("^$")
        if len(name) > 3:
            made[name.capitalize()] = None
    return list(made)


def lines(path: Path, names: Sequence[str], count: int, seed: int = 0) -> Path:
    """A file of so many lines. Made once."""
    marker = path.with_suffix(".made")
    if marker.exists() and marker.read_text() == str(count):
        return path
    given = np.array([name.capitalize() for name in dict.fromkeys(names)][:NUM_GIVEN])
    family = np.array(surnames(names, NUM_SURNAMES, seed))
    shares = 1.0 / np.arange(1, len(given) + 1)
    rng = np.random.default_rng(seed)
    with open(path, "w", encoding="utf-8") as out:
        for first in range(0, count, AT_ONCE):
            size = min(AT_ONCE, count - first)
            firsts = given[rng.choice(len(given), size, p=shares / shares.sum())]
            lasts = family[rng.integers(len(family), size=size)]
            out.write("".join(f"{a} {b}\n" for a, b in zip(firsts.tolist(), lasts.tolist(), strict=True)))
    marker.write_text(str(count))
    return path


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--names", type=Path, required=True, help="a file of names, one a line")
    build.add_argument("--records", type=int, default=10_000_000)
    build.add_argument("--samples", type=int, nargs="+", default=[300, 3_000, 100_000])
    build.add_argument("--steps", type=int, default=60)
    build.add_argument("--keep", action="store_true", help="go on with the data and the run of the last time")
    options = build.parse_args()

    rows, place = Table("records"), options.work / "records"
    place = place if options.keep and place.exists() else fresh(place)
    names = options.names.read_text(encoding="utf-8").split()
    data, run = lines(place / "lines.txt", names, options.records), place / "run"
    words = [data, "--run", run, "--steps", options.steps, *setting_words(options.set)]
    trained = anew("train", *words, cores=options.cores, scratch=options.work)
    rows.add(what=f"training on {options.records:,} records", cpu_s=trained.cpu, peak_gb=trained.high / 1e9)
    for samples in options.samples:
        measured = anew("evaluate", run, "-n", samples, cores=options.cores, scratch=options.work)
        rows.add(
            what=f"{samples:,} samples against {options.records:,} records",
            cpu_s=measured.cpu,
            wall_s=measured.wall,
            held_gb=measured.peak / 1e9,
            peak_gb=measured.high / 1e9,
            passes=measured.high < MEMORY,
        )
    rows.show()


if __name__ == "__main__":
    main()
