"""Small runs that are trained once, and a client of a server of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from server_runs import serving, train_runs


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs by the name of their sort."""
    return train_runs(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="session")
def client(runs: dict[str, Path]) -> Iterator[TestClient]:
    """A client of a server of all runs."""
    with serving(list(runs.values())) as client:
        yield client
