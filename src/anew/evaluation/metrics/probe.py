"""A probe, which is a small classifier of real items: kernel ridge regression on labelled training items.

Legend for shapes: n training items, q items that are classified, d features, K classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.metrics.distances import Rows
from anew.evaluation.metrics.kernel import median_bandwidth, rbf_kernel

MAX_ITEMS = 2_000  # training items, at most: the time grows with the cube
# Relative to the kernel's diagonal of 1: enough for noisy labels, little enough to keep small classes apart
RIDGE = 0.01
BANDWIDTH = 0.5  # as a share of the median distance: classes are finer than the whole data


class Probe:
    """Classifier that is trained on rows (n, d) with class numbers (n,)."""

    def __init__(self, rows: Rows, labels: Rows, n_classes: int) -> None:
        self._rows = np.asarray(rows[:MAX_ITEMS], dtype=np.float64)
        self._centre, deviation = self._rows.mean(axis=0), self._rows.std(axis=0)
        self._scale = np.where(deviation > 1e-9, deviation, 1.0)
        self._rows = (self._rows - self._centre) / self._scale
        self._bandwidth = BANDWIDTH * median_bandwidth(self._rows)
        kernel = rbf_kernel(self._rows, self._rows, self._bandwidth)  # (n, n)
        target = np.eye(n_classes)[np.asarray(labels[:MAX_ITEMS], dtype=np.intp)]  # (n, K)
        self._mean = target.mean(axis=0)
        self._weights = np.linalg.solve(kernel + RIDGE * np.eye(len(kernel)), target - self._mean)

    def __call__(self, rows: Rows) -> NDArray[np.intp]:
        """The class of each row of rows (q, d), (q,)."""
        scaled = (np.asarray(rows, dtype=np.float64) - self._centre) / self._scale
        scores = rbf_kernel(scaled, self._rows, self._bandwidth) @ self._weights + self._mean  # (q, K)
        return np.asarray(scores.argmax(axis=1))
