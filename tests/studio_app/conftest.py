"""A start folder with runs that are trained once, a client of its Studio, and a browser on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from studio_runs import CHROMIUM, client_of, studio_process, train_runs


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The start folder."""
    return train_runs(tmp_path_factory.mktemp("studio"))


@pytest.fixture(scope="session")
def client(root: Path) -> Iterator[TestClient]:
    """A client with the token."""
    with client_of(root) as client:
        yield client


@pytest.fixture(scope="session")
def address(root: Path) -> Iterator[str]:
    """Of a Studio in a process of its own."""
    with studio_process(root) as (_, address):
        yield address


@pytest.fixture(scope="module")  # its event loop runs in this thread, where others need their own
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()
