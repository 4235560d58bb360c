"""Images: how close samples are to held-out images in a fixed embedding, how varied, how sharp."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anew.evaluation.base import LEAST, Evaluation
from anew.evaluation.features.random_conv import FEATURES, NAME, Embedding
from anew.evaluation.memorization.item_types import IMAGES
from anew.evaluation.memorization.nearest import nearest_pixels
from anew.evaluation.metrics.fidelity import QUICK
from anew.evaluation.metrics.statistics import Score, interval, jensen_shannon, mean_interval, resample
from anew.evaluation.reporting import sheet
from anew.evaluation.reporting.content import Beside, Item, Shown

SHEET, PAIRS = 64, 12
SEARCH_VALUES = 64_000_000  # pixel values of training images that the nearest one is looked for in
PIXELS = 16_000_000  # values of images that figures of pixels take of each set
LEVELS = 16  # of a channel


class ImageEvaluation(Evaluation):
    """Samples against held-out images in a fixed embedding, and by what only images have: sharpness and colours."""

    noun = "images"
    features = f"{FEATURES} features of the {NAME}"
    kind = IMAGES

    def embedder(self, train: Sequence[Any]) -> Callable[[Sequence[Any]], NDArray[Any]]:
        embedding = Embedding(train[0].shape[2] if train[0].ndim == 3 else 1, 2)
        embedding.fit(_tensor(train))
        return lambda images: _embedded(embedding, images)

    def naive(self, train: Sequence[Any], n: int, source: np.random.Generator) -> list[Any]:
        """Each pixel of another training image: only where values are common is right."""
        known = _stack(train)
        flat = known.reshape(len(known), -1, known.shape[3] if known.ndim == 4 else 1)  # (m, pixels, C)
        return [flat[source.integers(len(flat), size=flat.shape[1]), np.arange(flat.shape[1])].reshape(known.shape[1:])
                for _ in range(n)]  # fmt: skip

    def likelihood(self) -> Iterator[Score]:
        """Bits per dimension of held-out images under the model, and of PNG files of the same images."""
        for score in super().likelihood():
            yield score
            files = [8.0 * len(sheet.png(image)) / image.size for image in self.evidence.test(score.n)]
            if files:
                low, high = mean_interval(np.array(files), self.evidence.seed)
                source = "held-out images as PNG files, each by itself"
                yield Score("bits_per_dimension_png", float(np.mean(files)), low, high, n=len(files), source=source)

    def own(self) -> Iterator[Score]:
        if not self.sets:
            return
        for name, figure in (("spectrum distance", self._spectrum), ("colours", self._colours)):
            if self.clock.over(0.85) and len(self.sets["samples"]) > QUICK:
                self.leave_out(name, "the time was spent")
                continue
            yield from figure()

    def show(self) -> Shown:
        """Distances are root mean squared differences of values of 0 to 255, beside what held-out images typically have."""
        samples = self.evidence.samples
        if not samples:
            return Shown()
        values = int(np.prod(samples[0].shape))
        share = 1.0 if self.whole.left() > 2.0 else 0.1  # late: look in fewer
        training = _stack(self.evidence.train(int(max(min(20_000, SEARCH_VALUES // values) * share, 500))))
        held = self._held(SHEET)
        index, distance = nearest_pixels(_stack(samples[:PAIRS]), training)
        typical = float(np.median(nearest_pixels(_stack(held), training)[1])) if held else 0.0
        pairs = [
            Beside(self.item(s), self.item(training[i]), _apart(d), d < 0.25 * typical)
            for s, i, d in zip(samples[:PAIRS], index, distance, strict=False)
        ]
        return Shown(
            sheet=sheet.sheet([sheet.small(s) for s in samples[:SHEET]], gap=2, columns=8),
            real=sheet.sheet([sheet.small(s) for s in held], gap=2, columns=8) if held else None,
            pairs=pairs,
            nearest=f"The nearest of {len(training):,} training images, by their pixels. The number is how far their values "
            "differ (0 is an exact copy, 255 the most there can be); a real image that was held out typically differs from "
            f"its nearest training image by {typical:.0f}.",
            suspects=self.suspects,
        )

    def item(self, one: Any) -> Item:
        return Item(sheet.png(sheet.small(one)))

    def _held(self, n: int) -> list[NDArray[Any]]:
        return (self.sets.get("test") or self.evidence.test(n))[:n]

    def _some(self, name: str) -> NDArray[Any]:
        """Images of a set, as many as a figure of pixels needs."""
        values = int(np.prod(self.sets["samples"][0].shape))
        return _stack(self.sets[name][: max(PIXELS // values, LEAST)][:2_000])

    def _spectrum(self) -> Iterator[Score]:
        made, test, train, naive = (radial_spectra(self._some(part)) for part in ("samples", "test", "train", "naive"))
        value, floor = spectrum_distance(made, test), spectrum_distance(train, test)
        low, high = interval(value, resample(spectrum_distance, (made, test), seed=self.evidence.seed))
        fine = slice(made.shape[1] // 2, None)
        level = 10.0 * float(np.log10(made[:, fine].mean() / max(test[:, fine].mean(), 1e-12) + 1e-12))
        word = "about as sharp as real images" if abs(level) < 0.5 else "sharper" if level > 0 else "blurrier"
        source = f"mean difference in decibels of radial power spectra; fine detail {level:+.1f} dB: {word}"
        ceiling = spectrum_distance(naive, test)
        yield Score("spectrum_distance", value, low, high, floor, "lower", len(made), source, ceiling)

    def _colours(self) -> Iterator[Score]:
        """How often each level of each channel occurs."""
        made, test, train = (levels(self._some(part)) for part in ("samples", "test", "train"))
        value, floor, ceiling = (colour_distance(x, test) for x in (made, train, np.ones_like(test)))
        low, high = interval(value, resample(colour_distance, (made, test), seed=self.evidence.seed))
        source = f"Jensen-Shannon divergence in bits of {LEVELS} levels a channel, ceiling: all alike"
        low = None if low is None else max(low, 0.0)
        yield Score("colour_distance", value, low, high, floor, "lower", len(made), source, ceiling)


def radial_spectra(images: NDArray[Any]) -> NDArray[np.float64]:
    """Power by distance from frequency zero of the grey version of images (n, H, W[, C]), (n, rings); ring 0 left out."""
    grey = images.astype(np.float64).reshape(*images.shape[:3], -1).mean(axis=3) / 255.0  # (n, H, W)
    height, width = grey.shape[1:]
    power = np.abs(np.fft.fft2(grey - grey.mean(axis=(1, 2), keepdims=True))) ** 2 / (height * width)
    far = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])  # cycles a pixel
    rings = max(min(height, width) // 2, 1)
    ring = np.minimum((far * 2 * rings).round().astype(int), rings).ravel()
    member = np.zeros((len(ring), rings + 1))
    member[np.arange(len(ring)), ring] = 1.0
    member /= np.maximum(member.sum(axis=0), 1.0)
    return np.asarray((power.reshape(len(grey), -1) @ member)[:, 1:])


def spectrum_distance(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Mean absolute difference in decibels of the mean spectra of a (n, rings) and b (m, rings)."""
    least = 1e-9  # an image without any power at a frequency must not make the difference infinite
    return float(np.abs(10.0 * np.log10((a.mean(axis=0) + least) / (b.mean(axis=0) + least))).mean())


def levels(images: NDArray[Any]) -> NDArray[np.float64]:
    """How often each of LEVELS levels of each channel occurs in each of the images (n, H, W[, C]): (n, C, LEVELS)."""
    flat = images.reshape(len(images), -1, images.shape[3] if images.ndim == 4 else 1)  # (n, pixels, C)
    level = flat.astype(np.intp) * LEVELS // 256
    cell = level + LEVELS * (np.arange(flat.shape[2]) + flat.shape[2] * np.arange(len(flat))[:, None, None])
    counts = np.bincount(cell.ravel(), minlength=len(flat) * flat.shape[2] * LEVELS)
    return counts.reshape(len(flat), flat.shape[2], LEVELS).astype(np.float64)


def colour_distance(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Mean over channels of the divergence of the levels of a (n, C, LEVELS) and b."""
    return float(np.mean([jensen_shannon(x, y) for x, y in zip(a.sum(axis=0), b.sum(axis=0), strict=True)]))


def _stack(images: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.stack([np.asarray(i) for i in images])


def _tensor(images: Sequence[NDArray[Any]]) -> Tensor:
    """uint8 images to (n, C, H, W) in [-1, 1]."""
    x = torch.from_numpy(_stack(images)).float() / 127.5 - 1.0
    return x[:, None] if x.dim() == 3 else x.permute(0, 3, 1, 2).contiguous()


def _embedded(embedding: Embedding, images: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([embedding(_tensor(images[i : i + 256])) for i in range(0, len(images), 256)])


def _apart(distance: float) -> str:
    return "exact copy" if distance < 0.5 else f"differ by {distance:.0f}"


EXPORT = ImageEvaluation
