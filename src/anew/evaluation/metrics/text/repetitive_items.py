"""Samples that run away in repetitions: hundreds of one residue, the same line again and again.

Readers see them first. Figures of all samples together hardly change if a tenth of them do nothing else.

Legend for shapes: t texts, n characters (symbols) of all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.metrics.distances import Array
from anew.evaluation.score import ENOUGH_FOR_RARE_SHARES, Score, Tolerance, bounded_spec
from anew.functional.intervals import clopper_pearson
from anew.functional.text_hashes import Hashes, code_points, window_hashes

MAX_PERIOD = 16  # symbols that are repeated, at most; chosen: longer ones are passages, which readers see as such
# A repetition counts if at least so many symbols, and so many periods of them, equal those one period before: then the symbols are there
# three times; chosen: English has `nana` and `mississippi`, proteins runs of three
MIN_EQUAL, MIN_PERIODS = 4, 2
REAL_QUANTILE = 0.98  # share of real items that do not count as repetitive; chosen
# Least share of a text that is repetition where it counts: real names and molecules may have none at all; chosen
MIN_SHARE = 0.05
WINDOW = 16  # characters in a row that count as a repetition of earlier ones: some three words
MIN_TEXTS = 20  # samples; chosen
SMALL_EXCESS = 0.02  # one in twenty is seen on a page of samples
MIN_REAL = 91  # real texts: even the largest of fewer may be exceeded more often than MAX_EXCEEDED allows
# Share of further real items that may exceed the limit at most, with 97.5% confidence
MAX_EXCEEDED = 1.0 - REAL_QUANTILE + SMALL_EXCESS
REPETITIVE_ITEMS = bounded_spec(
    "repetitive_items",
    "Repetitive items",
    "Share of samples that repeat themselves more than 98 in 100 real items do: runs of one character or of a few, and passages of "
    f"{WINDOW} characters that the sample has had before.",
    Tolerance(
        "closeness",
        small=SMALL_EXCESS,
        large=0.05,
        clause="{value:.0%} of the samples repeat themselves as hardly any real item does (real data: {real:.0%})",
        exact_baseline=1.0 - REAL_QUANTILE,
        least=MIN_TEXTS,
        least_to_pass=ENOUGH_FOR_RARE_SHARES,
        explains_others=True,
    ),
)


def repetitive_score(samples: Sequence[str], real: Sequence[str]) -> Iterator[Score]:
    """Yield the share of samples that repeat themselves more than REAL_QUANTILE of the real texts do; nothing of too few texts.

    Args:
        samples: Samples, or pieces of them.
        real: Real texts of such lengths, held-out ones and others.
    """
    if len(samples) < MIN_TEXTS or len(real) < MIN_REAL:
        return
    usual = max(MIN_SHARE, _usual_share(repeated_shares(real)))
    is_repetitive = repeated_shares(samples) > usual
    low, high = clopper_pearson(float(is_repetitive.sum()), len(samples))
    source = (
        f"{is_repetitive.sum():,} of {len(samples):,} samples consist of more than {usual:.0%} repetition; at most "
        f"{1.0 - REAL_QUANTILE:.0%} of {len(real):,} real ones do"
    )
    yield Score(
        REPETITIVE_ITEMS,
        float(is_repetitive.mean()),
        low=low,
        high=high,
        real_baseline=1.0 - REAL_QUANTILE,
        n=len(samples),
        source=source,
    )


def repeated_shares(texts: Sequence[str]) -> Array:
    """The share (t,) of each text that is repetition: in tandem repeats, or in passages that are in the text before."""
    points = [code_points(text) for text in texts]
    lengths = np.array([len(part) for part in points])
    items = np.repeat(np.arange(len(texts)), lengths)  # (n,)
    is_repeated = in_tandem_repeats(np.concatenate(points), items)  # (n,)
    for part, start in zip(points, np.cumsum(lengths) - lengths, strict=True):
        if len(part) > WINDOW:
            is_repeated[start : start + len(part)] |= _in_earlier_passages(window_hashes(part, WINDOW))
    return np.asarray(np.bincount(items, is_repeated, len(texts)) / np.maximum(lengths, 1))


def _in_earlier_passages(hashes: Hashes) -> NDArray[np.bool_]:
    """Whether each character of a text is in a passage that begins before in it, given the hashes of its passages."""
    is_repeated = np.ones(len(hashes), dtype=bool)
    is_repeated[np.unique(hashes, return_index=True)[1]] = False
    return np.convolve(is_repeated, np.ones(WINDOW)) > 0.5


def _usual_share(shares: Array) -> float:
    """The share that 1 - REAL_QUANTILE of further such texts exceed, or fewer where few texts leave in doubt that MAX_EXCEEDED do not.

    The k-th largest of t is exceeded by k / (t + 1) of them on average.
    """
    rank = int((1.0 - REAL_QUANTILE) * (len(shares) + 1))
    while rank > 1 and clopper_pearson(float(rank - 1), len(shares))[1] > MAX_EXCEEDED:
        rank -= 1
    return float(np.sort(shares)[-rank])


def in_tandem_repeats(symbols: NDArray[np.integer], items: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether each symbol is in a tandem repeat, (n,): the same again and again, such as a run of one letter, or `ab` in `abababab`.

    Args:
        symbols: (n,) symbols of items one after another.
        items: (n,) the number of the item that each is of: a repeat never crosses two items.
    """
    inside = np.zeros(len(symbols), dtype=bool)
    for period in range(1, min(MAX_PERIOD, len(symbols) - 1) + 1):
        is_equal = (symbols[period:] == symbols[:-period]) & (items[period:] == items[:-period])  # (n - period,)
        steps = np.diff(is_equal.astype(np.int8), prepend=0, append=0)
        starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
        is_long = ends - starts >= max(MIN_EQUAL, MIN_PERIODS * period)
        depth = np.zeros(len(symbols) + 1, dtype=np.int32)
        np.add.at(depth, starts[is_long], 1)
        np.add.at(depth, ends[is_long] + period, -1)
        inside |= np.cumsum(depth[:-1]) > 0
    return inside
