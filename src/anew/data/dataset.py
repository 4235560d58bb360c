"""The dataset: a source with its parts, order and batches. Planning, training and the API use data only through this class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anew.core import isolation
from anew.core import settings as configs
from anew.core.arrays import Integers, Numbers, evenly_spaced
from anew.core.data_record import DataRecord
from anew.core.reading_time import ReadingTime
from anew.core.specs import Batch, Spec
from anew.data.find_data import check_division, find_data, restore_item_modality
from anew.data.loading.epoch_order import random_subset
from anew.data.loading.fitting import fit_modality
from anew.data.loading.in_memory import InMemoryStore
from anew.data.loading.rows import PackedExamples
from anew.data.loading.streaming import StreamingStore
from anew.data.modality import Modality, load_modality
from anew.data.source_store import open_store, survey_source
from anew.data.sources.columns import ROLES, ColumnChoice
from anew.data.sources.selected_data import SelectedData, classes_of, detect_modality
from anew.data.splitting import near_duplicates, split
from anew.data.types import DataBudget, DatasetSummary, DecodedItem, EncodedRecord, Item
from anew.errors import DataError, printable

DEFAULT_TEXT_LIMIT = 16_000_000  # characters that text() returns without a limit: bounds memory
ALL = "all"  # the part with all items, of data that was opened for scoring


class Dataset:
    """A dataset. It is opened by `open`, and ready for batches after `fit` (or at once after `reopen`)."""

    def __init__(self, chosen: SelectedData, modality: Modality, seed: int, cache: Path | None) -> None:
        self.path = chosen.source.path
        self.seed = seed
        self.modality = modality
        if modality.traits.decodes_natively:
            isolation.start()
        self.fingerprint = chosen.fingerprint
        self._chosen = chosen
        self._cache = cache
        self._spec: Spec | None = None  # None until it is fitted
        self._opened_store: InMemoryStore | StreamingStore | None = None  # None until it is divided
        self._size: DataBudget | None = None
        self._sample: list[Item] = []
        self._scan = DatasetSummary(modality.name, 0, 0)
        self._is_undivided = False

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        modality: str | None = None,
        settings: Mapping[str, object] | Callable[[str], Mapping[str, object]] | None = None,
        seed: int = 0,
        cache: Path | None = None,
        size: DataBudget | None = None,
        columns: ColumnChoice | None = None,
        repeated: DataRecord | None = None,
    ) -> Dataset:
        """List the source, decide its modality and split it; nothing is learned yet.

        Args:
            path: A folder, a file, an address or a hub name.
            modality: Name of the modality; None for that of most items.
            settings: Fields of the modality's Config, or a function that returns them for the name of a modality.
            seed: Seed of the order and of all draws.
            cache: Folder of encoded shards; None for the default cache.
            size: The budget, if it is known.
            columns: Columns of tables that the user named.
            repeated: The data of a run that is repeated. If it is the same data, the same rows are read and divided in the same
                way.

        Raises:
            DataError: The source cannot be used.
        """
        chosen = detect_modality(str(path), modality, columns=columns)
        owner = load_modality(chosen.modality)
        own_settings = settings(chosen.modality) if callable(settings) else settings
        data = cls(chosen, owner(configs.from_json(owner.Config, dict(own_settings or {}))), seed, cache)
        data._survey(new_files=True, fresh=True, budget=size)
        _divide_new(data, None if size is None else size.reading, repeated)
        return data

    def _survey(self, new_files: bool, fresh: bool = False, budget: DataBudget | None = None) -> None:
        """Read a sample of the items. For the arguments see `survey_source`."""
        self._sample, self._scan = survey_source(self._chosen, self.modality, new_files, fresh, budget)

    def _divide(self, fresh: bool, reading: ReadingTime | None = None, repeated: DataRecord | None = None) -> None:
        """Split the data.

        Args:
            fresh: Whether the data is new; the classes of a saved run are known.
            reading: How long items may be read; data in memory is read whole.
            repeated: The same data as a saved run keeps it, which is divided again as there.
        """
        chosen, modality = self._chosen, self.modality
        store = self._opened_store = open_store(chosen, modality, self.seed, self._cache, reading, repeated)
        self.scan.parts = store.scan_parts()
        self.scan.items = store.documents if isinstance(store, InMemoryStore) else sum(self.scan.parts.values())
        self.scan.is_estimate = isinstance(store, StreamingStore) and store.is_estimate
        self.scan.is_split_noted, self.scan.cuts_recordings = store.is_split_noted, store.cuts_recordings
        if fresh:
            self.scan.labels, more = classes_of(chosen, modality, self._sample, store.classes, self.scan.items)
            self._add_notes(more)
        self._add_notes([*store.notes, *store.division_notes, *modality.remarks()])
        self._sample = []

    @property
    def table_notes(self) -> list[str]:
        """The notes on which columns of tables are read; none without tables."""
        return list(map(printable, self._chosen.source.table_notes))

    @property
    def left_out_notes(self) -> list[str]:
        """The notes on files that are left out, since others hold the same samples."""
        return list(map(printable, self._chosen.source.left_out_notes))

    @property
    def base(self) -> Dataset:
        """The dataset of the items themselves, without a codec."""
        return self

    @property
    def spec(self) -> Spec:
        """Spec of an item. Raises DataError before `fit`."""
        if self._spec is None:
            raise DataError("the dataset is not fitted yet; call fit(size) first")
        return self._spec

    @property
    def _store(self) -> InMemoryStore | StreamingStore:
        assert self._opened_store is not None, "`open`, `reopen` and `open_like` divide the data"
        return self._opened_store

    @property
    def scan(self) -> DatasetSummary:
        """Summary of the data as far as it is known: most items are read, and some refused, only when they are used."""
        if self._opened_store is not None:
            self._opened_store.refusals.write_to(self._scan)
        return self._scan

    @property
    def division_notes(self) -> list[str]:
        """The notes on how held-out parts were split off from train."""
        return list(map(printable, self._store.division_notes))

    def _add_notes(self, notes: Iterable[str]) -> None:
        self.scan.notes += [note for note in map(printable, notes) if note not in self.scan.notes]

    # ---- fitting ----

    def fit(self, size: DataBudget) -> Spec:
        """Learn vocabulary, shape and scale from the train part, and encode it.

        Args:
            size: The budget; its items and bytes are replaced by those of the source.

        Returns:
            The spec of an item.
        """
        self._size = replace(size, items=self.scan.items, bytes=self.scan.bytes)
        name = [*_content_name(self), self.seed]
        fit_modality(self.modality, self._store, self._size, self.scan.labels, self._cache, name)
        self._spec = self.modality.spec
        self._add_notes(self.modality.remarks())
        self._encode()
        return self.spec

    def _encode(self) -> None:
        self._store.encode(self.scan.labels if self.spec.classes else (), self._cache, _content_name(self))

    # ---- training ----

    @property
    def train_items(self) -> int:
        """Examples an epoch: windows of packed text, records, images (an estimate where data streams)."""
        return self._ready().train_items

    @property
    def share_read(self) -> float:
        """The share of the listed items that were read to be divided: less than 1 where there was no time for more."""
        return self._store.share_read

    @property
    def train_units(self) -> float:
        """Characters or pixels of the train part (an estimate where data streams)."""
        return self._ready().train_units

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch:
        """Rows of a step's global batch, which depend only on the arguments and the seed.

        Each epoch visits every example once in a new order.

        Args:
            step: The step, from 0.
            phase: Phase of training; each has an order of its own.
            first: First row in the global batch.
            count: Number of rows.
            size: Rows of the global batch.
        """
        return self._ready().batch(np.arange(step * size, (step + 1) * size, dtype=np.int64), phase, first, count)

    def prefetch(self, step: int, phase: str, first: int, count: int, size: int) -> None:
        """Start preparing that batch in the background."""
        self._ready().prefetch(np.arange(step * size, (step + 1) * size, dtype=np.int64), phase, first, count)

    def _ready(self) -> InMemoryStore | StreamingStore:
        _ = self.spec  # raises where there is none yet
        return self._store

    # ---- reading parts ----

    def one_pass(self, part: str = "train", limit: int | None = None) -> Iterator[Batch]:
        """Yield one pass over a part.

        Args:
            part: Name of the part.
            limit: Most examples, from everywhere in the part; None for all, or for a sample if data streams.

        Yields:
            Packed tokens as x (1, n), in stretches of about a million: whole documents in random order, or parts of them under a
            limit; records as (B, L+1) with a mask; grids as (B, *shape).
        """
        return self._ready().one_pass(self._number(part), limit)

    def scoring(
        self, part: str, *, batch: int = 32, stride: int | None = None, limit: float | None = None
    ) -> Iterator[Batch]:
        """Batches for scoring, in which every target of the part counts exactly once.

        Windows of packed text overlap, so that targets have context; the mask marks those that count. `Batch.units` are the
        characters of the counted targets. Over the part they sum to its characters, with one for each line end of a list.

        Args:
            part: Name of the part.
            batch: Rows of a batch.
            stride: Tokens from window to window of packed text; None for half the length.
            limit: About how many units to score, taken evenly from the whole part; None for all.
        """
        return self._ready().rows(self._number(part)).scoring(self.modality, batch, stride, limit)

    def items(self, part: str, n: int, seed: int = 0) -> list[DecodedItem]:
        """n random items (all, if fewer) as from `modality.decode`; for packed text, excerpts of `length` tokens."""
        rows = self.stored_rows(part, n, seed)
        if isinstance(rows, list):
            return [self.modality.decode(row[None].astype(np.int64))[0] for row in rows]
        return list(self.modality.to_items(rows))

    def stored_rows(self, part: str, n: int, seed: int = 0) -> Numbers | list[Numbers]:
        """The items of `items` as `modality.batch` takes them; for packed text, a list."""
        return self._ready().rows(self._number(part), n).samples(n, seed)

    def item_labels(self, part: str, n: int, seed: int = 0) -> tuple[list[str], NDArray[np.int64]]:
        """(class names, (n,) class numbers) of the items that `items` returns for the same arguments."""
        rows = self._ready().rows(self._number(part), n)
        numbers = np.zeros(rows.num_items, np.int64) if rows.labels is None else np.asarray(rows.labels, np.int64)
        return list(self.scan.labels), numbers[random_subset(rows.num_items, n, seed)]

    def text(self, part: str, limit: int | None = None) -> list[str]:
        """Documents (or records) of a text part in order; of more than `limit` characters (default: 16 million) some of them.

        These are drawn at random from data in memory. Streamed data is read shard by shard, in the order of training (held-out parts: in
        that of the data), and each shard from its first record on.
        """
        texts: list[str] = []
        remaining = DEFAULT_TEXT_LIMIT if limit is None else limit
        for item in self._ready().text(self._number(part), remaining):
            if remaining <= 0:
                break
            if not isinstance(item.data, str):
                raise DataError(f"{self.modality.name} data has no text")
            texts.append(item.data[:remaining])
            remaining -= len(item.data)
        return texts

    def held_out(self) -> tuple[tuple[str, ...], bool]:
        """The held-out parts for the copying test.

        Returns:
            Names of the parts that were split off, or else of the user's own; whether items were held out one by one at random.
        """
        if self.own_held_out_parts:
            return self.own_held_out_parts, self._store.drawn_one_by_one
        return tuple(name for name in split.NAMES[1:] if self.scan.parts.get(name)), False

    @property
    def are_draws(self) -> bool:
        """Whether the records of a list are draws from a distribution: most repeat another, and copies lie in several parts."""
        return self._store.are_draws

    @property
    def own_held_out_parts(self) -> tuple[str, ...]:
        """Held-out parts that were split off from train; others are the user's own."""
        return tuple(split.NAMES[part] for part in self._store.held_out)

    def near_duplicate_groups(self, items: Sequence[DecodedItem], max_characters: int | None = None) -> Integers:
        """(n,) an integer for each decoded item, which duplicates share that the split keeps together. max_characters: see `group_keys`."""
        if self.are_draws:
            return np.arange(len(items), dtype=np.uint64)
        return near_duplicates.keys_of_decoded(items, self.modality, max_characters, self._store.splits_near_duplicates)

    def opened_part(self, part: str) -> tuple[InMemoryStore | StreamingStore, int]:
        """The store of the data, and the number of a part there."""
        return self._ready(), self._number(part)

    def part_size(self, part: str) -> int:
        """The number of examples in a part; an estimate of train data of which a pass reads only some."""
        return self._ready().size(self._number(part))

    def label_shares(self) -> list[float]:
        """The share of each class in the train part; empty without classes."""
        counts = self._ready().label_counts()
        total = sum(counts.values())
        return [counts[i] / total for i in range(self.spec.classes)] if total else []

    # ---- keeping ----

    def state(self) -> DataRecord:
        """The state that `reopen` needs."""
        return DataRecord(
            path=str(Path(self.path).absolute()) if Path(self.path).exists() else self.path,
            seed=self.seed,
            modality=self.modality.name,
            asked=self._chosen.is_requested,
            config=configs.to_json(self.modality.config),
            learned=self.modality.state(),
            labels=list(self.scan.labels),
            rates=dict(self._store.rates),
            fingerprint=self.fingerprint,
            content=self._chosen.content,
            parts=dict(self.scan.parts),
            row_steps=list(self._store.row_steps),
            balances_classes=self._store.balances_classes,
            draws_records=self._store.draws_records,
            splits_near_duplicates=self._store.splits_near_duplicates,
            validates_at_random=self._store.validates_at_random,
            signature_version=self.modality.signature_version,
            notes=list(self.scan.notes),
            refused=self.scan.skipped,
            refusals=self.scan.skipped_lines(),
            seconds=None if self._size is None else self._size.seconds,
        )

    @classmethod
    def reopen(cls, state: DataRecord, folder: Path, path: str | None = None) -> Dataset:
        """Open the data of a saved run, ready for batches.

        Args:
            state: The state that `state` returned.
            folder: The run.
            path: Where the data lies now, if it was moved.

        Raises:
            DataError: The data is missing, or not what the run was trained on.
        """
        data = cls._restored(find_data(state, path), state, folder)
        data._divide(fresh=False, repeated=state)
        check_division(state.parts, data.scan.parts)
        data._store.rates = dict(state.rates)
        data._encode()
        data.scan.notes = list(state.notes)
        return data

    @classmethod
    def open_like(
        cls,
        state: DataRecord,
        folder: Path,
        path: str,
        samples: bool = False,
        settings: Mapping[str, object] | None = None,
        once: bool = False,
    ) -> Dataset:
        """Open other data with the modality of a saved run, undivided, as the part "all".

        Args:
            state: The state that `state` returned.
            folder: The run.
            path: The other data.
            samples: Whether it is a folder of samples, each of which counts once.
            settings: Settings about reading instead of those of the run. A column that is named here must be there.
            once: Whether each sample counts once where the data is a folder of samples, in which sheets hold them again. Samples do.
        """
        own_settings = dict(settings or {})
        state = state.model_copy(update={"config": state.config | own_settings})
        columns = ColumnChoice.of(state.config, needed=[role for role in ROLES if f"{role}_column" in own_settings])
        chosen = detect_modality(path, state.modality, samples or once, columns=columns)
        data = cls._restored(chosen, state, folder, new_files=True, generated=samples)
        data._is_undivided = True
        data._opened_store = InMemoryStore(chosen.source, chosen.shards, data.modality, data.seed, undivided=True)
        data._encode()
        return data

    @classmethod
    def _restored(
        cls, chosen: SelectedData, state: DataRecord, folder: Path, *, new_files: bool = False, generated: bool = False
    ) -> Dataset:
        modality = restore_item_modality(state, folder, generated=generated)
        data = cls(chosen, modality, state.seed, None)
        data._survey(new_files)
        data._spec = modality.spec
        data.scan.labels = tuple(state.labels)
        return data

    def records(self) -> list[EncodedRecord]:
        """Every usable record of data that `open_like` opened."""
        if not self._is_undivided or not isinstance(self._store, InMemoryStore):
            raise DataError("only data opened with `open_like` has its records in memory; open it that way")
        return self._store.encoded_records(self.scan.labels if self.spec.classes else ())

    def end_training(self) -> None:
        """Let go of what only batches needed of data that streams; they can still be asked for."""
        if isinstance(self._opened_store, StreamingStore):
            self._opened_store.evict()

    def close(self) -> None:
        """Stop background work and close files."""
        if self._opened_store is not None:
            self._opened_store.close()

    def _number(self, part: str) -> int:
        names = (ALL,) if self._is_undivided else split.NAMES
        if part not in names:
            raise DataError(f"unknown part {part!r}; expected one of {', '.join(names)}")
        return split.TEST if self._is_undivided else split.NAMES.index(part)


def _content_name(data: Dataset) -> list[object]:
    """JSON values by which caches know the data."""
    return [data.fingerprint, data.modality.name, configs.to_json(data.modality.config)]


def _divide_new(data: Dataset, reading: ReadingTime | None, repeated: DataRecord | None) -> None:
    """Split new data, as in `repeated` if that is the same. A refusal says what is remarkable, too: pictures may look like sheets."""
    is_same = repeated is not None and repeated.fingerprint == data.fingerprint
    try:
        data._divide(fresh=True, reading=reading, repeated=repeated if is_same else None)
    except DataError as error:
        remarks = data.modality.remarks() if data.modality.layout == "items" else []
        raise DataError(". ".join([str(error), *(remark.removesuffix(".") for remark in remarks)])) from None


def listed_items(data: Dataset, n: int) -> list[Item]:
    """About n items as they are listed, whole files or records, from all over the source."""
    shards, source = evenly_spaced(data._chosen.shards, n), data._chosen.source
    listed = (item for shard in shards for item in source.read(shard, -(-n // len(shards))))
    return [item for item in listed if isinstance(item, Item)]


def is_content_of(data: Dataset, state: DataRecord) -> bool:
    """Whether data holds the same as the data of a saved run; False where that is not known."""
    return state.content is not None and data._chosen.content == state.content


def documents_of(data: Dataset, part: str, limit: int) -> Iterator[Batch]:
    """Documents of running text, each read from its beginning: one a batch, in random order.

    Long ones are cut, so that several are read. The windows of each overlap and go on. Other data has none. limit: targets in all.
    """
    rows = data._ready().rows(data._number(part))
    return rows.documents(data.modality, limit) if isinstance(rows, PackedExamples) else iter(())


def num_texts(data: Dataset, part: str, texts: Sequence[str], limit: int | None = None) -> int:
    """The number of all texts of a part, of which `data.text(part, limit)` returned these.

    The last one counts as whole, though it may be cut. So if only a few long texts were read, their share is overestimated (one whole text
    and two thirds of another, of three, count as 0.67 instead of 0.56). Long files are read in spans, which makes them many."""
    is_whole = sum(map(len, texts)) < (DEFAULT_TEXT_LIMIT if limit is None else limit)
    return len(texts) if is_whole else max(data.scan.parts.get(part, 0), len(texts))
