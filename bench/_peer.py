"""What the image peers' scripts share: their options, images as tensors, and the time of sampling."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def options(description: str | None, rate: float, rate_help: str) -> argparse.ArgumentParser:
    build = argparse.ArgumentParser(description=description)
    build.add_argument("--images", type=Path, required=True, help=".npy of uint8 (N, H, W) or (N, H, W, 3)")
    build.add_argument("--out", type=Path, required=True, help=".npy to write: uint8, the same form")
    build.add_argument("--seconds", type=float, default=300.0, help="process CPU seconds of training")
    build.add_argument("--samples", type=int, default=1000)
    build.add_argument("--seed", type=int, default=0)
    build.add_argument("--rate", type=float, default=rate, help=rate_help)
    return build


def begin(build: argparse.ArgumentParser) -> argparse.Namespace:
    """The options of this run; one thread, seeded."""
    options = build.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    np.random.seed(options.seed)
    return options


def load(path: Path) -> Tensor:
    """(N, C, H, W) in [0, 1]."""
    images = np.load(path)
    images = images[..., None] if images.ndim == 3 else images
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 255


def save(path: Path, generated: Tensor) -> None:
    """Keep generated images (n, C, H, W) in [0, 1] as 8-bit levels."""
    levels = (generated.clamp(0, 1) * 255).round().byte().numpy()
    np.save(path, levels[:, 0] if levels.shape[1] == 1 else levels.transpose(0, 2, 3, 1))


def seconds_of(sample: Callable[[int], Tensor], count: int = 1000, repeats: int = 3) -> float:
    """Process CPU seconds of `count` samples, the shortest of a few once warm: for samplers of under a second."""
    sample(count)
    times = []
    for _ in range(repeats):
        begun = time.process_time()
        sample(count)
        times.append(time.process_time() - begun)
    return min(times)
