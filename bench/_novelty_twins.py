"""Data full of near-twins, where the copying test has to tell copies from chance: variants of one sequence, crops, names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from anew.data.modality import Modality
from anew.data.splitting import near_duplicates
from anew.data.types import Item
from anew.evaluation.memorization import item_types
from anew.evaluation.memorization.item_type import ItemType
from anew.evaluation.memorization.memorization_test import MemorizationOptions, MemorizationTest
from anew.evaluation.memorization.result import CopyTestResult

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
TRAIN, HELD_OUT, SAMPLES = 900, 400, 300
SUBSTITUTIONS = 8  # most substitutions of a variant
PICTURES, SIDE = 40, 16  # that crops are cut from: so few that crops overlap
Source = np.random.Generator
Draw = Callable[[int, Source], list[Any]]


@dataclass(frozen=True)
class Twins:
    """A data set of near-twins.

    Attributes:
        name: Of the table.
        item_type: How items are compared.
        population: Gives a function that draws items of one run: a new ancestor, other pictures.
        nearly: What makes a copy a nearly exact one.
    """

    name: str
    item_type: ItemType[Any]
    population: Callable[[Source], Draw]
    nearly: tuple[str, Callable[[Any, Source], Any]]

    def run(self, rate: float, nearly: bool, seed: int) -> CopyTestResult:
        """The memorization test of fresh items of which a share is replaced by copies of training items."""
        rng = np.random.default_rng(seed)
        drawn = self.population(rng)(TRAIN + HELD_OUT + SAMPLES, rng)
        train, held_out, fresh = drawn[:TRAIN], drawn[TRAIN : TRAIN + HELD_OUT], drawn[TRAIN + HELD_OUT :]
        count = round(rate * SAMPLES)
        copies = [train[i] for i in rng.choice(TRAIN, count, replace=False)]
        copies = [self.nearly[1](item, rng) for item in copies] if nearly else copies
        groups = np.array(keys([*train, *held_out]), dtype=np.uint64)
        return MemorizationTest(
            self.item_type,
            [*copies, *fresh[count:]],
            train,
            held_out,
            groups,
            options=MemorizationOptions(seed=seed, controls=False),
        ).run()


def keys(items: Sequence[Any]) -> list[int]:
    """What near-duplicates share, as `anew evaluate` groups them."""
    return near_duplicates.group_keys([Item("", item) for item in items], _NoSignature())  # type: ignore[arg-type]


class _NoSignature:
    """Stands for a modality: records and arrays are told by their content."""

    signature = Modality.signature


def variant(sequence: str, source: Source, min_count: int = 1, max_count: int = SUBSTITUTIONS) -> str:
    """The sequence with `min_count` to `max_count` residues replaced by others."""
    letters = list(sequence)
    for place in source.choice(len(letters), source.integers(min_count, max_count + 1), replace=False):
        letters[place] = source.choice([residue for residue in RESIDUES if residue != letters[place]])
    return "".join(letters)


def one_residue(sequence: str, source: Source) -> str:
    return variant(sequence, source, 1, 1)


def variants(path: Path, residues: int) -> Twins:
    """Variants of an ancestor of a FASTA file; a long one is joined from several of its records."""
    records = path.read_text(encoding="utf-8").split(">")[1:]
    sequences = ["".join(record.split("\n")[1:]) for record in records]

    def population(source: Source) -> Draw:
        ancestor = ""
        while len(ancestor) < residues:
            ancestor += sequences[source.integers(len(sequences))]
        ancestor = ancestor[:residues]
        return lambda n, source: [variant(ancestor, source) for _ in range(n)]

    return Twins(f"variants, {residues} residues", item_types.RECORDS, population, ("one residue", one_residue))


def names(items: Sequence[Any]) -> Twins:
    def population(source: Source) -> Draw:
        return lambda n, source: [items[i] for i in source.choice(len(items), n, replace=False)]

    return Twins(
        "names", item_types.RECORDS, population, ("one edit", lambda name, source: item_types.edit_text(name, source))
    )


def crops(folder: Path) -> Twins:
    """Tiles cut at random places from a few pictures of a folder."""
    paths = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in (".jpg", ".png"))

    def population(source: Source) -> Draw:
        chosen = source.choice(len(paths), PICTURES, replace=False)
        pictures = [np.asarray(Image.open(paths[i]).convert("RGB")) for i in chosen]
        return lambda n, source: [_crop(pictures[source.integers(PICTURES)], source) for _ in range(n)]

    return Twins("crops", item_types.IMAGES, population, ("noise", item_types.add_noise))


def _crop(picture: Any, source: Source) -> Any:
    top, left = (int(source.integers(size - SIDE + 1)) for size in picture.shape[:2])
    return picture[top : top + SIDE, left : left + SIDE]


def cases(
    twins: Twins, null_runs: int, power_runs: int, first_seed: int, chosen: Sequence[str] | None
) -> Iterator[dict[str, Any]]:
    """How often copies are found: of none, and of shares of the samples, exact and nearly so. chosen: names of cases; None: all."""
    rows = [("none", 0.0, False, null_runs), *((f"{r:.0%} exact", r, False, power_runs) for r in (0.2, 0.05, 0.02))]
    rows.append((f"5% with {twins.nearly[0]} changed", 0.05, True, power_runs))
    for name, rate, nearly, runs in (row for row in rows if chosen is None or row[0] in chosen):
        results = [twins.run(rate, nearly, first_seed + run) for run in range(runs)]
        positive = [result for result in results if result.detected]
        yield {
            "data": twins.name,
            "case": name,
            "runs": runs,
            "first_seed": first_seed,
            "anew": len(positive),
            "share": float(np.median([result.share for result in positive])) if positive else 0.0,
            "identical": float(np.median([result.identical for result in results])),
        }
