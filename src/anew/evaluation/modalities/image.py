"""Evaluation of images: samples against held-out images in a fixed embedding, and by sharpness, colours and spectrum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anew.core.arrays import Numbers
from anew.evaluation.base import Evaluation
from anew.evaluation.features.random_conv import FEATURES, NAME, GridEmbedder
from anew.evaluation.inputs import MIN_ITEMS
from anew.evaluation.item_sets import Embedder
from anew.evaluation.measure import Measure
from anew.evaluation.memorization.images import nearest_pixels
from anew.evaluation.memorization.item_types import IMAGES
from anew.evaluation.metrics.bits import bits_score, bits_spec
from anew.evaluation.metrics.feature_sets import MAX_ITEMS_WITHOUT_SAVING, FeatureSets, bootstrap_score
from anew.evaluation.metrics.item_classifiers import IMAGE_CLASSIFIERS
from anew.evaluation.metrics.item_statistics import compare
from anew.evaluation.metrics.media.image_statistics import (
    COLOUR_DISTANCE,
    colour_counts,
    colour_distance,
    image_statistics,
)
from anew.evaluation.metrics.media.spectrum import SPECTRUM_AUC, SPECTRUM_DISTANCE, balance_distance
from anew.evaluation.metrics.two_sample import classifier_score
from anew.evaluation.reporting import sheet
from anew.evaluation.reporting.content import (
    NearestPairs,
    ReportContent,
    ReportItem,
    nearest_explanation,
    nearest_pairs,
)
from anew.evaluation.score import Score

SHEET, PAIRS = 64, 12  # samples on the sheet, and next to their nearest training image
SEARCHED, MIN_SEARCHED = 20_000, 500  # training images that are searched, at most and at least; chosen
SEARCH_VALUES = 64_000_000  # pixel values of training images that are searched for the nearest one: 256 MB as float32
# A training image counts as mirrored if it is so much nearer then: symmetric pictures are about as near either way; chosen
MIRRORED = 0.5
PIXELS = 16_000_000  # pixel values of each set that metrics of pixels see: bounds time and memory
LEVEL_NOISE_POWER = (1.0 / 255.0) ** 2  # power of noise of one level, by which empty and faint images are equal
MAX_STATISTICS_IMAGES = 500  # images of each set for statistics of single images: their intervals are narrow by then


class ImageEvaluation(Evaluation[Numbers]):
    """Compares samples with held-out images in a fixed embedding, and by metrics of images: sharpness and colours."""

    noun = "images"
    feature_description = f"{FEATURES} features of the {NAME}"
    item_type = IMAGES

    def embedder(self, train: Sequence[Numbers]) -> Embedder[Numbers]:
        return GridEmbedder(image_tensor, train, at_once=256, work=self.inputs.work)

    def naive(self, train: Sequence[Numbers], n: int, rng: np.random.Generator) -> list[Numbers]:
        """Images in which each pixel is from another training image: only the values at each place are right."""
        images = stack(train)
        flat = images.reshape(len(images), -1, images.shape[3] if images.ndim == 4 else 1)  # (m, pixels, C)
        pixel = np.arange(flat.shape[1])
        return [flat[rng.integers(len(flat), size=len(pixel)), pixel].reshape(images.shape[1:]) for _ in range(n)]

    def likelihood(self) -> Iterator[Score]:
        """Yield bits per value of held-out images under the model, and of the PNG files of as many random ones."""
        for score in super().likelihood():
            yield score
            images = self.inputs.test(score.n)
            rows = [(8.0 * len(sheet.png(image, smallest=True)) / image.size, 1.0) for image in images]
            if rows:
                source = "held-out images drawn at random, as PNG files, each by itself"
                yield bits_score(bits_spec(self.unit, "png"), rows, source, self.inputs.seed)

    def modality_metrics(self) -> Iterator[Score]:
        if not self.sets:
            return
        metrics = {
            "sharpness, noise and grids": Measure(self._statistics),
            "areas, slopes and faint patterns": Measure(
                partial(self.classifier_scores, IMAGE_CLASSIFIERS, MAX_STATISTICS_IMAGES)
            ),
            "colours": Measure(self._colours),
            "the spectrum": Measure(self._spectrum),
        }
        yield from self.metrics_in_time(metrics, MAX_ITEMS_WITHOUT_SAVING)

    def report_content(self) -> ReportContent:
        """Sheets and pairs."""
        samples = self.inputs.samples
        if not samples:
            return ReportContent()
        nearest = self.nearest(samples[:PAIRS], 1.0 if self.total_clock.remaining() > 2.0 else 0.1)
        held_out = self.held_out_items(SHEET)
        return ReportContent(
            sheet=sheet.sheet([sheet.shrink(image) for image in samples[:SHEET]], gap=2, columns=8),
            real_sheet=sheet.sheet([sheet.shrink(image) for image in held_out], gap=2, columns=8) if held_out else None,
            pairs=nearest.pairs,
            explanation=nearest.explanation,
            closest_pairs=self.closest_pairs,
        )

    def nearest(self, items: Sequence[Numbers], effort: float = 1.0) -> NearestPairs:
        """Distances are root mean squared differences of values of 0 to 255, next to those that held-out images usually have."""
        values = int(np.prod(items[0].shape))
        requested = int(max(min(SEARCHED, SEARCH_VALUES // values) * effort, MIN_SEARCHED))
        searched, compared = self.searched_items(requested)
        training, held_out = stack(searched), self.held_out_items(SHEET)
        stacked = stack(items)
        (plain, plain_distances), (mirrored, mirrored_distances) = (
            nearest_pixels(view, training) for view in (stacked, stacked[:, :, ::-1])
        )
        is_mirrored = mirrored_distances < MIRRORED * plain_distances
        index = np.where(is_mirrored, mirrored, plain)
        distances = np.where(is_mirrored, mirrored_distances, plain_distances)
        usual = training[: len(compared)]
        typical = float(np.median(nearest_pixels(stack(held_out), usual)[1])) if held_out else 0.0
        explanation = nearest_explanation(
            f"Nearest by pixels, among {len(training):,} training images. The number is the difference of their values "
            "(0 = exact copy, 255 = the most possible)",
            "image",
            f"{typical:.0f}" if held_out else None,
            len(held_out),
            self.inputs.are_halves,
        )
        pairs = nearest_pairs(self.report_item, items, list(training), index, distances, typical, exact=0.5)
        pairs = [
            replace(pair, caption=f"{pair.caption}, mirrored") if flag else pair
            for pair, flag in zip(pairs, is_mirrored, strict=True)
        ]
        return NearestPairs(pairs, explanation, requested)

    def report_item(self, item: Numbers) -> ReportItem:
        return ReportItem(sheet.png(sheet.shrink(item)))

    def _pixel_set(self, name: str) -> Numbers:
        """The first images of a set, as many as a metric of pixels needs."""
        values = int(np.prod(self.sets["samples"][0].shape))
        return stack(self.sets[name][: max(PIXELS // values, MIN_ITEMS)][:2_000])

    def _spectrum(self) -> Iterator[Score]:
        rows = {part: detail_levels(self._pixel_set(part)) for part in ("samples", "test", "train", "naive")}
        spectra = self.sets.with_features(rows, self.feature_description)
        fine = slice(spectra.samples.shape[1] // 2, None)
        level = float(spectra.samples[:, fine].mean() - spectra.held_out[:, fine].mean())
        amount = (
            "about as much fine detail as"
            if abs(level) < 0.5
            else f"{'more' if level > 0 else 'less'} fine detail than"
        )
        source = f"difference of the mean levels of radial power spectra, in decibels; {amount} in real images ({level:+.1f} dB)"
        seed = self.inputs.seed
        yield bootstrap_score(SPECTRUM_DISTANCE, balance_distance, spectra, seed=seed, source=source)
        source = (
            f"a kernel classifier of the levels of {spectra.samples.shape[1]} rings of spectra, trained on one half and tested on "
            "the other"
        )
        yield classifier_score(SPECTRUM_AUC, spectra, seed, source)

    def _statistics(self) -> Iterator[Score]:
        """Image statistics of single images."""
        samples, test, train = (self.sets[part][:MAX_STATISTICS_IMAGES] for part in ("samples", "test", "train"))
        for statistic in image_statistics(samples[0].shape[2] if samples[0].ndim == 3 else 1):
            yield compare(statistic, *map(statistic.compute, (samples, test, train)))

    def _colours(self) -> Iterator[Score]:
        """Frequencies of colours."""
        samples, test, train = (colour_counts(self._pixel_set(part)) for part in ("samples", "test", "train"))
        yield bootstrap_score(
            COLOUR_DISTANCE,
            colour_distance,
            FeatureSets(samples, test, train, np.ones_like(test)),
            seed=self.inputs.seed,
            source="Jensen-Shannon divergence in bits of joint histograms in OKLab; naive: all colours equally common",
            minimum=0.0,
        )


def detail_levels(images: Numbers) -> NDArray[np.float64]:
    """Levels (n, rings) in decibels of `radial_spectra`, upwards from that of noise of one level of 255, which cannot be seen."""
    return np.asarray(10.0 * np.log10(radial_spectra(images) + LEVEL_NOISE_POWER))


def radial_spectra(images: Numbers) -> NDArray[np.float64]:
    """The power (n, rings) of images (n, H, W[, C]) in grey, by distance from frequency zero, which is left out."""
    grey = images.astype(np.float64).reshape(*images.shape[:3], -1).mean(axis=3) / 255.0  # (n, H, W)
    height, width = grey.shape[1:]
    power = np.abs(np.fft.fft2(grey - grey.mean(axis=(1, 2), keepdims=True))) ** 2 / (height * width)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])  # cycles a pixel
    rings = max(min(height, width) // 2, 1)
    ring = np.minimum((frequency * 2 * rings).round().astype(int), rings).ravel()
    member = np.zeros((len(ring), rings + 1))
    member[np.arange(len(ring)), ring] = 1.0
    member /= np.maximum(member.sum(axis=0), 1.0)
    return np.asarray((power.reshape(len(grey), -1) @ member)[:, 1:])


def stack(images: Sequence[Numbers]) -> Numbers:
    """(n, H, W[, C]) of images of one shape."""
    return np.stack([np.asarray(image) for image in images])


def image_tensor(images: Sequence[Numbers]) -> Tensor:
    """uint8 images to (n, C, H, W) in [-1, 1]."""
    x = torch.from_numpy(stack(images)).float() / 127.5 - 1.0
    return x[:, None] if x.dim() == 3 else x.permute(0, 3, 1, 2).contiguous()


EXPORT = ImageEvaluation
