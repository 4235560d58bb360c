"""Statistics of generated text compared with as much held-out text: 4-grams, words, repetition, verbatim passages.

Legend for shapes: t texts, b blocks, s symbols.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.measure import BOTH, NEITHER, NOVELTY, VARIETY, Measure
from anew.evaluation.memorization.texts import count_covered
from anew.evaluation.metrics.bootstrap import RESAMPLES, interval, mean_interval, ratio_interval
from anew.evaluation.metrics.distances import jensen_shannon
from anew.evaluation.metrics.duplicate_groups import KeysOf, equal_keys
from anew.evaluation.metrics.records.beginnings_and_ends import record_end_scores
from anew.evaluation.metrics.records.closed_columns import unknown_value_scores
from anew.evaluation.metrics.records.delimited import row_scores
from anew.evaluation.metrics.records.known_keys import key_scores
from anew.evaluation.metrics.records.number_order import number_scores
from anew.evaluation.metrics.records.odd_records import odd_scores
from anew.evaluation.metrics.records.paired_columns import unknown_pair_scores
from anew.evaluation.metrics.records.parsing import parsing_scores
from anew.evaluation.metrics.records.record_formats import format_scores
from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.metrics.records.word_order import word_order_scores
from anew.evaluation.metrics.text.repetitive_items import repetitive_score
from anew.evaluation.metrics.text.words import Vocabulary, is_unspaced, pair_scores, word_scores
from anew.evaluation.parts_of_texts import resampling_units
from anew.evaluation.score import Group, MetricSpec, Score, Tolerance, bounded_spec
from anew.functional.intervals import clopper_pearson
from anew.functional.text_hashes import code_points, window_hashes

FOURGRAM_DIVERGENCE = bounded_spec(
    "fourgram_divergence",
    "Character 4-grams",
    "How far the counts of 4-grams, sequences of four characters, are from those of held-out text (0 = the same, 1 = nothing in common): "
    "whether pieces of words are like those of the data.",
    Tolerance(
        "closeness",
        small=0.1,
        large=0.3,
        clause="character 4-grams differ (divergence {value:.2f}; real data: {real:.2f}; nothing in common: 1)",
        agreement="character 4-grams agree (divergence {value:.2f}; real data: {real:.2f}; nothing in common: 1)",
        # With fewer characters most 4-grams occur in one of two real texts alone, and broken samples agree, too
        least_to_pass=10_000,
    ),
    order=20,
    award="Closest to the data",
)
REPETITION_RATE = bounded_spec(
    "repetition_rate",
    "Repetition",
    "Share of passages that repeat an earlier one. Real text repeats itself a little; much more is a fault.",
    Tolerance(
        "variety",
        small=0.05,
        large=0.3,
        clause="the samples repeat themselves in {value:.0%} of passages (real text: {real:.0%})",
    ),
)
ODD_RECORDS_MEASURE = "odd letter combinations"
VERBATIM_MEASURE = "verbatim passages"
VERBATIM_SHARE = MetricSpec(
    "verbatim_share",
    "Verbatim",
    "Share of the generated text that appears word for word in the training data.",
    group=Group.NOVELTY,
    maximum=1.0,
)
PASSAGE = 32  # characters that count as verbatim: some six words
MIN_TEXTS = 10  # texts whose verbatim shares give an interval that can be relied on; chosen
REPEAT = 16  # characters that count as a repetition within one sample: some three words
MAX_USUAL = 1_000  # training records that show how much repetition is usual: more hardly change it; chosen
BLOCKS = 20  # blocks of counts, which the bootstrap resamples


def known_records() -> MetricSpec:
    """VERBATIM_SHARE in the words of lists of records."""
    return replace(VERBATIM_SHARE, meaning="Share of samples that are one of the training records.")


@dataclass(frozen=True)
class TextStatistics:
    """Statistics of samples, held-out and training texts: equally many, of the same lengths.

    Attributes:
        samples, test, train: The texts.
        all_samples: All samples, of which `samples` may be parts.
        training: Returns the texts of the whole training part.
        records: Whether each text is a short record rather than a piece of a long one.
        seed: Seed of the intervals.
        keys_of: Returns a number for each of some texts, which near-duplicates share.
        field_names: Names of the fields of rows; () if they have none.
    """

    samples: list[str]
    test: list[str]
    train: list[str]
    all_samples: list[str]
    training: Callable[[], list[str]]
    records: bool
    seed: int
    keys_of: KeysOf[str] = equal_keys
    field_names: tuple[str, ...] = ()

    def measures(self) -> dict[str, Measure]:
        """What is measured, by its name: one quantity each."""
        of_records: dict[str, Measure] = {}
        if self.records:
            sets = self._record_sets
            of_records = {
                "the share that parses": Measure(partial(parsing_scores, sets)),
                ODD_RECORDS_MEASURE: Measure(partial(odd_scores, sets)),
                "beginnings and ends": Measure(partial(record_end_scores, sets)),
                "formats": Measure(partial(format_scores, sets), BOTH),
                "order of numbers": Measure(partial(number_scores, sets)),
            }
            # The format is that of all training records: a comparison with few samples has too few of them to show one
            if sets.row_format is not None:
                of_records = {
                    "fields of rows": Measure(partial(row_scores, sets)),
                    "values of rows": Measure(partial(unknown_value_scores, sets)),
                    "pairs of values": Measure(partial(unknown_pair_scores, sets)),
                    **of_records,
                }
            # Where no field has keys, this costs next to nothing
            of_records = {"values that never repeat": Measure(self._known_keys, NOVELTY), **of_records}
        return {
            # It costs next to nothing, so time is never up before it
            "repetition": Measure(self._repeats, VARIETY),
            **of_records,
            "4-grams": Measure(self._fourgrams),
            # For records, the copying test answers the question
            VERBATIM_MEASURE: Measure(self._verbatim, NEITHER if self.records else NOVELTY),
        }

    def repetitive(self) -> Iterator[Score]:
        """Yield the score of samples that run away in repetitions: of all records, since a few of them may do so."""
        if self.records:
            yield from repetitive_score(self.all_samples, [*self.test, *self._record_sets.known[:MAX_USUAL]])
        else:
            yield from repetitive_score(self._parts(self.samples), self._parts([*self.test, *self.train]))

    def words(self, training: Sequence[str]) -> Iterator[Score]:
        """Yield scores of known, new and broken words, and of the order of words in records; see `words` and `word_order`.

        Scripts that put no spaces between words have scores of pairs of characters instead.

        Args:
            training: Texts whose words count as known: of records, all.
        """
        if is_unspaced(training):
            samples, test = self._parts(self.samples), self._parts(self.test)
            yield from pair_scores(samples, test, training, self.records, self.seed)
            return
        samples, test = self._parts(self.samples), self._parts(self.test)
        yield from word_scores(samples, test, Vocabulary(training, self.records), self.seed)
        if self.records:
            yield from word_order_scores(self._record_sets)

    def _parts(self, texts: Sequence[str]) -> list[str]:
        """Texts, or parts of them, that count one by one; see `resampling_units`."""
        return list(texts) if self.records else list(itertools.chain(*resampling_units(texts)))

    @cached_property
    def _record_sets(self) -> RecordSets:
        parts = self.samples, self.test, self.train, self.training()
        return RecordSets(*parts, self.seed, self.keys_of, self.field_names)

    def _fourgrams(self) -> Iterator[Score]:
        ids, num_symbols = _ngram_ids([self.samples, self.test, self.train], 4)
        samples, test, train = (
            np.bincount(part, minlength=num_symbols).astype(np.float64) for part in ids
        )  # each (s,)
        if not test.any() or not train.any():  # records of three characters have none to compare
            return
        value = jensen_shannon(samples, test)
        blocks = [(np.arange(len(part)) * BLOCKS // max(len(part), 1)).astype(np.uint8) for part in ids[:2]]
        rng = np.random.default_rng(self.seed)
        resampled = []
        for _ in range(RESAMPLES):
            weight = rng.multinomial(BLOCKS, np.full(BLOCKS, 1.0 / BLOCKS), size=2)  # (2, b)
            # No table of counts by block: rare symbols of long Chinese texts would take gigabytes
            parts = zip(ids[:2], weight, blocks, strict=True)
            resampled.append(jensen_shannon(*(np.bincount(part, w[block], num_symbols) for part, w, block in parts)))
        low, high = interval(value, resampled, minimum=0.0)
        yield Score(
            FOURGRAM_DIVERGENCE,
            value,
            low=low,
            high=high,
            real_baseline=jensen_shannon(train, test),
            n=sum(map(len, self.samples)),
            source="Jensen-Shannon divergence in bits of 4-character counts, samples against held-out text",
        )

    def _repeats(self) -> Iterator[Score]:
        if self.records:
            value, real = (1.0 - len(set(part)) / len(part) for part in (self.samples, self.test))
            source = "share of samples that repeat another sample; real: the same among held-out records"
            n = len(self.samples)
            ends = clopper_pearson(value * n, n)
            yield Score(REPETITION_RATE, value, low=ends[0], high=ends[1], real_baseline=real, n=n, source=source)
            return
        # Each text counts once: one long table would decide about all
        rates, real_rates = (_all_repeated_shares(part) for part in (self.samples, self.test))  # each (t,)
        if not len(rates) or not len(real_rates):
            return
        low, high = mean_interval(rates, self.seed)
        yield Score(
            REPETITION_RATE,
            float(rates.mean()),
            low=low,
            high=high,
            real_baseline=float(real_rates.mean()),
            n=sum(max(len(text) - REPEAT + 1, 0) for text in self.samples),
            source=f"share of {REPEAT}-character passages that occur earlier in the same sample, mean of samples "
            "or of pieces of few; real: held-out text",
        )

    def _known_keys(self) -> Iterator[Score]:
        yield from key_scores(self.all_samples, self.test, self._record_sets.known, self.training())

    def _verbatim(self) -> Iterator[Score]:
        if self.records:
            training = set(self.training())
            value, real = (sum(text in training for text in part) / len(part) for part in (self.all_samples, self.test))
            source = f"share of samples that are one of {len(training):,} training records; real: held-out records"
            yield Score(known_records(), value, real_baseline=real, n=len(self.all_samples), source=source)
            return
        training_text = "\n".join(self.training())
        if len(training_text) < PASSAGE:
            return
        hashes = np.sort(window_hashes(code_points(training_text), PASSAGE))
        rows, real_rows = (
            np.array([(count_covered(text, hashes, PASSAGE), len(text)) for text in part], np.float64)
            for part in (self.all_samples, self.test)
        )  # each (t, 2)
        low, high = ratio_interval(rows[:, 0], rows[:, 1], self.seed)
        real_high = ratio_interval(real_rows[:, 0], real_rows[:, 1], self.seed)[1]
        yield Score(
            VERBATIM_SHARE,
            float(rows[:, 0].sum() / rows[:, 1].sum()),
            low=low,
            high=high,
            real_baseline=float(real_rows[:, 0].sum() / real_rows[:, 1].sum()),
            real_high=real_high if min(len(rows), len(real_rows)) >= MIN_TEXTS else None,
            n=int(rows[:, 1].sum()),
            source=f"share of the characters of all samples in passages of {PASSAGE} or more that occur in {len(training_text):,} "
            "characters of training text; real: held-out text",
        )


def _ngram_ids(sets: Sequence[Sequence[str]], width: int) -> tuple[list[NDArray[np.intp]], int]:
    """The numbers of the character n-grams of each set, from 0, and how many different ones there are; none crosses two texts."""
    alphabet = np.unique(np.concatenate([code_points(text) for texts in sets for text in texts]))
    keys = [np.concatenate([_ngram_keys(text, alphabet, width) for text in texts]) for texts in sets]
    symbols, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    return np.split(inverse, np.cumsum([len(key) for key in keys])[:-1]), len(symbols)


def _ngram_keys(text: str, alphabet: NDArray[np.uint32], width: int) -> NDArray[np.int64]:
    """A number for each n-gram of a text, equal for equal n-grams."""
    ids = np.searchsorted(alphabet, code_points(text)).astype(np.int64)
    key = np.zeros(max(len(ids) - width + 1, 0), dtype=np.int64)
    for offset in range(width):
        key = key * len(alphabet) + ids[offset : offset + len(key)]
    return key


def _all_repeated_shares(texts: Sequence[str]) -> NDArray[np.float64]:
    """(t,) `_repeated_shares` of the resampling units of all texts that are long enough."""
    long_texts = [text for text in texts if len(text) >= REPEAT]
    shares: list[float] = []
    for text, units in zip(long_texts, resampling_units(long_texts), strict=True):
        shares += _repeated_shares(text, len(units))
    return np.array(shares)


def _repeated_shares(text: str, num_parts: int) -> list[float]:
    """Share of the passages of REPEAT characters, in each of some parts of a text, that occur earlier in the text."""
    hashes = window_hashes(code_points(text), REPEAT)
    is_repeated = np.ones(len(hashes), dtype=bool)
    is_repeated[np.unique(hashes, return_index=True)[1]] = False
    return [float(part.mean()) for part in np.array_split(is_repeated, num_parts)]
