"""Lists whose records hold several numbers: one that is the product or the ratio of others (price, quantity and amount), to the last
digit.

A ratio is a product, too: density times area is population. Therefore only products are looked for, up to a constant (100 for per cent).

Legend for shapes: n records, p places of numbers, k factors.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from anew.core.arrays import Integers
from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.records.number_ranges import MAX_BROKEN, MIN_RECORDS_WITH_NUMBERS, NumberPlace
from anew.evaluation.metrics.records.number_sums import (
    DISTANCE_MARGIN,
    MAX_RELATIVE_SLACK,
    MIN_BROKEN_BY_CHANCE,
    unit_of,
    usual_numbers,
)

TRIED = 100  # records by which factors are tried first; chosen: nearly all fail
TRIED_BROKEN = 5  # most of these that may break a product which is looked at more closely
# Least share of numbers of other records in the place of a factor that would break it; below, it is hardly one: a quantity of 1
MIN_FACTOR_BROKEN_BY_CHANCE = 0.1
# Places of numbers up to which products of three factors are looked for, which bounds the time
MAX_PLACES_OF_THREE = 16


@dataclass(frozen=True, slots=True)
class Product:
    """A number that is the product of others and a constant.

    Attributes:
        target: Place of the number.
        factors: The k places of the others; one that is squared twice.
        constant: Factor of their product.
        unit, factor_units: Units of the last digits of the number and of the factors: all are rounded.
        tightness: How far off it may be, as a share of what rounding explains; less than 1 for whole numbers, which are exact.
    """

    target: NumberPlace
    factors: tuple[NumberPlace, ...]
    constant: float
    unit: float
    factor_units: tuple[float, ...]
    tightness: float

    def is_broken(self, numbers: Mapping[NumberPlace, float]) -> bool:
        """Whether a record has all of these numbers, and the target does not follow from the others."""
        if self.target not in numbers or any(place not in numbers for place in self.factors):
            return False
        target = np.array([numbers[self.target]])
        factors = np.array([[numbers[place] for place in self.factors]])
        return bool((self.distance(target, factors) > self.slack(target, factors))[0])

    def distance(self, target: Array, factors: Array) -> Array:
        """How far (n,) numbers (n,) are from the product of factors (n, k)."""
        return np.asarray(np.abs(target - self.constant * factors.prod(axis=1)))

    def slack(self, target: Array, factors: Array) -> Array:
        """How far (n,) they may be."""
        rounding = _rounding(factors, self.constant, self.unit, np.array(self.factor_units))
        return np.asarray(self.tightness * rounding + 1e-9 * np.abs(target))


def products(records: Sequence[Mapping[NumberPlace, float]]) -> Iterator[Product]:
    """Yield the products that hold in nearly all records, and would not hold for numbers of different records."""
    places, table = usual_numbers(records)
    if len(table) < MIN_RECORDS_WITH_NUMBERS or len(places) < 2:
        return
    units = np.array([unit_of(column) for column in table.T])
    for target, (product, factors) in _by_target(table, units).items():
        yield replace(product, target=places[target], factors=tuple(places[i] for i in factors))


def _by_target(table: Array, units: Array) -> dict[int, tuple[Product, Sequence[int]]]:
    """The products of columns of a table (n, p), without their places, and the columns of their factors, by that of the number."""
    varying = np.flatnonzero(table.min(axis=0) < table.max(axis=0)).tolist()
    by_target: dict[int, tuple[Product, Sequence[int]]] = {}
    for num_factors in (2, 3) if len(varying) <= MAX_PLACES_OF_THREE else (2,):
        for factors in itertools.combinations_with_replacement(varying, num_factors):
            targets = [
                i for i in _candidates(table, units, factors).tolist() if i not in by_target and i not in factors
            ]
            products_of_columns = {i: _product(table, units, i, factors) for i in targets}
            by_target |= {i: (product, factors) for i, product in products_of_columns.items() if product is not None}
    return by_target


def _candidates(table: Array, units: Array, factors: Sequence[int]) -> Integers:
    """The columns of a table (n, p) that may be products of some others, by a few records."""
    table = table[np.linspace(0, len(table) - 1, TRIED).astype(np.intp)]
    factor_values = table[:, factors]
    constants = _constants(table, factor_values.prod(axis=1))
    # Twice the rounding of `_rounding`, for all columns at once
    slack = units + 2.0 * np.abs(constants) * _rounding(factor_values, 1.0, 0.0, units[list(factors)])[:, None]
    is_broken = np.abs(table - constants * factor_values.prod(axis=1)[:, None]) > slack + 1e-9 * np.abs(table)
    return np.flatnonzero((constants != 0.0) & (is_broken.sum(axis=0) <= TRIED_BROKEN))


def _product(table: Array, units: Array, target: int, factors: Sequence[int]) -> Product | None:
    """The product of columns of a table (n, p), without its places; None if none holds."""
    values, own = table[:, target], table[:, factors]
    factor_units = tuple(units[list(factors)].tolist())
    raw = float(_constants(values[:, None], own.prod(axis=1))[0])
    for constant in (*_simple_constants(raw), raw):
        exact = Product((), (), constant, float(units[target]), factor_units, 1.0)
        rounding = np.maximum(exact.slack(np.zeros(len(values)), own), 1e-300)
        # Whole numbers are exact
        usual = DISTANCE_MARGIN * float(np.quantile(exact.distance(values, own) / rounding, 1.0 - MAX_BROKEN))
        product = Product((), (), constant, exact.unit, factor_units, min(1.0, usual))
        slack = product.slack(values, own)
        is_broken = product.distance(values, own) > slack
        is_exact = float(is_broken.mean()) <= MAX_BROKEN and float(np.median(slack)) <= MAX_RELATIVE_SLACK * float(
            values.std()
        )
        if is_exact and _is_often_broken_by_chance(product, values, own, factors):
            return product
    return None


def _is_often_broken_by_chance(product: Product, target: Array, factors: Array, columns: Sequence[int]) -> bool:
    """Whether numbers of other records in the place of the target (n,), or of one of the factors (n, k), would often break a product."""

    def share_broken(values: Array, own: Array) -> float:
        return float((product.distance(values, own) > product.slack(values, own)).mean())

    mixed = [np.where(np.array(columns) == column, np.roll(factors, 1, axis=0), factors) for column in {*columns}]
    return share_broken(np.roll(target, 1), factors) >= MIN_BROKEN_BY_CHANCE and all(
        share_broken(target, own) >= MIN_FACTOR_BROKEN_BY_CHANCE for own in mixed
    )


def _constants(targets: Array, product: Array) -> Array:
    """The constants (p,) by which a product (n,) may be each of some targets (n, p): 0 where it is zero in too many records.

    They are medians over the largest products, which rounding matters least for.
    """
    largest = np.argsort(-np.abs(product))[: max(len(product) // 3, 1)]
    if not product[largest].all():
        return np.zeros(targets.shape[1])
    return np.asarray(np.median(targets[largest] / product[largest, None], axis=0))


def _simple_constants(constant: float) -> list[float]:
    """Decimal numbers and fractions of one digit that a constant may be but for rounding, the nearest first."""
    if constant == 0.0:
        return []
    scale = 10.0 ** np.floor(np.log10(abs(constant)))
    values = {float(round(constant / scale * d) / d * scale) for d in (1, 2, 3, 4, 6, 8, 100)}
    return sorted(values - {0.0}, key=lambda value: abs(value - constant))


def _rounding(factors: Array, constant: float, unit: float, units: Array) -> Array:
    """How far (n,) products of factors (n, k) may be off if they are rounded to a unit, and the factors to theirs (k,)."""
    others = [np.delete(factors, i, axis=1).prod(axis=1) for i in range(factors.shape[1])]
    return np.asarray(0.5 * (unit + abs(constant) * (np.abs(np.stack(others, axis=1)) @ units)))
