"""Control groups of this process on Linux, by which containers limit memory and processor time. Imports nothing slow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


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
