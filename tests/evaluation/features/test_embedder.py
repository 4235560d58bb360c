"""Items to features, some at a time."""

from __future__ import annotations

import numpy as np
import torch

from anew.core.arrays import Numbers
from anew.evaluation.features.embedder import GridEmbedder
from anew.evaluation.features.random_conv import DETAIL, FEATURES


def values(items: object) -> torch.Tensor:
    return torch.from_numpy(np.stack(list(items)))[:, None].float()  # type: ignore[call-overload]


def test_features_and_detail_do_not_depend_on_how_many_are_prepared_together() -> None:
    items: list[Numbers] = list(np.random.default_rng(0).uniform(-1, 1, (40, 16, 16)).astype(np.float32))
    whole, parts = (GridEmbedder(values, items, at_once=count) for count in (40, 7))
    features, detail = whole.detailed(items)
    assert features.shape == (40, FEATURES) and detail.shape == (40, sum(whole.views))
    assert whole.views[0] == DETAIL
    assert np.allclose(parts(items), features, atol=1e-4) and np.allclose(parts.detailed(items)[1], detail, atol=1e-4)
    assert np.array_equal(whole(items), features)
