"""Which device is used."""

from __future__ import annotations

import re

import torch

from anew.errors import ConfigError


def pick_device(device: str, local: int = 0) -> str:
    if device == "auto":
        return f"cuda:{local % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise ConfigError(f"device={device!r} is not allowed; give auto, cpu, cuda or cuda:N")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device={device!r} is not here: PyTorch finds no CUDA device; give auto or cpu")
    return f"cuda:{local}" if device == "cuda" else device
