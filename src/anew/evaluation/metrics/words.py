"""Whether generated text is made of words: those of the training text, new ones that look like words, and broken ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from anew.evaluation.metrics.bootstrap import ratio_interval
from anew.evaluation.score import MetricSpec, Score, Tolerance

KNOWN_WORDS = MetricSpec(
    "known_words",
    "Known words",
    "Share of words that stand in the training text.",
    better="higher",
    maximum=1.0,
    tolerance=Tolerance(
        "closeness", 0.04, 0.2, "{value:.0%} of words are words of the training text (real text: {real:.0%})"
    ),
)
NEW_WORDS = MetricSpec(
    "new_words",
    "New words that look like words",
    "Share of words that are not in the training text, but made of its letter triples.",
    maximum=1.0,
    role="fact",
)
BROKEN_WORDS = MetricSpec(
    "broken_words",
    "Broken words",
    "Share of words that are not in the training text and hold a letter triple that no word there has.",
    maximum=1.0,
    tolerance=Tolerance("closeness", 0.02, 0.1, "{value:.1%} of words are broken (real text: {real:.1%})"),
)
WORD = re.compile(r"[^\W\d_]+")
LEAST_KNOWN = 0.5  # of the words of held-out text, under which words are not what the text is made of
LEAST_WORDS = 100  # of samples, and of held-out text
WIDTH = 3  # letters of a run, with the ends of the word


class Vocabulary:
    """The words of training texts, in lower case, and their letter triples."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._words = {word for text in texts for word in words(text)}
        self._runs = {run for word in self._words for run in runs(word)}

    def counts(self, text: str) -> tuple[int, int, int]:
        """(known, new, broken) words of a text."""
        known = new = broken = 0
        for word in words(text):
            if word in self._words:
                known += 1
            elif all(run in self._runs for run in runs(word)):
                new += 1
            else:
                broken += 1
        return known, new, broken


def words(text: str) -> list[str]:
    """Words of a text in lower case; the first and the last may be cut in two, and are left out."""
    return [word.lower() for word in WORD.findall(text)[1:-1]]


def runs(word: str) -> list[str]:
    """The letter triples of a word between its ends."""
    marked = f"^{word}$"
    return [marked[i : i + WIDTH] for i in range(max(len(marked) - WIDTH + 1, 1))]


def word_scores(samples: Sequence[str], held_out: Sequence[str], vocabulary: Vocabulary, seed: int) -> Iterator[Score]:
    """Shares of known, new and broken words of samples, beside held-out text; none where text is not made of words."""
    counts, real_counts = (
        np.array([vocabulary.counts(text) for text in part], dtype=np.float64).reshape(-1, 3)
        for part in (samples, held_out)
    )  # each (texts, 3)
    n, n_real = counts.sum(), real_counts.sum()
    if min(n, n_real) < LEAST_WORDS or real_counts[:, 0].sum() < LEAST_KNOWN * n_real:
        return
    for column, spec in enumerate((KNOWN_WORDS, NEW_WORDS, BROKEN_WORDS)):
        low, high = ratio_interval(counts[:, column], np.maximum(counts.sum(axis=1), 1e-9), seed)
        yield Score(
            spec,
            float(counts[:, column].sum() / n),
            low=low,
            high=high,
            real_baseline=float(real_counts[:, column].sum() / n_real),
            n=int(n),
            source=f"of {n:,.0f} words of samples; real: {n_real:,.0f} words of held-out text",
        )
