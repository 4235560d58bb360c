"""Images: how close samples are to held-out images in a fixed embedding, how varied, how sharp."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anew.evaluation import sheet
from anew.evaluation.embedding import FEATURES, NAME, Embedding
from anew.evaluation.evidence import Evaluation, Evidence
from anew.evaluation.metric import (
    Grams,
    Score,
    frechet_distance,
    interval,
    mean_interval,
    median_bandwidth,
    neighbourhood,
    rbf_kernel,
    resample,
    vendi_score,
)
from anew.evaluation.nearest import nearest_pixels

LEAST = 20  # items a figure needs
MOST = 10_000
PAIRS_MOST = 2_000  # items of figures that compare all pairs: time and memory grow with the square
QUICK = 300  # figures of so few items take no time worth saving; only their intervals do
FITTED = 256
SHEET, PAIRS = 64, 12
SEARCH_VALUES = 64_000_000  # pixel values of training images that the nearest one is looked for in
SPECTRUM_VALUES = 16_000_000


@dataclass(frozen=True, slots=True)
class Features:
    """Embedded items, as many of each: (n, d)."""

    samples: NDArray[Any]
    test: NDArray[Any]
    train: NDArray[Any]

    def first(self, n: int) -> Features:
        return Features(self.samples[:n], self.test[:n], self.train[:n])


class ImageEvaluation(Evaluation):
    """Samples against held-out images; the floor of each figure puts training images in the samples' place, same n."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self.sets: dict[str, list[NDArray[Any]]] = {}

    def scores(self) -> Iterator[Score]:
        yield from self._likelihood()
        features = self._features()
        if features is None:
            return
        few = features.first(PAIRS_MOST)
        steps: list[tuple[str, Callable[[Features], Iterator[Score]], Features]] = [
            ("Fréchet distance", self._frechet, features),
            ("kernel distance", self._kernel, few),
            ("precision, recall, density and coverage", self._neighbours, few),
            ("diversity", self._diversity, features),
            ("spectrum distance", self._spectrum, features),
        ]
        for name, step, given in steps:
            if self.clock.over(0.85) and len(given.samples) > QUICK:
                self.leave_out(name, "the time was spent")
                continue
            yield from step(given)

    def _likelihood(self) -> Iterator[Score]:
        """Bits per dimension of held-out images under the model, and of PNG files of the same images."""
        if self.evidence.bits is None:
            return
        limit = self.clock.left(0.2)
        found = self.evidence.bits(None if limit == float("inf") else max(limit, 0.3))
        if not found:
            self.leave_out("bits per dimension", "no held-out image could be scored in the time left")
            return
        rows = np.array([bits / units for bits, units in found])
        low, high = mean_interval(rows, self.evidence.seed)
        source = "held-out images; an upper bound by the evidence lower bound"
        yield Score("bits_per_dimension", float(rows.mean()), low, high, n=len(rows), source=source)
        files = [8.0 * len(sheet.png(image)) / image.size for image in self.evidence.test(len(rows))]
        if files:
            low, high = mean_interval(np.array(files), self.evidence.seed)
            source = "held-out images as PNG files, each by itself"
            yield Score("bits_per_dimension_png", float(np.mean(files)), low, high, n=len(files), source=source)

    def show(self) -> dict[str, Any]:
        """{"kind": "image", "sheet": PNG, "real": PNG, "pairs": [{"sample": PNG, "nearest": PNG, "distance"}], "typical",
        "nearest": what the search was}. Distances are root mean squared differences of values of 0 to 255; `typical` is
        the median distance of held-out images to their nearest training image."""
        samples = self.evidence.samples
        if not samples:
            return {"kind": "image", "pairs": []}
        values = int(np.prod(samples[0].shape))
        share = 1.0 if self.clock.left() > 2.0 else 0.1  # late: look in fewer
        training = _stack(self.evidence.train(int(max(min(20_000, SEARCH_VALUES // values) * share, 500))))
        held = self._held(SHEET)
        index, distance = nearest_pixels(_stack(samples[:PAIRS]), training)
        typical = float(np.median(nearest_pixels(_stack(held), training)[1]))
        pairs = [
            {"sample": sheet.png(_small(s)), "nearest": sheet.png(_small(training[i])), "distance": float(d)}
            for s, i, d in zip(samples[:PAIRS], index, distance, strict=False)
        ]
        return {
            "kind": "image",
            "sheet": sheet.sheet([_small(s) for s in samples[:SHEET]], gap=2, columns=8),
            "real": sheet.sheet([_small(s) for s in held], gap=2, columns=8),
            "pairs": pairs,
            "typical": typical,
            "nearest": f"nearest of {len(training):,} training images by their pixels",
        }

    def _held(self, n: int) -> list[NDArray[Any]]:
        return (self.sets.get("test") or self.evidence.test(n))[:n]

    def _features(self) -> Features | None:
        """Embed as many of each as there are of the scarcest, or as half of the time allows."""
        samples = self.evidence.samples
        n = min(len(samples), MOST)
        test, train = self.evidence.test(n), self.evidence.train(max(n, FITTED))
        n = min(n, len(test), len(train))
        if n < LEAST:
            self.leave_out("all figures", f"they need {LEAST} samples and {LEAST} held-out images, here are {n}")
            return None
        tall = samples[0].ndim == 3
        embedding = Embedding(samples[0].shape[2] if tall else 1, 2)
        start = time.monotonic()
        fitted = train[: FITTED if self.clock.left() > 4.0 else FITTED // 4]
        embedding.fit(_tensor(fitted))
        each = (time.monotonic() - start) / len(fitted)
        afford = self.clock.left(0.5) / (3 * each)
        if afford < n:
            n = max(min(n, 2 * LEAST), int(afford))
            self.leave_out(f"more than {n:,} items of each set", "the time allowed no more")
        self.sets = {"samples": samples[:n], "test": test[:n], "train": train[:n]}
        return Features(*(_embedded(embedding, part) for part in self.sets.values()))

    def _source(self, what: str) -> str:
        return f"samples against held-out images, {FEATURES} features of the {NAME}, {what}"

    def _frechet(self, f: Features) -> Iterator[Score]:
        value = frechet_distance(f.samples, f.test)
        floor = frechet_distance(f.train, f.test)
        late = lambda: self.clock.over(0.65)  # noqa: E731
        low, high = interval(value, resample(frechet_distance, (f.samples, f.test), seed=self.evidence.seed, late=late))
        yield Score(
            "frechet_distance", value, low, high, floor, "lower", len(f.samples), self._source("Gaussians fitted")
        )

    def _kernel(self, f: Features) -> Iterator[Score]:
        width = median_bandwidth(f.train)

        def kernel(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
            return rbf_kernel(a, b, width)

        grams = Grams.of(f.samples, f.test, kernel)
        value, n = grams.distance(), len(f.samples)
        floor = Grams(kernel(f.train, f.train), grams.bb, kernel(f.train, f.test)).distance()
        weights = np.random.default_rng(self.evidence.seed).multinomial(n, np.full(n, 1.0 / n), size=(2, 100))
        low, high = interval(value, grams.weighted(weights[0].astype(np.float64), weights[1].astype(np.float64)))
        source = self._source("unbiased squared maximum mean discrepancy, RBF kernel as wide as the median distance")
        yield Score("kernel_distance", value, low, high, floor, "lower", n, source)

    def _neighbours(self, f: Features) -> Iterator[Score]:
        made, real = neighbourhood(f.test, f.samples), neighbourhood(f.test, f.train)
        for name in ("precision", "recall", "density", "coverage"):
            rows = getattr(made, name)
            low, high = mean_interval(rows, self.evidence.seed)
            floor = float(getattr(real, name).mean())
            source = self._source("5 nearest neighbours")
            yield Score(name, float(rows.mean()), low, high, floor, "higher", len(f.samples), source)

    def _diversity(self, f: Features) -> Iterator[Score]:
        def ratio(a: NDArray[Any], b: NDArray[Any]) -> float:
            return vendi_score(a) / vendi_score(b)

        value, floor = ratio(f.samples, f.test), ratio(f.train, f.test)
        late = lambda: self.clock.over(0.85)  # noqa: E731
        low, high = interval(value, resample(ratio, (f.samples, f.test), seed=self.evidence.seed, late=late))
        source = self._source("ratio of Vendi scores (effective number of different items)")
        yield Score("diversity", value, low, high, floor, "higher", len(f.samples), source)

    def _spectrum(self, f: Features) -> Iterator[Score]:
        values = int(np.prod(self.sets["samples"][0].shape))
        n = max(min(len(f.samples), SPECTRUM_VALUES // values, 2_000), LEAST)
        made, test, train = (radial_spectra(_stack(part[:n])) for part in self.sets.values())
        value, floor = spectrum_distance(made, test), spectrum_distance(train, test)
        low, high = interval(value, resample(spectrum_distance, (made, test), seed=self.evidence.seed))
        fine = slice(made.shape[1] // 2, None)
        level = 10.0 * float(np.log10(made[:, fine].mean() / max(test[:, fine].mean(), 1e-12) + 1e-12))
        word = "about as sharp as real images" if abs(level) < 0.5 else "sharper" if level > 0 else "blurrier"
        source = f"mean difference in decibels of radial power spectra; fine detail {level:+.1f} dB: {word}"
        yield Score("spectrum_distance", value, low, high, floor, "lower", n, source)


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


def _stack(images: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.stack([np.asarray(i) for i in images])


def _tensor(images: Sequence[NDArray[Any]]) -> Tensor:
    """uint8 images to (n, C, H, W) in [-1, 1]."""
    x = torch.from_numpy(_stack(images)).float() / 127.5 - 1.0
    return x[:, None] if x.dim() == 3 else x.permute(0, 3, 1, 2).contiguous()


def _embedded(embedding: Embedding, images: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([embedding(_tensor(images[i : i + 256])) for i in range(0, len(images), 256)])


def _small(image: NDArray[Any], most: int = 128) -> NDArray[Any]:
    """An image of at most `most` pixels a side, by whole strides of means: the report stays small."""
    step = -(-max(image.shape[:2]) // most)
    if step == 1:
        return image
    height, width = (s // step * step for s in image.shape[:2])
    cut = image[:height, :width].reshape(height // step, step, width // step, step, -1).astype(np.float32)
    return np.asarray(cut.mean(axis=(1, 3)).round(), dtype=np.uint8)


EXPORT = ImageEvaluation
