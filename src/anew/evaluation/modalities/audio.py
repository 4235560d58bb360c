"""Sound: how close samples are to held-out clips in a fixed embedding of spectrograms, in level, spectrum and tone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anew.evaluation.base import Evaluation
from anew.evaluation.features import audio
from anew.evaluation.features.random_conv import FEATURES, NAME, Embedding
from anew.evaluation.memorization.nearest import nearest_pixels
from anew.evaluation.metrics.fidelity import PAIRS_MOST, QUICK
from anew.evaluation.metrics.statistics import Score, interval, resample
from anew.evaluation.reporting import sheet
from anew.evaluation.reporting.content import Beside, Item, Shown

SHEET, PAIRS = 36, 12
SEARCHED = 4_000  # training clips that the nearest one is looked for in


class AudioEvaluation(Evaluation):
    """Samples against held-out clips; items are (N,) float32 of one length."""

    noun = "clips"
    features = f"{FEATURES} features of the {NAME} of log-mel spectrograms"
    kind = audio.CLIPS

    @property
    def rate(self) -> int:
        """Samples a second."""
        return int(self.evidence.modality.rate)  # type: ignore[attr-defined]

    def embedder(self, train: Sequence[Any]) -> Callable[[Sequence[Any]], NDArray[Any]]:
        embedding = Embedding(1, 2)
        embedding.fit(self._unit(train))
        return lambda items: np.concatenate(
            [embedding(self._unit(items[i : i + 256])) for i in range(0, len(items), 256)]
        )

    def _unit(self, items: Sequence[Any]) -> torch.Tensor:
        """(n, 1, M, T) in [-1, 1]."""
        return audio.spectrograms(items, self.rate)[:, None] * (2.0 / audio.DEEP) + 1.0

    def naive(self, train: Sequence[Any], n: int, source: np.random.Generator) -> list[Any]:
        """Noise with the spectrum of a training clip: which tones it holds is right, when they sound is not."""
        made = []
        for at in source.integers(len(train), size=n):
            size = np.abs(np.fft.rfft(train[at]))
            turn = np.exp(2j * np.pi * source.random(len(size)))
            noise = np.fft.irfft(size * turn, len(train[at]))
            made.append((noise * (np.abs(train[at]).max() / max(np.abs(noise).max(), 1e-9))).astype(np.float32))
        return made

    def own(self) -> Iterator[Score]:
        if not self.sets:
            return
        figures: list[tuple[str, Callable[[], Iterator[Score]]]] = [
            ("spectrum distance", self._spectrum),
            ("periodicity", lambda: self._numbers("periodicity_distance", audio.periodicity, PERIODIC)),
            ("loudness", lambda: self._numbers("loudness_distance", audio.loudness, LOUD)),
        ]
        for name, figure in figures:
            if self.clock.over(0.85) and len(self.sets["samples"]) > QUICK:
                self.leave_out(name, "the time was spent")
                continue
            yield from figure()

    def _spectrum(self) -> Iterator[Score]:
        made, test, train, naive = (self._mean_levels(part) for part in ("samples", "test", "train", "naive"))
        value = spectrum_distance(made, test)
        low, high = interval(value, resample(spectrum_distance, (made, test), seed=self.evidence.seed))
        source = "mean difference in decibels of the mean spectra of clips, in mel bands"
        floor, ceiling = spectrum_distance(train, test), spectrum_distance(naive, test)
        yield Score("spectrum_distance", value, low, high, floor, "lower", len(made), source, ceiling)

    def _mean_levels(self, part: str) -> NDArray[np.float64]:
        """(n, M) mean power of each band of each clip of a set."""
        level = audio.spectrograms(self.sets[part][:PAIRS_MOST], self.rate).double()
        return np.asarray((10.0 ** (level / 10.0)).mean(2).numpy())

    def _numbers(self, name: str, of: Callable[[Sequence[Any], int], NDArray[Any]], what: str) -> Iterator[Score]:
        """Distance of the distributions of a number that every clip has."""
        made, test, train, naive = (
            of(self.sets[part][:PAIRS_MOST], self.rate) for part in ("samples", "test", "train", "naive")
        )
        distance = audio.earth_mover
        value = distance(made, test)
        low, high = interval(value, resample(distance, (made, test), seed=self.evidence.seed))
        low = None if low is None else max(low, 0.0)
        source = f"{what}; median of samples {np.median(made):.3g}, of held-out clips {np.median(test):.3g}"
        yield Score(name, value, low, high, distance(train, test), "lower", len(made), source, distance(naive, test))

    def probed(self, items: Sequence[Any]) -> NDArray[Any]:
        """(n, 32 x 32) spectrograms, coarse: what is said shows there best, and they take little time."""
        pooled = torch.nn.functional.adaptive_avg_pool2d(audio.spectrograms(items, self.rate), (32, 32))
        return np.asarray(pooled.flatten(1).numpy())

    def show(self) -> Shown:
        """Spectrograms with players. Distances are root mean squared differences of spectrograms in decibels, beside what
        held-out clips typically have."""
        samples = self.evidence.samples
        if not samples:
            return Shown()
        held = (self.sets.get("test") or self.evidence.test(SHEET))[:SHEET]
        training = self.evidence.train(SEARCHED if self.whole.left() > 2.0 else SEARCHED // 8)
        known = audio.pictures(training, self.rate)
        scale = audio.DEEP / 255.0
        index, distance = nearest_pixels(audio.pictures(samples[:PAIRS], self.rate), known)
        typical = float(np.median(nearest_pixels(audio.pictures(held, self.rate), known)[1])) * scale if held else 0.0
        pairs = [
            Beside(self.item(s), self.item(training[i]), _apart(d * scale), d * scale < 0.25 * typical)
            for s, i, d in zip(samples[:PAIRS], index, distance, strict=False)
        ]
        draw = self.evidence.modality.pictures
        return Shown(
            sheet=sheet.sheet(draw(samples[:SHEET]), gap=2, columns=6),
            real=sheet.sheet(draw(held), gap=2, columns=6) if held else None,
            pairs=pairs,
            nearest=f"Spectrograms: time from left to right, low tones below. The nearest of {len(training):,} training clips, by "
            "their spectrograms. The number is how far these differ (0 is an exact copy); a real clip that was held out "
            f"typically differs from its nearest training clip by {typical:.1f} dB.",
            suspects=self.suspects,
        )

    def item(self, one: Any) -> Item:
        modality: Any = self.evidence.modality
        file = modality.save_item(one)
        return Item(sheet.png(modality.picture(one)), file.data, file.media)


def _apart(distance: float) -> str:
    return "exact copy" if distance < 0.1 else f"differ by {distance:.1f} dB"


PERIODIC = "distance of the distributions of how exactly clips repeat themselves at a pitch (0 noise, 1 a steady tone)"
LOUD = "distance in decibels of the distributions of the loudest tenth of a second"


def spectrum_distance(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Mean absolute difference in decibels of the mean powers of a (n, M) and b (m, M)."""
    return float(np.abs(10.0 * np.log10((a.mean(axis=0) + 1e-9) / (b.mean(axis=0) + 1e-9))).mean())


EXPORT = AudioEvaluation
