"""Views of fields in which their values are used up."""

from __future__ import annotations

import numpy as np

from anew.core.arrays import Ints
from anew.estimators.field_views import EXACT, ClosedView, DigitView, closed_views, digit_places, share_new
from anew.estimators.record_fields import FieldReader

LETTERS = [chr(code) for code in range(9, 127)]
BEGIN, END = len(LETTERS), len(LETTERS) + 1
ZERO = LETTERS.index("0")
SPELLINGS = [*(letter.encode() for letter in LETTERS), b"\0", b"\0"]


def tokens(lines: list[str]) -> list[Ints]:
    return [np.array([BEGIN, *(LETTERS.index(letter) for letter in line), END]) for line in lines]


def spelt(value: tuple[int, ...]) -> str:
    return "".join(LETTERS[token] for token in value if token < BEGIN)


def found(lines: list[str]) -> dict[tuple[int, DigitView], ClosedView]:
    records = tokens(lines)
    reader = FieldReader.without_parents(records, SPELLINGS)
    assert reader is not None
    return {(view.field, view.view): view for view in closed_views(records, reader, END, ZERO)}


def visits(n: int = 4_000) -> list[str]:
    """A colour, a name that hardly recurs, a date, and an amount with two decimals."""
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 10**6, (n, 4))
    colours, letters = ["red", "light, blue", "green"], list("abcdefghijklmnop")
    return [
        f'"{colours[a % 3]}",{"".join(rng.choice(letters, 9))},{1950 + b % 70}-{1 + c % 12:02}-{1 + b % 28:02},{c % 50_000}.{d % 100:02}'
        for a, b, c, d in numbers.tolist()
    ]


def test_values_that_recur_are_closed_as_they_are_and_others_in_what_is_used_up() -> None:
    views = found(visits())
    colours = views[0, EXACT]
    assert [spelt(value) for value in colours.values] == ['"green",', '"light, blue",', '"red",']
    assert len(colours.codes) == 4_000 and spelt(colours.values[int(colours.codes[0])]).startswith(f"{visits()[0][:5]}")
    assert not any(field == 1 for field, _ in views)  # names
    assert (2, EXACT) not in views and len(views[2, DigitView(0, 0, 1)].values) == 70
    days = views[2, DigitView(0, 1, 3)]
    assert len(days.values) == 12 * 28 and spelt(days.values[0]) == "0-01-01,"
    assert (3, EXACT) not in views
    cents = {spelt(value).partition(".")[2] for value in views[3, DigitView(0, 1, 2)].values}
    assert cents == {f"{number:02}" for number in range(100)}
    assert [view for field, view in views if field == 3 and view.last == 0] == [DigitView(0)]


def test_few_records_and_values_of_texts_are_open() -> None:
    assert not found(visits(150))
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abc def"), 200)) for _ in range(2)]
    assert [field for field, _ in found([f"{i % 2},{texts[i % 2]},{i % 3}" for i in range(600)])] == [0, 2]


def test_a_value_is_new_if_only_later_rows_have_it() -> None:
    assert share_new(np.array([0, 0, 1, 1, 0, 2, 1, 0])) == 0.25
    assert share_new(np.zeros(1, dtype=np.int64)) == 0.0


def test_digits_know_their_place_and_their_number() -> None:
    is_digit = np.array([letter.isdigit() for letter in "a12-3x"])
    places, numbers = digit_places(is_digit)
    assert places[is_digit].tolist() == [0, 1, 0] and numbers[is_digit].tolist() == [1, 1, 2]
    assert DigitView(1, 1, 2).sees(places, numbers - 1)[is_digit].tolist() == [True, False, True]
