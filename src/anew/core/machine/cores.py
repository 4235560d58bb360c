"""Cores that this process may use. Imports nothing slow: the launcher asks before PyTorch is loaded."""

from __future__ import annotations

import math
import os
from pathlib import Path

from anew.core.machine.control_groups import control_groups


def count_cores() -> int:
    """The number of cores that this process may use: those it may run on (`taskset`), or fewer where a container has a quota of
    processor time (`cpus` of Docker, `limits.cpu` of Kubernetes). The processes of a command on this machine share them."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    quotas = (_quota(version, folder) for version, folder in control_groups("cpu"))
    return int(min([count, *(max(1, math.ceil(quota)) for quota in quotas if quota is not None)]))


def _quota(version: int, folder: Path) -> float | None:
    """The processor time of a control group, in cores; None for no limit."""
    try:
        if version == 2:
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text(encoding="ascii").strip() for name in ("quota", "period")
            )
        # "max" in version 2, -1 in version 1
        return float(quota) / float(period) if quota.isdigit() else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
