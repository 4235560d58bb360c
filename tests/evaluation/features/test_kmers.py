"""Features of strings, and the chain of pairs."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np

from anew.evaluation.features.kmers import FEATURES, MIXED_FEATURES, Kmers, bigrams
from anew.evaluation.metrics.diversity import diversity_ratio

TEXTS = ["the cat sat on the mat", "a dog in the fog", "Rain, 3 days!", "x", "", "the cat sat on the mat"] * 5


def test_features_are_the_same_for_the_same_text_and_finite_for_any() -> None:
    features = Kmers(TEXTS)(TEXTS)
    assert features.shape == (30, FEATURES) and np.isfinite(features).all()
    assert (features[0] == features[5]).all() and np.abs(features[0] - features[1]).max() > 0.1
    assert np.abs(features.std(axis=0).max() - 1.0) < 1e-6
    assert np.isfinite(Kmers(TEXTS)(["\ud800", "☃" * 50])).all()


def _relatives(n: int, length: int, seed: int) -> list[str]:
    """Sequences of one family, of nearly the same length: a tenth of the letters differs from one to another."""
    rng = np.random.default_rng(seed)
    parent = np.random.default_rng(0).choice(list("ACDEFGHIKLMNPQRSTVWY"), size=length + 2)
    rows = []
    for _ in range(n):
        letters = parent[: length + int(rng.integers(0, 3))].copy()
        places = rng.random(len(letters)) < 0.1
        letters[places] = rng.choice(parent, size=int(places.sum()))
        rows.append("".join(letters))
    return rows


def test_lengths_that_hardly_vary_in_training_do_not_hide_the_variety_of_samples() -> None:
    features = Kmers(_relatives(300, 260, seed=1))
    held_out = _relatives(100, 260, seed=2)
    samples = [t[:length] for t, length in zip(_relatives(100, 260, seed=3), [180, *[262] * 9] * 10, strict=True)]
    assert np.abs(features(samples)).max() < 10.0
    assert 0.9 < diversity_ratio(features(samples), features(held_out)) < 1.1
    assert np.abs(features(samples[:1])[0, MIXED_FEATURES]) > 3.0, "a wrong length is still seen"


def test_a_length_that_training_never_has_is_seen() -> None:
    plain = Kmers([f"{i:04d}" for i in range(200)])(["0123", "01234567"])[:, MIXED_FEATURES:]
    assert np.abs(plain[0]).max() < 1.5 and np.abs(plain[1]).max() > 5.0


def test_one_long_text_does_not_make_all_as_long() -> None:
    """A table of 2,000 names, as wide as one record of 20,000 characters, took 641 MB."""
    texts = [*(f"anna {i}" for i in range(999)), "ab" * 5_000]
    tracemalloc.start()
    generated = bigrams(texts, 1_000, np.random.default_rng(3))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(map(len, generated)) == 10_000 and peak < 4e6


def test_bigrams_hold_only_pairs_of_the_data_and_not_its_longer_runs() -> None:
    generated = bigrams(TEXTS, 40, np.random.default_rng(0))
    expected = Counter(t[i : i + 2] for t in TEXTS for i in range(len(t) - 1))
    inner = [t[i : i + 2] for t in generated for i in range(len(t) - 1)]
    assert np.mean([pair in expected for pair in inner]) > 0.8  # a new beginning stands where a text ended
    assert {len(t) for t in generated} <= {len(t) for t in TEXTS} and len(generated) == 40
    assert bigrams(["one long text without an end"], 2, np.random.default_rng(1))[0][0] == "o"
