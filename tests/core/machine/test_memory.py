"""Limits of containers, as the kernel writes them in either version of control groups."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from anew.core.machine import cores, memory
from anew.core.machine.memory import container_memory, free_memory

GB = 1 << 30


@pytest.fixture
def groups_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "CGROUPS", tmp_path)
    monkeypatch.setattr(cores, "MEMBERSHIP", tmp_path / "self")


def group(folder: Path, limit: str, used: int, statistics: str, names: tuple[str, str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in zip((names[0], names[1], "memory.stat"), (limit, str(used), statistics), strict=True):
        (folder / name).write_text(text + "\n", encoding="ascii")


@pytest.mark.usefixtures("groups_below")
def test_the_tightest_group_of_version_2_counts_and_cached_files_are_free(tmp_path: Path) -> None:
    (tmp_path / "self").write_text("0::/user/job\n", encoding="ascii")
    group(tmp_path / "user" / "job", "max", 2 * GB, "anon 5\ninactive_file 7", memory.V2)
    group(tmp_path / "user", str(4 * GB), 3 * GB, f"anon 5\ninactive_file {GB}", memory.V2)
    assert container_memory() == 2 * GB


@pytest.mark.usefixtures("groups_below")
def test_version_1_has_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "self").write_text("3:cpu,cpuacct:/a\n2:memory:/docker/1\n", encoding="ascii")
    # Inside a container its own group is the root: the path of /proc/self/cgroup is that of the host.
    group(tmp_path / "memory", str(2 * GB), GB, "total_inactive_file 0", memory.V1)
    assert container_memory() == GB


@pytest.mark.usefixtures("groups_below")
def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert container_memory() == math.inf
    (tmp_path / "self").write_text("0::/\n", encoding="ascii")
    assert container_memory() == math.inf


def test_this_machine_has_some_memory() -> None:
    assert memory.MIN_BYTES <= free_memory(torch.device("cpu")) < 2.0**60


def test_an_apple_gpu_has_what_it_may_take_and_the_machine_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.mps.recommended_max_memory", lambda: 12 * GB)
    monkeypatch.setattr("torch.mps.current_allocated_memory", lambda: 2 * GB)
    for available, expected in ((64 * GB, 10 * GB), (3 * GB, 3 * GB), (0, memory.MIN_BYTES)):
        monkeypatch.setattr("psutil.virtual_memory", lambda available=available: SimpleNamespace(available=available))
        assert free_memory(torch.device("mps")) == expected


def test_what_pytorch_keeps_of_a_cuda_device_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (5 * GB, 80 * GB))
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda device: 60 * GB)
    monkeypatch.setattr("torch.cuda.memory_allocated", lambda device: 10 * GB)
    assert free_memory(torch.device("cuda", 0)) == 55 * GB
