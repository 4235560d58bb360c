"""Values of two fields of rows that go together: a city and its state, a product and its kind.

They go together where few rows have a pair that others lack, although many would if the fields were independent. If every combination
occurs, nothing is left out.

Legend for shapes: R records, H records of a half, P pairs of values.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from anew.core.arrays import Bools, Ints, spaced_indices

# Largest share of rows with a pair of known values that the other half of the rows lacks; chosen: samples have no such pairs
MAX_NEW = 0.005
# Share of rows that would have such a pair if both fields were independent, at least, and as a multiple of those that have one; chosen
MIN_LEFT_OUT, MIN_RATIO = 0.02, 10.0
MAX_PARENTS = 6  # earlier views whose values go together with those of a view: more leave out little; chosen
MAX_VALUES = 4_096  # values of a view that others limit: bounds the memory of drawing
MAX_PAIRS = 400_000  # pairs of values that are kept, 3 MB
PAIR_RECORDS = 16_000  # records that decide which fields go together
COMPARED_PAIRS = 10_000_000  # pairs of fields times records, which take a second or two


def paired_values(codes: Sequence[Ints], fields: Sequence[int]) -> Ints:
    """(P, 2) values of an earlier and of a later field that go together, in lexical order.

    Args:
        codes: For each view, the numbers (R,) of the rows' values among those of all views.
        fields: The field of each view, in rising order.
    """
    varied = [view for view, values in enumerate(codes) if values.min() < values.max()]
    num_pairs = max(1, len(varied) * (len(varied) - 1) // 2)
    rows = spaced_indices(len(codes[0]), min(PAIR_RECORDS, COMPARED_PAIRS // num_pairs))
    sampled = {view: np.unique(codes[view][rows], return_inverse=True)[1] for view in varied}
    num_values = max(int(values.max()) for values in codes) + 1
    found_pairs: list[Ints] = [np.zeros(0, dtype=np.int64)]
    for view in varied:
        if int(sampled[view].max()) >= MAX_VALUES:
            continue
        before = {other: sampled[other] for other in varied if fields[other] < fields[view]}
        for parent in _parents(sampled[view], before):
            pairs = np.unique(codes[parent] * num_values + codes[view])
            if sum(map(len, found_pairs)) + len(pairs) <= MAX_PAIRS:
                found_pairs.append(pairs)
    return np.stack(np.divmod(np.sort(np.concatenate(found_pairs)), num_values), 1)


def related_columns(codes: Mapping[int, Ints]) -> list[tuple[int, int]]:
    """The pairs of columns whose values go together. codes: by the number of a column, the number (R,) of each row's value, from 0."""
    varied = [column for column, values in codes.items() if values.min() < values.max()]
    pairs = list(itertools.combinations(varied, 2))
    num_rows = len(next(iter(codes.values()), np.zeros(0)))
    rows = spaced_indices(num_rows, min(PAIR_RECORDS, COMPARED_PAIRS // max(1, len(pairs))))
    related = []
    for first, second in pairs:
        if _new_pairs(codes[first][rows], codes[second][rows]) is not None:
            related.append((first, second))
    return related


def _parents(child: Ints, others: Mapping[int, Ints]) -> list[int]:
    """The views whose values leave out most values of a view (R,), as long as few rows have a pair that others lack."""
    new_pairs = {other: pairs for other, codes in others.items() if (pairs := _new_pairs(codes, child)) is not None}
    chosen: list[int] = []
    has_new: Bools = np.zeros(len(child) // 2, dtype=bool)
    for other in sorted(new_pairs, key=lambda other: new_pairs[other].left_out, reverse=True):
        together = has_new | new_pairs[other].are_new
        if together.mean() <= MAX_NEW and len(chosen) < MAX_PARENTS:
            chosen.append(other)
            has_new = together
    return chosen


class _NewPairs(NamedTuple):
    """Pairs of known values that only later rows have.

    Attributes:
        are_new: (H,) whether each second row has one.
        left_out: The share of rows that would have one if their values were paired at random.
    """

    are_new: Bools
    left_out: float


def _new_pairs(first: Ints, second: Ints) -> _NewPairs | None:
    """The new pairs of two fields; None if their values do not go together. first, second: (R,) numbers from 0."""
    count, later = int(second.max()) + 1, slice(1, 2 * (len(first) // 2), 2)
    known = np.unique((first * count + second)[::2])
    shuffled = np.random.default_rng(0).permutation(len(first) // 2)
    is_known_first, is_known_second = _is_known(first)[later], _is_known(second)[later]
    are_new, are_left_out = (
        ~np.isin(first[later] * count + second[later][order], known) & is_known_first & is_known_second[order]
        for order in (np.arange(len(shuffled)), shuffled)
    )
    new, left_out = float(are_new.mean()), float(are_left_out.mean())
    return _NewPairs(are_new, left_out) if new <= MAX_NEW and left_out >= max(MIN_LEFT_OUT, MIN_RATIO * new) else None


def _is_known(values: Ints) -> Bools:
    """(R,) whether every second row has each value (R,), a number from 0."""
    known = np.zeros(int(values.max()) + 1, dtype=bool)
    known[values[::2]] = True
    is_known: Bools = known[values]
    return is_known
