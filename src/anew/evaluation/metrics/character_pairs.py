"""Generated text in scripts that put no spaces between words (Chinese, Japanese, Thai): pairs of characters, in place of words."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

import numpy as np

from anew.evaluation.metrics.words import MIN_KNOWN, MIN_WORDS, passage_score, share_of
from anew.evaluation.score import ENOUGH_FOR_RARE_SHARES, MetricSpec, Score, Tolerance, guessing_spec

KNOWN_CHARACTER_PAIRS = MetricSpec(
    "known_character_pairs",
    "Known pairs of characters",
    "Share of pairs of neighbouring characters that occur in the training text, of scripts without spaces between words.",
    better="higher",
    maximum=1.0,
    tolerance=Tolerance(
        "closeness",
        0.04,
        0.2,
        "{value:.1%} of pairs of characters occur in the training text (real text: {real:.1%})",
        least_to_pass=ENOUGH_FOR_RARE_SHARES,
    ),
)
UNKNOWN_CHARACTER_PAIRS = guessing_spec(
    "unknown_character_pairs",
    "Unknown pairs of a passage",
    "How often a sample has a larger share of pairs of characters that are not in the training text than a passage of held-out "
    "text of its length",
    "a sample has more unknown pairs of characters than a real passage",
    # As for words
    least=20,
    least_to_pass=150,
    one_sided=True,
)
# Thai, Lao, Burmese and Khmer; kana and Chinese characters
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_LETTER = re.compile(r"[^\W\d_]")
JUDGED_CHARACTERS = 100_000  # of the training text, which decide; chosen
UNSPACED_SHARE = 0.5  # of the letters, from which on text has no words to count: chosen


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
    n, n_real = counts[:, 1].sum(), real_counts[:, 1].sum()
    if min(n, n_real) < MIN_WORDS or real_counts[:, 0].sum() < MIN_KNOWN * n_real:
        return
    yield share_of(KNOWN_CHARACTER_PAIRS, counts, real_counts, "pairs of characters", seed)
    if not records:
        shares, real_shares = (1.0 - part[:, 0] / np.maximum(part[:, 1], 1.0) for part in (counts, real_counts))
        yield passage_score(UNKNOWN_CHARACTER_PAIRS, shares, real_shares, "pairs of characters")


def _pairs(text: str) -> Iterator[str]:
    for run in _UNSPACED.findall(text):
        yield from map("".join, itertools.pairwise(run))


def _counts(text: str, known: set[str]) -> tuple[int, int]:
    """Count the (known, all) pairs of a text."""
    is_known = [pair in known for pair in _pairs(text)]
    return sum(is_known), len(is_known)
