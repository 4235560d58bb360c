"""Fields in which no two records agree."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta
from random import Random
from uuid import UUID

import pytest

from anew.estimators.key_fields import AMOUNT, SEXAGESIMAL, KeyField, are_exhausted, find_key_fields, hardly_repeat

COLOURS = ("red", "green", "blue")
CODES = [i * 7919 % 100_003 for i in range(400)]


@pytest.mark.parametrize(
    ("records", "fields"),
    [
        ([f"10de:{i * 7919 % 65_536:04x} Device {'A' * (i % 3)}" for i in range(400)], [(" ", 0)]),
        ([f"{COLOURS[i % 3]};{code};{i % 7}" for i, code in enumerate(CODES)], [(";", 1)]),
        ([f'{{"id": {code}, "colour": "{COLOURS[i % 3]}"}}' for i, code in enumerate(CODES)], [(",", 0)]),
        ([f'{i % 7},"{COLOURS[i % 3]}, {i % 2}",A{code}' for i, code in enumerate(CODES)], [(",", 2)]),
        ([f"{i};{COLOURS[i % 3]}" for i in range(400)], []),  # rows are numbered
        ([f"{COLOURS[i % 3]};{code};{i % 7}" for i, code in enumerate(CODES[:200])], []),  # too few to tell
        ([f"{COLOURS[i % 3]} {code}" for i, code in enumerate(CODES)] * 2, []),  # whole records repeat
        ([f"{code}" for code in CODES], []),  # one field
        ([f"{i / 7:.6f},-{i / 9:.5f},{COLOURS[i % 3]}" for i in range(400)], []),  # measurements
        ([f"{code / 7:.6f};v{code};{COLOURS[i % 3]}" for i, code in enumerate(CODES)], [(";", 1)]),
        ([f"{COLOURS[i % 3]} {COLOURS[i % 2]} {i // 2}" for i in range(400)], []),
    ],
)
def test_fields_that_differ_in_all_records_are_found(records: list[str], fields: list[tuple[str, int]]) -> None:
    assert [(field.delimiter, field.column) for field in find_key_fields(records)] == fields


def test_hardly_any_value_may_be_there_twice() -> None:
    assert hardly_repeat([*range(1000), 1])
    assert not hardly_repeat([*range(1000), *range(10)])
    assert not hardly_repeat(list(range(200)))


def test_a_field_may_be_missing() -> None:
    assert KeyField(";", 1).value("a;b;c") == "b"
    assert KeyField(";", 1).value("a;b") == "b"
    assert KeyField(";", 1).value("a") is None


def test_quotes_hold_a_field_together() -> None:
    assert KeyField(",", 2).value('7,"a, b",0.5') == "0.5"
    assert KeyField(",", 2).value('7,"a\nb",0.5') == "0.5"
    assert KeyField(" ", 1).value('"a b" c') == 'b"'


DAYS = [date(2020, 1, 1) + timedelta(days=i) for i in range(1_200)]
RANDOM = Random(0)
MOMENTS = [datetime(2024, 1, 1) + timedelta(seconds=RANDOM.randrange(10**7)) for _ in range(1_200)]
PRICES = [RANDOM.lognormvariate(6, 2) for _ in range(1_200)]


def is_key(values: list[str]) -> bool:
    """Whether the values, of which 90% are known, are keys of rows."""
    known = RANDOM.sample(values, len(values) * 9 // 10)
    rows = [f"{value};{number % 90};{COLOURS[number % 3]}" for number, value in enumerate(known)]
    return any(field.column == 0 for field in find_key_fields(rows))


@pytest.mark.parametrize(
    "pattern",
    [
        "%Y-%m-%d",
        "%d.%m.%Y",
        "%d.%m.%y",
        "%m/%d/%Y",
        "%d/%m/%Y",
        "%d %b %Y",
        "%A, %d %B %Y",
        "%a %b %d %H:%M:%S %Y",
        "%d/%b/%Y:%H:%M:%S",
        "[%d/%b/%Y:%H:%M:%S",
        '"day": "%d.%m.%Y"',
        "%Y年%m月%d日",
        "KW%V/%G-%u",
    ],
)
def test_dates_are_no_keys(pattern: str) -> None:
    """A perfect model of the days of a table had known ones in 90% of its samples, which were drawn again until they lay in gaps."""
    assert not is_key([day.strftime(pattern) for day in DAYS])


@pytest.mark.parametrize(
    "values",
    [
        [f"{year}-{month:02d}" for year in range(1920, 2020) for month in range(1, 13)],
        [f"Q{i % 4 + 1} {1700 + i // 4}" for i in range(1_200)],
        [f"{i:04x}" for i in range(1_200)],
        [f"{'ABCDEFGHIJKL'[i // 100]}{i % 100:02d}" for i in range(1_200)],
        [f"{2010 + i // 100}/{i % 100 + 1:03d}" for i in range(1_200)],
        [f"{i // 60:02d}:{i % 60:02d}" for i in range(1_200)],
        [f"{floor}.{wing}{room}" for floor in range(1, 13) for wing in "ABCDE" for room in range(10, 30)],
        [moment.strftime("[%d/%b/%Y:%H:%M:%S") for moment in MOMENTS],
        [f"{moment.isoformat()}Z" for moment in MOMENTS],
        [f"${price:,.2f}" for price in PRICES],
        [f"{price:.2f} EUR".replace(".", ",") for price in PRICES],
        [f"{price:,.2f} €".translate(str.maketrans(",.", ".,")) for price in PRICES],
        [f"{round(1_000 * price):,}" for price in PRICES],
        [f"{price:.3f}kg" for price in PRICES],
        [f"{price:.3f} metres" for price in PRICES],
        [f"{price:.3f} km/h" for price in PRICES],
        [f"US$ {price:,.2f}" for price in PRICES],
        [f"${1_000 + price % 9_000:,.2f}" for price in PRICES],  # all of one length
        [f"{10 + price % 90:.5f}" for price in PRICES],
        [f"{moment:%H:%M:%S}.{i % 1_000:03d}" for i, moment in enumerate(MOMENTS)],
        [f"{moment:%Y-%m-%d %H:%M:%S},{i % 1_000:03d}" for i, moment in enumerate(MOMENTS)],
        [f"{moment:%m/%d/%Y %I:%M:%S}.{i:07d} {moment:%p}" for i, moment in enumerate(MOMENTS)],
        [f"{moment.minute}:{moment.second:02d}.{i % 1_000:03d}" for i, moment in enumerate(MOMENTS)],
        [
            f"{moment.minute}°{moment.second:02d}'{price % 60:.2f}\""
            for moment, price in zip(MOMENTS, PRICES, strict=True)
        ],
    ],
    ids=lambda values: values[0],
)
def test_numbers_of_rows_times_and_amounts_are_no_keys(values: list[str]) -> None:
    assert not is_key(values)


@pytest.mark.parametrize(
    "values",
    [
        [str(UUID(int=RANDOM.getrandbits(128))) for _ in range(1_200)],
        [f"978-3-{RANDOM.randrange(1_000, 9_999)}-{RANDOM.randrange(1_000, 9_999)}-{i % 10}" for i in range(1_200)],
        [f"978{RANDOM.randrange(10**10):010d}" for _ in range(1_200)],
        [f"{RANDOM.getrandbits(32):08x}" for _ in range(1_200)],
        [f"{RANDOM.choice(('8086', '10de'))}:{code:04x}" for code in RANDOM.sample(range(65_536), 1_200)],
        [f"DE{RANDOM.randrange(10**20):020d}" for _ in range(1_200)],
        [f"TX-{code:06d}" for code in RANDOM.sample(range(10**6), 1_200)],
        [f"{RANDOM.getrandbits(30):x}@mail.com" for _ in range(1_200)],
    ],
    ids=lambda values: values[0],
)
def test_codes_are_keys(values: list[str]) -> None:
    assert is_key(values)


@pytest.mark.parametrize(
    "spelling",
    [
        "{0}.{1}.{2:.2}",  # articles
        "{0} {1} {2}",  # firms
        "+49 {0} {1} {2}",  # telephones
        "AB-{0:.2}.{1}{2:.1}",
        "{0:.2}.{1}{2:.2}",  # libraries and museums
    ],
)
def test_codes_with_the_marks_of_numbers_are_keys(spelling: str) -> None:
    """Telephone numbers of a table were taken for amounts, so that samples with those of training records were not noticed."""
    groups = [[f"{RANDOM.randrange(1_000):03d}" for _ in range(3)] for _ in range(1_200)]
    assert is_key([spelling.format(*row) for row in groups])


def test_amounts_are_read_in_linear_time() -> None:
    started = time.perf_counter()
    n = 40_000
    texts = [
        "1.5" + "-" * n + "x4",
        "-" * n + "x",
        "." * n + "x",
        "EUR" + " " * n + "x",
        "1.5" + "x" * n + "4",
        "1" * n,
        "1,111" * n,
    ]
    for text in texts:
        assert AMOUNT.fullmatch(text) is None and SEXAGESIMAL.fullmatch(text) is None
    assert time.perf_counter() - started < 1.0  # with a square, a minute


@pytest.mark.parametrize("spelling", ["{}", "{}.", "no. {:05}", '{{"id": {}'], ids=["plain", "dot", "name", "JSON"])
def test_numbers_most_of_which_are_there_are_used_up(spelling: str) -> None:
    numbers = [i for i in range(1, 29) if i % 9]  # the others are held out
    assert are_exhausted([spelling.format(i) for i in numbers])
    assert are_exhausted([*(spelling.format(i) for i in numbers), "none"])


def test_codes_are_not_used_up() -> None:
    assert not are_exhausted([str(code) for code in CODES])
    assert are_exhausted([*map(str, range(0, 4000, 10)), "999999"])  # one is wrong
    assert not are_exhausted(["7"]) and not are_exhausted([])
