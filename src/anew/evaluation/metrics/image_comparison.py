"""What a comparison measures of images beyond each run's own figures: fine detail, and walks, against one held-out set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.base import FITTED
from anew.evaluation.features.random_conv import Embedding
from anew.evaluation.metrics import path
from anew.evaluation.metrics.statistics import Score, interval, resample
from anew.evaluation.modalities.image import _embedded, _stack, _tensor, radial_spectra
from anew.evaluation.reporting import sheet

SPECTRUM_MOST = 500  # images whose spectra are taken
REAL_MOST = 1_000  # held-out images that frames of walks are held against


class Yardstick:
    """Held-out and training images of the data, (H, W) or (H, W, C) uint8; the same for every run."""

    def __init__(self, train: Sequence[Any], test: Sequence[Any], seed: int) -> None:
        self.seed = seed
        self.test = list(test)
        n = min(len(train), len(test), SPECTRUM_MOST)
        self._real, self._other = (radial_spectra(_stack(part[:n])) for part in (test, train))
        self._embedding = Embedding(test[0].shape[2] if test[0].ndim == 3 else 1, 2)
        self._embedding.fit(_tensor(train[:FITTED]))
        self._features = _embedded(self._embedding, self.test[:REAL_MOST])

    @property
    def spectrum(self) -> NDArray[np.float64]:
        """(rings,) mean power of held-out images."""
        return np.asarray(self._real.mean(axis=0))

    def detail(self, samples: Sequence[Any]) -> tuple[Score, NDArray[np.float64]]:
        """Power of the upper half of the frequencies against held-out images, and the mean spectrum (rings,)."""
        made = radial_spectra(_stack(samples[:SPECTRUM_MOST]))

        def ratio(a: NDArray[Any], b: NDArray[Any]) -> float:
            fine = slice(a.shape[1] // 2, None)
            return float(a[:, fine].mean() / max(b[:, fine].mean(), 1e-12))

        value = ratio(made, self._real)
        low, high = interval(value, resample(ratio, (made, self._real), seed=self.seed))
        source = "power at the upper half of spatial frequencies, samples over held-out images"
        floor = ratio(self._other, self._real)
        return Score("fine_detail", value, low, high, floor, "higher", len(made), source), made.mean(axis=0)

    def walks(self, walks: Sequence[Sequence[Any]]) -> Iterator[Score]:
        """Figures of walks, each a list of frames."""
        features = _embedded(self._embedding, [frame for walk in walks for frame in walk])
        paths = features.reshape(len(walks), len(walks[0]), -1)
        yield from path.scores(paths, self._features, self.seed)


def shown(images: Sequence[Any]) -> list[NDArray[Any]]:
    """Images small enough for a page."""
    return [sheet.small(np.asarray(image)) for image in images]
