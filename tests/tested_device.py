"""The device that the battery of families runs on: the CPU, or what the variable ANEW_TEST_DEVICE names (cuda, mps, limited)."""

from __future__ import annotations

import os

import torch

VARIABLE = "ANEW_TEST_DEVICE"


def _tested_device() -> torch.device:
    name = os.environ.get(VARIABLE, "cpu")
    if name == "limited":
        import limited_device

        return limited_device.start()
    return torch.device(name)


DEVICE = _tested_device()
