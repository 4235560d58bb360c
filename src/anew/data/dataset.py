"""A source, opened: parts, order, batches. The one thing that api, plan and train see of data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from anew import config as configs
from anew.data import split
from anew.data.choice import Chosen, choose_kind, classes_of, sample_of
from anew.data.modality import Modality, Scan, Size
from anew.data.whole import Refusals, Whole
from anew.errors import DataError
from anew.find import find
from anew.spec import Batch, Spec


class Dataset:
    """Opened by `open`, ready for batches after `fit` (or at once after `reopen`)."""

    def __init__(self, path: str, seed: int, modality: Modality, scan: Scan, chosen: Chosen, cache: Path | None) -> None:
        self.path = path
        self.seed = seed
        self.modality = modality
        self.scan = scan
        self.spec: Spec
        self.fingerprint = chosen.fingerprint
        self._chosen = chosen
        self._cache = cache
        self._store: Whole | None = None
        self._labels: tuple[str, ...] = ()
        self._size: Size | None = None

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        modality: str | None = None,
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        cache: Path | None = None,
    ) -> Dataset:
        """List the source, decide its modality and split it; nothing is learned yet.

        settings: fields of the modality's Config. Raises DataError where the source cannot be used."""
        chosen = choose_kind(str(path), modality)
        owner = find("data", chosen.kind)
        kind: Modality = owner(configs.from_json(owner.Config, dict(settings or {})))
        return cls._opened(chosen, kind, seed, cache, survey=True)

    @classmethod
    def _opened(cls, chosen: Chosen, kind: Modality, seed: int, cache: Path | None, survey: bool) -> Dataset:
        sample, refused = sample_of(chosen, kind)
        if not sample:
            first = f"; {refused[0].name} {refused[0].reason}" if refused else ""
            raise DataError(f"{chosen.source.path!r} holds no usable {kind.name}{first}")
        notes = [*chosen.source.notes, *chosen.notes, *(kind.survey(sample) if survey else [])]
        items = sum(block.items for block in chosen.blocks)
        scan = Scan(kind.name, items, sum(b.bytes for b in chosen.blocks), notes=notes, other=chosen.other)
        scan.labels, more = classes_of(chosen, sample)
        scan.notes += more
        data = cls(chosen.source.path, seed, kind, scan, chosen, cache)
        data._labels = scan.labels
        refusals = Refusals()
        for refusal in [*chosen.source.refusals, *refused]:
            refusals.add(refusal)
        refusals.into(scan)
        if chosen.whole and kind.name == "text":
            data._read()
        else:
            data._estimate_parts()
        return data

    def _read(self) -> None:
        """Read and divide a source that is held whole; the scan becomes exact."""
        store = Whole(self._chosen.source, self._chosen.blocks, self.modality, self.seed)
        for refusal in self._chosen.source.refusals:
            store.refusals.add(refusal)
        self._store = store
        self.scan.items = len(store.items)
        self.scan.parts = store.scan_parts()
        self.scan.notes += [*store.notes, *self.modality.remarks()]
        store.refusals.into(self.scan)

    def _estimate_parts(self) -> None:
        share = split.share_of(self.scan.items, split.ENOUGH)
        held = round(share * self.scan.items)
        self.scan.parts = {"train": self.scan.items - 2 * held, "validation": held, "test": held}

    # ---- fitting ----

    def fit(self, size: Size) -> Spec:
        """Learn vocabulary, shape and scale from the train part, then make batches possible."""
        if self._store is None:
            self._read()
        assert self._store is not None
        self._size = replace(size, items=self.scan.items, bytes=self.scan.bytes)
        self.spec = self.modality.fit(self._store.of(split.TRAIN), self._size, self._labels)
        self._encode()
        return self.spec

    def _encode(self) -> None:
        assert self._store is not None
        self._store.encode(self._labels if self.spec.classes else ())
        self._store.refusals.into(self.scan)

    # ---- training ----

    @property
    def train_items(self) -> int:
        """Examples an epoch: windows of packed text, records, images (an estimate where data streams)."""
        return self._ready().train_items

    @property
    def train_units(self) -> float:
        """Characters or pixels of the train part (an estimate where data streams)."""
        return self._ready().train_units

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch:
        """Rows first..first+count-1 of the global batch of `size` examples of this step; a function of its arguments and
        the seed alone. Each epoch visits every example once in a new order."""
        start = step * size + first
        return self._ready().batch(np.arange(start, start + count, dtype=np.int64), phase)

    def prefetch(self, step: int, phase: str, first: int, count: int, size: int) -> None:
        """Start preparing that batch in the background."""
        start = step * size + first
        self._ready().prefetch(np.arange(start, start + count, dtype=np.int64), phase)

    def _ready(self) -> Whole:
        if self._store is None or not hasattr(self, "spec"):
            raise DataError("the data set is not fitted yet; call fit(size) first")
        return self._store

    # ---- reading parts ----

    def sweep(self, part: str = "train", limit: int | None = None) -> Iterator[Batch]:
        """One ordered pass. Packed tokens come as x (1, n), stretches of about a million that never leave the part; records
        as (B, L+1) with mask; grids as (B, *shape). limit: examples at most."""
        return self._ready().rows(_number(part)).sweep(self.modality, limit)

    def scoring(
        self, part: str, *, batch: int = 32, stride: int | None = None, limit: float | None = None
    ) -> Iterator[Batch]:
        """Every target of the part counted exactly once. Windows of packed text overlap by length - stride (default: half)
        and the mask marks what counts, so context carries on. Batch.units: characters of the original that the counted
        targets stand for; over the part they sum to its characters (a list's line ends count as one each).

        limit: stop at about so many units, taken evenly from the whole part."""
        return self._ready().rows(_number(part)).scoring(self.modality, batch, stride, limit)

    def items(self, part: str, n: int, seed: int = 0) -> list[Any]:
        """n random items (all, if fewer) as `modality.decode` gives them; of packed text excerpts of `length` tokens."""
        stored = self._ready().rows(_number(part)).samples(n, seed)
        if isinstance(stored, list):
            return [self.modality.decode(row[None].astype(np.int64))[0] for row in stored]
        return self.modality.decode(self.modality.batch(stored, None, None).x)

    def text(self, part: str, limit: int | None = None) -> list[str]:
        """Documents (or records) of a text part in order, at most about `limit` characters."""
        out: list[str] = []
        left = float("inf") if limit is None else limit
        for item in self._ready().of(_number(part)):
            if left <= 0:
                break
            if not isinstance(item.data, str):
                raise DataError(f"{self.modality.name} data has no text")
            out.append(item.data[: int(left)] if left < len(item.data) else item.data)
            left -= len(item.data)
        return out

    def part_size(self, part: str) -> int:
        """Examples in a part."""
        return self._ready().rows(_number(part)).count

    def label_shares(self) -> list[float]:
        """Share of each class in the train part; empty without classes."""
        counts = self._ready().label_counts()
        total = sum(counts.values())
        return [counts[i] / total for i in range(self.spec.classes)] if total else []

    # ---- keeping ----

    def state(self) -> dict[str, Any]:
        """All that `reopen` needs, as JSON values."""
        size = self._size
        return {
            "path": str(Path(self.path).absolute()) if Path(self.path).exists() else self.path,
            "seed": self.seed,
            "modality": self.modality.name,
            "config": configs.to_json(self.modality.config),
            "learned": self.modality.state(),
            "labels": list(self._labels),
            "fingerprint": self.fingerprint,
            "parts": dict(self.scan.parts),
            "notes": list(self.scan.notes),
            "seconds": None if size is None else size.seconds,
        }

    @classmethod
    def reopen(cls, state: Mapping[str, Any], folder: Path, path: str | None = None) -> Dataset:
        """The data of a saved run, ready for batches. path: where the data lies now, if it moved.

        Raises DataError where the data is not what the run was trained on."""
        chosen = choose_kind(path or state["path"], state["modality"])
        if chosen.fingerprint != state["fingerprint"]:
            raise DataError(
                f"{path or state['path']!r} is not the data of this run: it has moved or changed; give --data PATH"
            )
        owner = find("data", state["modality"])
        kind: Modality = owner(configs.from_json(owner.Config, state["config"]))
        kind.restore(dict(state["learned"]), folder)
        data = cls._opened(chosen, kind, state["seed"], None, survey=False)
        data._labels = tuple(state["labels"])
        data.spec = kind.spec
        if data._store is None:
            data._read()
        data._encode()
        data.scan.notes = list(state["notes"])
        return data

    def close(self) -> None:
        """Stop background work and let files go."""
        if self._store is not None:
            self._store.close()


def _number(part: str) -> int:
    if part not in split.NAMES:
        raise DataError(f"{part!r} is no part; there are {', '.join(split.NAMES)}")
    return split.NAMES.index(part)
