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

pytestmark = pytest.mark.skipif(
    not hasattr(torch._C, "_acc"), reason="this release of PyTorch takes no device from Python"
)


def try_battery(checks: str, file: str = "test_families.py") -> None:
    """Run checks of the battery in a process that has the device."""
    battery = Path(__file__).with_name(file)
    tried = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            str(battery),
            "-k",
            checks,
        ],
        env={**os.environ, VARIABLE: "limited"},
        capture_output=True,
        text=True,
    )
    assert tried.returncode == 0, tried.stdout[-4000:]


def test_families_compute_on_a_device_with_the_limits_of_mps() -> None:
    try_battery("test_family and (held_out_loss or weights_come_back) and (grey or records)")


def test_families_seldom_wait_for_a_device() -> None:
    try_battery("", "waits.py")


@pytest.mark.slow
@pytest.mark.parametrize("family", available("families"))
def test_the_battery_passes_on_a_device_with_the_limits_of_mps(family: str) -> None:
    try_battery(f"test_family and {family}")
