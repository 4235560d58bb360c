"""The values of closed fields as arrays, which may come from anybody."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anew.core.arrays import Ints
from anew.estimators.closed_fields import ClosedFields
from anew.estimators.record_fields import FieldReader

LETTERS = [chr(code) for code in range(9, 127)]
BEGIN, END = len(LETTERS), len(LETTERS) + 1
SPELLINGS = [*(letter.encode() for letter in LETTERS), b"\0", b"\0"]
CITIES = {
    "Graz": "Styria",
    "Leoben": "Styria",
    "Linz": "Upper Austria",
    "Wels": "Upper Austria",
    "Bregenz": "Vorarlberg",
}


def learned(lines: list[str]) -> ClosedFields | None:
    records: list[Ints] = [np.array([BEGIN, *(LETTERS.index(letter) for letter in line), END]) for line in lines]
    reader = FieldReader.without_parents(records, SPELLINGS)
    assert reader is not None
    return ClosedFields.learn(records, reader, END, LETTERS.index("0"))


def cities() -> ClosedFields:
    rng = np.random.default_rng(0)
    names = rng.choice(list(CITIES), 600).tolist()
    closed = learned([f"{number},{name},{CITIES[name]}" for number, name in enumerate(names, 10_000)])
    assert closed is not None
    return closed


def test_values_are_sorted_and_pairs_name_them() -> None:
    closed = cities()
    values = [
        "".join(LETTERS[token] for token in closed.tokens[first:stop] if token < BEGIN)
        for first, stop in zip(closed.starts[:-1], closed.starts[1:], strict=True)
    ]
    exact = [
        (int(closed.views[view, 0]), value)
        for view, value in zip(closed.owners, values, strict=True)
        if closed.views[view, 0]
    ]
    assert exact == [(1, f"{name},") for name in sorted(CITIES)] + [(2, state) for state in sorted({*CITIES.values()})]
    together = {(values[first], values[second]) for first, second in closed.pairs.tolist()}
    assert {(f"{name},", state) for name, state in CITIES.items()} <= together


def test_records_without_closed_fields_have_none() -> None:
    rng = np.random.default_rng(0)
    letters = list("abcdefghijklmnop")
    assert learned([",".join("".join(rng.choice(letters, 8)) for _ in range(3)) for _ in range(400)]) is None


@pytest.mark.parametrize(
    "damaged",
    [
        lambda closed: replace(closed, views=closed.views[:0]),
        lambda closed: replace(closed, views=closed.views + np.array([3, 0, 0, 0])),
        lambda closed: replace(closed, views=closed.views - 1),
        lambda closed: replace(closed, owners=closed.owners[::-1]),
        lambda closed: replace(closed, owners=closed.owners[:0]),
        lambda closed: replace(closed, starts=closed.starts * 2),
        lambda closed: replace(closed, starts=closed.starts[::-1]),
        lambda closed: replace(closed, tokens=closed.tokens + END),
        lambda closed: replace(closed, pairs=closed.pairs + len(closed.owners)),
        lambda closed: replace(closed, pairs=closed.pairs.ravel()),
    ],
)
def test_arrays_that_do_not_fit_are_refused(damaged) -> None:  # type: ignore[no-untyped-def]
    closed = cities()
    closed.check(3, len(SPELLINGS))
    with pytest.raises(ValueError, match="the values of fields are inconsistent"):
        damaged(closed).check(3, len(SPELLINGS))
