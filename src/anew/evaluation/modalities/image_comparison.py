"""Extra metrics of images in comparisons of runs: fine detail, and interpolations in a fixed embedding.

Legend for shapes: w paths, f frames of each, n real items, d features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Numbers
from anew.evaluation.features.random_conv import NAME, GridEmbedder
from anew.evaluation.inputs import EMBEDDER_ITEMS
from anew.evaluation.metrics.bootstrap import interval, mean_interval, resample
from anew.evaluation.metrics.distances import Array, Rows, squared_distances
from anew.evaluation.metrics.media.spectrum import FINE_DETAIL
from anew.evaluation.metrics.neighbours import radii, tie
from anew.evaluation.modalities.image import image_tensor, radial_spectra, stack
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
MAX_SPECTRA = 500  # images whose spectra are computed: the mean hardly changes with more
# Held-out images that frames of interpolations are compared with: time and memory grow with the pairs.
MAX_REAL = 1_000


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


def path_scores(paths: Rows, real: Rows, seed: int) -> Iterator[Score]:
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


class ImageComparison:
    """Held-out and training images of the data, (H, W) or (H, W, C) uint8; the same for every run."""

    def __init__(self, train: Sequence[Numbers], test: Sequence[Numbers], seed: int) -> None:
        self.seed = seed
        n = min(len(train), len(test), MAX_SPECTRA)
        self._test_spectra, self._train_spectra = (radial_spectra(stack(part[:n])) for part in (test, train))
        self._embed = GridEmbedder(image_tensor, train[:EMBEDDER_ITEMS], at_once=256)
        self._features = self._embed(test[:MAX_REAL])

    @property
    def spectrum(self) -> NDArray[np.float64]:
        """(rings,) mean power of held-out images."""
        return np.asarray(self._test_spectra.mean(axis=0))

    def fine_detail(self, samples: Sequence[Numbers]) -> tuple[Score, NDArray[np.float64]]:
        """Power of the upper half of the frequencies against held-out images, and the mean spectrum (rings,)."""
        spectra = radial_spectra(stack(samples[:MAX_SPECTRA]))

        def ratio(a: Numbers, b: Numbers) -> float:
            fine = slice(a.shape[1] // 2, None)
            return float(a[:, fine].mean() / max(b[:, fine].mean(), 1e-12))

        value = ratio(spectra, self._test_spectra)
        low, high = interval(value, resample(ratio, (spectra, self._test_spectra), seed=self.seed))
        score = Score(
            FINE_DETAIL,
            value,
            low=low,
            high=high,
            real_baseline=ratio(self._train_spectra, self._test_spectra),
            n=len(spectra),
            source="power at the upper half of spatial frequencies, samples over held-out images",
        )
        return score, spectra.mean(axis=0)

    def interpolations(self, paths: Sequence[Sequence[Numbers]]) -> Iterator[Score]:
        """Scores of interpolations, each a list of equally many frames."""
        features = self._embed([frame for frames in paths for frame in frames])
        yield from path_scores(features.reshape(len(paths), len(paths[0]), -1), self._features, self.seed)
