"""Which rows of which shards are read in little time."""

from __future__ import annotations

import pytest

from anew.data.sources.base import Shard
from anew.data.splitting.row_choice import RowCost, choose_rows, take_rows

SHARDS = [Shard(str(i), 256, 0, None) for i in range(40)]
NUMBERS = list(range(40))


COST = RowCost(0.0, 1.0)  # a second for each row that is taken


def test_all_rows_some_of_each_shard_or_some_of_some_shards() -> None:
    assert set(choose_rows(NUMBERS, SHARDS, 10_240.0, COST).values()) == {1}
    assert choose_rows(NUMBERS, SHARDS, 2_560.0, COST) == dict.fromkeys(NUMBERS, 4)
    few = choose_rows(NUMBERS, SHARDS, 320.0, COST)
    assert len(few) == 10 and set(few.values()) == {8} and {0, 39} <= few.keys()
    assert choose_rows(NUMBERS, SHARDS, -5.0, COST) == {}
    assert choose_rows(NUMBERS, SHARDS, -5.0, COST, min_rows=320) == few


def test_shards_that_take_long_to_read_are_taken_whole() -> None:
    assert choose_rows(NUMBERS, SHARDS, 2_560.0, RowCost(1.0, 0.0)) == dict.fromkeys(
        [0, 4, 9, 13, 17, 22, 26, 30, 35, 39], 1
    )


def test_recordings_of_one_row_are_taken_whole() -> None:
    shards = [Shard(str(i), 1, 0, None) for i in range(100)]
    chosen = choose_rows(list(range(100)), shards, 20.0, COST)
    assert len(chosen) == 20 and set(chosen.values()) == {1}


def test_rows_are_taken_at_random_and_again() -> None:
    rows = list(take_rows("abcdefghij" * 100, 3, 10))
    assert rows == list(take_rows("abcdefghij" * 100, 3, 10)) != list(take_rows("abcdefghij" * 100, 4, 10))
    assert 60 < len(rows) < 140 and {letter for _, letter in rows} == set("abcdefghij")  # not every tenth
    assert list(take_rows("abc", 0, 1)) == [(0, "a"), (1, "b"), (2, "c")]


@pytest.mark.parametrize("sizes", [[400], [380], [600], [250, 250], [1_000]])
def test_about_as_many_rows_as_are_wanted_are_taken_whatever_the_time(sizes: list[int]) -> None:
    shards = [Shard(str(i), size, 0, None) for i, size in enumerate(sizes)]
    steps = choose_rows(range(len(sizes)), shards, 0.0, COST, min_rows=256)
    assert sum(sizes[number] / step for number, step in steps.items()) >= 0.75 * 256


@pytest.mark.parametrize("seconds", [9_999.0, 6_800.0, 5_000.0, 3_400.0])
def test_no_more_rows_of_a_single_shard_are_taken_than_there_is_time_for(seconds: float) -> None:
    steps = choose_rows([0], [Shard("", 10_000, 0, None)], seconds, COST)
    assert 10_000 / steps[0] <= seconds
