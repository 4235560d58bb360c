"""The judge of the audio benchmark: a small classifier on log-mel spectrograms, and what is measured with it.

Legend for shapes: n clips, N samples, M bands, T frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import _common  # noqa: F401  (with it the package of this checkout is found)
from anew.data.formats.sound import audio
from anew.evaluation.features.audio import periodicity
from anew.evaluation.metrics.distances import earth_mover
from anew.evaluation.metrics.frechet import frechet_distance
from anew.evaluation.metrics.neighbours import neighbourhood
from anew.functional.spectrogram import Frames, mel_bank

RATE, LENGTH = 8_000, 6_144
FRAMES, BANDS, DEEP = Frames(RATE, 256, 128), 40, 60.0  # decibels below the loudest that are heard
CONFIDENT = 0.9


def clip(x: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Any recording as the judge hears it: 8 kHz, without silence at its ends, one length, one peak."""
    x = audio.trim_silence(audio.resample(x, rate, RATE), RATE)
    return audio.scale_to_peak(audio.fit_length(x, LENGTH), 1.0)


def spectrograms(clips: Sequence[NDArray[np.float32]]) -> Tensor:
    """(n, 1, M, T) in [-1, 1]."""
    x = torch.from_numpy(np.stack(clips))
    level = 20.0 * (mel_bank(RATE, FRAMES.size, BANDS) @ FRAMES.stft(x).abs()).clamp_min(1e-6).log10()
    return ((level - level.amax((1, 2), keepdim=True)) / (DEEP / 2) + 1.0).clamp_min(-1.0)[:, None]


class Judge(nn.Module):
    """Three convolutions with batch norm and ReLU, pooled to 4 x 4, 64 features (before their ReLU), ten digits."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for into, out, stride in ((1, 32, 2), (32, 64, 2), (64, 96, 1)):
            blocks += [nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
        self.body = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(96 * 16, 64))
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(0.25), nn.Linear(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x))
        return logits


def train(clips: Sequence[NDArray[np.float32]], labels: NDArray[np.int64], epochs: int = 20, batch: int = 64) -> Judge:
    """On every clip moved in time by up to 6 frames and in level by up to 6 dB."""
    torch.manual_seed(0)
    judge, x, y = Judge(), spectrograms(clips), torch.from_numpy(labels)
    optimiser = torch.optim.AdamW(judge.parameters())
    steps = len(x) // batch
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, epochs=epochs, steps_per_epoch=steps)
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for at in range(steps):
            rows = order[at * batch : (at + 1) * batch]
            moved = x[rows].roll(int(torch.randint(-6, 7, ())), 3) + (torch.rand(batch, 1, 1, 1) - 0.5) * 0.2
            loss = nn.functional.cross_entropy(judge(moved), y[rows])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            cycle.step()
    return judge.eval()


def load_or_train(path: Path, clips: Sequence[NDArray[np.float32]], labels: NDArray[np.int64]) -> Judge:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(train(clips, labels).state_dict(), path)
    judge = Judge()
    judge.load_state_dict(torch.load(path, weights_only=True))
    return judge.eval()


class Subject:
    """Clips that were held out, and what samples are measured by, beside what as many training clips get."""

    def __init__(
        self, judge: Judge, train: Sequence[NDArray[np.float32]], held_out: Sequence[NDArray[np.float32]]
    ) -> None:
        self.judge, self.train, self.held_out = judge, train, held_out
        self._features, _ = self.features_and_chances(held_out)
        self._periodic = periodicity(held_out, RATE)

    @torch.no_grad()
    def features_and_chances(
        self, clips: Sequence[NDArray[np.float32]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(features (n, 64), chances (n, 10))."""
        hidden = torch.cat([self.judge.body(part) for part in torch.split(spectrograms(clips), 128)])
        return hidden.double().numpy(), self.judge.head(hidden).softmax(1).double().numpy()

    def judged(self, clips: Sequence[NDArray[np.float32]], requested: Sequence[int] | None = None) -> dict[str, float]:
        features, chances = self.features_and_chances(clips)
        around = neighbourhood(self._features, features)
        share = np.bincount(chances.argmax(1), minlength=10) / len(clips)
        figures = {
            "distance": frechet_distance(features, self._features),
            "confident": float((chances.max(1) > CONFIDENT).mean()),
            "entropy": float(-(share[share > 0] * np.log(share[share > 0])).sum() / np.log(10)),
            "precision": float(around.precision.mean()),
            "recall": float(around.recall.mean()),
            "coverage": float(around.coverage.mean()),
            "periodicity": earth_mover(periodicity(clips, RATE), self._periodic),
        }
        if requested is not None:
            figures["recognised"] = float((chances.argmax(1) == np.asarray(requested)).mean())
        return figures
