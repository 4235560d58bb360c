"""Proteins: bits, lengths, and likeness to known sequences."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest

from anew.estimators.sequence_clusters import NearestSequences
from anew.evaluation.item_sets import ItemSets
from anew.evaluation.modalities.protein import ProteinEvaluation, best_identity, frequency_bits
from anew.evaluation.reporting.grading import part_of
from anew.evaluation.reporting.supply import Supply
from text_inputs import scores_of, text_inputs


def sequences(n: int, seed: int, change: float = 0.2) -> list[str]:
    source, letters = random.Random(seed), "ACDEFGHIKL"
    ancestor = random.Random(7).choices(letters, k=60)
    return ["".join(source.choice(letters) if source.random() < change else x for x in ancestor) for _ in range(n)]


def test_frequencies_at_places_beat_frequencies() -> None:
    train, test = sequences(200, 0), sequences(50, 1)
    plain, units = frequency_bits(train, test, 1)
    placed, _ = frequency_bits(train, test, 60)
    assert units == 50 * 61 and placed < 0.7 * plain < 0.8 * units * math.log2(12)


def test_figures_of_sequences_have_floors() -> None:
    train, test = sequences(300, 0), sequences(80, 1)
    pairs = [(150.0, 61.0)] * 80
    evaluation = ProteinEvaluation(
        text_inputs(
            sequences(60, 2), train, test, False, bits=lambda allowed: pairs, cluster_bits=lambda allowed: pairs,
            cluster_text=lambda limit: test,
        )
    )  # fmt: skip
    scores = scores_of([*evaluation.likelihood(), *evaluation.naive_likelihood()])
    assert scores["bits_per_residue"].value == pytest.approx(150 / 61) == scores["bits_per_residue_clusters"].value
    names = ("uniform", "unigram", "profile", "kneser_ney")
    for name in (*names, "clusters_kneser_ney"):
        assert scores[f"bits_per_residue_{name}"].spec.role == "reference"
    assert scores["bits_per_residue_clusters"].spec.role == "metric"
    assert scores["bits_per_residue_profile"].value < scores["bits_per_residue_unigram"].value
    evaluation.sets = ItemSets({"samples": sequences(60, 2), "test": test, "train": train}, {}, Supply())
    evaluation.sets.take(60, lambda train, n: [])
    own = scores_of(
        s
        for measure in (evaluation._lengths, evaluation._composition, evaluation._nearest)
        for s in measure((evaluation.sets["samples"], evaluation.sets["test"], evaluation.sets["train"]))
    )
    assert own["usual_lengths"].value > 0.9 and own["composition_distance"].value < 0.02
    nearest = own["nearest_identity"]
    assert nearest.real_baseline is not None and abs(nearest.value - nearest.real_baseline) < 0.05
    copied = ProteinEvaluation(text_inputs(train[:60], train, test, False))
    assert scores_of(copied._nearest((train[:60], test[:60], train[:60])))["nearest_identity"].value == 1.0


def variants(n: int, seed: int) -> list[str]:
    """Relatives of one sequence of 60 residues, 1 to 6 of which differ."""
    rng, ancestor = np.random.default_rng(seed), "".join(np.random.default_rng(9).choice(list("ACDEFGHIKL"), 60))
    texts = []
    for _ in range(n):
        letters = list(ancestor)
        for place in rng.integers(0, 60, rng.integers(1, 7)):
            letters[place] = rng.choice(list("ACDEFGHIKL"))
        texts.append("".join(letters))
    return texts


@pytest.mark.parametrize(
    ("change", "usual_lengths", "usual_identity"),
    [
        (lambda text: text, "good", "good"),
        (lambda text: text[30:] + text[:30], "good", "poor"),  # which runs of a few residues do not see
        (lambda text: text[:50], "poor", "poor"),
    ],
)
def test_sequences_without_relatives_or_of_another_length_are_no_real_ones(
    change: Callable[[str], str], usual_lengths: str, usual_identity: str
) -> None:
    train, test, samples = variants(300, 0), variants(300, 1), [change(text) for text in variants(300, 2)]
    evaluation = ProteinEvaluation(text_inputs(samples, train, test, False))
    scores = scores_of([*evaluation._lengths((samples, test, train)), *evaluation._nearest((samples, test, train))])
    grades = [part_of(scores[name]) for name in ("usual_lengths", "usual_identity")]
    assert [part and part.grade for part in grades] == [usual_lengths, usual_identity]


def test_identity_is_of_the_nearest() -> None:
    sequences = ["MKVLAAGIV", "WWWWWWWWW"]
    assert best_identity("MKVLAAGIV", sequences, NearestSequences(sequences)) == 1.0
    assert best_identity("MKVLAAGI", sequences, NearestSequences(sequences)) == pytest.approx(8 / 9)
    assert best_identity("PPPP", sequences, NearestSequences(sequences)) == 0.0
    assert np.isfinite(frequency_bits(["MKV"], ["WWW"], 1)[0])


def test_samples_that_reached_the_longest_length_are_counted() -> None:
    rng = np.random.default_rng(0)
    real = ["".join(rng.choice(list("ACDE"), 60)) for _ in range(60)]
    cut = ["".join(rng.choice(list("ACDE"), 64)) for _ in range(10)]
    evaluation = ProteinEvaluation(text_inputs([*real[:20], *cut], real, real, False, bits=lambda seconds: []))
    list(evaluation.modality_metrics())
    assert any("10 of 30 samples are cut at 64 residues" in note.sentence for note in evaluation.notes)
    whole = ProteinEvaluation(text_inputs(real[:20], real, real, False, bits=lambda seconds: []))
    list(whole.modality_metrics())
    assert not any("cut at" in note.sentence for note in whole.notes)
