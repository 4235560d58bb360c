"""Curves that give distances of samples the distribution that real ones have."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from anew.core.arrays import Numbers
from anew.core.schema import NotNegative

KNOTS = 129  # quantiles of a curve: one for each 128th of the pixels
Distances = Annotated[tuple[NotNegative, ...], Field(min_length=KNOTS, max_length=KNOTS)]
Curve = tuple[Distances, Distances]


def curve(samples: Numbers, real: Numbers) -> Curve:
    """The curve that gives distances of samples the distribution of real ones."""
    at = np.linspace(0.0, 1.0, KNOTS)
    quantiles = [np.quantile(x, at) if x.size else np.zeros(KNOTS) for x in (samples, real)]
    before, after = (tuple(np.maximum.accumulate(q).round(2).tolist()) for q in quantiles)
    return before, after
