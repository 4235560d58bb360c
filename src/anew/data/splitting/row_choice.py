"""Which rows of which shards are read where there is no time for all of them: some at random in each of many shards.

Rows of tables and archives are often sorted, by class for example, so that whole shards would miss classes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from anew.core.arrays import evenly_spaced
from anew.core.splitmix import splitmix64
from anew.data.sources.base import Shard

T = TypeVar("T")

EVERY_ROW, NO_ROW = 1, 0  # steps of a shard that is read whole, and of one that is not read
# Rows of a shard that make it worth reading, since all of it passes through memory: an eighth of one of images; chosen
MIN_ROWS_OF_SHARD = 32
MIN_SECONDS = 1e-9  # stands for what was too quick to be measured
HASHED_PLACES = 1_024  # rows at once: one by one, a hash takes as long as reading a row
ROUNDING = 1e-6  # a quotient of floats that is as near to a whole number as this is that number


@dataclass(frozen=True, slots=True)
class RowCost:
    """Cost of the rows of a shard.

    Attributes:
        listed_s: Seconds for each row of a shard that is read, whether it is taken or not.
        taken_s: Further seconds for each row that is taken.
    """

    listed_s: float
    taken_s: float


def choose_rows(
    numbers: Sequence[int],
    shards: Sequence[Shard],
    seconds: float,
    cost: RowCost,
    min_rows: float = 0.0,
    rows_a_shard: float = MIN_ROWS_OF_SHARD,
) -> dict[int, int]:
    """Rows of as many shards as there is time for: of how many rows of each one is taken, by the shard's number.

    Args:
        numbers: Numbers of the shards that can be read; of few rows, evenly spaced ones of them are.
        shards: All shards.
        seconds: The time that there is.
        cost: Cost of rows.
        min_rows: About how many rows are taken at least, whatever the time.
        rows_a_shard: Rows that make it worth reading one.
    """
    total = sum(shards[i].items for i in numbers)
    if total * (cost.listed_s + cost.taken_s) <= seconds or total <= min_rows:
        return dict.fromkeys(numbers, EVERY_ROW)
    mean = total / len(numbers)
    rows_a_shard = min(rows_a_shard, mean)
    affordable = seconds / max(mean * cost.listed_s + rows_a_shard * cost.taken_s, MIN_SECONDS)
    num_shards = min(int(max(affordable, min_rows / rows_a_shard)), len(numbers))
    if num_shards < 1:
        return {}
    chosen = evenly_spaced(numbers, num_shards)
    listed = sum(shards[i].items for i in chosen)
    in_time = (seconds - listed * cost.listed_s) / cost.taken_s if cost.taken_s else listed
    step = math.ceil(listed / max(in_time, num_shards * rows_a_shard) - ROUNDING)
    if min_rows > 0.0:
        step = min(step, round(listed / min_rows))
    return dict.fromkeys(chosen, max(EVERY_ROW, step))


def take_rows(rows: Iterable[T], number: int, step: int) -> Iterator[tuple[int, T]]:
    """Some rows of a shard with their places in it: one of `step` at random, as its number and the place decide.

    Every `step`-th one would be of one class where rows of several classes take turns.
    """
    places = itertools.count() if step == EVERY_ROW else _taken_places(number, step)
    next_place = next(places)
    for place, row in enumerate(rows):
        if place == next_place:
            yield place, row
            next_place = next(places)


def _taken_places(number: int, step: int) -> Iterator[int]:
    """The places of a shard whose rows are taken, without an end."""
    shard = splitmix64(np.array([number], dtype=np.uint64))  # (1,)
    for first in itertools.count(0, HASHED_PLACES):
        places = np.arange(first, first + HASHED_PLACES).astype(np.uint64)  # (HASHED_PLACES,)
        hashes = splitmix64(np.add(shard, places, dtype=np.uint64))  # (HASHED_PLACES,)
        yield from (first + np.flatnonzero(hashes % np.uint64(step) == 0)).tolist()
