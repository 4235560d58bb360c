"""What the image benchmark measures on any judge's features, and the two data sets that it can be run on."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

import _common  # noqa: F401  (with it the package of this checkout is found)
from _mnist import Pixels
from anew.evaluation.metrics.distances import squared_distances
from anew.evaluation.metrics.diversity import vendi_score
from anew.evaluation.metrics.neighbours import NEIGHBOURS, neighbourhood

MOST = 2000  # items of figures that compare all pairs


class Subject(Protocol):
    """Data with its split and its judge. train, held_out: (N, H, W) or (N, H, W, 3); folder: what Anew is given."""

    train: Pixels
    held_out: Pixels
    folder: Path

    def judged(self, generated: Pixels) -> dict[str, float]: ...


def apart(x: NDArray[np.float64]) -> float:
    """Mean distance between two different rows."""
    return float(np.sqrt(squared_distances(x, x)).sum() / (len(x) * (len(x) - 1)))


def beside(generated: NDArray[np.float64], held_out: NDArray[np.float64]) -> dict[str, float]:
    """Precision, recall and coverage with five neighbours; variety as a share of held-out items', at equal number:
    `variety` by the effective number of different items, `spread` by the mean distance between two."""
    generated, held_out = generated[:MOST], held_out[:MOST]
    around = neighbourhood(held_out, generated, NEIGHBOURS)
    n = min(len(generated), len(held_out))
    return {
        "precision": float(around.precision.mean()),
        "recall": float(around.recall.mean()),
        "coverage": float(around.coverage.mean()),
        "variety": vendi_score(generated[:n]) / vendi_score(held_out[:n]),
        "spread": apart(generated[:n]) / apart(held_out[:n]),
    }
