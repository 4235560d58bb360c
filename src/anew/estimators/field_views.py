"""Views of the fields of rows whose values recur: states, sizes, codes of carriers, the day and month of a date.

A field is closed if its values in one half of the rows mostly stand in the other half. Numbers and dates often do not, but a part
of them may: the first digits of a price, the number before its point. A field therefore has views, which see some digits as they are and
zeros in place of the others. It is closed in some of its views or in none.

Legend for shapes: R records, W fields, B records of a chunk, L tokens of the longest, K values, n digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Bools, Int32s, Integers, Ints, spaced_indices
from anew.estimators.record_fields import DIGIT, FieldReader, Hashes, padded_chunks, span_hashes

# Half of fewer records that has all values of the other half says little; chosen.
MIN_RECORDS = 200
# Largest share of rows with a value that the other half of the rows lacks; chosen: with more, values are of many kinds. A part of a number
# is nearly always one that is there
MAX_NEW, MAX_NEW_PARTS = 0.05, 0.005
ALL_DIGITS = 255  # more than any number has that is looked at
LEADING = (4, 3, 2, 1, 0)  # digits of each number that a view may see, most first
MAX_NUMBERS = 6  # so many numbers of a field are looked at: a date and time has six, and more are those of a text
MAX_VALUES = 16_384  # a view with more values is open, which bounds the memory of drawing
MAX_TOKENS = 160  # longer values are texts; chosen
# Tokens of the records by which views of numbers, and pairs of values, are found: each view of so many takes 0.05 s
VIEWED_TOKENS = 2_000_000
# The numbers in a field are counted in so many of its values; chosen.
COUNTED_VALUES = 200
Bytes = NDArray[np.uint8]


class DigitView(NamedTuple):
    """Which digits of a field's values are seen as they are.

    Attributes:
        leading: The first digits of each number, so many.
        first, last: And all digits of the numbers from this one up to that one, by their places in the field. If there are some, one zero
            stands for all digits of each other number, or else for each of them.
    """

    leading: int
    first: int = 0
    last: int = 0

    def sees(self, places: Integers, numbers: Integers) -> Bools:
        """(n,) whether digits are seen that stand at these places (n,) of numbers, from 0, which are these (n,) of a field."""
        is_seen: Bools = (places < self.leading) | ((numbers >= self.first) & (numbers < self.last))
        return is_seen


EXACT = DigitView(ALL_DIGITS)


class ClosedView(NamedTuple):
    """A view in which a field is closed.

    Attributes:
        field: The number of the field.
        values: Tokens of each value, with the mark or end that follows, in lexical order.
        codes: (R,) the number of the value of each row that views of numbers are found by.
        rate: How often a further row has another value, as estimated from those that occur once (Good, 1953).
    """

    field: int
    view: DigitView
    values: tuple[tuple[int, ...], ...]
    codes: Ints
    rate: float


class _Chunk(NamedTuple):
    """Records that have all fields.

    Attributes:
        ids: (B, L).
        starts, stops: (B, W) where each value lies, with the mark or end that follows.
        is_digit, places, numbers: (B, L) of each token, whether it is a digit, where in its number, and which number of the field.
    """

    ids: Int32s
    starts: Int32s
    stops: Int32s
    is_digit: Bools
    places: Bytes
    numbers: Bytes

    def hashes(self, view: DigitView, zero: int) -> Hashes:
        """(B, W) alike for values that are alike in a view, with `zero` in place of digits that are not seen."""
        is_seen = ~self.is_digit | view.sees(self.places, self.numbers)
        is_kept = is_seen | (self.places == 0) if view.last else None
        return span_hashes(
            np.where(is_seen, self.ids, zero), self.starts.astype(np.int64), self.stops.astype(np.int64), is_kept
        )

    def value(self, row: int, field: int, view: DigitView, zero: int) -> tuple[int, ...]:
        """The tokens of one value in a view."""
        span = slice(int(self.starts[row, field]), int(self.stops[row, field]))
        places = self.places[row, span]
        is_seen = ~self.is_digit[row, span] | view.sees(places, self.numbers[row, span])
        is_kept = is_seen | (places == 0) if view.last else np.ones_like(is_seen)
        return tuple(np.where(is_seen, self.ids[row, span], zero)[is_kept].tolist())


def closed_views(records: Sequence[Ints], reader: FieldReader, end: int, zero: int | None) -> list[ClosedView]:
    """The views of records of ids in which fields are closed, by the number of the field.

    Args:
        end: The last id of a record.
        zero: The id in place of digits that are not seen; None if there are no digits.
    """
    if len(records) < MIN_RECORDS:
        return []
    width = len(reader.parents)
    chunks = list(_chunks(records, reader, end))
    closed_fields = _closed(chunks, EXACT, zero or 0, range(width))
    viewed = spaced_indices(len(chunks), max(1, round(VIEWED_TOKENS / sum(map(len, records)) * len(chunks))))
    is_viewed = np.repeat(np.isin(np.arange(len(chunks)), viewed), [len(chunk.ids) for chunk in chunks])
    closed_fields = [closed._replace(codes=closed.codes[is_viewed]) for closed in closed_fields]
    open_fields = sorted({*range(width)} - {closed.field for closed in closed_fields if closed.rate <= MAX_NEW_PARTS})
    if zero is not None and open_fields:
        closed_fields += _closed_parts([chunks[number] for number in viewed.tolist()], zero, open_fields)
    return sorted(closed_fields, key=lambda closed: (closed.field, closed.view))


def _closed_parts(chunks: Sequence[_Chunk], zero: int, fields: Sequence[int]) -> list[ClosedView]:
    """The views of fields that see some of their digits, and in which they are closed."""
    counts = {field: _num_numbers(chunks, field) for field in fields}
    unrounded = [field for field in fields if counts[field]]
    closed_fields: list[ClosedView] = []
    for leading in LEADING:
        closed_fields += _closed(chunks, DigitView(leading), zero, unrounded)
        unrounded = [field for field in unrounded if field not in {closed.field for closed in closed_fields}]
    for length in (2, 1):  # the day and month of a date, then each number by itself
        for first in range(MAX_NUMBERS - length + 1):
            several = [field for field in fields if max(2, first + length) <= counts[field] <= MAX_NUMBERS]
            closed_fields += _closed(chunks, DigitView(0, first, first + length), zero, several)
    return closed_fields


def _closed(chunks: Sequence[_Chunk], view: DigitView, zero: int, fields: Sequence[int]) -> list[ClosedView]:
    """The fields that are closed in a view."""
    if not fields:
        return []
    hashes = np.concatenate([chunk.hashes(view, zero) for chunk in chunks])
    bounds = np.cumsum([0, *(len(chunk.ids) for chunk in chunks)])
    closed_fields = []
    for field in fields:
        _, first, codes = np.unique(hashes[:, field], return_index=True, return_inverse=True)
        max_new = MAX_NEW if view == EXACT else MAX_NEW_PARTS
        if len(codes) < MIN_RECORDS or len(first) > MAX_VALUES or share_new(codes) > max_new:
            continue
        owners = np.searchsorted(bounds, first, "right") - 1
        values = [
            chunks[owner].value(row, field, view, zero)
            for owner, row in zip(owners.tolist(), (first - bounds[owners]).tolist(), strict=True)
        ]
        if max(map(len, values)) <= MAX_TOKENS:
            order = sorted(range(len(values)), key=values.__getitem__)
            rate = float(np.mean(np.bincount(codes)[codes] == 1))
            closed_fields.append(
                ClosedView(field, view, tuple(values[i] for i in order), np.argsort(order)[codes], rate)
            )
    return closed_fields


def share_new(codes: Ints) -> float:
    """The share of every second row whose value (R,), a number from 0, no other row has."""
    known = np.zeros(int(codes.max(initial=0)) + 1, dtype=bool)
    known[codes[::2]] = True
    later = codes[1::2]
    return float(np.mean(~known[later])) if len(later) else 0.0


def digit_places(is_digit: Bools) -> tuple[Ints, Ints]:
    """(..., L) of each token, where it stands in its number, from 0, if it is a digit, and how many numbers begin up to it."""
    places = np.arange(is_digit.shape[-1])
    last_other = np.maximum.accumulate(np.where(is_digit, -1, places), axis=-1)
    begins = is_digit.copy()
    begins[..., 1:] &= ~is_digit[..., :-1]
    return places - last_other - 1, np.cumsum(begins, axis=-1)


def _chunks(records: Sequence[Ints], reader: FieldReader, end: int) -> Iterator[_Chunk]:
    """The records that have all fields."""
    width, num_read = len(reader.parents), 0
    for ids in padded_chunks(records):
        lengths = np.array([len(record) for record in records[num_read : num_read + len(ids)]])
        num_read += len(ids)
        cells = reader.cells(ids)
        first_places = cells.first_positions  # (B, W + 1)
        has_all = (first_places[:, width - 1] < lengths) & (first_places[:, width] > ids.shape[1])
        rows = np.flatnonzero((ids[:, -1] == end) & has_all)
        starts = first_places[rows, :width]
        is_digit = (reader.roles[ids[rows]] & DIGIT) > 0
        places, num_begun = digit_places(is_digit)
        # The field after a delimiter begins with the next token
        field_starts = np.pad(cells.starts[rows, :-1], ((0, 0), (1, 0)), constant_values=1)
        num_begun_before = np.take_along_axis(np.pad(num_begun, ((0, 0), (1, 0))), field_starts, 1)
        yield _Chunk(
            ids[rows].astype(np.int32),
            starts.astype(np.int32),
            np.append(first_places[rows, 1:width], lengths[rows, None], axis=1).astype(np.int32),
            is_digit,
            np.clip(places, 0, ALL_DIGITS - 1).astype(np.uint8),
            np.clip(num_begun - num_begun_before - 1, 0, ALL_DIGITS - 1).astype(np.uint8),
        )


def _num_numbers(chunks: Sequence[_Chunk], field: int) -> int:
    """How many numbers a value of a field has at most, of the first ones."""
    most, num_counted = 0, 0
    for chunk in chunks:
        for row in range(min(len(chunk.ids), COUNTED_VALUES - num_counted)):
            span = slice(int(chunk.starts[row, field]), int(chunk.stops[row, field]))
            most = max(most, int((chunk.is_digit[row, span] * (chunk.numbers[row, span] + 1)).max()))
        num_counted += len(chunk.ids)
        if num_counted >= COUNTED_VALUES:
            break
    return most
