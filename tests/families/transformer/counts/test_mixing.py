"""The gate: its weights stay as they are on held-out text, wherever it is asked."""

from __future__ import annotations

import numpy as np
import pytest

from anew.families.transformer.counts.mixing import OUTSIDE, Gate, fit_gate, mix_log_probs, normalize
from anew.families.transformer.counts.ngram_mixer import NgramMixer


def features_of(recent: np.ndarray) -> np.ndarray:
    return np.stack((recent, recent**2, np.ones_like(recent)), 1)


def test_what_all_models_find_improbable_is_improbable_on_other_text_too() -> None:
    """Two models, of which the second is the worse the lower its recent score is. In samples of RNA a letter to which all models gave
    less than a tenth was drawn eighty times in a row, with certainty, since the weight of one was far below zero."""
    rng = np.random.default_rng(0)
    recent, targets = -2.0 * rng.random(4_000), rng.integers(0, 4, 4_000)
    hits = (rng.random(4_000) < 0.5, rng.random(4_000) < 0.7 + 0.4 * recent)
    log_probs = []
    for is_hit in hits:
        named = np.where(is_hit, targets, rng.integers(0, 4, 4_000))
        log_probs.append(
            normalize(np.where(np.arange(5) == named[:, None], 0.0, [-2.0] * 4 + [-8.0]).astype(np.float32))
        )
    gate = fit_gate(features_of(recent), log_probs, targets)

    def share_of_improbable(gate: Gate) -> float:
        rows = normalize(np.tile(np.array([0.0, -2.0, -2.0, -2.0, -8.0], dtype=np.float32), (1, 1)))
        mixed = normalize(mix_log_probs(features_of(np.array([-8.0])), gate, [rows, rows]))
        return float(np.exp(mixed[0, 4]))

    assert share_of_improbable(Gate(gate.matrix)) > 0.5
    assert share_of_improbable(gate) < 0.01
    assert gate.bounds is not None
    weights = features_of(recent) @ gate.matrix
    np.testing.assert_allclose((weights < gate.bounds[0]).mean(0), OUTSIDE, atol=1e-3)


def test_bounds_that_do_not_fit_are_refused() -> None:
    mixer = NgramMixer(vocab_size=7, order=2)
    ids = np.random.default_rng(0).integers(0, 7, (10, 40))
    mixer.fit_counts(list(ids))
    network = np.full((10 * 39, 7), -np.log(7), dtype=np.float32)
    mixer.fit(mixer.gate_inputs(ids, network, mixer.new_state(10)), ids[:, 1:].ravel())
    mixer.check()
    bounds = mixer.arrays()["gate_bounds"]
    for damaged in (bounds[:1], bounds[:, :1], bounds[::-1] - np.arange(2)[:, None], np.full_like(bounds, np.nan)):
        mixer.set_buffers({"gate_bounds": damaged.copy()})
        with pytest.raises(ValueError, match="bounds of the gate"):
            mixer.check()
