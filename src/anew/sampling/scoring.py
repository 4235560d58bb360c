"""Bits of items under a model that has a likelihood."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anew.core.arrays import Numbers
from anew.core.reporter import Reporter, SilentReporter
from anew.core.specs import Batch, Tokens
from anew.core.threads import map_in_threads, use_threads
from anew.data.dataset import Dataset, is_content_of
from anew.data.formats.reading import with_line_feeds
from anew.data.modalities.text import Text
from anew.data.reading_settings import reading_settings
from anew.data.skipped import describe_skipped
from anew.data.types import EncodedRecord, Item
from anew.errors import ConfigError, DataError, shorten
from anew.families.base import Family
from anew.functional.likelihood import mean_bits
from anew.runs.record import RunRecord
from anew.sampling.generator import Generator
from anew.sampling.record_batches import record_batches
from anew.sampling.scores import ItemScore, Scores, by_file, training_notes

OWN_DATA = "This is the data of the run, most of which it was trained on: its likelihood says little about new data."
MAX_ITEMS = 1_000_000  # items of one call, which are held in memory; files are read piece by piece


def check_has_likelihood(generator: Generator) -> None:
    """Raise ConfigError if items have no likelihood under the model."""
    if generator.codec is not None:
        raise ConfigError(
            "this run works on the latents of a codec, whose bits are not those of the items; score a run of a VAE"
        )
    if type(generator.family).bits is Family.bits:
        raise ConfigError(
            f"the family {generator.family_name!r} has no likelihood, so data cannot be scored; score a run of a VAE"
        )


def has_likelihood(generator: Generator) -> bool:
    """Whether items have a likelihood under the model."""
    try:
        check_has_likelihood(generator)
    except ConfigError:
        return False
    return True


@torch.no_grad()
def bits_of_batches(
    generator: Generator, batches: Iterable[Batch], seconds: float | None = None, part: str | None = None
) -> list[tuple[float, float]]:
    """The bits of each example.

    Args:
        generator: The model.
        batches: Batches, as from `Dataset.scoring`.
        seconds: Stop once so many seconds are spent; None for no limit.
        part: A part of a mixed model to score alone, see `Family.bits_by_part`; other models are scored as a whole.

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
    """The bits per unit of each part of a mixed model alone; empty if the model is not mixed."""
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


def score_dataset(
    generator: Generator,
    record: RunRecord,
    folder: Path,
    path: str,
    limit: float | None,
    per_item: bool,
    settings: Mapping[str, object],
    reporter: Reporter | None,
) -> Scores:
    """Score all items of other data, encoded as the run encodes its data; see `Model.score`."""
    use_threads()
    check_has_likelihood(generator)
    data = Dataset.open_like(record.data, folder, path, settings=reading_settings(settings, record.data.modality))
    try:
        if limit is not None:
            return _score_evenly(generator, data, path, limit)
        items, parts = _score_records(generator, data.records(), reporter)
        notes = training_notes(items, generator.modality.unit)
        if not notes and is_content_of(data, record.data):
            notes = [OWN_DATA]
        notes += [*data.modality.remarks(), *describe_skipped(data.scan)]
    finally:
        data.close()
    scores = _summed(generator, items, parts)
    if scores.units <= 0:
        raise DataError(f"{path!r} holds nothing to score; give data like that the run was trained on")
    return replace(
        scores,
        items=scores.items if per_item else (),
        files=by_file(items),
        skipped=data.scan.skipped,
        notes=tuple(notes),
    )


def _score_evenly(generator: Generator, data: Dataset, path: str, limit: float) -> Scores:
    """Score about `limit` units, taken evenly from all data."""
    pairs = bits_of_batches(generator, data.scoring("all", limit=limit))
    parts = bits_per_unit_by_part(generator, data.scoring("all", limit=limit))
    bits, units = (sum(values) for values in zip((0.0, 0.0), *pairs, strict=True))
    if units <= 0:
        raise DataError(f"{path!r} holds nothing to score; give data like that the run was trained on")
    has_tokens = isinstance(generator.spec, Tokens)
    tokens = sum(int(_tokens(batch).sum()) for batch in data.scoring("all", limit=limit)) if has_tokens else 0
    notes = tuple(describe_skipped(data.scan))
    return Scores(generator.modality.unit, bits, units, parts, _bound(generator), (), data.scan.skipped, notes, tokens)


def score_items(generator: Generator, items: Sequence[object], reporter: Reporter | None) -> Scores:
    """Score each of these items independently; see `Model.score`."""
    use_threads()
    check_has_likelihood(generator)
    if not items:
        raise ConfigError("`data` must hold at least one item (got an empty list)")
    rows = _encoded_rows(generator, items)
    records = [EncodedRecord("", number, "", row) for number, row in enumerate(rows, 1)]
    scores = _summed(generator, *_score_records(generator, records, reporter))
    scores = replace(scores, notes=tuple(training_notes(scores.items, scores.unit)))
    if scores.units <= 0:
        raise DataError("`data` holds nothing to score; give items that are not empty")
    return scores


def _score_records(
    generator: Generator, records: Sequence[EncodedRecord], reporter: Reporter | None
) -> tuple[list[ItemScore], dict[str, float]]:
    """The score of each record, and the bits of all of them under parts of the model alone."""
    reporter = reporter or SilentReporter()
    has_tokens = isinstance(generator.spec, Tokens)
    sums = np.zeros((len(records), 3))  # bits, units and tokens of each record
    bits_by_part: dict[str, float] = {}
    total = sum(len(record.row) if has_tokens else 1 for record in records)  # tokens, or grids
    task, scored = "scoring tokens" if has_tokens else "scoring items", 0
    workers = use_threads() if generator.device.type == "cpu" else 1
    batches = record_batches(generator.modality, records, generator.family.reads_documents)
    for owners, rows, part_bits in map_in_threads(functools.partial(_score_batch, generator), batches, workers):
        np.add.at(sums, owners, rows)
        for name, bits in part_bits.items():
            bits_by_part[name] = bits_by_part.get(name, 0.0) + bits
        scored += int(rows[:, 2].sum()) if has_tokens else len(rows)
        reporter.progress(task, min(scored, total - 1), total)
    reporter.progress(task, total, total)
    rows_of_ids = [record.row for record in records] if has_tokens else []
    in_training = generator.family.training_records(rows_of_ids) or [None] * len(records)
    items = [
        ItemScore(float(bits), float(units), int(tokens), record.file, record.number, record.name, is_training)
        for (bits, units, tokens), record, is_training in zip(sums, records, in_training, strict=True)
    ]
    return items, bits_by_part


@torch.no_grad()
def _score_batch(
    generator: Generator, owned: tuple[NDArray[np.int64], Batch]
) -> tuple[NDArray[np.int64], NDArray[np.float64], dict[str, float]]:
    """The record of each row (B,), its bits, units and tokens (B, 3), and the bits of all under parts of the model."""
    owners, batch = owned
    views = [view.to(generator.device) for view in generator.modality.orderings(batch)]
    bits, parts = zip(*(generator.family.bits_and_parts(view) for view in views), strict=True)
    tokens = _tokens(batch) if isinstance(generator.spec, Tokens) else torch.zeros(len(batch))
    columns = (mean_bits(bits), _units(batch), tokens.double())
    part_bits = {name: float(mean_bits([view[name] for view in parts]).sum()) for name in parts[0]}
    return owners, torch.stack(columns, 1).numpy(), part_bits


def _summed(generator: Generator, items: Sequence[ItemScore], bits_by_part: Mapping[str, float]) -> Scores:
    """Sum up the scores of records."""
    units = sum(item.units for item in items)
    parts = {name: bits / units for name, bits in bits_by_part.items()} if units else {}
    return Scores(
        unit=generator.modality.unit,
        bits=sum(item.bits for item in items),
        units=units,
        bits_per_unit_by_part=parts,
        bound=_bound(generator),
        items=tuple(items),
        tokens=sum(item.tokens for item in items),
    )


def _encoded_rows(generator: Generator, items: Sequence[object]) -> list[Numbers]:
    """Encode each item as the cache of the data does. Raises ConfigError, which names the first item that cannot be used."""
    if len(items) > MAX_ITEMS:
        raise ConfigError(f"`data` must hold at most {MAX_ITEMS:,} items (got {len(items):,}); save them as a file")
    accepted = str if isinstance(generator.item_spec, Tokens) else bytes | np.ndarray
    expected = "strings" if accepted is str else "arrays or the bytes of files"
    modality = generator.item_modality
    are_lines = isinstance(modality, Text) and modality.layout == "list"
    records: list[Item] = []
    for number, item in enumerate(items, 1):
        if not isinstance(item, accepted):
            raise ConfigError(f"`data` must be a path or a list of {expected} (item {number} is {shorten(item)})")
        line = with_line_feeds(str(item)).removesuffix("\n") if are_lines else ""
        if "\n" in line:
            raise ConfigError(
                f"`data` cannot be scored: item {number} has several lines, and each record of this run is one; give a list of lines"
            )
        records.append(Item(f"item {number}", line if are_lines else item))
    rows = generator.modality.encode_many(records)
    encoded: list[Numbers] = []
    for number, row in enumerate(rows, 1):
        if isinstance(row, str):
            raise ConfigError(f"`data` cannot be scored: item {number}: {row}; leave it out")
        encoded.append(row)
    return encoded


def _bound(generator: Generator) -> str:
    return "exact" if isinstance(generator.spec, Tokens) else "an upper bound"


def _checked_batches(batches: object) -> Iterator[Batch]:
    """Yield each batch. Raises ConfigError if something else was given."""
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


def _tokens(batch: Batch) -> Tensor:
    """(B,) number of targets that count."""
    if batch.mask is None:
        return torch.full((len(batch),), batch.x.shape[1] - 1)
    return batch.mask.sum(1)


def _part_bits(family: Family, batch: Batch, part: str | None) -> Tensor | None:
    parts = family.bits_by_part(batch) if part is not None else {}
    return parts[part] if part in parts else family.bits(batch)
