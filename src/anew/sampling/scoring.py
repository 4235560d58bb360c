"""Bits of items under a model that has a likelihood."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from anew.core.arrays import Integers, Numbers
from anew.core.specs import Batch, Tokens
from anew.core.threads import use_threads
from anew.data.dataset import Dataset
from anew.data.loading.rows import RecordExamples, examples_of
from anew.data.skipped import skipped
from anew.data.types import Item
from anew.errors import ConfigError, DataError, shorten
from anew.families.base import Family
from anew.functional.likelihood import mean_bits
from anew.runs.record import RunRecord
from anew.sampling.generator import Generator

MAX_ITEMS = 1_000_000  # scored in one call


@dataclass(frozen=True)
class ItemScore:
    """Bits of one item, and how many units (characters, residues, dimensions) it has."""

    bits: float
    units: float

    @property
    def bits_per_unit(self) -> float:
        return self.bits / self.units if self.units else 0.0


@dataclass(frozen=True)
class Scores:
    """Bits of data under a model.

    Attributes:
        unit: What bits are divided by: "character", "residue" or "dimension".
        bits: Of all the data.
        units: How many units the data has.
        bits_per_unit_by_part: Bits per unit of parts of a mixed model alone, by name.
        bound: "exact", or "an upper bound".
        items: Of each item, where items were given; empty where a place was.
        skipped: Items that could not be used.
        notes: Which, and why.
    """

    unit: str
    bits: float
    units: float
    bits_per_unit_by_part: dict[str, float]
    bound: str
    items: tuple[ItemScore, ...] = ()
    skipped: int = 0
    notes: tuple[str, ...] = ()

    @property
    def bits_per_unit(self) -> float:
        return self.bits / self.units

    def to_json(self) -> dict[str, object]:
        """As JSON values, named after the unit: `bits_per_character`, `characters`, ..."""
        name = f"bits_per_{self.unit}"
        parts = {f"{name}_{part}": value for part, value in self.bits_per_unit_by_part.items()}
        totals = {name: self.bits_per_unit, **parts, f"{self.unit}s": self.units, "bits": self.bits}
        items = [{name: item.bits_per_unit, f"{self.unit}s": item.units, "bits": item.bits} for item in self.items]
        tail = {"bound": self.bound, "skipped": self.skipped, "notes": list(self.notes)}
        return {**totals, **({"items": items} if items else {}), **tail}


def check_has_likelihood(generator: Generator) -> None:
    """ConfigError where items have no likelihood under the model."""
    if generator.codec is not None:
        raise ConfigError(
            "this run works on the latents of a codec, whose bits are not those of the items; score a run of vae"
        )
    if type(generator.family).bits is Family.bits:
        raise ConfigError(
            f"the family {generator.family_name!r} has no likelihood, so data cannot be scored; score a run of vae"
        )


@torch.no_grad()
def bits_of_batches(
    generator: Generator, batches: Iterable[Batch], seconds: float | None = None, part: str | None = None
) -> list[tuple[float, float]]:
    """Bits of each example.

    Args:
        generator: The model.
        batches: As `Dataset.scoring` gives them.
        seconds: Stop once so many are spent; None: never.
        part: A part of a mixed model to score alone, see `Family.bits_by_part`; models of one part are scored whole.

    Returns:
        (bits, units) of each example.

    Raises:
        ConfigError: The model has no likelihood, or `batches` are not batches.
    """
    check_has_likelihood(generator)
    begin = time.monotonic()
    pairs: list[tuple[float, float]] = []
    for batch in _checked_batches(batches):
        views = [
            _part_bits(generator.family, view.to(generator.device), part)
            for view in generator.modality.orderings(batch)
        ]
        bits = mean_bits([view for view in views if view is not None])  # (B,)
        pairs += zip(bits.tolist(), _units(batch).tolist(), strict=True)
        if seconds is not None and time.monotonic() - begin > seconds:
            break
    return pairs


@torch.no_grad()
def bits_per_unit_by_part(generator: Generator, batches: Iterable[Batch]) -> dict[str, float]:
    """Bits per unit of each part of a mixed model alone; empty where the family is one part."""
    bits: dict[str, float] = {}
    units = 0.0
    for batch in _checked_batches(batches):
        views = [
            generator.family.bits_by_part(view.to(generator.device)) for view in generator.modality.orderings(batch)
        ]
        if not views[0]:
            return {}
        units += float(_units(batch).sum())
        for name in views[0]:
            bits[name] = bits.get(name, 0.0) + float(mean_bits([view[name] for view in views]).sum())
    return {name: value / units for name, value in bits.items()} if units else {}


def score_dataset(generator: Generator, record: RunRecord, folder: Path, path: str, limit: float | None) -> Scores:
    """Bits of all items of other data, with the tokens and sizes of the run; see `Model.score`."""
    use_threads()
    check_has_likelihood(generator)
    data = Dataset.open_like(record.data.model_dump(), folder, path)
    try:
        pairs = bits_of_batches(generator, data.scoring("all", limit=limit))
        parts = bits_per_unit_by_part(generator, data.scoring("all", limit=limit))
        bits, units = (sum(values) for values in zip((0.0, 0.0), *pairs, strict=True))
        if units <= 0:
            raise DataError(f"{path!r} holds nothing to score; give data like that the run was trained on")
        notes = tuple(skipped(data.scan))
        return Scores(generator.modality.unit, bits, units, parts, _bound(generator), (), data.scan.refused, notes)
    finally:
        data.close()


def score_items(generator: Generator, items: Sequence[object]) -> Scores:
    """Bits of each of these items, which know nothing of each other; see `Model.score`."""
    use_threads()
    check_has_likelihood(generator)
    if not items:
        raise ConfigError("`data` must hold at least one item (got an empty list)")
    rows = _encoded_rows(generator, items)
    examples = [examples_of(generator.modality, part, None) for part in _scored_together(generator, rows)]
    pairs: list[tuple[int, float, float]] = []  # (item, bits, units)
    for number, example in enumerate(examples):
        owners = example.owner if isinstance(example, RecordExamples) else None
        scored = bits_of_batches(generator, example.scoring(generator.modality, 32, None, None))
        for place, (bits, units) in enumerate(scored):
            pairs.append((number if len(examples) > 1 else _owner(owners, place, len(rows)), bits, units))
    totals = np.zeros((len(rows), 2))  # (items, bits and units)
    for owner, bits, units in pairs:
        totals[owner] += (bits, units)
    batches = (example.scoring(generator.modality, 32, None, None) for example in examples)
    parts = bits_per_unit_by_part(generator, itertools.chain.from_iterable(batches))
    bits, units = (float(value) for value in totals.sum(0))
    if units <= 0:
        raise DataError("`data` holds nothing to score; give items that are not empty")
    scores = tuple(ItemScore(float(row[0]), float(row[1])) for row in totals)
    return Scores(generator.modality.unit, bits, units, parts, _bound(generator), scores)


def _owner(owners: Integers | None, place: int, count: int) -> int:
    """The item that an example belongs to: of one packed item all do, of grids each is an item."""
    if owners is not None:
        return int(owners[place])
    return 0 if count == 1 else place


def _scored_together(generator: Generator, rows: list[Numbers]) -> list[list[Numbers]]:
    """Rows that may share a stream: packed ones would otherwise be context of each other."""
    is_packed = isinstance(generator.spec, Tokens) and generator.spec.packed
    return [[row] for row in rows] if is_packed else [rows]


def _encoded_rows(generator: Generator, items: Sequence[object]) -> list[Numbers]:
    """Each item as the cache would hold it; ConfigError names the first that cannot be used."""
    if len(items) > MAX_ITEMS:
        raise ConfigError(f"`data` must hold at most {MAX_ITEMS:,} items (got {len(items):,}); save them as a file")
    accepted = str if isinstance(generator.item_spec, Tokens) else bytes | np.ndarray
    expected = "strings" if accepted is str else "arrays or the bytes of files"
    for number, item in enumerate(items):
        if not isinstance(item, accepted):
            raise ConfigError(f"`data` must be a path or a list of {expected} (item {number} is {shorten(item)})")
    rows = generator.modality.encode_many([Item(f"item {number}", item) for number, item in enumerate(items)])
    encoded: list[Numbers] = []
    for number, row in enumerate(rows):
        if isinstance(row, str):
            raise ConfigError(f"`data` cannot be scored: item {number} {row}; leave it out")
        encoded.append(row)
    return encoded


def _bound(generator: Generator) -> str:
    return "exact" if isinstance(generator.spec, Tokens) else "an upper bound"


def _checked_batches(batches: object) -> Iterator[Batch]:
    """Each batch; ConfigError where something else was given."""
    advice = "give batches of Dataset.scoring, or score strings, arrays and files with `score`"
    if isinstance(batches, str | bytes) or not isinstance(batches, Iterable):
        raise ConfigError(f"`batches` must be batches (got {shorten(batches)}); {advice}")
    for batch in batches:
        if not isinstance(batch, Batch):
            raise ConfigError(f"`batches` must be batches (got {shorten(batch)}); {advice}")
        yield batch


def _units(batch: Batch) -> Tensor:
    """(B,) float64 units of each example."""
    return (torch.ones(len(batch)) if batch.units is None else batch.units).double()


def _part_bits(family: Family, batch: Batch, part: str | None) -> Tensor | None:
    parts = family.bits_by_part(batch) if part is not None else {}
    return parts[part] if part in parts else family.bits(batch)
