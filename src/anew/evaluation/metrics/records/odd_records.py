"""Babble in lists: records whose letters follow each other as they hardly do in the data, by counts in training records.

Other figures miss it. Words say nothing about a list of rare names, since real ones are new, too. Shuffled letters leave lengths
and frequencies of letters as they are, so that features of whole records hardly differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.metrics.shares import share_score
from anew.evaluation.metrics.text.baselines import kneser_ney_bits
from anew.evaluation.score import ENOUGH_FOR_RARE_SHARES, LEAST_OF_SHARES, Score, Tolerance, bounded_spec

MIN_JUDGED = 50  # least number of records that are judged; chosen: with fewer, only a flood of babble would show
ODD_RECORDS = bounded_spec(
    "odd_records",
    "Odd letter combinations",
    "Share of samples whose characters follow each other less plausibly than those of 19 in 20 held-out records.",
    Tolerance(
        "closeness",
        small=0.05,
        large=0.25,
        clause="{value:.0%} of samples have odd letter combinations (real data: {real:.0%})",
        least=LEAST_OF_SHARES,
        least_to_pass=ENOUGH_FOR_RARE_SHARES,
    ),
)
SHARE_NOT_ODD = 0.95  # share of held-out records that are not odd
ORDER = 3  # characters of context: 2 to 6 recognise shuffled names equally well (docs/log.md, 2026-11-27)
# Least number of training records whose combinations are counted: babble is recognised as well as by 400, and real records are
# no odder, down to 75 of them (docs/log.md, 2026-11-28).
MIN_RECORDS = 100
MAX_CHARACTERS = 200_000  # characters of these records: more hardly change the figure, and take longer


def odd_scores(sets: RecordSets) -> Iterator[Score]:
    """Yield the score of odd records among samples; none if there are too few records to count combinations in.

    If the list is short, fewer samples and records of `train` are judged, so that MIN_RECORDS are left to be counted. Combinations are
    counted in training records that are not in `train`. Other copies of the records of `train` are counted only if held-out records
    have copies there, too.
    """
    samples, held_out, train, training = sets.samples, sets.held_out, sets.train, sets.training
    # Else nothing would be left of draws, and the records of `train` would look odder than held-out ones
    are_copies_counted = not set(held_out).isdisjoint(training)
    n = _num_judged(training, train, are_copies_counted)
    counted = _counted(training, train[:n], are_copies_counted, sets.seed)
    if n < min(len(train), MIN_JUDGED) or len(counted) < MIN_RECORDS or not held_out:
        return
    judged = (held_out, samples[:n], train[:n])
    # All at once: counting takes most of the time
    bits = _bits_per_character(counted, [record for part in judged for record in part])
    of_held_out, *of_others = np.split(bits, np.cumsum([len(part) for part in judged])[:-1])
    usual = float(np.quantile(of_held_out, SHARE_NOT_ODD))
    odd, real_odd = (part > usual for part in of_others)  # each (n,)
    source = (
        f"by counts of up to {ORDER} characters of context in {len(counted):,} training records; odd is a record that needs more "
        f"than {usual:.2f} bits a character"
    )
    yield share_score(ODD_RECORDS, odd, real_odd, source)


def _num_judged(training: Sequence[str], train: Sequence[str], are_copies_counted: bool) -> int:
    """How many of the first records of `train` can be judged, so that MIN_RECORDS of the training records are left."""
    copies = Counter[str]() if are_copies_counted else Counter(training)
    left_out = np.cumsum([1 if are_copies_counted else copies.pop(record, 0) for record in train])
    return int((left_out <= len(training) - MIN_RECORDS).sum())


def _counted(training: Sequence[str], train: Sequence[str], are_copies_counted: bool, seed: int) -> list[str]:
    """Training records in random order that are not in `train`, up to MAX_CHARACTERS."""
    left_out, counted, size = Counter(train), list[str](), 0
    for i in np.random.default_rng(seed).permutation(len(training)):
        record = training[i]
        if left_out[record] > 0:
            left_out[record] -= are_copies_counted
        elif size < MAX_CHARACTERS:
            counted.append(record)
            size += len(record)
    return counted


def _bits_per_character(counted: Sequence[str], records: Sequence[str]) -> NDArray[np.float64]:
    """The bits per character (n,) of each record; its end counts as a character."""
    bits = kneser_ney_bits(counted, records, ORDER, records=True)
    lengths = np.array([len(record) + 1 for record in records])
    return np.asarray(np.add.reduceat(bits, np.cumsum(lengths) - lengths) / lengths)
