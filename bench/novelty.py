"""The copying test on real data: false alarms, power, other methods on the same inputs, speed.

python bench/novelty.py --mnist DIR --pictures DIR --books DIR --names DIR --proteins FASTA [--quick] [--parts power,twins]

Each run draws 1,000 training, 1,000 held-out and 1,000 further real items; samples are made of the last (null runs: as
they are, sharpened, blurred, of one mode only), with planted copies of training items in their place (power), or are all
training items (copycat), or come of a naive generator fitted to the training items (naive; copies nothing). The part
`twins` has 900 training and 400 held-out items of families of near-twins, and 300 samples (see `_novelty_twins`), `documents`
up to 650 of the text files of a folder, a tenth of them held out (see `_novelty_documents`).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import _novelty_data as data
import _novelty_documents
import _novelty_twins
from _common import Table, fresh, parser, pinned
from _mnist import find, read_idx
from _novelty_data import Data
from _novelty_rivals import rivals
from anew.evaluation.memorization import item_types
from anew.evaluation.memorization.memorization_test import MemorizationOptions, MemorizationTest

SIZE = 1000
NULL_RUNS = 13  # runs of each null generator on each data set: 208 in all
POWER_RUNS = 20
TWIN_NULL_RUNS, TWIN_RUNS = 50, 20  # runs of each family of near-twins
QUICK = 0.1  # share of the runs
METHODS = ("meehan", "dcr", "authpct")
LOADERS = {"mnist": data.digits, "pictures": data.pictures, "books": data.books, "names": data.records}
Make = Callable[[Data, "Draw", np.random.Generator], Sequence[Any]]


class Draw:
    """Disjoint real items of one run; `further` become samples. one_mode: further ones are of one mode alone."""

    def __init__(self, source: Data, seed: int, one_mode: bool = False) -> None:
        self.random = np.random.default_rng(seed)
        order = self.random.permutation(len(source.items))
        first, remaining = order[: 2 * SIZE], order[2 * SIZE :]
        if one_mode:
            mode = self.random.choice(source.mode[remaining])
            remaining = remaining[source.mode[remaining] == mode]
        remaining = remaining if len(remaining) >= SIZE else self.random.choice(remaining, SIZE)
        self.train, self.held_out, self.further = (
            [source.items[i] for i in part] for part in (first[:SIZE], first[SIZE:], remaining[:SIZE])
        )


def planted(rate: float, disturb: Callable[[Any, np.random.Generator], Any] | None) -> Make:
    def make(source: Data, draw: Draw, random: np.random.Generator) -> Sequence[Any]:
        count = round(rate * SIZE)
        copied = [draw.train[i] for i in random.choice(SIZE, count, replace=False)]
        return [*(c if disturb is None else disturb(c, random) for c in copied), *draw.further[count:]]

    return make


def null_cases() -> Iterator[tuple[str, Make, bool]]:
    yield "real", lambda source, draw, random: draw.further, False
    yield "sharpened", lambda source, draw, random: source.sharpen(draw.further, random), False
    yield "blurred", lambda source, draw, random: source.blur(draw.further, random), False
    yield "one mode", lambda source, draw, random: draw.further, True


def power_cases(source: Data) -> Iterator[tuple[str, Make, bool]]:
    yield "1% exact", planted(0.01, None), False
    for name, disturb in source.disturbances.items():
        yield f"2% {name}", planted(0.02, disturb), False
    yield "copycat", lambda source, draw, random: draw.train, False
    yield "naive", lambda source, draw, random: source.naive(draw.train, SIZE, random), False


def case(source: Data, name: str, make: Make, one_mode: bool, runs: int) -> dict[str, Any]:
    """How often each method alarms over `runs` draws."""
    alarms: Counter[str] = Counter()
    shares, values = [], []
    begin = time.process_time()
    for run in range(runs):
        draw = Draw(source, 1000 * run + 17, one_mode)
        samples = list(make(source, draw, draw.random))
        test = MemorizationTest(
            source.item_type, samples, draw.train, draw.held_out, options=MemorizationOptions(seed=run, controls=False)
        )
        result = test.run()
        alarms["anew"] += result.detected
        shares.append(result.share)
        other = rivals(test.distances[-1], SIZE, SIZE, len(samples), draw.random)
        alarms.update(method for method in METHODS if other.alarms[method])
        values.append((other.meehan, other.dcr, other.authentic))
    middle = np.median(np.array(values), axis=0)
    return {
        "data": source.name,
        "case": name,
        "runs": runs,
        **{method: alarms[method] for method in ("anew", *METHODS)},
        "share": float(np.median(shares)),
        "z": float(middle[0]),
        "dcr_score": float(middle[1]),
        "authentic": float(middle[2]),
        "cpu_s": (time.process_time() - begin) / runs,
    }


def speed_images(folder: Path) -> dict[str, Any]:
    """The whole memorization test, controls included, of 2,000 test digits as samples against 60,000 training digits."""
    real = data.digits(folder).items
    test = read_idx(find(folder, "t10k-images-idx3-ubyte"))
    begin = time.monotonic()
    result = MemorizationTest(item_types.IMAGES, list(test[:2000]), list(real), list(test[2000:4000])).run()
    return {"seconds": time.monotonic() - begin, "limit": result.detection_limit, "p": result.p}


def speed_texts(folder: Path) -> dict[str, Any]:
    """The whole memorization test of 500,000 characters against 10,000,000, all of the books of a folder, repeated where few."""
    from anew.evaluation.memorization.texts import PassageDistance

    text = "".join(p.read_text(encoding="utf-8") for p in sorted(folder.glob("*.txt")))
    # A text that is shorter than that is joined with copies of itself in which every tenth character is another one.
    random, parts = np.random.default_rng(0), [text]
    while sum(map(len, parts)) < 10_500_000:
        letters = np.array(list(text))
        letters[random.random(len(letters)) < 0.1] = "x"
        parts.append("".join(letters))
    cut = item_types.cut_passages(["".join(parts)[:10_500_000]]).texts
    order = np.random.default_rng(1).permutation(len(cut))
    begin = time.monotonic()
    distance = PassageDistance([cut[i] for i in order], np.arange(len(order)))
    distance.nearest_real(np.arange(2000), np.arange(2000, len(order)))
    return {"seconds": time.monotonic() - begin, "characters": 10_500_000}


def speed(arguments: argparse.Namespace, rows: Table) -> None:
    place = fresh(arguments.work / "novelty")
    for part, folder, allowed in (("images", arguments.mnist, 60.0), ("texts", arguments.books, 20.0)):
        if folder is None:
            continue
        command = [sys.executable, __file__, "--one", part, "--mnist", str(folder), "--books", str(folder)]
        completed = pinned(command, arguments.cores, place).check()
        figures = completed.json()
        rows.add(
            case=f"speed: {part}",
            **figures,
            cpu_s=completed.cpu,
            peak_gb=completed.peak / 1e9,
            passes=figures["seconds"] < allowed and completed.peak < 2e9,
        )


def twins(arguments: argparse.Namespace) -> Iterator[_novelty_twins.Twins]:
    """The families of near-twins that the given data allow."""
    if arguments.names is not None:
        yield _novelty_twins.names(data.records(arguments.names).items)
    if arguments.pictures is not None:
        yield _novelty_twins.crops(arguments.pictures)
    if arguments.proteins is not None:
        yield _novelty_twins.variants(arguments.proteins, 92)
        yield _novelty_twins.variants(arguments.proteins, 238)


def judged_twins(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    selected = [r for r in rows if r["part"] == "twins"]
    null, power = ([r for r in selected if r["case"].endswith(suffix)] for suffix in ("none", "exact"))
    if null:
        runs, alarms = sum(r["runs"] for r in null), sum(r["anew"] for r in null)
        yield {"case": "twins: null runs", "runs": runs, "anew": alarms, "passes": alarms <= 0.05 * runs}
    if power:
        runs, alarms = sum(r["runs"] for r in power), sum(r["anew"] for r in power)
        passes = min(r["anew"] / r["runs"] for r in power) >= 0.9
        yield {"case": "twins: exact copies", "runs": runs, "anew": alarms, "passes": passes}


def judged(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The figures that are to be reached, from the rows."""
    null = [r for r in rows if r["part"] == "calibration"]
    if null:
        runs = sum(r["runs"] for r in null)
        alarms = {m: sum(r[m] for r in null) for m in ("anew", *METHODS)}
        yield {"case": "null runs", "runs": runs, **alarms, "passes": alarms["anew"] <= 0.05 * runs}
    for case, min_count in (("1% exact", 0.95), ("2% ", 0.9), ("copycat", 1.0), ("naive", 0.0)):
        for name in dict.fromkeys(r["data"] for r in rows):
            selected = [r for r in rows if r["part"] == "power" and r["data"] == name and r["case"].startswith(case)]
            if not selected:
                continue
            runs = sum(r["runs"] for r in selected)
            alarms = {m: sum(r[m] for r in selected) for m in ("anew", *METHODS)}
            passes = (
                alarms["anew"] == 0 if case == "naive" else min(r["anew"] / r["runs"] for r in selected) >= min_count
            )
            yield {"case": case.strip(), "data": name, "runs": runs, **alarms, "passes": passes}


def num_runs(runs: int, fraction: float) -> int:
    """A fraction of the runs, at least one."""
    return max(round(fraction * runs), 1)


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--mnist", type=Path, help="folder of MNIST's idx files")
    build.add_argument("--pictures", type=Path, help="folder with a folder of pictures for each class")
    build.add_argument("--books", type=Path, help="folder of .txt books")
    build.add_argument("--names", type=Path, help="file (or its folder) of one name a line")
    build.add_argument("--proteins", type=Path, help="FASTA file whose records become ancestors of variants")
    build.add_argument("--documents", type=Path, nargs="+", default=[], help="folders of text files, each a document")
    build.add_argument("--first-seed", type=int, default=1_000, help="of the runs of near-twins and of documents")
    build.add_argument("--fraction", type=float, default=1.0, help="of the runs")
    build.add_argument("--quick", action="store_const", dest="fraction", const=QUICK, help="a tenth of the runs")
    build.add_argument("--parts", default="calibration,power,twins,documents,speed", help="which of them")
    build.add_argument("--cases", help='only these, with commas between them, as in "real,2%% jpeg,none"')
    build.add_argument("--one", choices=("images", "texts"), help=argparse.SUPPRESS)
    arguments = build.parse_args()
    if arguments.one:
        print(json.dumps(speed_images(arguments.mnist) if arguments.one == "images" else speed_texts(arguments.books)))
        return
    sources = [load(getattr(arguments, name)) for name, load in LOADERS.items() if getattr(arguments, name) is not None]
    parts, rows = arguments.parts.split(","), Table("novelty")
    chosen = None if arguments.cases is None else arguments.cases.split(",")
    twin_runs = num_runs(TWIN_NULL_RUNS, arguments.fraction), num_runs(TWIN_RUNS, arguments.fraction)
    for part, runs in (("calibration", NULL_RUNS), ("power", POWER_RUNS)):
        for source in sources if part in parts else []:
            cases = null_cases() if part == "calibration" else power_cases(source)
            for name, make, one_mode in (c for c in cases if chosen is None or c[0] in chosen):
                rows.add(part=part, **case(source, name, make, one_mode, num_runs(runs, arguments.fraction)))
    for family in twins(arguments) if "twins" in parts else ():
        for row in _novelty_twins.cases(family, *twin_runs, arguments.first_seed, chosen):
            rows.add(part="twins", **row)
    for folder in arguments.documents if "documents" in parts else ():
        for row in _novelty_documents.cases(folder, *twin_runs, arguments.first_seed, chosen):
            rows.add(part="documents", **row)
    for verdict in [*judged(rows.rows), *judged_twins(rows.rows)]:
        rows.add(part="verdict", **verdict)
    if "speed" in parts:
        speed(arguments, rows)
    rows.show()


if __name__ == "__main__":
    main()
