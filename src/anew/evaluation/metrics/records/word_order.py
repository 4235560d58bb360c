"""The order of words in lists of names, titles and short lines: "York New" has the words and the length of a town's name.

Names have too few pairs of words that occur twice, so pairs are not counted. Instead, counts of characters in training records, which
know how records begin and end, say how much likelier a record is than the same words in other orders.

Legend for shapes: n records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.metrics.text.baselines import kneser_ney_bits
from anew.evaluation.metrics.two_sample import one_sided_score
from anew.evaluation.score import Score, guessing_spec

MIN_RECORDS = 50  # records of several words; with fewer, only records that are all wrong would show; chosen
WORD_ORDER = guessing_spec(
    "word_order",
    "Order of words",
    "How often the words of a sample stand in a less plausible order than those of a held-out record",
    "the words of a sample are in a less plausible order than those of a real record",
    least=MIN_RECORDS,
    # With fewer records the interval of real ones is too wide to pass
    least_to_pass=150,
    one_sided=True,
)
ORDER = 5  # characters of context: with 3, the order of more words is seen less (docs/log.md, 2026-11-29)
OTHER_ORDERS = 4  # that an order is compared with: the reverse and random ones; chosen
MAX_WORDS = 20  # the first words of a record that are read: longer records are texts
MAX_JUDGED = 400  # records of samples and of held-out ones: the interval is narrow enough, and more take longer
MAX_CHARACTERS = 100_000  # so much of the training records is counted: twice as much sees hardly more, and takes longer


def word_order_scores(sets: RecordSets) -> Iterator[Score]:
    """Yield the score of the order of words; none for rows of fields, or where too few records have several words."""
    rng = np.random.default_rng(sets.seed)
    judged, real = (
        [words for record in part if len(words := _words(record)) > 1] for part in (sets.samples, sets.held_out)
    )
    if min(len(judged), len(real)) < MIN_RECORDS or sets.row_format is not None:
        return
    counted = _counted(sets.training, rng)
    gains, real_gains = (_gains(part[:MAX_JUDGED], counted, rng) for part in (judged, real))
    source = (
        f"by counts of up to {ORDER} characters of context in {len(counted):,} training records; bits a word by which the order "
        f"is likelier than others of the same words: samples {gains.mean():.2f}, held-out records {real_gains.mean():.2f}"
    )
    # An order that is more usual than that of held-out records is not a fault: counts are those of training records
    yield one_sided_score(WORD_ORDER, real_gains, gains, source)


def _words(record: str) -> list[str]:
    return record.split()[:MAX_WORDS]


def _counted(training: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Training records in random order, MAX_CHARACTERS of them, as `_gains` reads records."""
    counted, size = [], 0
    for i in rng.permutation(len(training)):
        counted.append(" ".join(_words(training[i])))
        size += len(counted[-1])
        if size >= MAX_CHARACTERS:
            break
    return counted


def _gains(records: Sequence[Sequence[str]], counted: Sequence[str], rng: np.random.Generator) -> Array:
    """Bits a word (n,) by which the order of the words of each record is likelier than the mean of other orders."""
    orders = [[words, *_other_orders(words, rng)] for words in records]
    texts = [" ".join(words) for own in orders for words in own]
    lengths = np.array([len(text) + 1 for text in texts])  # their ends count as characters
    bits = np.add.reduceat(kneser_ney_bits(counted, texts, ORDER, records=True), np.cumsum(lengths) - lengths)
    parts = np.split(bits, np.cumsum([len(own) for own in orders])[:-1])
    return np.array([(part[1:].mean() - part[0]) / len(own[0]) for part, own in zip(parts, orders, strict=True)])


def _other_orders(words: Sequence[str], rng: np.random.Generator) -> list[Sequence[str]]:
    """The reverse of some words, and random orders where there are more than two."""
    num_random = OTHER_ORDERS - 1 if len(words) > 2 else 0
    return [words[::-1], *([words[i] for i in rng.permutation(len(words))] for _ in range(num_random))]
