"""Which device is used."""

from __future__ import annotations

import re

import torch

from anew.errors import ConfigError, shorten


def pick_device(device: str | torch.device, local: int = 0) -> str:
    device = str(device) if isinstance(device, torch.device) else device
    if not isinstance(device, str):
        raise ConfigError(f"`device` must be auto, cpu, cuda or cuda:N (got {shorten(device)})")
    if device == "auto":
        return f"cuda:{local % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise ConfigError(f"device={device!r} is not allowed; give auto, cpu, cuda or cuda:N")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device={device!r} is not here: PyTorch finds no CUDA device; give auto or cpu")
    if int(device.partition(":")[2] or 0) >= torch.cuda.device_count() > 0:
        raise ConfigError(
            f"device={device!r} is not here: there are {torch.cuda.device_count()} CUDA devices; give one"
        )
    return f"cuda:{local}" if device == "cuda" else device
