"""Bits of items under a model that has a likelihood."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anew.core.arrays import Numbers
from anew.core.machine.threads import map_in_threads, use_threads
from anew.core.reporter import Reporter, SilentReporter
from anew.core.specs import Batch, Tokens
from anew.core.wording import listed
from anew.data.dataset import Dataset, is_content_of
from anew.data.file_names import part_of
from anew.data.formats.file_bytes import with_line_feeds
from anew.data.modalities.text import Text
from anew.data.reading_settings import reading_settings
from anew.data.skipped import describe_skipped
from anew.data.types import EncodedRecord, Item
from anew.errors import ConfigError, DataError, ItemError, shorten
from anew.families.base import Family, families_that
from anew.runs.record import RunRecord
from anew.sampling.class_mixture import class_notes, labels_of, log_shares, mixture_bits
from anew.sampling.generator import Generator
from anew.sampling.record_batches import record_batches
from anew.sampling.request_checks import class_index, no_classes
from anew.sampling.scores import ItemScore, Scores, by_file, training_notes

OWN_DATA = "This is the data of the run, most of which it was trained on: its likelihood says little about new data."
PART_OF_OWN_DATA = "This is a part of the run's data: what was trained on is predicted better than new data would be."
WHOLE_MODEL = ""  # the name of the whole model, beside those of its parts
# Records under several classes that are scored together, so that few records fill batches, too; chosen
SCORED_TOGETHER = 1024
MAX_ITEMS = 1_000_000  # items of one call, which are held in memory; files are read piece by piece


def check_has_likelihood(generator: Generator) -> None:
    """Raise ConfigError if items have no likelihood under the model."""
    if generator.codec is not None:
        reason = "this run works on the latents of a codec, whose bits are not those of the items"
    elif type(generator.family).bits is Family.bits:
        reason = f"the family {generator.family_name!r} has no likelihood, so data cannot be scored"
    else:
        return
    able = families_that(lambda family: family.bits is not Family.bits and family.supports(generator.item_spec))
    raise ConfigError(f"{reason}; {f'score a run of {able}' if able else 'no family has one for such data'}")


def has_likelihood(generator: Generator) -> bool:
    """Whether items have a likelihood under the model."""
    try:
        check_has_likelihood(generator)
    except ConfigError:
        return False
    return True


@torch.no_grad()
def bits_of_batches(
    generator: Generator, batches: Iterable[Batch], seconds: float | None, part: str | None
) -> list[tuple[float, float]]:
    """(bits, units) of each example; see `Model.bits`."""
    check_has_likelihood(generator)
    bits_of = functools.partial(_bits_of_part, generator.family, part)
    begin = time.monotonic()
    pairs: list[tuple[float, float]] = []
    for batch in _checked_batches(batches):
        bits = mixture_bits(generator, batch, bits_of)[WHOLE_MODEL]  # (B,)
        pairs += zip(bits.tolist(), _units(batch).tolist(), strict=True)
        if seconds is not None and time.monotonic() - begin > seconds:
            break
    return pairs


def score_dataset(
    generator: Generator,
    record: RunRecord,
    folder: Path,
    path: str,
    *,
    limit: float | None,
    per_item: bool,
    settings: Mapping[str, object],
    reporter: Reporter | None,
) -> Scores:
    """Score all items of other data, encoded as the run encodes its data; see `Model.score`."""
    use_threads()
    check_has_likelihood(generator)
    reading = reading_settings(settings, record.data.modality)
    data = Dataset.open_like(record.data, folder, path, settings=reading, once=True)
    try:
        if limit is not None:
            return _score_evenly(generator, data, path, limit, reporter)
        scores = _score_records(generator, data.records(), reporter)
        notes = training_notes(scores.items, scores.unit, generator.item_modality.noun)
        if not notes and is_content_of(data, record.data):
            notes = [OWN_DATA]
        elif not notes and _is_training_data(path, record.data.path):
            notes = [PART_OF_OWN_DATA]
        notes += [*scores.notes, *data.modality.remarks(), *data.table_notes, *data.left_out_notes]
        notes += describe_skipped(data.scan)
    finally:
        data.close()
    if scores.units <= 0:
        raise DataError(f"{path!r} holds nothing to score; give data like that the run was trained on")
    return replace(
        scores,
        items=scores.items if per_item else (),
        files=by_file(scores.items),
        skipped=data.scan.skipped,
        notes=tuple(notes),
    )


def _is_training_data(path: str, data: str) -> bool:
    """Whether a file or a folder lies in the data of a run, and not in a part that is held out by its name.

    Args:
        path: The file or the folder.
        data: The data of the run, as config.json names it: without its folder in a run from a hub.
    """
    place, root = Path(path).expanduser().resolve(), Path(data)
    if not root.is_absolute() or root.resolve() not in place.parents:
        return False
    inside = place.relative_to(root.resolve()).as_posix()
    return part_of(f"{inside}/_" if place.is_dir() else inside) in (None, "train")


def _score_evenly(generator: Generator, data: Dataset, path: str, limit: float, reporter: Reporter | None) -> Scores:
    """Score about `limit` units, taken evenly from all data."""
    store, part = data.opened_part("all")
    progress = _ScoringProgress(
        reporter, f"scoring {generator.modality.unit}s", math.ceil(min(limit, store.rows(part).units))
    )
    counts, num_examples, num_unknown = np.zeros(2), 0, 0
    bits: dict[str, float] = {WHOLE_MODEL: 0.0}
    batches = ((np.arange(len(batch)), batch) for batch in data.scoring("all", limit=limit))
    for rows in _scored_rows(generator, batches):
        counts += rows.counts.sum(0)
        for name, values in rows.bits.items():
            bits[name] = bits.get(name, 0.0) + float(values.sum())
        num_examples, num_unknown = num_examples + len(rows.owners), num_unknown + rows.num_unknown
        progress.add(round(rows.counts[:, 0].sum()))
    progress.end()
    units = float(counts[0])
    if units <= 0:
        raise DataError(f"{path!r} holds nothing to score; give data like that the run was trained on")
    notes = class_notes(num_unknown, num_examples, len(log_shares(generator)), generator.item_modality.noun)
    return Scores(
        unit=generator.modality.unit,
        bits=bits.pop(WHOLE_MODEL),
        units=units,
        bits_per_unit_by_part={name: value / units for name, value in bits.items()},
        bound=_bound(generator),
        skipped=data.scan.skipped,
        notes=(*notes, *describe_skipped(data.scan)),
        tokens=int(counts[1]),
    )


def score_items(
    generator: Generator, items: Sequence[object], label: str | int | None, reporter: Reporter | None
) -> Scores:
    """Score each of these items independently; see `Model.score`."""
    use_threads()
    check_has_likelihood(generator)
    if not items:
        raise ConfigError("`data` must hold at least one item (got an empty list)")
    rows = _encoded_rows(generator, items)
    index = None if label is None else _scored_class(generator, label)
    records = [EncodedRecord("", number, "", row, index) for number, row in enumerate(rows, 1)]
    scores = _score_records(generator, records, reporter)
    scores = replace(
        scores, notes=(*training_notes(scores.items, scores.unit, generator.item_modality.noun), *scores.notes)
    )
    if scores.units <= 0:
        raise DataError("`data` holds nothing to score; give items that are not empty")
    return scores


def _scored_class(generator: Generator, label: str | int) -> int:
    """The index of a class. Raises ConfigError if there is no such class, or if the bits of an item do not depend on its class."""
    if not generator.spec.classes:
        raise no_classes(label)
    index = class_index(list(generator.labels), label)
    if not log_shares(generator):
        raise ConfigError(f"the bits of {generator.family_name} are those of all classes; leave `label` out")
    return index


class _ScoredRows(NamedTuple):
    """Rows of a batch, B, that are scored.

    Attributes:
        owners: (B,) the record of each.
        counts: (B, 2) units and tokens.
        bits: (B,) bits under the model and under each part alone, by name.
        num_unknown: Number of rows whose class is not known but matters.
    """

    owners: NDArray[np.int64]
    counts: NDArray[np.float64]
    bits: dict[str, NDArray[np.float64]]
    num_unknown: int


class _ScoringProgress:
    """Shows how much is scored."""

    def __init__(self, reporter: Reporter | None, task: str, total: int) -> None:
        self._reporter, self._task, self._total, self._count = reporter or SilentReporter(), task, total, 0

    def add(self, count: int) -> None:
        """Show that so much more is scored."""
        self._count += count
        self._reporter.progress(self._task, min(self._count, self._total - 1), self._total)

    def end(self) -> None:
        """Show that all is."""
        self._reporter.progress(self._task, self._total, self._total)


def _score_records(generator: Generator, records: Sequence[EncodedRecord], reporter: Reporter | None) -> Scores:
    """The score of each record and of all of them, with a note if some are scored under all classes."""
    shares = log_shares(generator)
    is_unknown = np.array(
        [bool(shares) and (record.label is None or record.label < 0) for record in records], dtype=bool
    )
    has_tokens = isinstance(generator.spec, Tokens)
    sizes = np.array([len(record.row) if has_tokens else 1 for record in records])  # tokens, or grids
    total = int(sizes.sum() + (len(shares) - 1) * sizes[is_unknown].sum())
    progress = _ScoringProgress(reporter, "scoring tokens" if has_tokens else "scoring items", total)
    counts = np.zeros((len(records), 2))  # units and tokens of each record
    bits: dict[str, NDArray[np.float64]] = {WHOLE_MODEL: np.zeros(len(records))}
    for index, bits_of in ((~is_unknown, _record_bits), (is_unknown, _mixture_of_records)):
        chosen = [records[number] for number in np.flatnonzero(index).tolist()]
        if chosen:
            counts[index], chosen_bits = bits_of(generator, chosen, progress)
            for name, values in chosen_bits.items():
                bits.setdefault(name, np.zeros(len(records)))[index] = values
    progress.end()
    notes = class_notes(int(is_unknown.sum()), len(records), len(shares), generator.item_modality.noun)
    return replace(_summed(generator, records, counts, bits), notes=tuple(notes))


_RecordBits = tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]  # (n, 2) units and tokens, (n,) bits by part


def _record_bits(generator: Generator, records: Sequence[EncodedRecord], progress: _ScoringProgress) -> _RecordBits:
    """The units, tokens and bits of n records."""
    counts = np.zeros((len(records), 2))
    bits: dict[str, NDArray[np.float64]] = {}
    batches = record_batches(generator.modality, records, generator.family.reads_documents)
    for rows in _scored_rows(generator, batches):
        np.add.at(counts, rows.owners, rows.counts)
        for name, values in rows.bits.items():
            np.add.at(bits.setdefault(name, np.zeros(len(records))), rows.owners, values)
        progress.add(int(rows.counts[:, 1].sum()) if isinstance(generator.spec, Tokens) else len(rows.owners))
    return counts, bits


def _mixture_of_records(
    generator: Generator, records: Sequence[EncodedRecord], progress: _ScoringProgress
) -> _RecordBits:
    """The units, tokens and bits of n records under the mixture of all classes."""
    shares = list(log_shares(generator).items())
    at_once = max(1, SCORED_TOGETHER // len(records))
    counts = np.zeros((len(records), 2))
    log_probs: dict[str, NDArray[np.float64]] = {}
    for first in range(0, len(shares), at_once):
        group = shares[first : first + at_once]
        copies = [replace(record, label=label) for label, _ in group for record in records]
        all_counts, bits = _record_bits(generator, copies, progress)
        counts = all_counts[: len(records)]
        for name, values in bits.items():
            joint = np.array([[share] for _, share in group]) - values.reshape(len(group), -1)  # (classes, n)
            before = [log_probs[name]] if name in log_probs else []
            log_probs[name] = np.logaddexp2.reduce([*before, *joint])
    return counts, {name: -log_prob for name, log_prob in log_probs.items()}


def _scored_rows(generator: Generator, batches: Iterable[tuple[NDArray[np.int64], Batch]]) -> Iterator[_ScoredRows]:
    """Score batches, whose rows belong to these records."""
    workers = use_threads() if generator.device.type == "cpu" else 1
    return map_in_threads(functools.partial(_score_batch, generator), batches, workers)


@torch.no_grad()
def _score_batch(generator: Generator, owned: tuple[NDArray[np.int64], Batch]) -> _ScoredRows:
    owners, batch = owned
    bits = mixture_bits(generator, batch, functools.partial(_all_bits, generator.family))
    tokens = _tokens(batch) if isinstance(generator.spec, Tokens) else torch.zeros(len(batch))
    counts = torch.stack((_units(batch), tokens.double()), 1).numpy()
    num_unknown = int((labels_of(batch) < 0).sum()) if log_shares(generator) else 0
    return _ScoredRows(owners, counts, {name: values.numpy() for name, values in bits.items()}, num_unknown)


def _all_bits(family: Family, batch: Batch) -> dict[str, Tensor]:
    """(B,) bits under the model and under each part alone, by name."""
    bits, parts = family.bits_and_parts(batch)
    assert bits is not None, "`check_has_likelihood` comes first"
    return {WHOLE_MODEL: bits, **parts}


def _bits_of_part(family: Family, part: str | None, batch: Batch) -> dict[str, Tensor]:
    """(B,) bits under the model, or under one part of a mixture alone. Raises ConfigError if there is no such part."""
    if part is None:
        bits = family.bits(batch)
        assert bits is not None, "`check_has_likelihood` comes first"
        return {WHOLE_MODEL: bits}
    parts = family.bits_by_part(batch)
    if part not in parts:
        advice = (
            f"expected {listed(list(map(repr, parts)), 'or')}" if parts else "it is no mixture, so leave `part` out"
        )
        raise ConfigError(f"this model has no part {shorten(part)}; {advice}")
    return {WHOLE_MODEL: parts[part]}


def _summed(
    generator: Generator,
    records: Sequence[EncodedRecord],
    counts: NDArray[np.float64],
    bits: Mapping[str, NDArray[np.float64]],
) -> Scores:
    """The scores of n records and their sum. counts: (n, 2) units and tokens; bits: (n,) by part of the model."""
    rows_of_ids = [record.row for record in records] if isinstance(generator.spec, Tokens) else []
    in_training = generator.family.training_records(rows_of_ids) or [None] * len(records)
    items = [
        ItemScore(own_bits, units, int(tokens), record.file, record.number, record.name, is_training)
        for own_bits, (units, tokens), record, is_training in zip(
            bits[WHOLE_MODEL].tolist(), counts.tolist(), records, in_training, strict=True
        )
    ]
    units = float(counts[:, 0].sum())
    parts = {name: float(values.sum()) / units for name, values in bits.items() if name != WHOLE_MODEL} if units else {}
    return Scores(
        unit=generator.modality.unit,
        bits=sum(item.bits for item in items),
        units=sum(item.units for item in items),
        bits_per_unit_by_part=parts,
        bound=_bound(generator),
        items=tuple(items),
        tokens=sum(item.tokens for item in items),
    )


def _encoded_rows(generator: Generator, items: Sequence[object]) -> list[Numbers]:
    """Encode each item as the cache of the data does. Raises ItemError for the first item that cannot be used."""
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
            raise ItemError(number, "it has several lines, and each record of this run is one; give a list of lines")
        records.append(Item(f"item {number}", line if are_lines else item))
    rows = generator.modality.encode_many(records)
    encoded: list[Numbers] = []
    for number, row in enumerate(rows, 1):
        if isinstance(row, str):
            raise ItemError(number, f"{row}; leave it out")
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
