"""The judge of the image benchmark: a small digit classifier, and judge distances: Fréchet distances in its 64 features."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from _figures import beside
from _mnist import Digits, Pixels

FAINT = 0.15


class Judge(nn.Module):
    """Three convolutions with batch norm and ReLU, pooled to 4 x 4, 64 features (before their ReLU), ten digits."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for into, out, kernel, stride in ((1, 32, 5, 2), (32, 64, 3, 1), (64, 96, 3, 2)):
            blocks += [nn.Conv2d(into, out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
        self.body = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(96 * 16, 64))
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(0.25), nn.Linear(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x))  # (B, 10)
        return logits


def as_tensor(images: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images))[:, None].float() / 255  # (N, 1, H, W) in [0, 1]


def moved(x: Tensor, generator: torch.Generator) -> Tensor:
    """Every image turned by up to 12 degrees, scaled by up to a tenth, shifted by up to 2 pixels."""
    count = len(x)
    turn, size, right, down = (torch.rand(4, count, generator=generator) * 2 - 1).unbind()
    angle, scale = turn * math.radians(12), 1 + 0.1 * size
    reach = 4.0 / x.shape[-1]
    rows = [torch.cos(angle) * scale, -torch.sin(angle) * scale, right * reach]
    more = [torch.sin(angle) * scale, torch.cos(angle) * scale, down * reach]
    affine = torch.stack([torch.stack(rows, 1), torch.stack(more, 1)], 1)  # (B, 2, 3)
    grid = functional.affine_grid(affine, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, align_corners=False)


def train(images: Pixels, labels: Pixels, seed: int = 0, epochs: int = 14, batch: int = 128) -> Judge:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    judge, x, y = Judge(), as_tensor(images), torch.from_numpy(labels.astype(np.int64))
    optimiser = torch.optim.AdamW(judge.parameters())
    steps = len(x) // batch
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, epochs=epochs, steps_per_epoch=steps)
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for step in range(steps):
            rows = order[step * batch : (step + 1) * batch]
            loss = functional.cross_entropy(judge(moved(x[rows], generator)), y[rows])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            cycle.step()
    return judge.eval()


def load_or_train(path: Path, images: Pixels, labels: Pixels) -> Judge:
    """The judge kept at `path`, trained first where there is none."""
    if not path.exists():
        print("training the judge ...", flush=True)
        judge = train(images, labels)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(judge.state_dict(), path)
    judge = Judge()
    judge.load_state_dict(torch.load(path, weights_only=True))
    return judge.eval()


@torch.inference_mode()
def features(judge: Judge, images: Pixels, clean: bool = False) -> NDArray[np.float64]:
    """(N, 64). clean: pixels under 0.15 set to zero first, since faint noise that no eye sees moves the features."""
    rows = []
    for part in torch.split(as_tensor(images), 500):
        rows.append(judge.body(torch.where(part < FAINT, 0.0, part) if clean else part))
    return torch.cat(rows).double().numpy()


@torch.inference_mode()
def accuracy(judge: Judge, images: Pixels, labels: Pixels) -> float:
    options = torch.cat([judge(part).argmax(1) for part in torch.split(as_tensor(images), 500)]).numpy()
    return float((options == labels).mean())


def frechet(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Squared distance of the means plus Tr(A + B - 2 (A^1/2 B A^1/2)^1/2) of the covariances."""
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first) + np.trace(second) - 2 * cross)


class DigitSubject:
    """MNIST with its judge. folder: `train` and `test` as PNG."""

    def __init__(self, data: Digits, judge: Judge, folder: Path) -> None:
        self.train, self.held_out, self.folder, self.judge = data.train, data.held_out, folder, judge
        self.held_features = features(judge, data.held_out)
        self.held_clean = features(judge, data.held_out, clean=True)

    def judged(self, generated: Pixels) -> dict[str, float]:
        """`distance_clean` has faint pixels set to zero on both sides."""
        plain = features(self.judge, generated)
        return {
            "distance": frechet(plain, self.held_features),
            "distance_clean": frechet(features(self.judge, generated, clean=True), self.held_clean),
            **beside(plain, self.held_features),
            "samples": len(generated),
        }
