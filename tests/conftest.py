"""Fixtures for all tests: toys can be imported, threads are few, caches are private."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANEW_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
