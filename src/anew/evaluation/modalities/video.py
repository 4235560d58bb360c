"""Evaluation of clips: samples against held-out clips as a whole, by statistics of single frames, and by motion.

Legend for shapes: n clips, T frames, H rows, W columns, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anew.core.arrays import Numbers
from anew.data.formats.video.frames import gif, mp4
from anew.evaluation.base import Evaluation
from anew.evaluation.features.random_conv import FEATURES, NAME, GridEmbedder
from anew.evaluation.item_sets import Embedder
from anew.evaluation.measure import Measure
from anew.evaluation.memorization.images import nearest_pixels
from anew.evaluation.memorization.item_types import CLIPS
from anew.evaluation.metrics.bits import bits_score, bits_spec
from anew.evaluation.metrics.feature_sets import FeatureSets, bootstrap_score
from anew.evaluation.metrics.item_classifiers import CLIP_CLASSIFIERS, IMAGE_CLASSIFIERS
from anew.evaluation.metrics.item_statistics import compare
from anew.evaluation.metrics.media.image_statistics import image_statistics
from anew.evaluation.metrics.media.spectrum import spectrum_distance
from anew.evaluation.reporting import sheet
from anew.evaluation.reporting.content import (
    NearestPairs,
    ReportContent,
    ReportItem,
    nearest_explanation,
    nearest_pairs,
)
from anew.evaluation.score import MetricSpec, Score, difference_tolerance

# Clips on the sheet, samples and held-out clips with players, and samples next to their nearest training clip.
SHEET, PLAYERS, PLAYERS_REAL, PAIRS = 16, 12, 6, 8
HELD_OUT = 64  # held-out clips whose distance from training clips says what is usual
FRAMES = 4  # frames of each clip that metrics of single frames see: neighbouring frames are alike
# Clips of each set whose directions, speeds and single frames are compared: enough for a yes; the directions take about a second
MAX_COMPARED_CLIPS = 400
SPEEDS = 8  # frequency bands of change; chosen: a clip of 16 frames has no more
SEARCHED, MIN_SEARCHED = 10_000, 200  # training clips that are searched, at most and at least; chosen
SEARCH_VALUES = 64_000_000  # values of training clips that are searched for the nearest one: 256 MB as float32
VALUES = 32_000_000  # values of each set that metrics of motion see: bounds time and memory
Clip = NDArray[np.uint8]

MOTION_DISTANCE = MetricSpec(
    "motion_distance",
    "Amount of motion",
    "How far the amount of motion is from that of real clips, in decibels (0 = the same).",
    tolerance=difference_tolerance(1.5, 6.0, "the amount of motion"),
)
MOTION_SPECTRUM_DISTANCE = MetricSpec(
    "motion_spectrum_distance",
    "Speed of motion",
    "How much the mix of slow and fast changes differs from real clips, in decibels (0 = the same).",
    tolerance=difference_tolerance(1.0, 4.0, "the speed of motion"),
)
CLIPS_AT_ONCE = 64  # clips whose frames are prepared together: bounds memory


class VideoEvaluation(Evaluation[Clip]):
    """Compares samples with held-out clips. The naive generator repeats one frame, which every model of motion has to beat."""

    noun = "clips"
    feature_description = f"{FEATURES} features of the {NAME} over time, rows and columns"
    item_type = CLIPS

    def embedder(self, train: Sequence[Clip]) -> Embedder[Clip]:
        frames = max(len(clip) for clip in train)
        return GridEmbedder(
            lambda clips: clip_tensor(stack_clips(clips, frames)), train, CLIPS_AT_ONCE, self.inputs.work
        )

    def naive(self, train: Sequence[Clip], n: int, rng: np.random.Generator) -> list[Clip]:
        """Clips that repeat a single frame of a training clip."""
        chosen = rng.integers(len(train), size=n)
        return [np.repeat(train[i][rng.integers(len(train[i]))][None], len(train[i]), axis=0) for i in chosen]

    def modality_metrics(self) -> Iterator[Score]:
        if not self.sets:
            return
        metrics = {
            "motion": Measure(self._motion),
            "sharpness, noise and grids": Measure(self._statistics),
            "directions and speeds of motion": Measure(
                partial(self.classifier_scores, CLIP_CLASSIFIERS, MAX_COMPARED_CLIPS)
            ),
        }
        yield from self.metrics_in_time(metrics)

    def _statistics(self) -> Iterator[Score]:
        """Image statistics of single frames, averaged over the frames of a clip."""
        sets = [self.sets[part][:MAX_COMPARED_CLIPS] for part in ("samples", "test", "train")]
        frames = [spread_frames(clips) for clips in sets]  # each (n FRAMES, H, W[, C])
        for statistic in image_statistics(frames[0].shape[3] if frames[0].ndim == 4 else 1):
            values = [statistic.compute(part).reshape(-1, FRAMES).mean(axis=1) for part in frames]
            yield compare(statistic, *values)
        parts = ("samples", "test", "train")
        for classifier in IMAGE_CLASSIFIERS:
            numbers = {
                part: classifier.numbers(shown).reshape(len(shown) // FRAMES, FRAMES, -1).mean(axis=1)
                for part, shown in zip(parts, frames, strict=True)
            }
            yield classifier.score(self.sets.with_features(numbers, self.feature_description), self.inputs.seed)

    def _motion(self) -> Iterator[Score]:
        """Yield scores of the amount of change from frame to frame, and of its speed."""
        max_clips = max(VALUES // int(np.prod(self.sets["samples"][0].shape)), 20)
        clips = [self.sets[part][:max_clips] for part in ("samples", "test", "train")]
        energies = FeatureSets(*(np.array([energy(clip) for clip in part]) for part in clips))  # each (n,)
        share = float(energies.samples.mean()) / max(float(energies.held_out.mean()), 1e-12)
        source = f"mean square of frame differences against held-out clips, in decibels; {share:.2f} of real motion"
        seed = self.inputs.seed
        yield bootstrap_score(MOTION_DISTANCE, decibels, energies, seed=seed, source=source, minimum=0.0)
        spectra = FeatureSets(*(np.stack([speeds(clip) for clip in part]) for part in clips))  # each (n, SPEEDS)
        source = f"mean difference in decibels of the power of frame differences at {SPEEDS} speeds of change"
        yield bootstrap_score(MOTION_SPECTRUM_DISTANCE, spectrum_distance, spectra, seed=seed, source=source)

    def likelihood(self) -> Iterator[Score]:
        """Yield bits per value of held-out clips, if the family has a likelihood, and of their GIF files."""
        for score in super().likelihood():
            yield score
            rows = [(8.0 * len(gif(clip, 10.0)) / clip.size, 1.0) for clip in self.inputs.test(min(score.n, 200))]
            if rows:
                source = "held-out clips as GIF files, each by itself"
                yield bits_score(bits_spec(self.unit, "gif"), rows, source, self.inputs.seed)

    def report_content(self) -> ReportContent:
        """Sheets of frames, one clip in a row."""
        samples = self.inputs.samples
        if not samples:
            return ReportContent()
        held_out, nearest = self.held_out_items(HELD_OUT), self.nearest(samples[:PAIRS])
        return ReportContent(
            sheet=sheet.sheet([strip(clip) for clip in samples[:SHEET]], gap=3, columns=1),
            real_sheet=sheet.sheet([strip(clip) for clip in held_out[:SHEET]], gap=3, columns=1) if held_out else None,
            samples=[self.report_item(clip) for clip in samples[:PLAYERS]],
            real=[self.report_item(clip) for clip in held_out[:PLAYERS_REAL]],
            pairs=nearest.pairs,
            explanation=nearest.explanation,
            closest_pairs=self.closest_pairs,
        )

    def nearest(self, items: Sequence[Clip], effort: float = 1.0) -> NearestPairs:
        """Distances are root mean squared differences of values of 0 to 255 over all frames, next to those that held-out clips
        usually have."""
        held_out = self.held_out_items(HELD_OUT)
        frames = max(len(clip) for clip in [*items, *held_out])
        values = int(np.prod(items[0].shape[1:])) * frames
        requested = int(max(min(SEARCHED, SEARCH_VALUES // values) * effort, MIN_SEARCHED))
        training, compared = self.searched_items(requested)
        frames = max(frames, *(len(clip) for clip in training))
        stacked = stack_clips(training, frames)
        index, distances = nearest_pixels(stack_clips(items, frames), stacked)
        usual = stacked[: len(compared)]
        typical = float(np.median(nearest_pixels(stack_clips(held_out, frames), usual)[1])) if held_out else 0.0
        explanation = nearest_explanation(
            f"Nearest by the pixels of all frames, among {len(training):,} training clips. The number is the difference of "
            "their values (0 = exact copy, 255 = the most possible)",
            "clip",
            f"{typical:.0f}" if held_out else None,
            len(held_out),
            self.inputs.are_halves,
        )
        pairs = nearest_pairs(self.report_item, items, training, index, distances, typical, exact=0.5)
        return NearestPairs(pairs, explanation, requested)

    def report_item(self, item: Clip) -> ReportItem:
        rate = float(getattr(self.inputs.modality, "rate", 10.0))
        return ReportItem(sheet.png(strip(item)), mp4(item, rate), "video/mp4")


def stack_clips(clips: Sequence[Clip], frames: int) -> Clip:
    """Stack clips of any length into (n, T, H, W[, C]); each is cut, or its last frame is repeated."""
    return np.stack([clip[np.minimum(np.arange(frames), len(clip) - 1)] for clip in clips])


def clip_tensor(clips: Numbers) -> Tensor:
    """Turn uint8 (n, T, H, W[, C]) into (n, C, T, H, W) in [-1, 1]."""
    x = torch.from_numpy(np.ascontiguousarray(clips)).float() / 127.5 - 1.0
    return x[:, None] if x.dim() == 4 else x.movedim(-1, 1).contiguous()


def spread_frames(clips: Sequence[Clip]) -> Clip:
    """FRAMES evenly spread frames of each clip, (n FRAMES, H, W[, C])."""
    return np.concatenate([clip[np.linspace(0, len(clip) - 1, FRAMES).round().astype(int)] for clip in clips])


def energy(clip: Clip) -> float:
    """The mean squared change from one frame to the next, of values in [0, 1]."""
    if len(clip) < 2:
        return 0.0
    return float(np.mean(np.square(np.diff(clip.astype(np.float32) / 255.0, axis=0))))


def speeds(clip: Clip) -> NDArray[np.float64]:
    """The power (SPEEDS,) of frame differences by their frequency, from slow changes to the fastest possible.

    Spectra are read at the same shares of the frame rate for clips of any length.
    """
    if len(clip) < 2:
        return np.zeros(SPEEDS)
    steps = np.diff(clip.astype(np.float32) / 255.0, axis=0).reshape(len(clip) - 1, -1)
    power = (np.abs(np.fft.rfft(steps, n=4 * SPEEDS, axis=0)) ** 2).mean(axis=1) / len(steps)  # (2 SPEEDS + 1,)
    return np.asarray(power[1:].reshape(SPEEDS, 2).mean(axis=1), dtype=np.float64)


def decibels(a: Numbers, b: Numbers) -> float:
    """Absolute ratio in decibels of the means of a (n,) and b (m,)."""
    return float(abs(10.0 * np.log10((a.mean() + 1e-9) / (b.mean() + 1e-9))))


def strip(clip: Clip, max_frames: int = 8) -> Clip:
    """Frames of a clip side by side, evenly spread where there are more than are shown."""
    chosen = np.linspace(0, len(clip) - 1, min(len(clip), max_frames)).round().astype(int)
    return np.concatenate(list(clip[chosen]), axis=1)


EXPORT = VideoEvaluation
