"""Whole evaluations of real items as samples: how often a yes is refused them, and how often they are called copies.

python bench/nulls.py --data PATH [PATH ...] --draws 12 [--planted 0.02 0.05 0.2]

Of each data set disjoint real items are drawn at random and written as files of their own: training items, held-out items and
samples. Then `anew evaluate --samples` judges them, all figures and the copying test. A file is a list
of its lines (a table: of its rows, .fasta: of its records), a folder of many files holds one item a file, and a folder of a
few texts is cut into documents at empty lines. Real items deserve two ticks and no accusation where enough of them are there.
With --planted so large a share of the samples are copies of training items, exact ones and, in other evaluations, near ones.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import _planted
from _common import Table, fresh, parser
from anew.functional.intervals import clopper_pearson
from anew.workflows.evaluate_samples import ForeignSamples, evaluate_samples

FEW_FILES = 20  # each file is cut into documents if there are fewer
DOCUMENT = 1_500  # characters of a document that is cut out, at least
Write = Callable[[Path, Sequence[Any]], Path]


def read(path: Path) -> tuple[Sequence[Any], Write]:
    """The items of a data set, and what writes some of them next to a path, which it returns with a suffix."""
    if path.is_file():
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".fasta":
            return [">" + record for record in text.split(">")[1:]], written_as(path.suffix)
        # Rows of a table are learned as lines of a text
        lines = text.splitlines()[1:] if path.suffix == ".csv" else text.splitlines()
        return [line for line in lines if line], written_as(".txt")
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix not in (".md", ".json"))
    if len(files) < FEW_FILES:
        return [document for file in files for document in documents(file)], write_documents
    return [file.relative_to(path) for file in files], lambda out, items: copied(path, out, items)


def written_as(suffix: str) -> Write:
    def write(out: Path, items: Sequence[str]) -> Path:
        out = out.with_suffix(suffix)
        out.write_text("".join(item.rstrip("\n") + "\n" for item in items), encoding="utf-8")
        return out

    return write


def documents(file: Path) -> Iterator[str]:
    """Stretches of whole paragraphs of a text."""
    paragraphs: list[str] = []
    for paragraph in file.read_text(encoding="utf-8").split("\n\n"):
        paragraphs.append(paragraph)
        if sum(map(len, paragraphs)) >= DOCUMENT:
            yield "\n\n".join(paragraphs)
            paragraphs = []


def write_documents(out: Path, items: Sequence[str]) -> Path:
    fresh(out)
    for i, item in enumerate(items):
        (out / f"{i:05d}.txt").write_text(item, encoding="utf-8")
    return out


def copied(path: Path, out: Path, items: Sequence[Path]) -> Path:
    fresh(out)
    for item in items:
        (out / item).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path / item, out / item)
    return out


def judged(
    path: Path, seed: int, arguments: argparse.Namespace, rate: float = 0.0, nearly: bool = False
) -> dict[str, Any]:
    """What a report says of real items, of which a share is replaced by copies of training items, exact or near ones."""
    items, write = read(path)
    source = np.random.default_rng(seed)
    order = source.permutation(len(items))
    n = min(arguments.n, len(items) // 4)
    held_out, samples, train = (
        [items[i] for i in part] for part in (order[:n], order[n : 2 * n], order[2 * n : 2 * n + arguments.train])
    )
    copies = _planted.chosen(train, round(rate * n), source)
    samples = [*(_planted.near_records(copies, source) if nearly else copies), *samples[len(copies) :]]
    work = fresh(arguments.work / "nulls")
    parts = {"held_out": held_out, "samples": samples, "data": train}
    paths = {name: str(write(work / name, part)) for name, part in parts.items()}
    if nearly:
        _planted.disturb_files(work / "samples", copies, source)
    begin, cpu = time.monotonic(), time.process_time()
    report = evaluate_samples(
        ForeignSamples(paths["samples"], paths["data"], paths["held_out"], n=n, seed=seed),
        fresh(work / "report"),
        ends_at=None if arguments.budget is None else begin + arguments.budget,
    )
    grades = {name: report.grades.get(name) for name in ("closeness", "variety", "novelty")}
    return {
        "data": path.name,
        "seed": seed,
        "n": n,
        "planted": rate,
        "nearly": nearly,
        **grades,
        "copying": report.copies is not None and report.copies.detected,
        "share": None if report.copies is None else report.copies.share,
        "limit": None if report.copies is None else report.copies.detection_limit,
        "exact_limit": None if report.copies is None else report.copies.exact_limit,
        "reasons": {name: report.figures.get(name) for name in grades if grades[name] != "good"},
        "wall_s": round(time.monotonic() - begin, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
    }


def summary(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Of each data set and of all: reports that refuse a tick, that accuse, that leave one open, that find copies."""
    cases = dict.fromkeys((row["planted"], row["nearly"]) for row in rows)
    names = [*dict.fromkeys(row["data"] for row in rows), "all"]
    for name, (planted, nearly) in itertools.product(names, cases):
        selected = [
            row for row in rows if name in (row["data"], "all") and (row["planted"], row["nearly"]) == (planted, nearly)
        ]
        answers = [{row["closeness"], row["variety"]} for row in selected]
        counts = {
            "refused": sum(answer != {"good"} for answer in answers),
            "accused": sum(bool({"fair", "poor"} & answer) for answer in answers),
            "copying": sum(row["copying"] for row in selected),
        }
        shares = {
            f"{key}_95": "{:.3f} to {:.3f}".format(*clopper_pearson(hits, len(selected)))
            for key, hits in counts.items()
        }
        yield {"data": name, "planted": planted, "nearly": nearly, "reports": len(selected), **counts, **shares}


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--data", type=Path, nargs="+", required=True, help="folders or files")
    build.add_argument("--draws", type=int, default=12, help="evaluations of each")
    build.add_argument("--first-seed", type=int, default=0)
    build.add_argument("--n", type=int, default=400, help="samples, and held-out items; a quarter of a smaller set")
    build.add_argument("--train", type=int, default=1_500, help="training items, at most")
    build.add_argument("--planted", type=float, nargs="*", default=[], help="shares of the samples that are copies")
    build.add_argument("--planted-draws", type=int, default=5, help="evaluations of each share, exact and near")
    build.add_argument("--budget", type=float, help="seconds of an evaluation; without it, all is measured")
    arguments: argparse.Namespace = build.parse_args()
    rows, totals = Table("nulls"), Table("nulls")
    for path in arguments.data:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.draws):
            rows.add(**judged(path, seed, arguments))
        for rate, nearly in itertools.product(arguments.planted, (False, True)):
            for seed in range(arguments.first_seed, arguments.first_seed + arguments.planted_draws):
                rows.add(**judged(path, seed, arguments, rate, nearly))
    for row in summary(rows.rows):
        totals.add(part="summary", **row)
    totals.show()


if __name__ == "__main__":
    main()
