"""Threads that wait sleep soon, unless the user said otherwise."""

from __future__ import annotations

import os

import pytest

from anew.core.machine.openmp import BLAS_TIMEOUT, SPIN_COUNT, limit_spinning


@pytest.mark.parametrize(
    ("environment", "spin_count"),
    [({}, str(SPIN_COUNT)), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_the_setting_of_the_user_goes_before(
    environment: dict[str, str], spin_count: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    limit_spinning()
    assert os.environ.get("GOMP_SPINCOUNT") == spin_count


@pytest.mark.parametrize(("policy", "timeout"), [(None, str(BLAS_TIMEOUT)), ("26", "26")])
def test_openblas_waits_as_long_as_the_user_says(
    policy: str | None, timeout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_THREAD_TIMEOUT", policy or "")
    if policy is None:
        monkeypatch.delenv("OPENBLAS_THREAD_TIMEOUT")
    limit_spinning()
    assert os.environ["OPENBLAS_THREAD_TIMEOUT"] == timeout
