"""How smooth a walk is: how long its path is in a fixed embedding, and how evenly it moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.features.random_conv import NAME
from anew.evaluation.metrics.statistics import Score, mean_interval, radii, squared_distances


def steps(paths: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Length of each step of features (walks, frames, d) along their walk, (walks, frames - 1), and ends apart (walks,)."""
    x = np.asarray(paths, dtype=np.float64)
    return np.linalg.norm(np.diff(x, axis=1), axis=2), np.linalg.norm(x[:, -1] - x[:, 0], axis=1)


def detours(paths: NDArray[Any]) -> NDArray[np.float64]:
    """(walks,) length of the path as a multiple of the straight line between its ends; 1 is straight. Walks whose ends are
    the same are left out."""
    step, apart = steps(paths)
    kept = apart > 1e-9
    return np.asarray(step.sum(axis=1)[kept] / apart[kept])


def evenness(paths: NDArray[Any]) -> NDArray[np.float64]:
    """(walks,) mean step over the largest: 1 where all steps are equal, 1 / steps where all of the way is one jump."""
    step, _ = steps(paths)
    largest = step.max(axis=1)
    return np.asarray(step.mean(axis=1)[largest > 1e-9] / largest[largest > 1e-9])


def realness(paths: NDArray[Any], real: NDArray[Any]) -> NDArray[np.float64]:
    """(walks,) share of the frames between the ends that look like some real item (n, d), as in `precision`."""
    inner = paths[:, 1:-1]
    near = squared_distances(real, inner.reshape(-1, inner.shape[2])) < radii(real)[:, None]
    return np.asarray(near.any(axis=0).reshape(inner.shape[:2]).mean(axis=1))


def scores(paths: NDArray[Any], real: NDArray[Any], seed: int) -> Iterator[Score]:
    """Figures of walks given as features (walks, frames, d)."""
    source = f"{len(paths)} walks between samples in {paths.shape[1] - 1} equal steps of the latents, {NAME}"
    figures: Sequence[tuple[str, NDArray[np.float64], Any]] = (
        ("walk_length", detours(paths), "lower"),
        ("walk_evenness", evenness(paths), "higher"),
        ("walk_realness", realness(paths, real), "higher"),
    )
    for name, rows, better in figures:
        if len(rows):
            low, high = mean_interval(rows, seed)
            yield Score(name, float(rows.mean()), low, high, None, better, len(rows), source)
