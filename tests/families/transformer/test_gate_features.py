"""What the gate knows of a target: the row of one target is the one that it has among many."""

from __future__ import annotations

import numpy as np
import pytest

from anew.estimators.kneser_ney import KneserNey
from anew.families.transformer.gate_features import Distribution, FeatureLayout, gate_features, one_row_of_features
from anew.families.transformer.mixing import softmax

ORDER, VOCAB = 3, 7


@pytest.mark.parametrize("has_aligned", [False, True])
def test_features_fill_a_row_without_gaps(has_aligned: bool) -> None:
    layout = FeatureLayout.make(ORDER, has_aligned)
    slices = [getattr(layout, name) for name in layout.__slots__ if name != "order"]
    columns = [column for columns_of in slices for column in range(columns_of.start, columns_of.stop)]
    assert columns == list(range(layout.size))


@pytest.mark.parametrize("has_aligned", [False, True])
def test_one_row_equals_that_row_among_many(has_aligned: bool) -> None:
    rng = np.random.default_rng(0)
    counts = KneserNey.fit(list(rng.integers(0, VOCAB, (10, 40))), VOCAB, ORDER)
    ids = rng.integers(0, VOCAB, 30)
    contexts = counts.walk(ids, np.arange(30))
    models = [Distribution(*softmax(rng.normal(size=(30, VOCAB)).astype(np.float32))) for _ in range(2 + has_aligned)]
    recent = rng.normal(size=(30, 2 + has_aligned))
    log_odds = rng.uniform(0, 50, 30).astype(np.float32) if has_aligned else None
    layout = FeatureLayout.make(ORDER, has_aligned)
    features = gate_features(layout, counts, contexts, models, recent, log_odds)
    assert (features[:, layout.bias] == 1.0).all()
    assert (features[:, layout.longest].sum(1) == 1.0).all()
    for i in range(30):
        row = one_row_of_features(
            layout,
            counts,
            contexts[:, i].tolist(),
            [Distribution(m.probs[i : i + 1], m.log_probs[i : i + 1]) for m in models],
            recent[i].tolist(),
            None if log_odds is None else float(log_odds[i]),
        )
        np.testing.assert_allclose(row[0], features[i], rtol=1e-5, atol=1e-6)
