"""The result of fitting a modality is kept on disk for the next training on the same data without a time limit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from anew.core.files import cache_root
from anew.core.version import __version__
from anew.data.loading.cache import DiskCache, cache_name
from anew.data.loading.in_memory import InMemoryStore
from anew.data.loading.streaming import StreamingStore
from anew.data.modality import Modality
from anew.data.types import DataBudget

NAME = "fitted"


def fit_modality(
    modality: Modality,
    store: InMemoryStore | StreamingStore,
    size: DataBudget,
    labels: Sequence[str],
    cache: Path | None,
    name: Sequence[object],
) -> None:
    """Let a modality learn from the train part, or restore what it learned from the same items with the same budget.

    The result is cached where bodies must be decoded and the clock plays no part, for this version of Anew only, as others may
    learn something else.

    Args:
        modality, store, size, labels: What the modality learns from.
        cache: Folder of the cache; None for the default one.
        name: JSON values that identify the data, the settings and the seed.
    """
    if isinstance(store, InMemoryStore) or not modality.native or size.reading.is_limited:
        modality.fit(store.fit_items(), size, labels)
        return
    budget = {key: value for key, value in asdict(size).items() if key != "reading"}
    disk = DiskCache(
        cache_root(cache), cache_name(NAME, __version__, *name, budget, list(labels), *store.division_name)
    )
    if not _is_restored(modality, store, disk):
        modality.fit(store.fit_items(), size, labels)
        text = json.dumps({"state": modality.state(), "classes": store.class_counts})
        disk.store_arrays(NAME, {"learned": np.frombuffer(text.encode(), dtype=np.uint8)})


def _is_restored(modality: Modality, store: StreamingStore, disk: DiskCache) -> bool:
    """Restore what was learned, if it was stored and is not damaged."""
    stored = disk.load_arrays(NAME)
    try:
        learned = json.loads(stored["learned"].tobytes())
        classes = Counter({str(name): int(count) for name, count in learned["classes"].items()})
        # Only modalities of text have further files
        modality.restore(learned["state"], Path())
    except (KeyError, TypeError, AttributeError, ValueError):
        return False
    store.class_counts = classes
    return True
