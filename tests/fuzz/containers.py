"""Damaged files among good ones, through the whole path of data: listing, choice, survey, split, fit, encoding, batches, items."""

from __future__ import annotations

import importlib
import itertools
import json
import operator
import pkgutil
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from anew.data.dataset import Dataset
from anew.data.types import DataBudget
from anew.errors import DataError
from fuzz import corpus
from fuzz.children import Failed, Limits, Outcome, run
from fuzz.formats import FORMATS, good_files, write
from fuzz.mutations import mutated

FEW, MANY = 40, 400  # damaged files in a batch; its processes and its good files cost as much as a hundred of them
TRIES = 3  # failures looked for in one batch
SLOW = ("hang", "memory")  # faults that take so long to be seen that a batch is left after one of them
SIZE = DataBudget(60.0, 0, 0)
CPU, CPU_EACH = 20.0, 0.25  # seconds for one file alone, and for each one more
GOOD, FIRST, LAST = (
    "m-good",
    "a-bad",
    "z-bad",
)  # how files are named: damaged ones are read before or after the good ones


def whole_path(folder: Path, modality: str | None) -> dict[str, Any]:
    """All that a run does with its data, short of training. Returns what was refused; raises Failed where good files were."""
    try:
        data = Dataset.open(folder, modality=modality, size=SIZE)
        data.fit(SIZE)
    except DataError as error:
        if modality is None:  # most files may be taken for something else, of which nothing is usable
            return {"refused": str(error)}
        raise Failed("lost", f"all files were refused: {error}") from error
    for part, count in data.scan.parts.items():
        if count:
            for _ in data.one_pass(part):
                pass
            data.items(part, 6)
            data.item_labels(part, 6)
    data.batch(0, "main", 0, 8, 8)
    data.batch(1, "main", 4, 4, 8)
    data.label_shares()
    state = json.dumps(data.state().model_dump(), allow_nan=False)
    lost = [line for line in data.scan.skipped_lines() if line.startswith(GOOD)]
    data.close()
    if lost and modality is not None:
        raise Failed("lost", f"a good file was refused: {lost[0]}")
    return {"refused": data.scan.skipped, "state": len(state)}


def preload() -> None:
    """Import what children would import one by one, so that a fork has it already."""
    import torch

    import anew.data
    import anew.estimators
    import anew.functional

    torch.set_num_threads(1)
    for package in (anew.data, anew.estimators, anew.functional):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)


def try_files(
    name: str, bad: Sequence[bytes], modality: str | None, first: bool = False, path: Any = whole_path
) -> Outcome:
    """The outcome of these damaged files among the good ones of their format."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        folder = Path(place) / "data"
        for number, data in enumerate(good_files(name)):
            write(folder, name, f"{GOOD}-{number:03d}", data, number)
        for number, data in enumerate(bad):
            write(folder, name, f"{FIRST if first else LAST}-{number:03d}", data, 500 + number)
        limits = Limits(cpu=CPU + CPU_EACH * (len(bad) - 1))
        return run(lambda: path(folder, modality), limits)


def reduce(files: list[bytes], fails: Callable[[list[bytes]], Outcome]) -> tuple[list[bytes], Outcome | None]:
    """The fewest files that halving finds to fail still, and the outcome of the last failure (None: none failed again)."""
    last: Outcome | None = None
    while len(files) > 1:
        middle = len(files) // 2
        for half in (files[:middle], files[middle:]):
            outcome = fails(half)
            if outcome.fault is not None:
                files, last = half, outcome
                break
        else:
            return files, last
    again = fails(files)
    return files, again if again.fault is not None else last


def batch(
    name: str, seed: int, keep: bool = True, path: Any = whole_path, size: int = FEW
) -> tuple[Outcome, list[Outcome], int]:
    """One batch of a format: (outcome of all together, what each failure came down to, damaged files that were tried)."""
    source = random.Random(f"{name} {seed}")
    strangers = good_files(source.choice(sorted(FORMATS)))
    bad = [mutated(source, name, good_files(name), strangers) for _ in range(size)]
    modality = FORMATS[name].modality if source.random() < 0.75 else None
    first = source.random() < 0.5
    outcome = try_files(name, bad, modality, first, path)
    whole, failures = outcome, []
    while outcome.fault is not None and len(failures) < TRIES:
        files, single = reduce(bad, lambda subset: try_files(name, subset, modality, first, path))
        single = single or outcome
        failures.append(single)
        if keep:
            corpus.keep(name, files, f"{name} {seed}", single, modality, first)
        if single.fault in SLOW:
            break
        bad = [data for data in bad if data not in files]
        outcome = try_files(name, bad, modality, first, path) if bad else Outcome()
    return whole, failures, size


def replay(entries: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Files of the corpus through the whole path again, those of one format together: the format, and what failed ("": nothing)."""
    results: dict[str, str] = {}
    key = operator.itemgetter("format")
    for name, own in itertools.groupby(sorted(entries, key=key), key):
        subset = list(own)
        results[name] = "; ".join(filter(None, _again(name, subset)))
    return results


def _again(name: str, entries: Sequence[dict[str, Any]]) -> Iterator[str]:
    for modality in sorted({entry["modality"] or "" for entry in entries}):
        subset = [entry for entry in entries if (entry["modality"] or "") == modality]
        files = [data for entry in subset for data in corpus.data_of(entry)]
        if try_files(name, files, modality or None).fault is None:
            continue
        for entry in subset:
            outcome = try_files(name, corpus.data_of(entry), modality or None, entry["first"])
            yield f"{', '.join(entry['files'])}: {outcome.fault} {outcome.detail[:200]}" if outcome.fault else ""
