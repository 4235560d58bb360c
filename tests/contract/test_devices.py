"""The battery of families on a device that is not the CPU, with the limits of Apple's mps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from anew.core.registry import available
from tested_device import VARIABLE

# One check that trains, and those that validate, calibrate, sample, score and encode; on data of every kind, but of running text,
# which is sampled for long, only losses and bits.
CHECKS = "finite or held_out_loss or latents or bits or codec or (weights_come_back and not stream and not text)"


@pytest.mark.skipif(not hasattr(torch._C, "_acc"), reason="this release cannot take a device from Python")
@pytest.mark.parametrize("family", available("families"))
def test_families_compute_on_a_device_with_the_limits_of_mps(family: str) -> None:
    battery = Path(__file__).with_name("test_families.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(battery), "-k"]
    tried = subprocess.run(
        [*command, f"test_family and {family} and ({CHECKS})"],
        env={**os.environ, VARIABLE: "limited"},
        capture_output=True,
        text=True,
    )
    assert tried.returncode == 0, tried.stdout[-4000:]
    assert " passed" in tried.stdout
