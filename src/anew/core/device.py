"""The device that is used, and its global random numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from anew.errors import ConfigError, shorten


def pick_device(device: str | torch.device, local_rank: int = 0) -> str:
    """The device to use.

    Args:
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".
        local_rank: Number of this process among those of the machine; "auto" and "cuda" give each a GPU of its own.

    Raises:
        ConfigError: The name is unknown, or there is no such device.
    """
    device = str(device) if isinstance(device, torch.device) else device
    if not isinstance(device, str):
        raise ConfigError(f"`device` must be auto, cpu, cuda or cuda:N (got {shorten(device)})")
    if device == "auto":
        return f"cuda:{local_rank % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise ConfigError(f"device={device!r} is unknown; give auto, cpu, cuda or cuda:N")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device={device!r} does not exist: PyTorch finds no CUDA device; give auto or cpu")
    if int(device.partition(":")[2] or 0) >= torch.cuda.device_count() > 0:
        raise ConfigError(
            f"device={device!r} does not exist: there are {torch.cuda.device_count()} CUDA devices; give one"
        )
    return f"cuda:{local_rank}" if device == "cuda" else device


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, PyTorch's global random numbers on the CPU and on `device` follow from the seed; afterwards they go on as if
    nothing had been drawn: they belong to the user's process."""
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        yield
