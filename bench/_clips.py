"""The judges of the video benchmark: small classifiers of single frames and of the differences of neighbouring frames.

Clips are uint8 (N, T, H, W, 3), all of one length; labels (N,).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from _judge import frechet

Clips = NDArray[np.uint8]


class Judge(nn.Module):
    """Three convolutions with batch norm and ReLU, pooled to 4 x 4, 64 features (before their ReLU), the classes."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for into, out, kernel, stride in ((channels, 32, 5, 2), (32, 64, 3, 1), (64, 96, 3, 2)):
            blocks += [nn.Conv2d(into, out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
        self.body = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(96 * 16, 64))
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(0.25), nn.Linear(64, classes))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x))
        return logits


def as_tensor(clips: Clips) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(clips.transpose(0, 1, 4, 2, 3))).float() / 255  # (N, T, 3, H, W)


def frames_of(clips: Clips) -> Tensor:
    return as_tensor(clips).flatten(0, 1)  # (N T, 3, H, W)


def differences_of(clips: Clips) -> Tensor:
    x = as_tensor(clips)
    return (x[:, 1:] - x[:, :-1]).flatten(1, 2)  # (N, (T - 1) 3, H, W)


def moved(x: Tensor, rng: torch.Generator) -> Tensor:
    """Each input shifted by up to 2 pixels each way."""
    right, down = (torch.randint(-2, 3, (2,), generator=rng)).tolist()
    return torch.roll(x, (right, down), (3, 2))


def train(x: Tensor, y: Tensor, classes: int, epochs: int, batch: int = 64) -> Judge:
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(0)
    judge = Judge(x.shape[1], classes)
    optimiser = torch.optim.AdamW(judge.parameters())
    steps = len(x) // batch
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, epochs=epochs, steps_per_epoch=steps)
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=rng)
        for step in range(steps):
            rows = order[step * batch : (step + 1) * batch]
            loss = functional.cross_entropy(judge(moved(x[rows], rng)), y[rows])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            cycle.step()
    return judge.eval()


class Subject:
    """Held-out clips with judges that were trained on the others. folder: where judges are kept."""

    def __init__(
        self, clips: Clips, labels: NDArray[Any], held_out: Clips, held_labels: NDArray[Any], folder: Path
    ) -> None:
        self.clips, self.held_out = clips, held_out
        classes = int(labels.max()) + 1
        y = torch.from_numpy(labels.astype(np.int64))
        self.frame = self._judge(folder / "frame.pt", frames_of(clips), y.repeat_interleave(clips.shape[1]), classes, 6)
        self.change = self._judge(folder / "change.pt", differences_of(clips), y, classes, 30)
        with torch.inference_mode():
            self.accuracy = {
                "frame": _right(self.frame, frames_of(held_out), held_labels.repeat(held_out.shape[1])),
                "change": _right(self.change, differences_of(held_out), held_labels),
            }

    @staticmethod
    def _judge(path: Path, x: Tensor, y: Tensor, classes: int, epochs: int) -> Judge:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(train(x, y, classes, epochs).state_dict(), path)
        judge = Judge(x.shape[1], classes)
        judge.load_state_dict(torch.load(path, weights_only=True))
        return judge.eval()

    @torch.inference_mode()
    def judged(self, generated: Clips) -> dict[str, float]:
        """Judge distances to held-out clips, and what the judge of differences thinks."""
        votes = torch.cat([self.change(part).softmax(1) for part in torch.split(differences_of(generated), 200)])
        share = votes.mean(0)
        return {
            "distance_frame": frechet(
                _features(self.frame, frames_of(generated)), _features(self.frame, frames_of(self.held_out))
            ),
            "distance_change": frechet(
                _features(self.change, differences_of(generated)), _features(self.change, differences_of(self.held_out))
            ),
            "confident": float((votes.amax(1) > 0.9).float().mean()),
            "entropy": float(-(share * share.clamp(min=1e-9).log()).sum() / np.log(len(share))),
            "motion": motion(generated) / motion(self.held_out),
            "samples": len(generated),
        }


def motion(clips: Clips) -> float:
    """Mean square of the differences of neighbouring frames, of values in [0, 1]."""
    return float(differences_of(clips).square().mean())


@torch.inference_mode()
def _features(judge: Judge, x: Tensor) -> NDArray[np.float64]:
    return torch.cat([judge.body(part) for part in torch.split(x, 400)]).double().numpy()


@torch.inference_mode()
def _right(judge: Judge, x: Tensor, y: NDArray[Any]) -> float:
    options = torch.cat([judge(part).argmax(1) for part in torch.split(x, 400)]).numpy()
    return float((options == y).mean())
