"""Cores that this process may use, and the control groups by which containers limit processor time and memory on Linux. Imports
nothing slow: the launcher asks before PyTorch is loaded."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


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


def control_groups(controller: str) -> Iterator[tuple[int, Path]]:
    """(version, folder) of each control group that may limit a process; none without control groups. controller: "memory" or "cpu"."""
    try:
        lines = MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return  # no Linux
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from ((2, folder) for folder in _with_parents(CGROUPS, path))
        elif controller in controllers.split(","):
            yield from ((1, folder) for folder in _with_parents(CGROUPS / controller, path))


def _with_parents(base: Path, path: str) -> Iterator[Path]:
    """The group's folder and those above it: each may have a limit. Inside a container the path may not be there."""
    folder = base / path.strip("/")
    yield folder
    while folder != base and base in folder.parents:
        folder = folder.parent
        yield folder
