"""Fixtures for all tests: toys can be imported, threads are few, caches are private; and which worker runs what."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from anew.core.openmp import limit_spinning

limit_spinning()  # before PyTorch is imported; processes that tests start inherit it
TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS))

SHARED = ("exporting", "server", "studio_app")  # rooms whose files share runs: one worker trains them
LONGEST = ("cli/test_commands.py", *SHARED, "workflows", "test_readme.py", "test_package.py", "families", "fuzz")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files stay together, and so do rooms that share runs; what takes longest comes first, so that no worker ends alone."""
    if not config.getoption("numprocesses", None):
        return

    def rank(item: pytest.Item) -> int:
        place = item.path.relative_to(TESTS).as_posix()
        return next((i for i, name in enumerate(LONGEST) if place.startswith(name)), len(LONGEST))

    for item in items:
        place = item.path.relative_to(TESTS)
        group = place.parts[0] if place.parts[0] in SHARED else place.as_posix()
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=rank)


@pytest.fixture(autouse=True, scope="session")
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One for the whole session: what its own fixtures leave there is known to every test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANEW_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield
