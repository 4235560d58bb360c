"""Statistics of generated text beside as much held-out text: runs of characters, words, repetition, verbatim passages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.memorization.nearest import codes, covered, window_hashes
from anew.evaluation.metrics.statistics import Score, interval, jensen_shannon, ratio_interval

PASSAGE = 32  # characters that count as verbatim: some six words
REPEAT = 16  # characters that count as a repetition within one sample
BLOCKS = 20
WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Statistics:
    """Samples, held-out and training texts: as many, of the same lengths. training: texts of the whole training part;
    records: each text is whole and short."""

    samples: list[str]
    test: list[str]
    train: list[str]
    training: Callable[[], list[str]]
    records: bool
    seed: int

    def measures(self) -> dict[str, Callable[[], Iterator[Score]]]:
        """What is measured, by its name."""
        return {
            "runs of characters": self._ngrams,
            "word frequencies": self._zipf,
            "repetition": self._repeats,
            "verbatim passages": self._verbatim,
        }

    def _ngrams(self) -> Iterator[Score]:
        samples, test, train = self.samples, self.test, self.train
        for name, width in (("bigram_divergence", 2), ("fourgram_divergence", 4)):
            counts = _ngram_counts([samples, test, train], width)  # three of (BLOCKS, symbols)
            value = jensen_shannon(counts[0].sum(0), counts[1].sum(0))
            floor = jensen_shannon(counts[2].sum(0), counts[1].sum(0))
            source = np.random.default_rng(self.seed)
            drawn = []
            for _ in range(100):
                weight = source.multinomial(BLOCKS, np.full(BLOCKS, 1.0 / BLOCKS), size=2)
                drawn.append(jensen_shannon(weight[0] @ counts[0], weight[1] @ counts[1]))
            low, high = interval(value, drawn)
            n = int(sum(map(len, samples)))
            note = f"Jensen-Shannon divergence in bits of {width}-character counts, samples against held-out text"
            yield Score(name, value, None if low is None else max(low, 0.0), high, floor, "lower", n, note)

    def _zipf(self) -> Iterator[Score]:
        samples, test, train = self.samples, self.test, self.train
        words = [[w.lower() for t in part for w in WORD.findall(t)] for part in (samples, test, train)]
        slopes = [zipf_slope(part) for part in words]
        if self.records or any(s is None for s in slopes):
            return
        own, held, known = (float(s) for s in slopes if s is not None)
        note = (
            f"difference of the slopes of log frequency over log rank of words: samples {own:.2f}, held-out {held:.2f}"
        )
        yield Score("zipf_distance", abs(own - held), floor=abs(known - held), n=len(words[0]), source=note)

    def _repeats(self) -> Iterator[Score]:
        samples, test = self.samples, self.test
        if self.records:
            value, floor = (1.0 - len(set(part)) / len(part) for part in (samples, test))
            note = "share of samples that say again what another sample says; floor: the same among held-out records"
            yield Score("repetition_rate", value, floor=floor, n=len(samples), source=note)
            return
        rows = [np.array([_repeated(t) for t in part], dtype=np.float64) for part in (samples, test)]  # (pieces, 2)
        value, floor = (float(r[:, 0].sum() / max(r[:, 1].sum(), 1.0)) for r in rows)
        low, high = ratio_interval(rows[0][:, 0], rows[0][:, 1] + 1e-9, self.seed)
        note = f"share of {REPEAT}-character passages that stand earlier in the same sample; floor: held-out text"
        yield Score("repetition_rate", value, low, high, floor, "lower", int(rows[0][:, 1].sum()), note)

    def _verbatim(self) -> Iterator[Score]:
        samples, test = self.samples, self.test
        if self.records:
            known = set(self.training())
            value, floor = (sum(t in known for t in part) / len(part) for part in (samples, test))
            note = (
                f"share of samples that are one of {len(known):,} training records; floor: the same of held-out records"
            )
            yield Score("verbatim_share", value, floor=floor, n=len(samples), source=note)
            return
        training = "\n".join(self.training())
        if len(training) < PASSAGE:
            return
        hashes = np.sort(window_hashes(codes(training), PASSAGE))
        sets = [np.array([(covered(t, hashes, PASSAGE), len(t)) for t in part], np.float64) for part in (samples, test)]
        value, floor = (float(s[:, 0].sum() / s[:, 1].sum()) for s in sets)
        low, high = ratio_interval(sets[0][:, 0], sets[0][:, 1], self.seed)
        note = f"share of characters in passages of {PASSAGE} or more that stand in the training text; floor: held-out text"
        yield Score("verbatim_share", value, low, high, floor, "lower", int(sets[0][:, 1].sum()), note)


def _ngram_counts(sets: Sequence[Sequence[str]], width: int) -> list[NDArray[np.float64]]:
    """Counts of character n-grams, (BLOCKS, symbols) for each set over the same symbols; none crosses two pieces."""
    alphabet = np.unique(np.concatenate([codes(t) for part in sets for t in part]))
    keys = []
    for part in sets:
        rows = []
        for text in part:
            ids = np.searchsorted(alphabet, codes(text)).astype(np.int64)
            key = np.zeros(max(len(ids) - width + 1, 0), dtype=np.int64)
            for step in range(width):
                key = key * len(alphabet) + ids[step : step + len(key)]
            rows.append(key)
        keys.append(np.concatenate(rows))
    symbols, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    counts, start = [], 0
    for key in keys:
        own = inverse[start : start + len(key)]
        block = np.arange(len(own)) * BLOCKS // max(len(own), 1)
        flat = np.bincount(block * len(symbols) + own, minlength=BLOCKS * len(symbols))
        counts.append(flat.reshape(BLOCKS, len(symbols)).astype(np.float64))
        start += len(key)
    return counts


def zipf_slope(words: Sequence[str], most: int = 500) -> float | None:
    """Slope of log frequency over log rank of the commonest words that occur at least twice; None under 20 of them."""
    _, counts = np.unique(np.asarray(words, dtype=str), return_counts=True)
    counts = np.sort(counts[counts >= 2])[::-1][:most]
    if len(counts) < 20:
        return None
    return float(np.polyfit(np.log(np.arange(1, len(counts) + 1)), np.log(counts), 1)[0])


def _repeated(text: str) -> tuple[int, int]:
    """Passages of REPEAT characters that stand earlier in the text, and all passages."""
    if len(text) < REPEAT:
        return 0, 0
    hashes = window_hashes(codes(text), REPEAT)
    return len(hashes) - len(np.unique(hashes)), len(hashes)
