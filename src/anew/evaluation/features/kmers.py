"""Features of texts and other strings: counts of short n-grams of characters, and statistics of lengths and kinds of characters.

Counts of n-grams of one to four characters are hashed into cells. Their square roots (Hellinger) are mixed by a fixed random
matrix, which is the same on every machine and needs no vocabulary.

Legend for shapes: n texts, c cells, d features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Numbers
from anew.functional.text_hashes import code_points, ngram_cells

WIDTHS = (1, 2, 3, 4)  # characters of a run: up to pieces of words, which occur often enough in some hundred texts
CELLS = 512  # cells of the hash table of each width: a few runs that share a cell do no harm
MIXED_FEATURES = 96  # random projections of all cells: few enough for covariances of some hundred texts
PLAIN_FEATURES = 8  # features of length and kinds of characters, see `_plain_statistics`
FEATURES = MIXED_FEATURES + PLAIN_FEATURES
MIN_LENGTH_SCALE = 0.1  # scale of the log of a length, at least: a tenth of the length; chosen
COUNTED_CHARACTERS = 100_000  # training characters that pairs are counted in: hundreds of each of the usual ones
# Share of texts at either end of a feature that may lie far out (lists of codes, licences in capitals); chosen: half as many
# hardly differ (docs/log.md, 2026-11-29)
TAIL = 0.01
NAME = f"counts of runs of {WIDTHS[0]} to {WIDTHS[-1]} characters, lengths and kinds of characters"


class Kmers:
    """Computes features (n, FEATURES) float64 of texts, each of standard deviation 1 over the texts it was fitted to.

    Plain statistics that hardly vary there have a smaller one: where all lengths are nearly the same, a text that is a little
    longer would be hundreds of deviations away, and distances would see nothing else (docs/log.md, 2026-11-28).
    """

    def __init__(self, train: Sequence[str]) -> None:
        gaussian = np.random.default_rng(0).normal(size=(CELLS * len(WIDTHS), MIXED_FEATURES))  # (c, d)
        self._mix = gaussian / np.sqrt(MIXED_FEATURES)
        raw = self._read(train)
        self._centre, deviation = raw.mean(axis=0), raw.std(axis=0)
        deviation[MIXED_FEATURES:] = np.maximum(
            deviation[MIXED_FEATURES:], _least_scales(train, self._centre[MIXED_FEATURES:])
        )
        self._scale = np.where(deviation > 1e-9, deviation, 1.0)

    def __call__(self, texts: Sequence[str]) -> Numbers:
        return np.asarray((self._read(texts) - self._centre) / self._scale)

    def _read(self, texts: Sequence[str]) -> NDArray[np.float64]:
        rows = [np.concatenate([_cells(t, width) for width in WIDTHS]) for t in texts]
        return np.concatenate([np.stack(rows) @ self._mix, np.array([_plain_statistics(t) for t in texts])], axis=1)


def _cells(text: str, width: int) -> NDArray[np.float64]:
    """The square root of the share of runs of `width` characters that fall into each cell, (CELLS,)."""
    cells = ngram_cells(code_points(text), width, CELLS)
    return np.sqrt(np.bincount(cells, minlength=CELLS) / max(len(cells), 1))


def _plain_statistics(text: str) -> list[float]:
    n = max(len(text), 1)
    words = text.split()
    shares = [sum(map(test, text)) / n for test in (str.isalpha, str.isupper, str.isdigit, str.isspace)]
    length = float(np.mean([len(w) for w in words])) if words else 0.0
    return [float(np.log1p(len(text))), float(np.log1p(length)), len(set(text)) / n, text.count("\n") / n, *shares]


def _least_scales(texts: Sequence[str], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """The least scale of each plain statistic (PLAIN_FEATURES,): that of a share is its deviation if each character were drawn
    by itself, at least one character of a text.

    Args:
        texts: Training texts.
        mean: The mean of each statistic over them.
    """
    length = max(float(np.mean([len(text) for text in texts])), 1.0)
    shares = np.clip(mean[2:], 0.0, 1.0)
    deviations = np.maximum(np.sqrt(shares * (1.0 - shares) / length), 1.0 / length)
    return np.concatenate([np.full(2, MIN_LENGTH_SCALE), deviations])


def bigrams(train: Sequence[str], n: int, rng: np.random.Generator) -> list[str]:
    """Samples of a Markov chain of characters, a naive generator. Each is as long as a random training text.

    Args:
        train: Training texts.
        n: Number of samples.
        rng: Generator of lengths and characters.
    """
    ends = "\x00"  # stands before and after a text
    x = code_points(ends + ends.join(t for t in train if t)[:COUNTED_CHARACTERS].rstrip(ends) + ends)
    alphabet, ids = np.unique(x, return_inverse=True)
    order = np.argsort(ids[:-1], kind="stable")
    successors = ids[1:][order]  # the characters after each character, one character after the other
    start = np.searchsorted(ids[:-1][order], np.arange(len(alphabet) + 1))
    stop = int(np.searchsorted(alphabet, 0))

    def draw_next(last: NDArray[np.intp]) -> NDArray[np.intp]:
        low, high = start[last], start[last + 1]
        return np.asarray(successors[low + (rng.random(len(last)) * (high - low)).astype(np.intp)])

    # Falling: the texts that are not yet complete are the first ones. A table of all would be as wide as the longest
    lengths = np.sort([len(train[i]) for i in rng.integers(len(train), size=n)])[::-1]
    starts = np.cumsum(lengths) - lengths
    ids_of_texts = np.zeros(int(lengths.sum()), dtype=np.intp)  # one text after the other
    last = np.full(n, stop)
    for position in range(int(lengths.max(initial=0))):
        last = draw_next(last[: np.searchsorted(-lengths, -position)])
        has_ended = last == stop
        last[has_ended] = draw_next(last[has_ended])  # a text that would end continues with the beginning of another
        ids_of_texts[starts[: len(last)] + position] = last
    texts = np.split(alphabet[ids_of_texts].astype("<u4"), starts[1:])
    return [texts[i].tobytes().decode("utf-32-le", "surrogatepass") for i in rng.permutation(n)]
