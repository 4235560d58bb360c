"""Extra metrics of images in comparisons of runs: fine detail, and interpolations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Numbers
from anew.evaluation.features.embedder import GridEmbedder
from anew.evaluation.inputs import EMBEDDER_ITEMS
from anew.evaluation.metrics import path
from anew.evaluation.metrics.bootstrap import interval, resample
from anew.evaluation.metrics.spectrum import FINE_DETAIL
from anew.evaluation.modalities.image import image_tensor, radial_spectra, stack
from anew.evaluation.score import Score

MAX_SPECTRA = 500  # images whose spectra are computed: the mean hardly changes with more
# Held-out images that frames of interpolations are compared with: time and memory grow with the pairs.
MAX_REAL = 1_000


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
        yield from path.scores(features.reshape(len(paths), len(paths[0]), -1), self._features, self.seed)
