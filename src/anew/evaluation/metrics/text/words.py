"""Words of generated text: those of the training text, new ones that look like words, and broken ones.

Scripts without spaces between words (Chinese, Japanese, Thai) are measured by pairs of characters instead of words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from anew.data.formats.text.word_rules import word_rule
from anew.evaluation.metrics.bootstrap import ratio_interval
from anew.evaluation.metrics.distances import Rows
from anew.evaluation.metrics.two_sample import one_sided_score
from anew.evaluation.score import ENOUGH_FOR_RARE_SHARES, MetricSpec, Score, Tolerance, bounded_spec, guessing_spec

KNOWN_WORDS = bounded_spec(
    "known_words",
    "Known words",
    "Share of words that occur in the training text.",
    Tolerance(
        "closeness",
        small=0.04,
        large=0.2,
        clause="{value:.1%} of words are words of the training text (real text: {real:.1%})",
        least_to_pass=ENOUGH_FOR_RARE_SHARES,
    ),
    better="higher",
)
UNKNOWN_WORDS = guessing_spec(
    "unknown_words",
    "Unknown words of a passage",
    "How often a sample has a larger share of words that are not in the training text than a passage of held-out text of its "
    "length",
    "a sample has more unknown words than a real passage",
    least=20,
    # With fewer passages the interval of real text is too wide to pass
    least_to_pass=150,
    one_sided=True,
)
NEW_WORDS = MetricSpec(
    "new_words",
    "New words that look real",
    "Share of words that are not in the training text but consist of its letter trigrams.",
    maximum=1.0,
    role="fact",
)
BROKEN_WORDS = bounded_spec(
    "broken_words",
    "Broken words",
    "Share of words that are not in the training text and contain a letter trigram that no word there has.",
    Tolerance(
        "closeness",
        small=0.02,
        large=0.1,
        clause="{value:.1%} of words are broken (real text: {real:.1%})",
        least_to_pass=ENOUGH_FOR_RARE_SHARES,
    ),
)
ENOUGH_PAIRS = 2_000  # pairs of words that can show that there is no difference; chosen
KNOWN_PAIRS = bounded_spec(
    "known_pairs",
    "Known word pairs",
    "Share of pairs of neighbouring known words that also occur in the training text; low for word salad.",
    Tolerance(
        "closeness",
        small=0.06,
        large=0.2,
        clause="{value:.0%} of pairs of words occur in the training text (real text: {real:.0%})",
        least_to_pass=ENOUGH_PAIRS,
    ),
    better="higher",
)
PAIRS_BEYOND_REAL = bounded_spec(
    "pairs_beyond_real",
    "Known word pairs beyond real text",
    "How much larger the share of known word pairs is in samples than in real text; high for text chained together from pairs of the "
    "training text, or taken from it.",
    Tolerance(
        "closeness",
        # Real halves reach 3%, trained models 15%, those that mostly recite 19% to 44%; text chained from pairs 34% to 42%.
        # It never says no by itself: a model that is drawn with a low temperature prefers pairs that it knows.
        small=0.2,
        large=1.0,
        clause="the share of pairs of words that are from the training text is larger than that of real text by {value:.0%} of all pairs",
        exact_baseline=0.0,
        least_to_pass=ENOUGH_FOR_RARE_SHARES,
    ),
)
WORD = re.compile(word_rule(r"[^\W\d_]"))  # letters alone
LETTERS_AND_DIGITS = re.compile(word_rule(r"\w"))
MIN_KNOWN = 0.5  # below this share of known words in held-out text, the data is not made of words
MIN_WORDS = 100  # with fewer words of samples or held-out text, shares say nothing; chosen
MIN_PAIRS = 0.25  # below this share of known pairs in held-out text, the training text is too short to know pairs
PAIR_BITS = 32  # bits of a pair's number that hold its second word
WIDTH = 3  # characters of a trigram; marks of the beginning and the end of a word count
KNOWN_CHARACTER_PAIRS = bounded_spec(
    "known_character_pairs",
    "Known pairs of characters",
    "Share of pairs of neighbouring characters, at least one of them of a script without spaces between words, that occur in the "
    "training text.",
    Tolerance(
        "closeness",
        small=0.04,
        large=0.2,
        clause="{value:.1%} of pairs of characters occur in the training text (real text: {real:.1%})",
        least_to_pass=ENOUGH_FOR_RARE_SHARES,
    ),
    better="higher",
)
UNKNOWN_CHARACTER_PAIRS = guessing_spec(
    "unknown_character_pairs",
    "Unknown pairs of a passage",
    "How often a sample has a larger share of pairs of characters that are not in the training text than a passage of held-out "
    "text of its length",
    "a sample has more unknown pairs of characters than a real passage",
    # The bounds are those of words
    least=20,
    least_to_pass=150,
    one_sided=True,
)
# Thai, Lao, Burmese and Khmer; kana and Chinese characters
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_LETTER = re.compile(r"[^\W\d_]")
# So much of the training text decides; chosen.
JUDGED_CHARACTERS = 100_000
# Where this share of the letters is of scripts without spaces, a text has no words to count; chosen.
UNSPACED_SHARE = 0.5


class WordCounts(NamedTuple):
    """How many words of a text are known, how many are new but made of known letter trigrams, and how many are not even that."""

    num_known: int
    num_new: int
    num_broken: int


class Vocabulary:
    """The words of training texts, in lower case, their letter trigrams, and which words follow each other.

    Args:
        texts: Training texts, whole.
        records: Whether the texts that are compared with them are whole records, not pieces that may begin or end within a word.
    """

    def __init__(self, texts: Sequence[str], records: bool) -> None:
        self.records = records
        self._ids: dict[str, int] = {}
        pairs = []
        last: list[int] = []
        for text in texts:
            # With all of their words: if documents begin with the same word, it is known.
            ids = [self._ids.setdefault(word, len(self._ids)) for word in words(text, record=True)]
            numbers = np.array(last + ids, dtype=np.int64)
            pairs.append(numbers[:-1] << PAIR_BITS | numbers[1:])
            # Pieces may hold the end of a text and the beginning of the next
            last = [] if records else ids[-1:] or last
        self._pairs = np.unique(np.concatenate([*pairs, np.zeros(0, dtype=np.int64)]))

    @cached_property
    def _trigrams(self) -> set[str]:
        """Letter trigrams of all words; they take longer than the words themselves."""
        return {trigram for word in self._ids for trigram in trigrams(word)}

    def known_share(self, texts: Sequence[str]) -> float:
        """The share of the words of texts that are known; 0 without words."""
        is_known = [word in self._ids for text in texts for word in words(text, self.records)]
        return sum(is_known) / max(len(is_known), 1)

    def counts(self, text: str) -> WordCounts:
        """Count the words of a text."""
        num_known = num_new = num_broken = 0
        for word in words(text, self.records):
            if word in self._ids:
                num_known += 1
            elif all(trigram in self._trigrams for trigram in trigrams(word)):
                num_new += 1
            else:
                num_broken += 1
        return WordCounts(num_known, num_new, num_broken)

    def pair_counts(self, text: str) -> tuple[int, int]:
        """Count the (known, all) pairs of neighbouring words that are both known."""
        ids = np.array([self._ids.get(word, -1) for word in words(text, self.records)], dtype=np.int64)
        is_known = (ids[:-1] >= 0) & (ids[1:] >= 0)
        pairs = (ids[:-1] << PAIR_BITS | ids[1:])[is_known]
        if not len(self._pairs):
            return 0, len(pairs)
        place = np.searchsorted(self._pairs, pairs).clip(max=len(self._pairs) - 1)
        return int((self._pairs[place] == pairs).sum()), len(pairs)


def words(text: str, record: bool) -> list[str]:
    """The words of a text in lower case, without those of a piece that touch its ends, which may be cut."""
    matches = [match for match in WORD.finditer(text) if record or (match.start() > 0 and match.end() < len(text))]
    return [match.group().lower() for match in matches]


def trigrams(word: str) -> list[str]:
    """The letter trigrams of a word, marks of its beginning and end included."""
    marked = f"^{word}$"
    return [marked[i : i + WIDTH] for i in range(max(len(marked) - WIDTH + 1, 1))]


def word_scores(samples: Sequence[str], held_out: Sequence[str], vocabulary: Vocabulary, seed: int) -> Iterator[Score]:
    """Yield scores of known, new and broken words of samples; none if the data is not made of words."""
    if vocabulary.known_share(held_out) < MIN_KNOWN:
        return
    counts, real_counts = (
        np.array([vocabulary.counts(text) for text in part], dtype=np.float64).reshape(-1, 3)
        for part in (samples, held_out)
    )  # each (texts, 3)
    n, num_real = counts.sum(), real_counts.sum()
    if min(n, num_real) < MIN_WORDS:
        return
    for column, spec in enumerate((KNOWN_WORDS, NEW_WORDS, BROKEN_WORDS)):
        own, real = (np.stack([part[:, column], part.sum(axis=1)], axis=1) for part in (counts, real_counts))
        yield share_of(spec, own, real, "words", seed)
    if not vocabulary.records:
        yield _unknown_words(counts, real_counts)
    pairs, real_pairs = (
        np.array([vocabulary.pair_counts(text) for text in part], dtype=np.float64).reshape(-1, 2)
        for part in (samples, held_out)
    )  # each (texts, 2)
    n, num_real = pairs[:, 1].sum(), real_pairs[:, 1].sum()
    if min(n, num_real) >= MIN_WORDS and real_pairs[:, 0].sum() >= MIN_PAIRS * num_real:
        yield share_of(KNOWN_PAIRS, pairs, real_pairs, "pairs of known words", seed)
        yield _pairs_beyond_real(pairs, real_pairs, seed)


def _pairs_beyond_real(pairs: Rows, real_pairs: Rows, seed: int) -> Score:
    """The score of known pairs on the side that `known_pairs` does not judge. pairs, real_pairs: (texts, 2) known and all pairs."""
    share, real = (float(part[:, 0].sum() / part[:, 1].sum()) for part in (pairs, real_pairs))
    (low, high), (real_low, real_high) = (
        ratio_interval(part[:, 0], np.maximum(part[:, 1], 1e-9), seed + i) for i, part in enumerate((pairs, real_pairs))
    )
    if low is not None and high is not None and real_low is not None and real_high is not None:
        below, above = np.hypot(share - low, real_high - real), np.hypot(high - share, real - real_low)
        low, high = (max(share - real + float(half), 0.0) for half in (-below, above))
    else:
        low = high = None
    shares = f"{share:.0%} of pairs of words are from the training text (real text: {real:.0%}"
    assert PAIRS_BEYOND_REAL.tolerance is not None
    tolerance = replace(
        PAIRS_BEYOND_REAL.tolerance,
        clause=f"{shares}; difference: {{value:.0%}})",
        agreement=f"{shares})",
    )
    return Score(
        replace(PAIRS_BEYOND_REAL, tolerance=tolerance),
        max(share - real, 0.0),
        low=low,
        high=high,
        real_baseline=0.0,
        n=int(pairs[:, 1].sum()),
        source=f"samples {share:.1%}, held-out text {real:.1%}",
    )


def _unknown_words(counts: Rows, real_counts: Rows) -> Score:
    """The score of unknown words per passage: a share over all words hides that 1% and 4% are the difference between prose and
    words that do not exist in each sentence.

    counts: (texts, 3) known, new and broken words of samples; real_counts: of as many held-out passages of the same lengths.
    """
    shares, real_shares = (
        part[:, 1:].sum(axis=1) / np.maximum(part.sum(axis=1), 1.0) for part in (counts, real_counts)
    )
    return passage_score(UNKNOWN_WORDS, shares, real_shares, "words")


def share_of(spec: MetricSpec, counts: Rows, real_counts: Rows, units: str, seed: int) -> Score:
    """The share of units that a figure counts, in samples and in held-out text.

    Args:
        spec: The figure.
        counts, real_counts: (texts, 2) units that it counts and all units, of samples and of held-out texts.
        units: Their name in the plural.
        seed: Chooses the resamples of the interval.
    """
    (part, n), (real_part, num_real) = counts.sum(axis=0), real_counts.sum(axis=0)
    low, high = ratio_interval(counts[:, 0], np.maximum(counts[:, 1], 1e-9), seed)
    return Score(
        spec,
        float(part / n),
        low=low,
        high=high,
        real_baseline=float(real_part / num_real),
        n=int(n),
        source=f"of {n:,.0f} {units} of samples; real: {num_real:,.0f} of held-out text",
    )


def passage_score(spec: MetricSpec, shares: Rows, real_shares: Rows, noun: str) -> Score:
    """How often a passage of samples has a larger unknown share than one of held-out text; (texts,) shares of a noun."""
    source = (
        f"{noun} that are not in the training text, by passage: samples {shares.mean():.1%} on average, held-out text "
        f"{real_shares.mean():.1%}"
    )
    # Fewer unknown words than in held-out text are not a fault: the model knows only the training text
    return one_sided_score(spec, shares, real_shares, source)


def is_unspaced(texts: Sequence[str]) -> bool:
    """Whether most letters of texts are of scripts that put no spaces between words."""
    left, letters, unspaced = JUDGED_CHARACTERS, 0, 0
    for text in texts:
        head = text[:left]
        letters += len(_LETTER.findall(head))
        unspaced += len(_LETTER.findall("".join(_UNSPACED.findall(head))))
        left -= len(head)
        if left <= 0:
            break
    return unspaced > UNSPACED_SHARE * letters


def pair_scores(
    samples: Sequence[str], held_out: Sequence[str], training: Sequence[str], records: bool, seed: int
) -> Iterator[Score]:
    """Yield scores of the pairs of characters of samples; none if held-out text hardly has those of training text.

    records: whether texts are short records, which have too few pairs to be compared one by one.
    """
    known = {pair for text in training for pair in _pairs(text)}
    counts, real_counts = (
        np.array([_counts(text, known) for text in part], dtype=np.float64).reshape(-1, 2)
        for part in (samples, held_out)
    )  # each (texts, 2): pairs that are known, all pairs
    n, num_real = counts[:, 1].sum(), real_counts[:, 1].sum()
    if min(n, num_real) < MIN_WORDS or real_counts[:, 0].sum() < MIN_KNOWN * num_real:
        return
    yield share_of(KNOWN_CHARACTER_PAIRS, counts, real_counts, "pairs of characters", seed)
    if not records:
        shares, real_shares = (1.0 - part[:, 0] / np.maximum(part[:, 1], 1.0) for part in (counts, real_counts))
        yield passage_score(UNKNOWN_CHARACTER_PAIRS, shares, real_shares, "pairs of characters")


def _pairs(text: str) -> Iterator[str]:
    """The pairs of neighbouring characters of which one is of a script without spaces: a letter of another script beside it, as in
    a foreign word that is stuck to the text, is a fault that pairs of that script alone do not show."""
    ends = {position for run in _UNSPACED.finditer(text) for position in range(run.start(), run.end() + 1)}
    for end in sorted(ends):
        pair = text[max(end - 1, 0) : end + 1]
        if len(pair) == 2:
            yield pair


def _counts(text: str, known: set[str]) -> tuple[int, int]:
    """Count the (known, all) pairs of a text."""
    is_known = [pair in known for pair in _pairs(text)]
    return sum(is_known), len(is_known)
