"""Lists whose records hold several numbers: one that is the product or the ratio of two others (price, quantity and amount), to the
last digit.

A ratio is a product, too: density times area is population. So products alone are looked for, up to a constant (100 for per cent).

Legend for shapes: n records, p places of numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anew.core.arrays import Integers, Numbers
from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.number_ranges import MIN_RECORDS, Place, frequent_places
from anew.evaluation.metrics.number_sums import COARSE, MARGIN, MAX_BROKEN, TELLING, USUAL, unit_of

TRIED = 100  # records by which pairs of factors are tried first; chosen: nearly all pairs fail
TRIED_BROKEN = 5  # of these, how many may break a product that is looked at more closely
# Least share of numbers of other records in the place of a factor that would break it; below, it is hardly a factor: a quantity of 1
FACTOR_TELLING = 0.1


@dataclass(frozen=True, slots=True)
class Product:
    """A number that is the product of two others and a constant.

    Attributes:
        target: Place of the number.
        factors: Places of the two others, or twice the same.
        constant: What their product is multiplied by.
        units: Units of the last digits of the number and of both factors: all are rounded.
        tightness: How far off it may be, as a share of what rounding explains; less than 1 for whole numbers, which are exact.
    """

    target: Place
    factors: tuple[Place, Place]
    constant: float
    units: tuple[float, float, float]
    tightness: float

    def is_broken(self, numbers: Mapping[Place, float]) -> bool:
        """Whether a record has all of these numbers, of which one does not follow from the others."""
        places = (self.target, *self.factors)
        if any(place not in numbers for place in places):
            return False
        target, first, second = (numbers[place] for place in places)
        slack = self.tightness * _rounding(first, second, self.constant, self.units) + _computed(target)
        return bool(abs(target - self.constant * first * second) > slack)


def products(records: Sequence[Mapping[Place, float]]) -> Iterator[Product]:
    """Yield the products that hold in nearly all records, and would not hold for numbers of different records."""
    places = [
        place
        for place in frequent_places(records)
        if sum(place in numbers for numbers in records) >= USUAL * len(records)
    ]
    table = np.array([[numbers[place] for place in places] for numbers in records if numbers.keys() >= {*places}])
    if len(table) < MIN_RECORDS or len(places) < 2:
        return
    units = np.array([unit_of(column) for column in table.T])
    rows = np.linspace(0, len(table) - 1, TRIED).astype(np.intp)
    is_constant = table.min(axis=0) == table.max(axis=0)
    for i, j in itertools.combinations_with_replacement(np.flatnonzero(~is_constant).tolist(), 2):
        for target in _candidates(table[rows], units, i, j):
            if target not in (i, j) and not is_constant[target]:
                product = _product(table, places, units, (target, i, j))
                if product is not None:
                    yield product


def _candidates(table: Array, units: Array, i: int, j: int) -> Integers:
    """The columns of a table (n, p) of a few records that may be products of two of them."""
    first, second = table[:, [i]], table[:, [j]]
    constants = _constants(table, first * second)
    slack = 2.0 * _rounding(first, second, constants, (units, units[i], units[j])) + _computed(table)
    is_broken = np.abs(table - constants * first * second) > slack
    return np.flatnonzero((constants != 0.0) & (is_broken.sum(axis=0) <= TRIED_BROKEN))


def _product(table: Array, places: Sequence[Place], units: Array, columns: tuple[int, int, int]) -> Product | None:
    """The product of columns (target and factors) of a table (n, p); None if none holds."""
    target, first, second = table[:, columns].T
    own_units = (float(units[columns[0]]), float(units[columns[1]]), float(units[columns[2]]))
    mixed = [np.roll(values, 1) for values in (target, first, second)]
    raw = float(_constants(target[:, None], (first * second)[:, None])[0])
    for constant in (*_simple(raw), raw):
        rounding = _rounding(first, second, constant, own_units)
        rest = np.abs(target - constant * first * second)
        # Whole numbers are exact
        usual = MARGIN * float(np.quantile(rest / np.maximum(rounding, 1e-300), 1.0 - MAX_BROKEN))
        tightness = min(1.0, usual)
        slack = tightness * rounding + _computed(target)
        is_exact = float(np.mean(rest > slack)) <= MAX_BROKEN and float(np.median(slack)) <= COARSE * target.std()
        is_telling = (
            float(np.mean(np.abs(mixed[0] - constant * first * second) > slack)) >= TELLING
            and float(np.mean(np.abs(target - constant * mixed[1] * second) > slack)) >= FACTOR_TELLING
            and float(np.mean(np.abs(target - constant * first * mixed[2]) > slack)) >= FACTOR_TELLING
        )
        if is_exact and is_telling:
            factors = (places[columns[1]], places[columns[2]])
            return Product(places[columns[0]], factors, constant, own_units, tightness)
    return None


def _constants(targets: Array, product: Array) -> Array:
    """The constants (p,) by which a product (n, 1) may be each of some targets (n, p): 0 where it is zero in too many records.

    They are medians over the largest products, which rounding matters least for.
    """
    largest = np.argsort(-np.abs(product[:, 0]))[: max(len(product) // 3, 1)]
    if not product[largest].all():
        return np.zeros(targets.shape[1])
    return np.asarray(np.median(targets[largest] / product[largest], axis=0))


def _simple(constant: float) -> list[float]:
    """Decimal numbers and fractions of one digit that a constant may be but for rounding, the nearest first."""
    if constant == 0.0:
        return []
    scale = 10.0 ** np.floor(np.log10(abs(constant)))
    values = {round(constant / scale * d) / d * scale for d in (1, 2, 3, 4, 6, 8, 100)}
    return sorted(values - {0.0}, key=lambda value: abs(value - constant))


def _rounding(
    first: Array, second: Array, constant: Numbers | float, units: tuple[Numbers | float, float, float]
) -> Array:
    """How far a product may be off if it and both factors are rounded."""
    own, first_unit, second_unit = units
    return np.asarray(0.5 * (own + np.abs(constant) * (np.abs(first) * second_unit + np.abs(second) * first_unit)))


def _computed(target: Array) -> Array:
    """How far a product of floating-point numbers may be off."""
    return 1e-9 * np.abs(target)
