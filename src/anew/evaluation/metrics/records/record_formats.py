"""Lists whose records have a format (log lines, dates, codes): formats that no record of the data has, and parts of records that
samples lack.

Other figures hardly notice an address with a number too few, nor that all lines of an error are missing: most characters are as
they should be.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from anew.core.wording import listed, plural
from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.metrics.shares import share_score
from anew.evaluation.metrics.text.words import LETTERS_AND_DIGITS, WORD
from anew.evaluation.score import ENOUGH_FOR_RARE_SHARES, LEAST_OF_SHARES, Score, Tolerance, bounded_spec
from anew.functional.intervals import clopper_pearson

MIN_JUDGED = 50  # least number of samples that are judged; chosen
NEW_FORMATS = bounded_spec(
    "new_formats",
    "New formats",
    "Share of samples whose order of letters, numbers and other characters no training record has.",
    Tolerance(
        "closeness",
        small=0.05,
        large=0.2,
        clause="{value:.0%} of samples have a format that no training record has{aside} (real data: {real:.0%})",
        least=LEAST_OF_SHARES,
        least_to_pass=ENOUGH_FOR_RARE_SHARES,
    ),
)
MISSING_PARTS = bounded_spec(
    "missing_parts",
    "Missing characters and words",
    "Share of real records with a character or word that is frequent in the data and missing, or far rarer, in the samples.",
    Tolerance(
        "variety",
        small=0.05,
        large=0.2,
        clause="{value:.0%} of real records have a character or word that samples lack (real data: {real:.0%})",
        least=MIN_JUDGED,
        least_to_pass=ENOUGH_FOR_RARE_SHARES,
    ),
)
FREQUENT_PARTS = bounded_spec(
    "frequent_parts",
    "Overused characters and words",
    "Share of samples with a character or word that is far more frequent in the samples than in the data.",
    Tolerance(
        "closeness",
        small=0.05,
        large=0.3,
        clause="{value:.0%} of samples have a character or word that is far rarer in the data (real data: {real:.0%})",
        least=MIN_JUDGED,
        least_to_pass=ENOUGH_FOR_RARE_SHARES,
    ),
)
MIN_RECORDS = 100  # training records that formats are learned from, at least; chosen
# Largest share of training records with a format that the other half of them lacks: with more, records have no format; chosen.
REGULAR = 0.05
# Least share of records with digits or with other signs than those that join words; chosen
FORMATTED = 0.5
WORDS_ALONE = re.compile(r"[^\W\d_]+(?:[ '’.-]+[^\W\d_]+)*\.?")
MAX_RUN = 4  # digits of a number that are told apart by their count
# A character or word that so many samples would have if they were real records is missing if fewer than this share of them have
# it. By chance that happens to one of ten thousand.
EXPECTED, PRESENT = 16.0, 0.25
# A character or word is far too frequent if so many times as many samples have it as real records, and by so many standard errors
# of its count in training records, which is low where few of them have it.
EXCESS, ERRORS = 4.0, 3.0
MAX_NAMED = 3  # parts that the report names

MAX_EXAMPLE = 60  # characters of an example

_DIGITS = re.compile(r"\d+")


def _fine_format(record: str) -> str:
    """The case of letters, and the length of numbers: "Aa 00.0"."""
    text = WORD.sub(lambda run: "A" * run[0][0].isupper() + "a" * (not run[0].isupper()), record)
    return _DIGITS.sub(lambda run: "0" * min(len(run[0]), MAX_RUN), text)


def _medium_format(record: str) -> str:
    """The length of numbers: "a 00.0"."""
    return _DIGITS.sub(lambda run: "0" * min(len(run[0]), MAX_RUN), WORD.sub("a", record))


def _coarse_format(record: str) -> str:
    """Letters and numbers alone: "a 0.0"."""
    return _DIGITS.sub("0", WORD.sub("a", record))


FORMATS: tuple[Callable[[str], str], ...] = (_fine_format, _medium_format, _coarse_format)


def format_scores(sets: RecordSets) -> Iterator[Score]:
    """Yield the scores of new formats and of missing parts; without enough training records none.

    Real new formats are counted among held-out records.
    """
    known = sets.known
    if len(known) < MIN_RECORDS or not sets.samples or not sets.held_out:
        return
    yield from _new_formats(sets)
    counts = _counts(known)
    yield _missing_parts(sets.samples, sets.held_out, sets.train, counts, len(known))
    yield _frequent_parts(sets.samples, sets.train, counts, len(known))


def _new_formats(sets: RecordSets) -> Iterator[Score]:
    known = sets.known
    regular = _regular_format(known)
    # The format of words is how many there are, and nobody sees what is wrong with a name of six
    if regular is None or np.mean([WORDS_ALONE.fullmatch(record) is None for record in known]) < FORMATTED:
        return
    format_of, formats = regular
    is_new, is_real_new = (
        np.array([format_of(record) not in formats for record in part]) for part in (sets.samples, sets.held_out)
    )
    example = f"{':' if len(formats) == 1 else ', such as'} {format_of(known[0])[:MAX_EXAMPLE]!r}"
    source = f"{plural(len(formats), 'format')} of {len(known):,} training records{example}; real: held-out records"
    score = share_score(NEW_FORMATS, is_new, is_real_new, source)
    new = [record for record, flag in zip(sets.samples, is_new, strict=True) if flag]
    yield replace(score, note=_example(new, sets, format_of)) if new else score


def _example(new: Sequence[str], sets: RecordSets, format_of: Callable[[str], str]) -> str:
    """An example of new formats, a clause: the field that has one most often, or the first such record."""
    row_format = sets.row_format
    if row_format is not None:
        known_rows, new_rows = ([row_format.layout.fields(r) for r in part] for part in (sets.known, new))
        columns = zip(*(row for row in known_rows if row), strict=True)
        formats = [set(map(format_of, column)) for column in columns]
        unusual = [
            (i, field) for row in new_rows for i, field in enumerate(row or []) if format_of(field) not in formats[i]
        ]
        if unusual:
            column = Counter(i for i, _ in unusual).most_common(1)[0][0]
            field = next(field for i, field in unusual if i == column)
            return f"mostly in {row_format.layout.name(column)}, such as {field[:MAX_EXAMPLE]!r}"
    return f"such as {new[0][:MAX_EXAMPLE]!r}"


def _regular_format(known: Sequence[str]) -> tuple[Callable[[str], str], set[str]] | None:
    """The finest kind of format that hardly ever differs from all those of other records, and all formats of that kind; None if
    there is none."""
    middle = len(known) // 2
    for format_of in FORMATS:
        formats = list(map(format_of, known))
        first_half = set(formats[:middle])
        if sum(other not in first_half for other in formats[middle:]) <= REGULAR * (len(known) - middle):
            return format_of, set(formats)
    return None


def _missing_parts(
    samples: Sequence[str], held_out: Sequence[str], train: Sequence[str], counts: Counter[str], num_known: int
) -> Score:
    frequency = {part: count / num_known for part, count in counts.items()}
    missing, real_missing = (_missing(frequency, records) for records in (samples, train))
    value, real = (_share_with(parts, held_out) for parts in (missing, real_missing))
    low, high = clopper_pearson(value * len(held_out), len(held_out))
    most_frequent = sorted(missing, key=lambda part: -frequency[part])[:MAX_NAMED]
    clause = f"{len(missing):,}; most frequent: {listed([repr(part) for part in most_frequent])}" if missing else "none"
    return Score(
        MISSING_PARTS,
        value,
        low=low,
        high=high,
        real_baseline=real,
        n=len(samples),
        source=f"of the characters and words that {EXPECTED:.0f} or more of {len(samples):,} real records would have, samples "
        f"lack {clause}",
    )


def _frequent_parts(samples: Sequence[str], train: Sequence[str], counts: Counter[str], num_known: int) -> Score:
    frequent, real_frequent = (_frequent(counts, num_known, records) for records in (samples, train))
    value, real = (_share_with(parts, part) for parts, part in ((frequent, samples), (real_frequent, train)))
    low, high = clopper_pearson(value * len(samples), len(samples))
    clause = "none"
    if frequent:
        example = "" if len(frequent) <= MAX_NAMED else ", such as"
        clause = f"{len(frequent):,}{example}: {listed([repr(part) for part in sorted(frequent)[:MAX_NAMED]])}"
    return Score(
        FREQUENT_PARTS,
        value,
        low=low,
        high=high,
        real_baseline=real,
        n=len(samples),
        source=f"characters and words that are more than {EXCESS:.0f} times as frequent as in {num_known:,} training records: {clause}",
    )


def _frequent(known_counts: Counter[str], num_known: int, records: Sequence[str]) -> set[str]:
    """The characters and words that are far more frequent in these records, each counted once, than in the training records."""
    different = set(records)
    frequent = set()
    for part, count in _counts(different).items():
        known = known_counts[part]
        usual = (known + ERRORS * np.sqrt(known + 1.0)) * len(different) / num_known
        if count > EXCESS * usual and count >= EXPECTED:
            frequent.add(part)
    return frequent


def _missing(frequency: dict[str, float], records: Sequence[str]) -> set[str]:
    """The frequent characters and words that these records lack, or have far more rarely."""
    counts = _counts(records)
    expected = {part: share * len(records) for part, share in frequency.items()}
    return {part for part, count in expected.items() if count >= EXPECTED and counts[part] < PRESENT * count}


def _counts(records: Iterable[str]) -> Counter[str]:
    """How many records have each character and word."""
    return Counter(part for record in records for part in _parts(record))


def _parts(record: str) -> set[str]:
    return {*record, *LETTERS_AND_DIGITS.findall(record)}


def _share_with(parts: set[str], records: Sequence[str]) -> float:
    """The share of records that have one of the parts."""
    return float(np.mean([not parts.isdisjoint(_parts(record)) for record in records]))
