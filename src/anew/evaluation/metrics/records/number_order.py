"""Lists whose records hold several numbers: orders that two of them always have ("06/01": no dew point above the temperature).

Other figures see each number by itself, or how numbers go together in rows of equally many fields. If all samples have two numbers
swapped, each of them is as it should be.

Legend for shapes: n records, p places of numbers.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.metrics.records.number_products import Product, products
from anew.evaluation.metrics.records.number_ranges import (
    MAX_BROKEN,
    MIN_RECORDS_WITH_NUMBERS,
    OUT_OF_RANGE,
    NumberPlace,
    frequent_places,
    ranges,
)
from anew.evaluation.metrics.records.number_sums import BROKEN_SUM, WeightedSum, weighted_sums
from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.metrics.records.row_formats import RowFormat, number
from anew.evaluation.metrics.shares import share_score
from anew.evaluation.score import ENOUGH_FOR_RARE_SHARES, LEAST_OF_SHARES, MetricSpec, Score, Tolerance, bounded_spec

BROKEN_ORDER = bounded_spec(
    "broken_order",
    "Broken order of numbers",
    "Share of samples with two numbers in an order that they never have in the data: an end before its beginning, a total below "
    "its part.",
    Tolerance(
        "closeness",
        small=0.03,
        large=0.15,
        clause="{value:.0%} of samples have numbers in an order that the data never has (real data: {real:.0%})",
        least=LEAST_OF_SHARES,
        least_to_pass=ENOUGH_FOR_RARE_SHARES,
    ),
)
# Least share of numbers of different records that would break an order; below, it only says that one number is larger than others
MIN_ORDER_BROKEN_BY_CHANCE = 0.05
# Records whose numbers are compared with those of other records: the error of the share is then 0.005.
MAX_MIXED = 2_000

# Largest groups of records (a form of equation, a category) whose own relations are looked for, which bounds the time; chosen
MAX_GROUPS = 16

NumberRule = Callable[[Mapping[NumberPlace, float]], bool]  # whether the numbers of a record break it
Rule = Callable[[str, Mapping[NumberPlace, float]], bool]  # the same of a record, and its numbers

_NUMBER = re.compile(r"(?:(?<!\w)-)?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Order:
    """Two places of numbers; the number at the first is never above that at the second."""

    low: NumberPlace
    high: NumberPlace

    def is_broken(self, numbers: Mapping[NumberPlace, float]) -> bool:
        return self.low in numbers and self.high in numbers and numbers[self.low] > numbers[self.high]


def numbers_of(record: str, form: RowFormat | None) -> dict[NumberPlace, float]:
    """The numbers of a record by their places: the column of a row, or else the word that a number is part of.

    form: How records are divided into fields; None if they are not rows.
    """
    if form is not None:
        fields = form.layout.fields(record) or []
        # There are no fields if the record is malformed
        numbers = [column.number(field) for column, field in zip(form.columns, fields, strict=False)]
        return _numbers(fields, numbers, [(i,) for i in range(len(fields))])
    words = record.split()
    shapes = [_NUMBER.sub("0", word) for word in words]
    num_before: Counter[str] = Counter()
    places: list[NumberPlace] = []
    for shape in shapes:
        places.append((shape, num_before[shape]))
        num_before[shape] += 1
    return _numbers(words, list(map(number, words)), places)


def _numbers(
    texts: Sequence[str], wholes: Sequence[float | None], places: Sequence[NumberPlace]
) -> dict[NumberPlace, float]:
    """Numbers by place. wholes: the number that each text is, if it is one; otherwise those within it count."""
    numbers: dict[NumberPlace, float] = {}
    for text, whole, place in zip(texts, wholes, places, strict=True):
        if whole is not None:
            numbers[place] = whole
            continue
        parts = _NUMBER.findall(text)
        numbers |= {(*place, len(parts), i): float(part) for i, part in enumerate(parts)}
    return numbers


def orders(records: Sequence[Mapping[NumberPlace, float]]) -> list[Order]:
    """The orders that hold in nearly all records, and would not hold for numbers of different records."""
    places = frequent_places(records)
    if not places:
        return []
    table = np.array([[numbers.get(place, np.nan) for place in places] for numbers in records])  # (n, p)
    present = (~np.isnan(table)).astype(np.float64)
    num_both = present.T @ present  # (p, p) records
    broken = np.array([(table[:, [i]] > table).sum(axis=0) for i in range(len(places))])  # (p, p)
    holds = (num_both >= MIN_RECORDS_WITH_NUMBERS) & (broken / np.maximum(num_both, 1.0) <= MAX_BROKEN)
    np.fill_diagonal(holds, False)
    pairs = [(int(i), int(j)) for i, j in np.argwhere(holds)]
    return [Order(places[i], places[j]) for i, j in pairs if _is_often_broken_by_chance(table[:, i], table[:, j])]


def _is_often_broken_by_chance(low: NDArray[np.float64], high: NDArray[np.float64]) -> bool:
    """Whether numbers of different records would often break an order of two columns, judged by some of the records."""
    rows = np.flatnonzero(~(np.isnan(low) | np.isnan(high)))[:MAX_MIXED]
    low, high = low[rows], high[rows]
    below = np.searchsorted(np.sort(high), low, "left")  # numbers at the second place that are below each at the first
    return float(below.mean()) >= MIN_ORDER_BROKEN_BY_CHANCE * len(low)


def _for_all(is_broken: NumberRule) -> Rule:
    """A rule about the numbers of any record."""
    return lambda record, numbers: is_broken(numbers)


def _relations(records: Sequence[Mapping[NumberPlace, float]]) -> list[WeightedSum | Product]:
    """The sums and products that hold in nearly all records."""
    return [*weighted_sums(records), *products(records)]


def _places_of(relation: WeightedSum | Product) -> tuple[NumberPlace, frozenset[NumberPlace]]:
    """The place of the number that follows, and those that it follows from."""
    return relation.target, frozenset(relation.places if isinstance(relation, WeightedSum) else relation.factors)


def _relation_rules(
    known: Sequence[str], known_numbers: Sequence[Mapping[NumberPlace, float]], form: RowFormat | None
) -> Iterator[Rule]:
    """Yield the relations that hold in all records, and others that hold within large groups of them:
    "3 + 4 = 7" and "3 x 4 = 12"."""
    relations = _relations(known_numbers)
    yield from (_for_all(relation.is_broken) for relation in relations)
    of_all = set(map(_places_of, relations))
    members = defaultdict(list)
    for record, numbers in zip(known, known_numbers, strict=True):
        for group in _groups_of(record, form):
            members[group].append(numbers)
    largest = sorted(members, key=lambda group: -len(members[group]))[:MAX_GROUPS]
    for group in largest:
        if MIN_RECORDS_WITH_NUMBERS <= len(members[group]) < len(known):
            own = [relation for relation in _relations(members[group]) if _places_of(relation) not in of_all]
            yield from (partial(_is_broken_in, group, form, relation.is_broken) for relation in own)


def _groups_of(record: str, form: RowFormat | None) -> list[NumberPlace]:
    """The groups that a record belongs to: of a row, one for each column of a few values, or else its shape without its numbers."""
    if form is None:
        return [(_NUMBER.sub("0", record),)]
    fields = form.layout.fields(record) or []
    columns = enumerate(zip(fields, form.columns, strict=False))
    return [(i, field) for i, (field, column) in columns if column.numbers is None and field in column.levels]


def _is_broken_in(
    group: NumberPlace, form: RowFormat | None, is_broken: NumberRule, record: str, numbers: Mapping[NumberPlace, float]
) -> bool:
    return is_broken(numbers) and group in _groups_of(record, form)


def number_scores(sets: RecordSets) -> Iterator[Score]:
    """Yield the shares of samples with numbers out of range, in an order that the data never has, and that do not follow from others
    as in the data; nothing if the data has no such order or relation, or no numbers."""
    known, form = sets.known, sets.row_format
    known_numbers = [numbers_of(record, form) for record in known]
    rules: list[tuple[MetricSpec, list[Rule], str]] = [
        (
            BROKEN_ORDER,
            [_for_all(order.is_broken) for order in orders(known_numbers)],
            f"orders of two numbers that hold in all but {MAX_BROKEN:.1%}",
        ),
        (
            BROKEN_SUM,
            [*_relation_rules(known, known_numbers, form)],
            f"numbers that follow from others in all but {MAX_BROKEN:.1%}",
        ),
        (
            OUT_OF_RANGE,
            [_for_all(limits.excludes) for limits in ranges(known_numbers)],
            "places of numbers, and their ranges,",
        ),
    ]
    if not sets.samples or not sets.held_out:
        return
    numbers, real_numbers = (
        [(record, numbers_of(record, form)) for record in part] for part in (sets.samples, sets.held_out)
    )
    for spec, breaks, clause in rules:
        if breaks:
            broken, real_broken = (
                [any(rule(*row) for rule in breaks) for row in part] for part in (numbers, real_numbers)
            )
            source = f"{len(breaks):,} {clause} of {len(known):,} training records; real: held-out records"
            yield share_score(spec, broken, real_broken, source)
