"""The real items of memorization tests, and how many fit in memory."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Hashable
from pathlib import Path

import numpy as np
import pytest

from anew.data.dataset import Dataset
from anew.data.types import DataBudget, DecodedItem
from anew.evaluation.inputs import MAX_POOL
from anew.evaluation.memorization.blocks import WORKING_BYTES
from anew.evaluation.memorization.item_type import content_keys
from anew.workflows.real_pools import pool_limit, pool_size, real_pool
from samples import names, shapes


def test_the_memorization_test_holds_as_many_items_as_their_features_leave_room_for() -> None:
    """Features have the same size whatever an item has: ten times the size of an image of 768 bytes are too few."""
    small, large = np.zeros((16, 16, 3), np.uint8), np.zeros((400, 400), np.uint8)
    assert WORKING_BYTES // 22_000 < pool_limit([small], "image") < WORKING_BYTES // 15_000
    assert pool_limit([large], "image") > WORKING_BYTES // (2 * large.nbytes)
    sound = np.zeros(40_000, np.float32)
    assert WORKING_BYTES // (3 * sound.nbytes) < pool_limit([sound], "audio") <= WORKING_BYTES // (2 * sound.nbytes)
    assert pool_limit([np.zeros(2**28, np.float32)], "audio") == 1_000  # fewer say nothing
    clip = np.zeros((9, 16, 16, 3), np.uint8)
    assert pool_limit([clip], "video") < pool_limit([small], "image")
    assert pool_limit(["Marlene"], "text") > 1_000_000


def test_memory_limits_no_items_that_are_compared_block_by_block() -> None:
    digits, names = [np.zeros((28, 28), np.uint8)], ["Marlene"] * 30
    assert pool_size(digits, "image", 10**7) == 10**7 and pool_size(digits, "image", MAX_POOL) < MAX_POOL
    # A record of seven letters takes 94 bytes, so ten million are compared, and not twenty
    assert 10**7 < pool_size(names, "text", 10**9) < 2 * 10**7


def test_millions_of_items_are_those_of_little_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records lie in a block of bytes, images are read again from the cache: the pool is that of lists."""
    names(tmp_path / "names.txt", 400)
    shapes(tmp_path / "images", 90)
    monkeypatch.setattr("anew.data.source_store.MAX_WHOLE_LIST_BYTES", 0)
    monkeypatch.setattr("anew.workflows.real_pools.MAX_HELD_BYTES", 0)
    for name, n in (("names.txt", 10**6), ("names.txt", 80), ("images", 10**6), ("images", 40)):
        with contextlib.closing(Dataset.open(tmp_path / name, cache=tmp_path / "cache")) as data:
            data.fit(DataBudget(60.0, 0, 0))
            pool = real_pool(data, n, 0)
            items = [*pool.train, *pool.held_out]
            parts = {part: data.items(part, 10**6) for part in ("train", "validation", "test")}
            assert len(items) == min(n, sum(map(len, parts.values()))) and keys(pool.train[3]) == keys(items[3])
            if n == 10**6:
                assert Counter(map(keys, pool.train)) == Counter(map(keys, parts["train"]))
            assert set(map(keys, pool.train)) <= set(map(keys, parts["train"]))


def keys(item: DecodedItem) -> Hashable:
    return content_keys(item)[0]


def test_the_number_of_training_images_is_that_of_all_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A memorization test of some images said that it had compared all, as only the shards of a pass were counted."""
    shapes(tmp_path / "images", 700)
    monkeypatch.setattr("anew.data.loading.streaming.PASS_ITEMS", 1)
    with contextlib.closing(Dataset.open(tmp_path / "images", cache=tmp_path / "cache")) as data:
        data.fit(DataBudget(60.0, 0, 0))
        pool = real_pool(data, 150, 0)
        assert len(pool.train) < 150 and pool.num_train_total == data.scan.parts["train"] > 300
