"""Fields of records in which hardly any two agree because there are far more values than records, such as the code of each.

Dates, times, amounts and numbers of rows hardly repeat either, but a new record may well have one that is there already.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import evenly_spaced
from anew.estimators.dates import date_format

# The comma comes after the others, since it may be the decimal sign, and blanks last, since they also divide words
DELIMITERS = ("\t", ";", "|", ",", " ")
# Largest probability that a new record has a value of a key field which another record has
MAX_REPEATED = 0.01
# Records that count as repeated besides those that are, so that fewer than 300 never show a key: at 95%, none of n says that the
# probability is below 3 / n
PSEUDO_REPEATS = 3
# Measurements and sums of money, perhaps with a unit: they are different in most records because they are exact, and two records may
# have the same one by chance. All groups of three digits are divided by the same mark, and the decimal mark is another one. Optional
# parts are matched together with the characters around them, so that the time is linear
_NUMBER = r"\d{1,3}(?P<mark>[.,'’ \u00a0\u202f])\d{3}(?:(?P=mark)\d{3})*(?P<decimals>(?!(?P=mark))[.,]\d+)?|\d*[.,]\d+(?:e[-+]?\d+)?"
_UNIT_BEFORE, _UNIT_AFTER = r"(?:[^\W\d_]{1,3}\.?(?=[\s$€£¥])\W*)?", r"(?:[^\W\d_]+(?:/[^\W\d_]+)?\W*)?"
AMOUNT = re.compile(rf"\W*{_UNIT_BEFORE}(?P<number>{_NUMBER})\W*{_UNIT_AFTER}", re.IGNORECASE)
# Durations (`1:32.608`) and angles (`51°03'12.40"N`), which are measurements, too
SEXAGESIMAL = re.compile(
    r"[-+]?(?:\d+(?::\d\d){1,2}[.,]\d+|\d{1,3} ?° ?\d{1,2}(?:[.,]\d+)? ?['′’] ?(?:\d{1,2}(?:[.,]\d+)? ?[\"″”]?)?) ?[NSEWO]?"
)
# Numbers of one length are codes if their digits form so many groups, as in those of telephones and firms; chosen.
MIN_CODE_GROUPS = 3
_DIGIT, _DIGITS, _PADDED = re.compile(r"\d"), re.compile(r"\d+"), re.compile(r"0\d")
# What may stand around a date: it is cut off where all values have it
_BEFORE_DATE, _AFTER_DATE = re.compile(r".*[^\w.,:/+ -]", re.DOTALL), re.compile(r"[^\w.,:/+ -].*", re.DOTALL)
# Share of the values that could be there from which on those that are there are used up: most new records that are like the data have
# a known one by chance. Of days without gaps it is 0.9, the share of the training part, of IATA's codes of airports 0.55, of the codes
# of PCI devices 0.35, of random codes 0 (docs/log.md, 2026-11-30)
MAX_USED = 0.5
TRIMMED_SHARE = 0.05  # this share of the least numbers, and of the greatest ones, may be anything; chosen
NUM_PAIRS = 1_000  # pairs of values whose parts are exchanged: enough to tell MAX_USED from 0.55; chosen
MIN_EXCHANGED = 100  # pairs at least that give another value than their own, or a place to cut says nothing; chosen
MAX_CUT = 16  # characters from either end of a value at which it is cut: as many as a date and time of day have
MAX_SCREENED = 2_000  # records in which fields are sought: splitting all takes a second for each million; chosen
MAX_DATES = 200  # values by which dates are recognised: to read one takes 10 µs
MAX_COLUMNS = 64  # so many columns of a row are looked at; chosen
DIGITS = "0123456789"
# 64 bits hold a whole number of so many digits.
MAX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class KeyField:
    """A field in which hardly any two records agree.

    Attributes:
        delimiter: The delimiter of the fields.
        column: Its number, from 0.
    """

    delimiter: str
    column: int

    def value(self, record: str) -> str | None:
        """The value of a record in this field; None if it has fewer fields."""
        fields = _split(record, self.delimiter, self.column + 1)
        return fields[self.column] if len(fields) > self.column else None


def find_key_fields(records: Sequence[str]) -> tuple[KeyField, ...]:
    """The key fields of a list, by the first delimiter that all of its records have: any column where records have equally many fields,
    else only the first one. Empty if whole records repeat, or are too few to tell."""
    screened = evenly_spaced(records, MAX_SCREENED)
    delimiter = next((mark for mark in DELIMITERS if screened and all(mark in record for record in screened)), None)
    if delimiter is None:
        return ()
    widths = {len(_split(record, delimiter)) for record in screened}
    columns = range(min(*widths, MAX_COLUMNS)) if len(widths) == 1 else range(1)
    fields = [KeyField(delimiter, column) for column in columns]
    fields = [field for field in fields if _may_be_keys([field.value(record) for record in screened])]
    texts = list(records) if fields else []
    if not hardly_repeat(texts):
        return ()
    return tuple(field for field in fields if are_keys([field.value(text) for text in texts]))


def hardly_repeat(values: Sequence[str | int | None]) -> bool:
    """Whether a new value would hardly be one of these."""
    num_repeated = sum(count for count in Counter(values).values() if count > 1)
    return num_repeated + PSEUDO_REPEATS <= MAX_REPEATED * len(values)


def are_keys(values: Sequence[str | None]) -> bool:
    """Whether values of a field, None where it is missing, hardly repeat and are few of those that could be there."""
    return hardly_repeat(values) and not are_exhausted([value for value in values if value is not None])


def are_exhausted(values: Sequence[str]) -> bool:
    """Whether most possible values are used up, so that a new record hardly ever has a new one: of whole numbers, perhaps within
    the same text (`no. 7`), or of combinations of two parts (`2010/001`, `1a3f`)."""
    return _covers_range(values) or _covers_product(values)


def _may_be_keys(values: Sequence[str | None]) -> bool:
    """Whether some values of a field could be keys, and are not dates, times or amounts."""
    texts = [(value or "").strip(' "') for value in values]
    return hardly_repeat(values) and not _are_amounts(texts) and not _are_dates(evenly_spaced(texts, MAX_DATES))


def _are_amounts(texts: Sequence[str]) -> bool:
    """Whether most texts are amounts, and not codes that look like them: all of one shape, with zeros before them or in groups only."""
    amounts = [amount for text in texts if (amount := AMOUNT.fullmatch(text)) is not None]
    num_others = sum(SEXAGESIMAL.fullmatch(text) is not None for text in texts)
    if 2 * (len(amounts) + num_others) <= len(texts):
        return False
    if len({_DIGIT.sub("0", amount[0]) for amount in amounts}) != 1:
        return True
    are_padded = any(_PADDED.match(amount["number"]) for amount in amounts)
    are_groups = amounts[0]["mark"] is not None and amounts[0]["decimals"] is None
    return not are_padded and not (are_groups and len(_DIGITS.findall(amounts[0]["number"])) >= MIN_CODE_GROUPS)


def _are_dates(values: Sequence[str]) -> bool:
    """Whether values are dates or times, perhaps within brackets or the same text (`[31/Jan/2020:10:00:00`, `"day": "31.01.2020"`)."""
    before = _BEFORE_DATE.match(_common_beginning(values))
    after = _AFTER_DATE.search(_common_end(values))
    first, last = len(before[0]) if before else 0, len(after[0]) if after else 0
    return date_format([value[first : len(value) - last] for value in values]) is not None


def _covers_range(values: Sequence[str]) -> bool:
    """Whether values are whole numbers that are most of those between the least and the greatest one, in steps of their divisor."""
    numbers = _numbers(values)
    num_trimmed = int(TRIMMED_SHARE * len(numbers))
    numbers = numbers[num_trimmed : len(numbers) - num_trimmed]
    if len(numbers) < 2:
        return False
    gaps = np.diff(numbers)
    return len(numbers) > MAX_USED * (int(numbers[-1] - numbers[0]) // int(np.gcd.reduce(gaps)) + 1)


def _covers_product(values: Sequence[str]) -> bool:
    """Whether the first part of a value and the last part of another one mostly make a third one, if all are cut at the same place."""
    known = set(values)
    places = np.random.default_rng(0).integers(max(1, len(values)), size=(NUM_PAIRS if values else 0, 2))
    pairs = [(values[i], values[j]) for i, j in places.tolist()]
    for cut in (*range(1, MAX_CUT + 1), *range(-MAX_CUT, 0)):
        mixed = [first[:cut] + last[cut:] for first, last in pairs]
        others = [value for value, pair in zip(mixed, pairs, strict=True) if value not in pair]
        if len(others) >= MIN_EXCHANGED and sum(value in known for value in others) > MAX_USED * len(others):
            return True
    return False


def _numbers(values: Sequence[str]) -> NDArray[np.int64]:
    """The different whole numbers (n,) between the common beginning and the common end of values, sorted; empty if one is not a number."""
    prefix, suffix = _common_beginning(values).rstrip(DIGITS), _common_end(values).lstrip(DIGITS)
    digits = [value[len(prefix) : len(value) - len(suffix)].strip() for value in values]
    are_numbers = all(text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS for text in digits)
    return np.unique(np.array([int(text) for text in digits] if are_numbers else [], dtype=np.int64))


def _common_beginning(names: Sequence[str]) -> str:
    # All others lie between these two
    first, last = min(names, default=""), max(names, default="")
    return "".join(
        mark for mark, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    )


def _common_end(names: Sequence[str]) -> str:
    return _common_beginning([name[::-1] for name in names])[::-1]


def _split(record: str, delimiter: str, max_splits: int = -1) -> list[str]:
    """The fields of a record. Quotes hold fields together, but for fields that blanks divide, which are words.

    max_splits: Delimiters that are looked at; -1 for all.
    """
    if delimiter != " " and '"' in record:
        try:
            return next(csv.reader([record], delimiter=delimiter))
        except csv.Error:
            pass  # a line break, or a field of more characters than it reads
    return record.split(delimiter, max_splits)
