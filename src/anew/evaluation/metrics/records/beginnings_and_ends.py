"""How records of lists begin and end: nearly all proteins begin with methionine, and names with a capital.

One character of a hundred moves no count of the characters of whole records.

Legend for shapes: n records, d features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.duplicate_groups import are_mostly_distinct
from anew.evaluation.metrics.feature_sets import FeatureSets
from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.metrics.two_sample import classifier_score
from anew.evaluation.score import USUALLY_ENOUGH_ITEMS, Score, guessing_spec

MIN_RECORDS = 50  # records of each set; chosen
MAX_RECORDS = 600  # records of each set: more take seconds
RECORD_ENDS_AUC = guessing_spec(
    "record_ends_auc",
    "Classifier of beginnings and ends",
    "How often a classifier picks the generated record out of a pair of a sample and a real record by their first and last three "
    "characters",
    "a classifier of their first and last characters picks the sample out of a pair",
    least=MIN_RECORDS,
    least_to_pass=USUALLY_ENOUGH_ITEMS,
)
PLACES = (0, 1, 2, -1, -2, -3)  # characters from the beginning and from the end
FREQUENT = 0.02  # share of training records with a character at a place from which on it has a flag; chosen


def record_end_scores(sets: RecordSets) -> Iterator[Score]:
    """Yield the score of beginnings and ends; none for rows of fields, or for fewer than MIN_RECORDS of each set."""
    rng = np.random.default_rng(sets.seed)
    parts = [
        [part[i] for i in rng.permutation(len(part))[:MAX_RECORDS]]
        for part in (sets.samples, sets.held_out, sets.train)
    ]
    if min(map(len, parts)) < MIN_RECORDS or sets.row_format is not None:
        return
    frequent = [_frequent_characters(sets.known, place) for place in PLACES]
    rows = [_flags(part, frequent) for part in parts]
    is_distinct = are_mostly_distinct(sets.training)
    features = FeatureSets.with_duplicates(rows, parts, sets.keys_of) if is_distinct else FeatureSets(*rows)
    source = (
        f"the first and last {len(PLACES) // 2} characters, those that {FREQUENT:.0%} of training records have there"
    )
    yield classifier_score(RECORD_ENDS_AUC, features, sets.seed, f"a kernel classifier of {source}")


def _at(record: str, place: int) -> str:
    """The character at a place; "" if a record is shorter."""
    return record[place : place + 1 or None]


def _frequent_characters(records: Sequence[str], place: int) -> list[str]:
    """The characters that at least the share FREQUENT of records have at a place."""
    counts = Counter(_at(record, place) for record in records)
    return [character for character, count in counts.items() if count >= FREQUENT * len(records)]


def _flags(records: Sequence[str], frequent: Sequence[Sequence[str]]) -> Array:
    """(n, d) a flag for each frequent character at each place, and for all others there."""
    rows = []
    for record in records:
        flags: list[bool] = []
        for place, characters in zip(PLACES, frequent, strict=True):
            character = _at(record, place)
            flags += [character == other for other in characters]
            flags.append(character not in characters)
        rows.append(flags)
    return np.array(rows, dtype=np.float64)
