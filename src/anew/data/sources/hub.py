"""Datasets of the Hugging Face hub, `owner/name` or `owner/name:config`, read with the package `datasets`."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Protocol, cast

from anew.core.extras import require
from anew.data.file_names import part_of
from anew.data.formats.by_range import Range
from anew.data.modality import Modality
from anew.data.sources.base import SHARD_BYTES, SHARD_ITEMS, Shard
from anew.data.sources.columns import (
    JUDGED_ROWS,
    ColumnChoice,
    Columns,
    choose,
    describe_columns,
    item_of,
    text_columns,
)
from anew.data.sources.delimited_rows import list_columns
from anew.data.types import Item, SkippedItem
from anew.errors import DataError

ANSWER_SECONDS = 5.0  # the hub must answer within this time; the loader itself would try for minutes
SAMPLED_ROWS = 64  # rows whose text is measured to decide how many make a shard


class HubRows(Protocol):
    """The part of a `datasets.Dataset` that is used here."""

    features: Mapping[str, object]
    column_names: Sequence[str]

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice) -> Mapping[str, Sequence[object]]: ...

    def cast_column(self, column: str, feature: object) -> HubRows: ...

    def select_columns(self, columns: Sequence[str]) -> HubRows: ...

    def select(self, rows: Iterable[int]) -> HubRows: ...


class HubReader:
    """See `anew.data.sources.base.Reader`. splits: name -> a `datasets.Dataset`, whose rows lie memory-mapped on disk."""

    def __init__(
        self, name: str, splits: Mapping[str, HubRows], library: ModuleType, choice: ColumnChoice | None = None
    ) -> None:
        self.refusals: list[SkippedItem] = []
        self._name = name
        self._splits = {split: rows for split, rows in splits.items() if len(rows)}
        if not self._splits:
            raise DataError(f"{name!r} holds no rows; choose another dataset or configuration")
        first = next(iter(self._splits.values()))
        columns = list(first.column_names)
        pictures = [c for c in columns if type(first.features[c]).__name__ == "Image"]
        # Encoded bytes, not decoded pictures: the modality checks sizes before it decodes.
        self._splits = {
            split: _cast_undecoded(rows, [c for c in pictures if c in rows.column_names], library)
            for split, rows in self._splits.items()
        }
        (choice or ColumnChoice()).check(name, columns)
        self._columns = _choose_columns(next(iter(self._splits.values())), columns, choice)
        if not (self._columns.text or self._columns.image):
            advice = "choose one with the setting text_column"
            raise DataError(
                f"{name!r} has no column named text or image (its columns: {list_columns(columns)}); {advice}"
            )
        self.notes: list[str] = [describe_columns(self._columns, name, choice or ColumnChoice())]
        rows_of_all = sum(len(rows) for rows in self._splits.values())
        modalities = [modality for modality in ("text", "image") if self._columns.of(modality)]
        self.counts: Mapping[str, int] = dict.fromkeys(modalities, rows_of_all)
        self.bytes: Mapping[str, int] = {
            modality: sum(round(self._width(split, modality) * len(rows)) for split, rows in self._splits.items())
            for modality in modalities
        }
        self.labels: tuple[str, ...] | None = (
            () if self._columns.label is None else tuple(sorted(self._columns.names)) or None
        )

    def _width(self, split: str, modality: str) -> float:
        """Mean bytes of a row's text or image, over evenly spaced rows."""
        rows, column = self._splits[split], self._columns.of(modality)
        assert column is not None  # only the modalities of `counts` have shards
        cells = rows.select_columns([column]).select(range(0, len(rows), max(1, len(rows) // SAMPLED_ROWS)))[:][column]
        return sum(map(_cell_bytes, cells)) / len(cells)

    def shards(self, modality: str) -> list[Shard]:
        if self._columns.of(modality) is None:
            return []
        shards = []
        for split, rows in self._splits.items():
            width = self._width(split, modality)
            step = max(1, round(SHARD_BYTES / max(width, 1.0))) if modality == "text" else SHARD_ITEMS
            stamp = _stamp(rows)
            for start in range(0, len(rows), step):
                count = min(step, len(rows) - start)
                where, name = (split, modality, start, count), f"{self._name}/{split}#{start}+{count}"
                shards.append(Shard(name, count, round(width * count), where, part_of(f"{split}/_"), stamp))
        return shards

    def ranges(self, shard: Shard) -> list[Range]:
        return []

    def read(self, shard: Shard) -> Iterator[Item | SkippedItem]:
        split, modality, start, count = cast(tuple[str, str, int, int], shard.where)
        columns = self._columns.names_for(modality)
        try:
            part = self._splits[split].select_columns(columns)[start : start + count]  # column -> cells
        except Exception as error:  # a damaged download raises what its format's reader raises
            yield SkippedItem(shard.name, f"it cannot be read ({error})")
            return
        for offset, cells in enumerate(zip(*(part[column] for column in columns), strict=True)):
            name = f"{self._name}/{split}#{start + offset}"
            yield item_of(dict(zip(columns, cells, strict=True)), self._columns, modality, name, location=None)


def _cast_undecoded(rows: HubRows, columns: list[str], library: ModuleType) -> HubRows:
    for column in columns:
        rows = rows.cast_column(column, library.Image(decode=False))
    return rows


def _choose_columns(rows: HubRows, columns: list[str], choice: ColumnChoice | None) -> Columns:
    samples: dict[str, object] = {}
    for name, cells in rows[:8].items():
        samples.update((name, cell) for cell in reversed(cells) if cell not in (None, ""))
    strings = [name for name in columns if isinstance(samples.get(name), str)]
    head = rows.select_columns(strings)[:JUDGED_ROWS] if strings else {}  # column -> cells
    first_rows = [dict(zip(head, row, strict=True)) for row in zip(*head.values(), strict=True)]
    texts = text_columns(strings, first_rows)
    label = choose(columns, samples, choice=choice, texts=texts).label
    names = getattr(rows.features[label], "names", None) if label else None
    return choose(columns, samples, tuple(names or ()), choice, texts)


def _cell_bytes(cell: object) -> int:
    if isinstance(cell, Mapping):
        cell = cell.get("bytes")
    if isinstance(cell, str):
        return len(cell.encode("utf-8", "replace"))
    return len(cell) if isinstance(cell, bytes) else 0


def _stamp(rows: HubRows) -> int:
    mark = str(getattr(rows, "_fingerprint", "")).encode()
    return int.from_bytes(hashlib.blake2b(mark, digest_size=7).digest(), "big")


def split_name(name: str) -> tuple[str, str | None]:
    """`owner/name:config` -> (owner/name, config or None)."""
    path, _, config = name.removeprefix("hf://").partition(":")
    return path, config or None


def _is_reachable(path: str) -> bool:
    """Whether the hub answers and knows the dataset. One request, since the loader would try for minutes.

    False if it does not answer, so that only the cache is left. Raises the client's error if the name is unknown."""
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        huggingface_hub.HfApi().dataset_info(path, timeout=ANSWER_SECONDS)
    except (HfHubHTTPError, HFValidationError):
        raise
    except Exception:  # each version of the client has its own errors for a missing network
        return False
    return True


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the warnings of the hub's client: what matters is also in its error."""
    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "datasets")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _read_cache_alone(is_offline: bool) -> Iterator[None]:
    """If offline, make the loader read only its cache."""
    import datasets
    from huggingface_hub import constants

    modules = [datasets.config, constants] if is_offline else []
    before = [module.HF_HUB_OFFLINE for module in modules]
    try:
        for module in modules:
            module.HF_HUB_OFFLINE = True
        yield
    finally:
        for module, value in zip(modules, before, strict=True):
            module.HF_HUB_OFFLINE = value


def open_hub(name: str, modalities: Mapping[str, type[Modality]], choice: ColumnChoice | None = None) -> HubReader:
    """The dataset with a hub name: downloaded once, then read from the cache of `datasets`.

    Raises DataError if the package is missing, the name is unknown, or the hub cannot be reached. Code that comes with a data
    set is never run.
    """
    datasets = require("datasets", extra="hub", purpose=f"{name!r} is not a file or folder; as a hub name it")
    path, config = split_name(name)
    is_reachable = True
    try:
        with _quiet():
            is_reachable = _is_reachable(path)
        with _quiet(), _read_cache_alone(not is_reachable):
            loaded = datasets.load_dataset(path, config)
    except Exception as error:  # the hub's client, its network and every format raise their own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:200]
        if not is_reachable:
            reason = "the hub does not answer, and there is no local copy"
        raise DataError(
            f"{name!r} is not a path here, and as a hub name it cannot be loaded ({reason}); give a folder, a file, or "
            "owner/name or owner/name:config of a public dataset"
        ) from None
    splits = loaded if isinstance(loaded, Mapping) else {"train": loaded}
    return HubReader(name, splits, datasets, choice)
