"""Sequences of residues: bits of held-out sequences and of clusters of relatives, compared with naive models; lengths,
composition and identity with training sequences of samples, compared with held-out sequences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from anew.core.arrays import Numbers
from anew.core.specs import Tokens
from anew.core.wording import plural
from anew.estimators.sequence_clusters import NearestSequences
from anew.evaluation.measure import Measure
from anew.evaluation.metrics.bits import CLUSTERS, bits_score, bits_spec
from anew.evaluation.metrics.distances import Rows, jensen_shannon
from anew.evaluation.metrics.feature_sets import FeatureSets, bootstrap_score
from anew.evaluation.metrics.shares import Marks, share_score, with_unsure_limits
from anew.evaluation.metrics.text import baselines
from anew.evaluation.modalities.text import MAX_TEST_CHARACTERS, ORDER, TextEvaluation
from anew.evaluation.notes import Note, out_of_time
from anew.evaluation.score import (
    LEAST_OF_SHARES,
    USUALLY_ENOUGH_ITEMS,
    Group,
    MetricSpec,
    Score,
    Tolerance,
    bounded_spec,
)

NARROW = 0.2  # share of the median within which 90% of lengths must lie for positions to be comparable; chosen
MAX_SEARCHED = 50_000  # training sequences that are searched for the nearest one: bounds the time
QUERIES = 1_000  # samples, and held-out sequences, whose nearest one is searched: the median hardly changes with more
RESAMPLES = 200  # resamples of a bootstrap: more than for other distances, as statistics of rows are cheap
Floats = NDArray[np.float64]
Sets = tuple[Sequence[str], Sequence[str], Sequence[str]]  # samples, test, train

USUAL_LENGTHS = bounded_spec(
    "usual_lengths",
    "Usual lengths",
    "Share of samples that are about as long as 95% of held-out sequences are.",
    Tolerance(
        "closeness",
        small=0.1,
        large=0.4,
        clause="{value:.0%} of the sequences have a usual length (real data: {real:.0%})",
        least=LEAST_OF_SHARES,
        least_to_pass=USUALLY_ENOUGH_ITEMS,
    ),
    better="higher",
)
COMPOSITION_DISTANCE = bounded_spec(
    "composition_distance",
    "Composition",
    "How far the frequencies of residues are from those of held-out sequences (0 = the same, 1 = nothing in common).",
    Tolerance(
        "closeness",
        small=0.01,
        large=0.05,
        clause="the mix of residues differs (divergence {value:.3f}; real data: {real:.3f})",
        agreement="the mix of residues agrees (divergence {value:.3f}; real data: {real:.3f})",
    ),
)
NEAREST_IDENTITY = MetricSpec(
    "nearest_identity",
    "Identity with training",
    "Median identity with the nearest training sequence; real held-out sequences show what is usual.",
    group=Group.NOVELTY,
    maximum=1.0,
)
USUAL_IDENTITY = bounded_spec(
    "usual_identity",
    "Relatives in training",
    "Share of samples that have as near a relative among training sequences as 95% of held-out sequences have.",
    Tolerance(
        "closeness",
        small=0.1,
        large=0.5,
        clause="{value:.0%} of the samples have as near a relative in the data as real ones have (real data: {real:.0%})",
        least=LEAST_OF_SHARES,
        least_to_pass=USUALLY_ENOUGH_ITEMS,
    ),
    better="higher",
)
UNUSUAL = 0.05  # share of held-out sequences that count as unusual
LENGTH_MARGIN = 0.02  # a length may exceed the usual ones by this share of the median: few are exactly alike; chosen


class ProteinEvaluation(TextEvaluation):
    """bits_per_residue of the test part and of the part `test_clusters`, with naive rows; then statistics of samples."""

    noun = "sequences"
    unit = "residue"

    def likelihood(self) -> Iterator[Score]:
        yield from self._model_bits()
        yield from self._cluster_bits()

    def naive_likelihood(self) -> Iterator[Score]:
        yield from self._kneser_ney()
        yield from self._frequency_models()
        yield from self._compressors()

    def _cluster_bits(self) -> Iterator[Score]:
        """Yield the bits of whole clusters of relatives, by the model and by the counting model."""
        if self.inputs.cluster_bits is None:
            return
        if self.clock.over(0.6):
            self.notes.append(out_of_time("bits per residue of new families"))
            return
        seconds = self.clock.remaining(0.7)
        examples = self.inputs.cluster_bits(None if seconds == float("inf") else seconds)
        if not examples:
            return
        source = f"{len(examples):,} sequences in clusters of relatives that were held out whole"
        yield bits_score(CLUSTERS, examples, source, self.inputs.seed)
        train = self._train
        test = [] if self.inputs.cluster_text is None else self.inputs.cluster_text(MAX_TEST_CHARACTERS)
        if not test or baselines.kneser_ney_seconds(train, test, ORDER, records=True) > self.clock.remaining(0.8):
            return
        bits = baselines.kneser_ney_bits(train, test, ORDER, self.records)
        source = f"naive: counts of up to {ORDER} residues of context, on the same clusters"
        spec = bits_spec("residue", "clusters_kneser_ney")
        yield bits_score(spec, np.stack([bits, np.ones(len(bits))], axis=1), source, self.inputs.seed)

    def _frequency_models(self) -> Iterator[Score]:
        """Yield the bits of models that know frequencies only."""
        train, test = self._train, self._held_out
        if not train or not test:
            return
        letters = sorted(set("".join(train)))
        uniform = float(np.log2(len(letters) + self.records))
        yield Score(bits_spec("residue", "uniform"), uniform, source="naive: all residues equally common")
        profile = "at each position of sequences that are all about as long"
        for name, positions, scope in (
            ("unigram", 1, "of the training part"),
            ("profile", profile_length(train), profile),
        ):
            if positions:
                bits, units = frequency_bits(train, test, positions)
                source = f"naive: frequencies of residues {scope}"
                yield Score(bits_spec("residue", name), bits / units, n=units, source=source)

    # ---- generated sequences compared with held-out ones ----

    def modality_metrics(self) -> Iterator[Score]:
        self._count_cut()
        yield from super().modality_metrics()

    def text_metrics(self) -> dict[str, Measure]:
        if not self.sets:
            return super().text_metrics()
        sets = (self.sets["samples"], self.sets["test"], self.sets["train"])
        metrics = {
            "lengths": Measure(partial(self._lengths, sets)),
            "composition": Measure(partial(self._composition, sets)),
            "identity with training sequences": Measure(partial(self._nearest, sets)),
        }
        return metrics | super().text_metrics()

    def _count_cut(self) -> None:
        """Say how many samples reached the longest length that the model can draw, so that they have no end."""
        spec, samples = self.inputs.spec, self.inputs.samples
        if not self.records or self.inputs.bits is None or not isinstance(spec, Tokens):
            return
        num_cut = sum(len(str(text)) >= spec.length for text in samples)
        if num_cut:
            sentence = (
                f"{num_cut:,} of {plural(len(samples), 'sample')} {'is' if num_cut == 1 else 'are'} cut at {spec.length:,} residues, "
                "the greatest length that the model draws: no end came before."
            )
            self.notes.append(Note(sentence))

    def _lengths(self, sets: Sets) -> Iterator[Score]:
        samples, test, train = (np.array([len(text) for text in part]) for part in sets)
        low, high = _usual_range(test)
        means = f"samples {samples.mean():.1f} on average, held-out {test.mean():.1f}, training {train.mean():.1f}"
        source = f"from {low:.0f} to {high:.0f} residues ({means}); real: training sequences"
        score = share_score(USUAL_LENGTHS, _are_usual_lengths(samples, test), _are_usual_lengths(train, test), source)
        yield with_unsure_limits(score, samples, test, _are_usual_lengths, self.inputs.seed)

    def _composition(self, sets: Sets) -> Iterator[Score]:
        letters = sorted(set("".join([text for part in sets for text in part])))
        samples, test, train = (
            np.array([[text.count(letter) for letter in letters] for text in part], np.float64) for part in sets
        )  # each (n, letters)

        def distance(a: Numbers, b: Numbers) -> float:
            return jensen_shannon(a.sum(0), b.sum(0))

        method = "Jensen-Shannon divergence in bits of residue frequencies, samples against held-out"
        counts, seed = FeatureSets(samples, test, train), self.inputs.seed
        yield bootstrap_score(
            COMPOSITION_DISTANCE, distance, counts, seed=seed, source=method, minimum=0.0, repeats=RESAMPLES
        )

    def _nearest(self, sets: Sets) -> Iterator[Score]:
        training = self.inputs.train(MAX_SEARCHED)
        nearest = NearestSequences(training)
        samples, test = (
            np.array([best_identity(text, training, nearest) for text in part[:QUERIES]]) for part in sets[:2]
        )
        quantiles = ["/".join(f"{q:.2f}" for q in np.quantile(part, (0.05, 0.5, 0.95))) for part in (samples, test)]
        low, high = self._median_interval(samples)
        yield Score(
            NEAREST_IDENTITY,
            float(np.quantile(samples, 0.5)),
            low=low,
            high=high,
            real_baseline=float(np.quantile(test, 0.5)),
            n=len(samples),
            source=f"identity with the nearest of {len(training):,} training sequences, 5/50/95%: samples {quantiles[0]}, "
            f"held-out {quantiles[1]}",
        )
        least = float(np.quantile(test, UNUSUAL))
        source = f"identity of at least {least:.2f} with one of {len(training):,} training sequences; real: held-out"
        score = share_score(USUAL_IDENTITY, samples >= least, test >= least, source)
        yield with_unsure_limits(score, samples, test, lambda s, t: s >= np.quantile(t, UNUSUAL), self.inputs.seed)

    def _median_interval(self, values: Floats) -> tuple[float, float]:
        rng = np.random.default_rng(self.inputs.seed)
        medians = np.median(values[rng.integers(0, len(values), (RESAMPLES, len(values)))], axis=1)
        return float(np.quantile(medians, 0.025)), float(np.quantile(medians, 0.975))


def _usual_range(lengths: Rows) -> tuple[float, float]:
    """The shortest and longest of usual lengths, given those of held-out sequences (n,)."""
    low, middle, high = np.quantile(lengths, (UNUSUAL / 2, 0.5, 1.0 - UNUSUAL / 2)).tolist()
    return low - LENGTH_MARGIN * middle, high + LENGTH_MARGIN * middle


def _are_usual_lengths(lengths: Rows, test: Rows) -> Marks:
    """Whether each length (n,) is usual, given those of held-out sequences (m,)."""
    low, high = _usual_range(test)
    return np.asarray((lengths >= low) & (lengths <= high))


def profile_length(train: Sequence[str]) -> int:
    """The number of positions of a profile: the longest length if nearly all sequences are about as long, else 0."""
    lengths = np.array([len(text) for text in train])
    low, middle, high = np.quantile(lengths, (0.05, 0.5, 0.95))
    return int(lengths.max()) if high - low <= 2 * NARROW * middle and len(train) >= 50 else 0


def frequency_bits(train: Sequence[str], test: Sequence[str], positions: int) -> tuple[float, int]:
    """The bits of the test sequences and their ends, and the number of both, by frequencies of residues.

    Args:
        train: Sequences that frequencies are counted in.
        test: Sequences that are predicted.
        positions: Positions from the start with frequencies of their own; 1 for the same frequencies anywhere. They are
            smoothed towards the frequencies of all positions, with the weight of a twentieth of the root of len(train).
    """
    alphabet = "".join(sorted(set("".join(train))))
    index = {letter: i for i, letter in enumerate(alphabet)}
    end, unknown = len(alphabet), len(alphabet) + 1
    counts = np.zeros((positions, len(alphabet) + 2))
    for text in train:
        ids = np.array([index[letter] for letter in text] + [end])
        np.add.at(counts, (np.minimum(np.arange(len(ids)), positions - 1), ids), 1.0)
    everywhere = counts.sum(0) + 0.5
    everywhere /= everywhere.sum()
    weight = max(1.0, np.sqrt(len(train)) / 20)
    share = (counts + weight * everywhere) / (counts.sum(1, keepdims=True) + weight)
    bits = 0.0
    for text in test:
        ids = np.array([index.get(letter, unknown) for letter in text] + [end])
        bits -= float(np.log2(share[np.minimum(np.arange(len(ids)), positions - 1), ids]).sum())
    return bits, sum(len(text) + 1 for text in test)


def best_identity(text: str, training: Sequence[str], nearest: NearestSequences) -> float:
    """The largest identity (1 - edits / longer length) with one of the sequences that share the most k-mers."""
    candidates = nearest.candidates(text)
    return max((1.0 - Levenshtein.normalized_distance(text, training[i]) for i in candidates), default=0.0)


EXPORT = ProteinEvaluation
