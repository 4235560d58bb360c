"""Clips: how close samples are to held-out clips as a whole, frame by frame and in what moves, and how much moves.

Legend for shapes: n clips, T frames, H rows, W columns, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anew.data.formats.frames import gif, mp4
from anew.evaluation.base import FITTED, Evaluation
from anew.evaluation.features.random_conv import FEATURES, NAME, Embedding
from anew.evaluation.memorization.item_types import CLIPS
from anew.evaluation.memorization.nearest import nearest_pixels
from anew.evaluation.metrics.statistics import Score, frechet_distance, interval, mean_interval, resample
from anew.evaluation.reporting import sheet
from anew.evaluation.reporting.content import Beside, Item, Shown

SHEET, PAIRS, HELD = 16, 8, 64  # clips on a sheet of frames, beside their nearest, held out to compare with
FRAMES = 4  # of each clip that count as pictures
SEARCH_VALUES = 64_000_000  # values of training clips that the nearest one is looked for in
VALUES = 32_000_000  # values of clips that figures of motion take of each set
Clip = NDArray[np.uint8]


class VideoEvaluation(Evaluation):
    """Samples against held-out clips; the naive generator is a still picture: the copied frame that every model of motion
    has to beat."""

    noun = "clips"
    features = f"{FEATURES} features of the {NAME} over time, rows and columns"
    kind = CLIPS

    def embedder(self, train: Sequence[Any]) -> Callable[[Sequence[Any]], NDArray[Any]]:
        self._frames = max(len(clip) for clip in train)
        return self._fitted(train, 3, lambda clips: _tensor(stacked(clips, self._frames)))

    def _fitted(
        self, train: Sequence[Any], extents: int, prepare: Callable[[Sequence[Any]], Tensor]
    ) -> Callable[[Sequence[Any]], NDArray[Any]]:
        first = prepare(train)
        embedding = Embedding(first.shape[1], extents)
        embedding.fit(first)
        return lambda clips: np.concatenate([embedding(prepare(clips[i : i + 64])) for i in range(0, len(clips), 64)])

    def naive(self, train: Sequence[Any], n: int, source: np.random.Generator) -> list[Any]:
        """A frame of a training clip, held."""
        which = source.integers(len(train), size=n)
        return [np.repeat(train[i][source.integers(len(train[i]))][None], len(train[i]), axis=0) for i in which]

    def own(self) -> Iterator[Score]:
        if not self.sets:
            return
        for name, figure in (
            ("frame distance", self._single), ("frame difference distance", self._changes), ("motion", self._motion)
        ):  # fmt: skip
            if self.clock.over(0.85):
                self.leave_out(name, "the time was spent")
                continue
            yield from figure()

    def _single(self) -> Iterator[Score]:
        """Single frames as pictures."""
        source = f"{FRAMES} frames of each clip, {FEATURES} features of the {NAME}; ceiling: still pictures"
        yield self._distance("frame_distance", 2, lambda clips: _tensor(_some_frames(clips)), source)

    def _changes(self) -> Iterator[Score]:
        """Differences of neighbouring frames."""
        frames = max(len(clip) for clip in self.sets["train"])
        source = f"differences of neighbouring frames, {FEATURES} features of the {NAME}; ceiling: still pictures"
        yield self._distance(
            "frame_difference_distance", 3, lambda clips: _differences(_tensor(stacked(clips, frames))), source
        )

    def _distance(self, name: str, extents: int, prepare: Callable[[Sequence[Any]], Tensor], source: str) -> Score:
        embed = self._fitted(self.sets["train"][:FITTED], extents, prepare)
        made, test, train, still = (embed(self.sets[part]) for part in ("samples", "test", "train", "naive"))
        value, floor, ceiling = (frechet_distance(x, test) for x in (made, train, still))
        low, high = interval(value, resample(frechet_distance, (made, test), seed=self.evidence.seed))
        return Score(name, value, low, high, floor, "lower", len(made), source, ceiling)

    def _motion(self) -> Iterator[Score]:
        """The energy of what changes from frame to frame, and how fast it changes."""
        most = max(VALUES // int(np.prod(self.sets["samples"][0].shape)), 20)
        made, test, train = ([energy(clip) for clip in self.sets[part][:most]] for part in ("samples", "test", "train"))
        ratio, floor = (decibels(np.array(x), np.array(test)) for x in (made, train))
        low, high = interval(ratio, resample(decibels, (np.array(made), np.array(test)), seed=self.evidence.seed))
        share = float(np.mean(made)) / max(float(np.mean(test)), 1e-12)
        source = f"mean square of frame differences against held-out clips, in decibels; {share:.2f} of real motion"
        low = None if low is None else max(low, 0.0)
        yield Score("motion_distance", ratio, low, high, floor, "lower", len(made), source)
        rows = [np.stack([speeds(clip) for clip in self.sets[part][:most]]) for part in ("samples", "test", "train")]
        value, floor = spectrum(rows[0], rows[1]), spectrum(rows[2], rows[1])
        low, high = interval(value, resample(spectrum, (rows[0], rows[1]), seed=self.evidence.seed))
        source = f"mean difference in decibels of the power of frame differences at {SPEEDS} speeds of change"
        yield Score("motion_spectrum_distance", value, low, high, floor, "lower", len(made), source)

    def likelihood(self) -> Iterator[Score]:
        """Bits per dimension of held-out clips, where the family has a likelihood."""
        for score in super().likelihood():
            yield score
            files = [8.0 * len(gif(clip, 10.0)) / clip.size for clip in self.evidence.test(min(score.n, 200))]
            if files:
                low, high = mean_interval(np.array(files), self.evidence.seed)
                source = "held-out clips as GIF files, each by itself"
                yield Score("bits_per_dimension_gif", float(np.mean(files)), low, high, n=len(files), source=source)

    def show(self) -> Shown:
        """Sheets of frames, a clip a row; distances are root mean squared differences of values of 0 to 255 over all frames,
        beside what held-out clips typically have."""
        samples = self.evidence.samples
        if not samples:
            return Shown()
        held = (self.sets.get("test") or self.evidence.test(HELD))[:HELD]
        frames = max(len(clip) for clip in [*samples[:PAIRS], *held])
        values = int(np.prod(samples[0].shape[1:])) * frames
        training = self.evidence.train(int(max(min(10_000, SEARCH_VALUES // values), 200)))
        frames = max(frames, *(len(clip) for clip in training))
        known = stacked(training, frames)
        index, distance = nearest_pixels(stacked(samples[:PAIRS], frames), known)
        typical = float(np.median(nearest_pixels(stacked(held, frames), known)[1])) if held else 0.0
        pairs = [
            Beside(
                self.item(s),
                self.item(training[i]),
                f"differ by {d:.0f}" if d >= 0.5 else "exact copy",
                d < 0.25 * typical,
            )
            for s, i, d in zip(samples[:PAIRS], index, distance, strict=False)
        ]
        return Shown(
            sheet=sheet.sheet([strip(clip) for clip in samples[:SHEET]], gap=3, columns=1),
            real=sheet.sheet([strip(clip) for clip in held[:SHEET]], gap=3, columns=1) if held else None,
            pairs=pairs,
            nearest=f"The nearest of {len(training):,} training clips, by the pixels of all frames. The number is how far their "
            "values differ (0 is an exact copy, 255 the most there can be); a real clip that was held out typically differs "
            f"from its nearest training clip by {typical:.0f}.",
            suspects=self.suspects,
        )

    def item(self, one: Any) -> Item:
        rate = float(getattr(self.evidence.modality, "rate", 10.0))
        return Item(sheet.png(strip(one)), mp4(one, rate), "video/mp4")


SPEEDS = 8


def stacked(clips: Sequence[Any], frames: int) -> Clip:
    """(n, T, H, W[, C]) of clips of any length, each cut or its last frame held."""
    return np.stack([clip[np.minimum(np.arange(frames), len(clip) - 1)] for clip in clips])


def _tensor(clips: NDArray[Any]) -> Tensor:
    """(n, ..., H, W[, C]) uint8 -> (n, C, ..., H, W) in [-1, 1]; three dimensions or four tell pictures without colour."""
    x = torch.from_numpy(np.ascontiguousarray(clips)).float() / 127.5 - 1.0
    return x[:, None] if x.shape[-1] > 4 else x.movedim(-1, 1).contiguous()


def _some_frames(clips: Sequence[Any]) -> Clip:
    """(n FRAMES, H, W[, C]) evenly spread."""
    return np.concatenate([clip[np.linspace(0, len(clip) - 1, FRAMES).round().astype(int)] for clip in clips])


def _differences(x: Tensor) -> Tensor:
    """(n, C, T, H, W) -> (n, C, T - 1, H, W)."""
    return x[:, :, 1:] - x[:, :, :-1] if x.shape[2] > 1 else torch.zeros_like(x)


def energy(clip: Clip) -> float:
    """Mean square of what changes from one frame to the next, of values in [0, 1]."""
    if len(clip) < 2:
        return 0.0
    return float(np.mean(np.square(np.diff(clip.astype(np.float32) / 255.0, axis=0))))


def speeds(clip: Clip) -> NDArray[np.float64]:
    """(SPEEDS,) power of frame differences by how fast they change, from slow to as fast as frames can show.

    Clips of any length give as many numbers: their spectra are read at the same shares of the frame rate."""
    if len(clip) < 2:
        return np.zeros(SPEEDS)
    steps = np.diff(clip.astype(np.float32) / 255.0, axis=0).reshape(len(clip) - 1, -1)
    power = (np.abs(np.fft.rfft(steps, n=4 * SPEEDS, axis=0)) ** 2).mean(axis=1) / len(steps)  # (2 SPEEDS + 1,)
    return np.asarray(power[1:].reshape(SPEEDS, 2).mean(axis=1), dtype=np.float64)


def decibels(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Absolute ratio in decibels of the means of a (n,) and b (m,)."""
    return float(abs(10.0 * np.log10((a.mean() + 1e-9) / (b.mean() + 1e-9))))


def spectrum(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Mean absolute difference in decibels of the mean powers of a (n, SPEEDS) and b (m, SPEEDS)."""
    return float(np.abs(10.0 * np.log10((a.mean(axis=0) + 1e-9) / (b.mean(axis=0) + 1e-9))).mean())


def strip(clip: Clip, most: int = 8) -> Clip:
    """Frames side by side, at most so many, evenly spread."""
    some = np.linspace(0, len(clip) - 1, min(len(clip), most)).round().astype(int)
    return np.concatenate(list(clip[some]), axis=1)


EXPORT = VideoEvaluation
