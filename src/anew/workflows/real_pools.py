"""The real items that the memorization test compares samples with, and how many of them memory holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from anew.core.machine.allocator import return_freed_memory
from anew.core.sequences import Joined, Rearranged
from anew.core.specs import Tokens
from anew.core.stores.text_column import TextColumnBuilder
from anew.data.dataset import Dataset, num_texts
from anew.data.loading.epoch_order import random_subset
from anew.data.loading.in_memory import InMemoryStore
from anew.data.loading.stored_shards import StoredGrids
from anew.data.types import DecodedItem
from anew.evaluation.base import load_evaluation
from anew.evaluation.inputs import MAX_POOL, RealPool
from anew.evaluation.memorization.blocks import WORKING_BYTES
from anew.evaluation.memorization.item_type import text_bytes
from anew.evaluation.score import Division
from anew.workflows.item_inputs import num_items
from anew.workflows.timing.sample_counts import is_running_text

# Characters in which near-duplicates among the texts of a pool are looked for, in all and of each: half a second on an idle core
TWIN_CHARACTERS, TWIN_TEXTS = 4_000_000, (400, 4_000)
MEASURED_ITEMS = 500  # real items that say how much memory one takes; chosen
MAX_HELD_BYTES = 256 * 1024 * 1024  # bytes of grids that are held at once; chosen
MIN_POOL = 1_000  # real items that the memorization test takes however large they are: fewer say nothing


def division_of(data: Dataset) -> Division:
    """How the items of a run's data were divided."""
    _, is_drawn_one_by_one = data.held_out()
    if "test" not in data.own_held_out_parts:
        return Division.GIVEN
    return Division.ITEMS if is_drawn_one_by_one and not is_running_text(data.spec) else Division.FILES


def real_pool(data: Dataset, n: int, seed: int) -> RealPool[DecodedItem]:
    """At most n real items of a run's data, in random order, for the memorization test; for running text, all that memory holds."""
    held_out_parts, random = data.held_out()
    together = bool(data.own_held_out_parts) and not random
    return_freed_memory()  # what features of all items took, of which the test needs nothing
    if is_running_text(data.base.spec):
        parts = {part: data.text(part) for part in ("train", *held_out_parts)}
        texts: list[DecodedItem] = [*parts["train"]]
        held_out_texts: list[DecodedItem] = [text for part in held_out_parts for text in parts[part]]
        totals = {part: num_texts(data, part, read) for part, read in parts.items()}
        max_characters = int(np.clip(TWIN_CHARACTERS // max(len(texts), 1), *TWIN_TEXTS))
        keys = data.near_duplicate_groups([*texts, *held_out_texts], max_characters)
        groups = np.unique(keys, return_inverse=True)[1]
        return RealPool(
            texts,
            held_out_texts,
            groups,
            totals["train"],
            randomly_held_out=random,
            num_held_out_total=sum(totals[part] for part in held_out_parts),
            held_out_together=together,
            fills_memory=True,
        )
    first = data.items("train", MEASURED_ITEMS, seed)
    n = pool_size(first, data.modality.base.name, n) if first else n
    per_part = n // 2 // len(held_out_parts)
    held_out = Joined(*(_compact_items(data, part, per_part, seed) for part in held_out_parts))
    num_wanted = n - len(held_out)
    train = _compact_items(data, "train", num_wanted, seed)
    # A long record makes several examples: if all records were read, count the records, not the examples.
    total = len(train) if len(train) < num_wanted else num_items(data, "train")
    pool = grouped_pool(data, train, held_out, total, random, seed)
    num_held_out = sum(num_items(data, part) for part in held_out_parts)
    return replace(pool, num_held_out_total=num_held_out, held_out_together=together)


def grouped_pool(
    data: Dataset,
    train: Sequence[DecodedItem],
    held_out: Sequence[DecodedItem],
    num_train_total: int,
    randomly_held_out: bool,
    seed: int,
) -> RealPool[DecodedItem]:
    """A pool of these items in random order, with the groups of their near-duplicates."""
    rng = np.random.default_rng(seed)
    train, held_out = (Rearranged(part, rng.permutation(len(part)).astype(np.int32)) for part in (train, held_out))
    groups = np.unique(data.near_duplicate_groups(Joined(train, held_out)), return_inverse=True)[1].astype(np.int32)
    return_freed_memory()  # keys of all items, and what sorted them
    total = max(num_train_total, len(train))
    return RealPool(train, held_out, groups, total, randomly_held_out, are_draws=data.are_draws)


def pool_size(items: Sequence[DecodedItem], modality: str, n: int) -> int:
    """How many of n real items like these a memorization test compares. modality: its name.

    More than MAX_POOL are asked for without a budget alone: then those that memory does not hold are compared block by block."""
    item_type = load_evaluation(modality).type_of(items)
    is_unlimited = n > MAX_POOL and item_type is not None and item_type.is_blockwise
    return n if is_unlimited else min(n, pool_limit(items, modality))


def pool_limit(items: Sequence[DecodedItem], modality: str) -> int:
    """How many real items like these the memorization test may hold in memory. modality: its name."""
    item_type = load_evaluation(modality).type_of(items)
    size = float(np.mean([text_bytes(item) if item_type is None else item_type.working_bytes(item) for item in items]))
    return max(int(WORKING_BYTES / max(size, 1.0)), MIN_POOL)


def _compact_items(data: Dataset, part: str, n: int, seed: int = 0) -> Sequence[DecodedItem]:
    """The items of `data.items`: records as one block of bytes, grids read from the cache when they are asked for.

    Ten million names would take a gigabyte as Python strings.
    """
    base = data.base
    store, number = base.opened_part(part)
    is_text = isinstance(base.spec, Tokens) and base.spec.packed
    if isinstance(store, InMemoryStore) or is_text:
        return base.items(part, n, seed)
    if not isinstance(base.spec, Tokens):
        if n * store.rates["ids"] <= MAX_HELD_BYTES:
            return base.items(part, n, seed)
        return _drawn(StoredGrids(store.stored(number, n), base.modality.to_items), n, seed)
    builder = TextColumnBuilder()
    for rows in store.stored(number, n).records():
        builder.extend([str(base.modality.decode(row[None].astype(np.int64))[0]) for row in rows])
    return _drawn(builder.column().narrow(), n, seed)


def _drawn(items: Sequence[DecodedItem], n: int, seed: int) -> Sequence[DecodedItem]:
    """n random ones of some items, in their order; all, if there are no more."""
    return items if len(items) <= n else Rearranged(items, random_subset(len(items), n, seed))
