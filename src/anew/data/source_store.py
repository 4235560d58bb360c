"""From a source to its store: a sample of the items is inspected, and all of them are divided into parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from anew.core.data_record import DataRecord
from anew.core.reading_time import ReadingTime
from anew.data.loading.in_memory import InMemoryStore
from anew.data.loading.signature_cache import SignatureCache
from anew.data.loading.streaming import StreamingStore
from anew.data.modality import Modality
from anew.data.skipped import name_reasons
from anew.data.sources.selected_data import SelectedData, sample_of
from anew.data.splitting.streaming_split import split_source
from anew.data.types import DataBudget, DatasetSummary, Item
from anew.errors import DataError

MAX_WHOLE_LIST_BYTES = 4 * 1024 * 1024  # a list has many small items, so it is streamed earlier than other text


def survey_source(
    chosen: SelectedData, modality: Modality, new_files: bool, fresh: bool, budget: DataBudget | None
) -> tuple[list[Item], DatasetSummary]:
    """Read a sample of the items, and let the modality inspect it.

    Args:
        chosen: The source.
        modality: The modality of its items.
        new_files: Whether the files are others than those that the modality was fitted to.
        fresh: Whether the data is new, not that of a saved run.
        budget: The budget, if it is known.

    Returns:
        The sample, and the summary of the data as far as it is known now.

    Raises:
        DataError: The source has no usable items.
    """
    sample, refused = sample_of(chosen, modality)
    if not sample:
        refused = [*refused, *chosen.source.refusals]
        reasons = f": {name_reasons(refused)}" if refused else ""
        raise DataError(f"{chosen.source.path!r} holds no usable {modality.noun}{reasons}")
    if new_files:
        modality.survey(sample)
        modality.survey_listing(chosen.source.listing(modality.name))
    items, size = sum(shard.items for shard in chosen.shards), sum(shard.bytes for shard in chosen.shards)
    budget = None if budget is None else replace(budget, items=items, bytes=size)
    notes = [*chosen.source.notes, *chosen.notes, *(modality.inspect(sample, budget) if fresh else [])]
    summary = DatasetSummary(modality.name, items, size, notes=notes, other=chosen.other, num_listed=items)
    summary.field_names, summary.noted_kinds = chosen.source.field_names, chosen.noted_kinds
    return sample, summary


def open_store(
    chosen: SelectedData,
    modality: Modality,
    seed: int,
    cache: Path | None,
    reading: ReadingTime | None = None,
    repeated: DataRecord | None = None,
) -> InMemoryStore | StreamingStore:
    """The store of a source, divided into parts: in memory if it is small, else streamed.

    Args:
        chosen: The source.
        modality: The modality of its items, which has inspected a sample.
        seed: Seed of the order and of the division.
        cache: Folder of the cache; None for the default one.
        reading: How long items may be read; data in memory is read whole.
        repeated: The same data as a saved run keeps it, which is divided again as there.
    """
    source, shards = chosen.source, chosen.shards
    if repeated is not None:
        modality.signature_version = repeated.signature_version
    # A run's data is divided as it was, also by an earlier version
    is_whole = _fits_memory(chosen, modality) if repeated is None else chosen.whole and not repeated.rates
    if is_whole:
        return InMemoryStore(source, shards, modality, seed, repeated=repeated)
    signatures = SignatureCache(cache, source.path, modality)
    division = split_source(
        source,
        shards,
        modality,
        reading,
        row_steps=() if repeated is None else repeated.row_steps,
        balance_classes=repeated is None or repeated.balances_classes,
        draw_records=repeated is None or repeated.draws_records,
        known=signatures.keys,
    )
    signatures.save()
    return StreamingStore(source, shards, modality, seed, division)


def _fits_memory(chosen: SelectedData, modality: Modality) -> bool:
    """Whether the data is read whole. Of lists in files only the bytes are known, of tables also the number of rows."""
    if not chosen.whole or modality.layout != "list" or all(shard.counts_rows for shard in chosen.shards):
        return chosen.whole
    max_bytes = max(MAX_WHOLE_LIST_BYTES, modality.traits.max_cluster_bytes)
    return sum(shard.bytes for shard in chosen.shards) <= max_bytes
