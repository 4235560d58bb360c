"""What the gate knows of a target: the row of one target is the one that it has among many."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anew.estimators.kneser_ney import KneserNey
from anew.families.transformer.counts.gate_features import Distribution, gate_features, num_features
from anew.families.transformer.counts.mixing import softmax

ORDER, VOCAB = 3, 7


@pytest.mark.parametrize("has_aligned", [False, True])
def test_one_row_equals_that_row_among_many(has_aligned: bool) -> None:
    rng = np.random.default_rng(0)
    counts = KneserNey.fit(list(rng.integers(0, VOCAB, (10, 40))), VOCAB, ORDER)
    ids = rng.integers(0, VOCAB, 30)
    contexts = counts.walk(ids, np.arange(30))
    models = [Distribution(*softmax(rng.normal(size=(30, VOCAB)).astype(np.float32))) for _ in range(2 + has_aligned)]
    recent = rng.normal(size=(30, 2 + has_aligned))
    log_odds = rng.uniform(0, 50, 30).astype(np.float32) if has_aligned else None
    features = gate_features(counts, contexts, models, recent, log_odds)
    assert features.shape == (30, num_features(ORDER, has_aligned))
    assert (features[:, -1] == 1.0).all()
    assert (features[:, : ORDER + 1].sum(1) == 1.0).all()
    for i in range(30):
        row = slice(i, i + 1)
        own_models = [Distribution(m.probs[row], m.log_probs[row]) for m in models]
        own_log_odds = None if log_odds is None else log_odds[row]
        own = gate_features(counts, contexts[:, row], own_models, recent[row], own_log_odds)
        np.testing.assert_allclose(own[0], features[i], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("has_aligned", [False, True])
def test_runs_read_their_gates_by_the_order_of_the_columns(has_aligned: bool) -> None:
    counts = KneserNey.fit([np.array([0, 1, 0, 1, 0, 2])], 4, 1)
    contexts = counts.walk(np.array([0]), np.array([1]))  # after 0, which 1 and 2 followed
    probs = np.array([[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25], [0.7, 0.1, 0.1, 0.1]])
    models = [Distribution(p[None].astype(np.float32), np.log(p[None]).astype(np.float32)) for p in probs]
    recent = np.array([[0.2, 0.3, 0.5]])
    of_network, of_counts, of_aligned = (1.75 * math.log(2), 0.5), (math.log(4), 0.25), (0.940448, 0.7)
    backoff = float(counts.levels[1].backoff[contexts[1, 0]])
    expected = [0, 1, math.log(2), backoff, *of_network, *of_counts, 0.2, 0.3, 0.04, 0.09, 0.06]
    if has_aligned:
        log_odds = np.array([40], dtype=np.float32)  # 30 count
        features = gate_features(counts, contexts, models, recent, log_odds)
        expected += [*of_aligned, 3, 0.5, 0.1, 0.15, 0.25]
    else:
        features = gate_features(counts, contexts, models[:2], recent[:, :2], None)
    assert features.tolist() == [pytest.approx([*expected, 1], rel=1e-5)]
    assert features.shape == (1, num_features(1, has_aligned))
