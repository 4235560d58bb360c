"""Fixtures for all tests: toys can be imported, threads are few, caches are private."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from anew.core.openmp import limit_spinning

limit_spinning()  # before PyTorch is imported; processes that tests start inherit it
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANEW_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
