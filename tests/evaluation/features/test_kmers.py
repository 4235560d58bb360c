"""Features of strings, and the chain of pairs."""

from __future__ import annotations

from collections import Counter

import numpy as np

from anew.evaluation.features.kmers import FEATURES, Kmers, bigrams

TEXTS = ["the cat sat on the mat", "a dog in the fog", "Rain, 3 days!", "x", "", "the cat sat on the mat"] * 5


def test_features_are_the_same_for_the_same_text_and_finite_for_any() -> None:
    features = Kmers(TEXTS)(TEXTS)
    assert features.shape == (30, FEATURES) and np.isfinite(features).all()
    assert (features[0] == features[5]).all() and np.abs(features[0] - features[1]).max() > 0.1
    assert np.abs(features.std(axis=0).max() - 1.0) < 1e-6
    assert np.isfinite(Kmers(TEXTS)(["\ud800", "☃" * 50])).all()


def test_bigrams_hold_only_pairs_of_the_data_and_not_its_longer_runs() -> None:
    generated = bigrams(TEXTS, 40, np.random.default_rng(0))
    expected = Counter(t[i : i + 2] for t in TEXTS for i in range(len(t) - 1))
    inner = [t[i : i + 2] for t in generated for i in range(len(t) - 1)]
    assert np.mean([pair in expected for pair in inner]) > 0.8  # a new beginning stands where a text ended
    assert {len(t) for t in generated} <= {len(t) for t in TEXTS} and len(generated) == 40
    assert bigrams(["one long text without an end"], 2, np.random.default_rng(1))[0][0] == "o"
