"""Ranges of numbers in records: an hour of 42, or an octet of 300, occurs in no record of the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anew.evaluation.score import ENOUGH_FOR_RARE_SHARES, LEAST_OF_SHARES, Tolerance, bounded_spec

OUT_OF_RANGE = bounded_spec(
    "numbers_out_of_range",
    "Numbers out of range",
    "Share of samples with a number far above or below all that the data has at the same place.",
    Tolerance(
        "closeness",
        small=0.05,
        large=0.3,
        clause="{value:.0%} of samples have a number out of the range that it has in the data (real data: {real:.0%})",
        least=LEAST_OF_SHARES,
        least_to_pass=ENOUGH_FOR_RARE_SHARES,
    ),
)
# Training records with a number at a place, or two: of fewer, the next one is often the largest, and orders hold by chance
MIN_RECORDS_WITH_NUMBERS = 200
# Largest share of training records that may break an order or a relation: a few records of real data are wrong
MAX_BROKEN = 0.002
MAX_PLACES = 40  # most frequent places of numbers; pairs grow with the square
# Share of the range by which a number may exceed it: the largest of held-out records often does; chosen.
RANGE_MARGIN = 0.1

NumberPlace = tuple[str | int, ...]  # where in a record a number stands


@dataclass(frozen=True, slots=True)
class NumberRange:
    """The numbers at a place of all training records lie from low to high, without the margin."""

    place: NumberPlace
    low: float
    high: float

    def excludes(self, numbers: Mapping[NumberPlace, float]) -> bool:
        """Whether the number at this place of a record is out of range; False without one."""
        margin = RANGE_MARGIN * (self.high - self.low)
        return self.place in numbers and not self.low - margin <= numbers[self.place] <= self.high + margin


def frequent_places(records: Sequence[Mapping[NumberPlace, float]]) -> list[NumberPlace]:
    """The places where enough records have a number, the most frequent first, up to MAX_PLACES."""
    counts = Counter(place for numbers in records for place in numbers)
    return [place for place, count in counts.most_common(MAX_PLACES) if count >= MIN_RECORDS_WITH_NUMBERS]


def ranges(records: Sequence[Mapping[NumberPlace, float]]) -> list[NumberRange]:
    """The ranges of the most frequent places. records: the numbers of training records by their places."""
    values = (
        (place, [numbers[place] for numbers in records if place in numbers]) for place in frequent_places(records)
    )
    return [NumberRange(place, min(numbers), max(numbers)) for place, numbers in values]
