"""Lists whose records hold several numbers: one that follows from others ("total" is the sum of six), as linear relations that hold
to the last digit.

Legend for shapes: n records, p places of numbers, k of them that a number follows from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.records.number_ranges import (
    MAX_BROKEN,
    MIN_RECORDS_WITH_NUMBERS,
    NumberPlace,
    frequent_places,
)
from anew.evaluation.score import ENOUGH_FOR_RARE_SHARES, LEAST_OF_SHARES, Tolerance, bounded_spec

BROKEN_SUM = bounded_spec(
    "broken_sum",
    "Broken sums and products",
    "Share of samples with a number that does not follow from others as it does in the data: a total that is not the sum of its "
    "parts, an amount that is not price times quantity.",
    Tolerance(
        "closeness",
        small=0.03,
        large=0.15,
        clause="{value:.0%} of samples have a number that does not follow from others as in the data (real data: {real:.0%})",
        least=LEAST_OF_SHARES,
        least_to_pass=ENOUGH_FOR_RARE_SHARES,
    ),
)
MIN_BROKEN_BY_CHANCE = 0.5  # least share of numbers of other records that would break it; below, it says little; chosen
MIN_SHARE_WITH_NUMBER = 0.9  # least share of records with a number at a place that relations are looked for in; chosen
# Most that a number may be off, in standard deviations of its own: with large weights, rounding alone would excuse any number; chosen
MAX_RELATIVE_SLACK = 0.1
# Share of records farthest from a relation, which do not count where it is learned: they may be wrong
TRIMMED_SHARE = 0.01
ROUNDS = 3  # times that a relation is learned and the records farthest from it are left out; chosen
# Denominators of coefficients: those of sums, means, percentages and units.
DENOMINATORS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 100, 1000)
DISTANCE_MARGIN = 1.5  # times the largest distance of training records, for other records
MAX_DECIMALS = 6  # numbers with more decimals are computed, and their last digits differ


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """A number that is a weighted sum of others.

    Attributes:
        target: Place of the number.
        places, weights: The k places that it follows from, and their weights.
        constant: Constant term of the sum.
        slack: How far it may be off: all numbers are rounded.
    """

    target: NumberPlace
    places: tuple[NumberPlace, ...]
    weights: tuple[float, ...]
    constant: float
    slack: float

    def is_broken(self, numbers: Mapping[NumberPlace, float]) -> bool:
        """Whether a record has all of these numbers, and the target does not follow from the others."""
        if self.target not in numbers or any(place not in numbers for place in self.places):
            return False
        total = sum(weight * numbers[place] for weight, place in zip(self.weights, self.places, strict=True))
        return abs(numbers[self.target] - total - self.constant) > self.slack


def usual_numbers(records: Sequence[Mapping[NumberPlace, float]]) -> tuple[list[NumberPlace], Array]:
    """The p places that hold a number in nearly all records, and the numbers (n, p) of the records that have all of them."""
    places = [
        place
        for place in frequent_places(records)
        if sum(place in numbers for numbers in records) >= MIN_SHARE_WITH_NUMBER * len(records)
    ]
    return places, np.array(
        [[numbers[place] for place in places] for numbers in records if numbers.keys() >= {*places}]
    )


def weighted_sums(records: Sequence[Mapping[NumberPlace, float]]) -> Iterator[WeightedSum]:
    """Yield the linear relations that hold in nearly all records, and would not hold for numbers of different records.

    Each number is fitted by those before it that follow from none themselves, so weights are unique.
    """
    places, table = usual_numbers(records)
    if len(table) < MIN_RECORDS_WITH_NUMBERS or len(places) < 2:
        return
    units = np.array([unit_of(column) for column in table.T])
    independent: list[int] = []
    for i, place in enumerate(places):
        if table[:, i].min() == table[:, i].max():
            continue
        fitted = _fit(table[:, independent], table[:, i], units[independent], float(units[i])) if independent else None
        if fitted is None:
            independent.append(i)
            continue
        weights, constant, slack = fitted
        used = np.flatnonzero(weights)
        own_places = tuple(places[independent[j]] for j in used)
        yield WeightedSum(place, own_places, tuple(weights[used].tolist()), constant, slack)


def unit_of(values: Array) -> float:
    """The unit of the last digit of rounded values (n,)."""
    decimals = (d for d in range(MAX_DECIMALS) if np.mean(np.abs(values - values.round(d)) > 1e-9) <= MAX_BROKEN)
    return 10.0 ** -next(decimals, MAX_DECIMALS)


def _fit(x: Array, y: Array, units: Array, unit: float) -> tuple[Array, float, float] | None:
    """Weights (k,), constant and slack of a relation of y (n,) to x (n, k); None if none holds. units, unit: of last digits."""
    centre, scale = x.mean(axis=0), x.std(axis=0)
    design = np.column_stack([(x - centre) / scale, np.ones(len(x))])
    is_near = np.ones(len(x), dtype=bool)
    for _ in range(ROUNDS):
        solution = np.linalg.lstsq(design[is_near], y[is_near], rcond=None)[0]
        distance = np.abs(design @ solution - y)
        is_near = distance <= np.quantile(distance, 1.0 - TRIMMED_SHARE)
    error = float(np.sqrt(np.square(distance[is_near]).mean())) * np.sqrt(
        np.diag(np.linalg.pinv(design[is_near].T @ design[is_near]))[:-1]
    )
    raw = solution[:-1] / scale
    mixed = np.roll(y, 1)
    for weights in (_simple_weights(raw, 4.0 * error / scale), raw):
        rest = y - x @ weights
        constant = round(float(np.median(rest)) / unit) * unit
        rounding = 0.5 * (unit + float(np.abs(weights) @ units))
        # Whole numbers add up exactly
        usual = DISTANCE_MARGIN * float(np.quantile(np.abs(rest - constant), 1.0 - MAX_BROKEN))
        computed = 1e-9 * float(np.abs(y).max() + np.abs(x).max(axis=0) @ np.abs(weights))
        slack = min(rounding, usual) + computed
        is_broken, is_mixed_broken = (np.abs(values - constant) > slack for values in (rest, mixed - x @ weights))
        is_exact = weights.any() and slack <= MAX_RELATIVE_SLACK * float(y.std())
        if is_exact and is_broken.mean() <= MAX_BROKEN and is_mixed_broken.mean() >= MIN_BROKEN_BY_CHANCE:
            return weights, constant, slack
    return None


def _simple_weights(weights: Array, errors: Array) -> Array:
    """The weights (k,) as fractions of small numbers where these are within the errors (k,)."""
    simple = np.array(weights)
    for j, (weight, error) in enumerate(zip(weights, errors, strict=True)):
        close = error + 1e-7 * max(abs(weight), 1e-3)
        fractions = (round(weight * d) / d for d in DENOMINATORS)
        simple[j] = next((fraction for fraction in fractions if abs(fraction - weight) <= close), weight)
    return simple
