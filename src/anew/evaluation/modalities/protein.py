"""Sequences of residues: how well unseen ones are predicted, at random and by clusters of relatives, beside naive models;
lengths, composition, repeats and likeness to training sequences of what was generated, beside held-out sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from anew.estimators.sequence_clusters import NearestSequences
from anew.evaluation.metrics import baselines
from anew.evaluation.metrics.statistics import Score, interval, jensen_shannon, ratio_interval
from anew.evaluation.modalities.text import ORDER, TEST_MOST, TRAIN_MOST, TextEvaluation

PIECE = 6  # residues of a piece that counts as repeated where it stands earlier in the same sequence
NARROW = 0.2  # share of the median within which 90% of lengths lie where places can be compared
KNOWN = 50_000  # training sequences among which the nearest is looked for
LOOKED = 1_000  # samples, and held-out sequences, whose nearest is looked for
RESAMPLES = 200
Floats = NDArray[np.float64]


class ProteinEvaluation(TextEvaluation):
    """bits_per_residue of the test part and of the part `clusters`, with naive rows; then statistics of samples."""

    noun = "sequences"
    unit = "residue"

    def likelihood(self) -> Iterator[Score]:
        yield from self._likelihood()
        yield from self._clusters()
        yield from self._kneser_ney()
        yield from self._plain()
        yield from self._parts()

    def _clusters(self) -> Iterator[Score]:
        """The same for whole clusters of relatives, and the counting model on them."""
        if self.evidence.clusters is None:
            return
        if self.clock.over(0.6):
            self.leave_out("bits per residue of held-out clusters", "the time was spent")
            return
        left = self.clock.left(0.7)
        found = np.asarray(self.evidence.clusters(None if left == float("inf") else left), dtype=np.float64)
        if not len(found):
            return
        source = f"{len(found):,} sequences in clusters of relatives that were held out whole"
        yield self._ratio("bits_per_residue_clusters", found[:, 0], found[:, 1], source)
        train, test = self._part("train", TRAIN_MOST), self._apart()
        if not test or baselines.kneser_ney_seconds(train, test, ORDER, True) > self.clock.left(0.8):
            return
        bits = baselines.kneser_ney_bits(train, test, ORDER, self.records)
        note = f"naive: counts of up to {ORDER} residues of context, on the same clusters"
        yield self._ratio("bits_per_residue_clusters_kneser_ney", bits, np.ones(len(bits)), note)

    def _apart(self) -> list[str]:
        source = self.evidence.clusters_text
        return [] if source is None else source(TEST_MOST)

    def _plain(self) -> Iterator[Score]:
        """Models that know frequencies alone."""
        train, test = self._part("train", TRAIN_MOST), self._part("test", TEST_MOST)
        if not train or not test:
            return
        letters = sorted(set("".join(train)))
        yield Score("bits_per_residue_uniform", float(np.log2(len(letters) + self.records)), source="naive: all alike")
        for name, places in (("unigram", 1), ("profile", _width(train))):
            if not places:
                continue
            bits, units = frequency_bits(train, test, places)
            where = "at each place of sequences that are all about as long" if places > 1 else "of the training part"
            source = f"naive: frequencies of residues {where}"
            yield Score(f"bits_per_residue_{name}", bits / units, n=units, source=source)

    # generated sequences beside held-out ones

    def own(self) -> Iterator[Score]:
        samples, test, train = (self.sets.get(name, []) for name in ("samples", "test", "train"))
        if samples:
            measures: dict[str, Callable[[Sequence[str], Sequence[str], Sequence[str]], Iterator[Score]]] = {
                "lengths": self._lengths,
                "composition": self._composition,
                "repeats": self._within,
                "nearest training sequences": self._nearest,
            }
            for name, measure in measures.items():
                if self.clock.over(0.85):
                    self.leave_out(name, "the time was spent")
                    continue
                yield from measure(samples, test, train)
        yield from super().own()

    def _lengths(self, samples: Sequence[str], test: Sequence[str], train: Sequence[str]) -> Iterator[Score]:
        rows = [np.sort([len(s) for s in part]).astype(np.float64) for part in (samples, test, train)]
        low, high = self._resampled(rows[0], rows[1], lambda a, b: float(np.abs(np.sort(a) - np.sort(b)).mean()))
        value, floor = (float(np.abs(part - rows[1]).mean()) for part in (rows[0], rows[2]))
        said = f"samples {rows[0].mean():.1f} on average, held-out {rows[1].mean():.1f}, training {rows[2].mean():.1f}"
        source = f"mean difference of sorted lengths, in residues: {said}"
        yield Score("length_distance", value, low, high, floor, n=len(samples), source=source)

    def _composition(self, samples: Sequence[str], test: Sequence[str], train: Sequence[str]) -> Iterator[Score]:
        letters = sorted(set("".join([*samples, *test, *train])))
        rows = [np.array([[s.count(x) for x in letters] for s in part], np.float64) for part in (samples, test, train)]

        def distance(a: Floats, b: Floats) -> float:
            return jensen_shannon(a.sum(0), b.sum(0))

        low, high = self._resampled(rows[0], rows[1], distance)
        source = "Jensen-Shannon divergence in bits of residue frequencies, samples against held-out"
        floor = distance(rows[2], rows[1])
        yield Score("composition_distance", distance(*rows[:2]), low, high, floor, n=len(samples), source=source)

    def _resampled(self, a: Floats, b: Floats, distance: Callable[[Floats, Floats], float]) -> tuple[float | None, ...]:
        source = np.random.default_rng(self.evidence.seed)
        n = len(a)
        drawn = [distance(a[source.integers(0, n, n)], b[source.integers(0, n, n)]) for _ in range(RESAMPLES)]
        low, high = interval(distance(a, b), drawn)
        return (None if low is None else max(low, 0.0)), high

    def _within(self, samples: Sequence[str], test: Sequence[str], train: Sequence[str]) -> Iterator[Score]:
        rows = [np.array([_repeated(s) for s in part], dtype=np.float64) for part in (samples, test)]
        value, floor = (float(r[:, 0].sum() / max(r[:, 1].sum(), 1.0)) for r in rows)
        low, high = ratio_interval(rows[0][:, 0], rows[0][:, 1] + 1e-9, self.evidence.seed)
        source = f"share of pieces of {PIECE} residues that stand earlier in the same sequence; floor: held-out"
        yield Score("repeat_share", value, low, high, floor, n=len(samples), source=source)

    def _nearest(self, samples: Sequence[str], test: Sequence[str], train: Sequence[str]) -> Iterator[Score]:
        known = self.evidence.train(KNOWN)
        near = NearestSequences(known)
        own, held = (np.array([_identity(s, known, near) for s in part[:LOOKED]]) for part in (samples, test))
        q = [np.quantile(part, (0.05, 0.5, 0.95)) for part in (own, held)]
        said = ["/".join(f"{v:.2f}" for v in part) for part in q]
        source = f"identity with the nearest of {len(known):,} training sequences, 5/50/95%: samples {said[0]}, held-out {said[1]}"
        low, high = self._medians(own)
        yield Score("nearest_identity", float(q[0][1]), low, high, float(q[1][1]), n=len(own), source=source)

    def _medians(self, values: Floats) -> tuple[float, float]:
        source = np.random.default_rng(self.evidence.seed)
        drawn = np.median(values[source.integers(0, len(values), (RESAMPLES, len(values)))], axis=1)
        return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


def _width(train: Sequence[str]) -> int:
    """Places of a profile: the longest length, where nearly all sequences are about as long as each other; else 0."""
    lengths = np.array([len(s) for s in train])
    low, middle, high = np.quantile(lengths, (0.05, 0.5, 0.95))
    return int(lengths.max()) if high - low <= 2 * NARROW * middle and len(train) >= 50 else 0


def frequency_bits(train: Sequence[str], test: Sequence[str], places: int) -> tuple[float, int]:
    """(bits of the test sequences and their ends, number of both) by frequencies at each place from the start (1: anywhere),
    smoothed towards those of all places as a twentieth of the square root of the sequences would."""
    known = "".join(sorted(set("".join(train))))
    index = {letter: i for i, letter in enumerate(known)}
    end, other = len(known), len(known) + 1
    counts = np.zeros((places, len(known) + 2))
    for text in train:
        ids = np.array([index[letter] for letter in text] + [end])
        np.add.at(counts, (np.minimum(np.arange(len(ids)), places - 1), ids), 1.0)
    everywhere = counts.sum(0) + 0.5
    everywhere /= everywhere.sum()
    weight = max(1.0, np.sqrt(len(train)) / 20)
    share = (counts + weight * everywhere) / (counts.sum(1, keepdims=True) + weight)
    bits = 0.0
    for text in test:
        ids = np.array([index.get(letter, other) for letter in text] + [end])
        bits -= float(np.log2(share[np.minimum(np.arange(len(ids)), places - 1), ids]).sum())
    return bits, sum(len(text) + 1 for text in test)


def _repeated(text: str) -> tuple[int, int]:
    pieces = [text[i : i + PIECE] for i in range(len(text) - PIECE + 1)]
    return len(pieces) - len(set(pieces)), len(pieces)


def _identity(text: str, known: Sequence[str], near: NearestSequences) -> float:
    """1 - edits / the longer length, of the nearest by that among those with the most shared k-mers."""
    found = near.candidates(text)
    return max((1.0 - Levenshtein.normalized_distance(text, known[i]) for i in found), default=0.0)


EXPORT = ProteinEvaluation
