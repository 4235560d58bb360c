"""Cores of a process: those it may run on, and the quota of a container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from anew.core.machine import cores
from anew.core.machine.cores import count_cores


@pytest.fixture(autouse=True)
def eight_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "CGROUPS", tmp_path)
    monkeypatch.setattr(cores, "MEMBERSHIP", tmp_path / "self")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


def write(folder: Path, **values: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / f"cpu.{name}").write_text(value + "\n", encoding="ascii")


def test_the_tightest_quota_of_version_2_counts_whole_cores(tmp_path: Path) -> None:
    membership = tmp_path / "self"
    membership.write_text("0::/pod/container\n", encoding="ascii")
    write(tmp_path / "pod", max="400000 100000")
    write(tmp_path / "pod" / "container", max="max 100000")
    assert count_cores() == 4
    write(tmp_path / "pod" / "container", max="150000 100000")
    assert count_cores() == 2
    write(tmp_path / "pod" / "container", max="20000 100000")
    assert count_cores() == 1


def test_version_1_has_two_files_in_a_folder_of_its_own(tmp_path: Path) -> None:
    membership = tmp_path / "self"
    membership.write_text("4:memory:/docker/1\n3:cpu,cpuacct:/docker/1\n", encoding="ascii")
    write(tmp_path / "cpu", cfs_quota_us="300000", cfs_period_us="100000")
    assert count_cores() == 3
    write(tmp_path / "cpu", cfs_quota_us="-1")
    assert count_cores() == 8


def test_without_a_quota_or_with_a_larger_one_the_cores_count_that_it_may_run_on(tmp_path: Path) -> None:
    membership = tmp_path / "self"
    assert count_cores() == 8
    membership.write_text("0::/\n", encoding="ascii")
    assert count_cores() == 8
    for text in ("6400000 100000", "max 100000", "100000 0", "nonsense"):
        write(tmp_path, max=text)
        assert count_cores() == 8
