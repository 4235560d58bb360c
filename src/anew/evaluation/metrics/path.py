"""Smoothness of interpolations: the length of the path in a fixed embedding, and the evenness of its steps.

Legend for shapes: w paths, f frames of each, n real items, d features.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from anew.evaluation.features.random_conv import NAME
from anew.evaluation.metrics.bootstrap import mean_interval
from anew.evaluation.metrics.distances import Array, Rows, squared_distances
from anew.evaluation.metrics.neighbours import radii, tie
from anew.evaluation.score import Group, MetricSpec, Score

PATH_LENGTH = MetricSpec(
    "path_length",
    "Interpolation length",
    "The path from one sample to another, as a multiple of the straight line in the embedding (1 = straight).",
    group=Group.INTERPOLATION,
    order=30,
    award="Smoothest interpolation",
    format="ratio",
)
PATH_EVENNESS = MetricSpec(
    "path_evenness",
    "Interpolation evenness",
    "Mean step divided by the largest step: 1 is even; near 0, it stands still and then jumps.",
    better="higher",
    group=Group.INTERPOLATION,
    maximum=1.0,
    order=31,
    award="Steadiest interpolation",
)
PATH_REALISM = MetricSpec(
    "path_realism",
    "Realism in between",
    "Share of the frames between two samples that look like some real item.",
    better="higher",
    group=Group.INTERPOLATION,
    maximum=1.0,
    order=32,
    format="percent",
)


def step_lengths(paths: Rows) -> tuple[Array, Array]:
    """Length of each step of features (w, f, d) along their path, (w, f - 1), and the distance of the ends, (w,)."""
    x = np.asarray(paths, dtype=np.float64)
    return np.linalg.norm(np.diff(x, axis=1), axis=2), np.linalg.norm(x[:, -1] - x[:, 0], axis=1)


def relative_lengths(paths: Rows) -> Array:
    """(w,) length of each path as a multiple of the straight line between its ends; 1 is straight.

    Paths whose ends are the same are left out.
    """
    lengths, end_distance = step_lengths(paths)
    moving = end_distance > 1e-9
    return np.asarray(lengths.sum(axis=1)[moving] / end_distance[moving])


def evenness(paths: Rows) -> Array:
    """(w,) mean step of each path divided by its largest: 1 if all steps are equal, 1 / steps if the path is one jump.

    Paths that do not move are left out.
    """
    lengths, _ = step_lengths(paths)
    largest = lengths.max(axis=1)
    return np.asarray(lengths.mean(axis=1)[largest > 1e-9] / largest[largest > 1e-9])


def realism(paths: Rows, real: Rows) -> Array:
    """(w,) share of the frames between the ends that look like some real item (n, d), as in `precision`."""
    between = paths[:, 1:-1]
    rows = between.reshape(-1, between.shape[2])  # (w (f - 2), d)
    in_ball = squared_distances(real, rows) <= (radii(real) + tie(real, rows))[:, None]  # (n, w (f - 2))
    return np.asarray(in_ball.any(axis=0).reshape(between.shape[:2]).mean(axis=1))


def scores(paths: Rows, real: Rows, seed: int) -> Iterator[Score]:
    """Scores of interpolations given as features (w, f, d), compared with real items (n, d)."""
    source = f"{len(paths)} interpolations between samples in {paths.shape[1] - 1} equal steps of the latents, {NAME}"
    for spec, rows in (
        (PATH_LENGTH, relative_lengths(paths)),
        (PATH_EVENNESS, evenness(paths)),
        (PATH_REALISM, realism(paths, real)),
    ):
        if len(rows):
            low, high = mean_interval(rows, seed)
            yield Score(spec, float(rows.mean()), low=low, high=high, n=len(rows), source=source)
