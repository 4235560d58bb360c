"""Fixtures for all tests: toys can be imported, threads are few, caches are private, and what takes longest comes first."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from anew.core.openmp import limit_spinning

# Deadlines and "too slow" measure how busy the machine is
hypothesis.settings.register_profile("anew", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("anew")

limit_spinning()  # before PyTorch is imported; processes that tests start inherit it
TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS))

LONGEST = (
    *(
        "cli/test_commands.py",
        "workflows/",
        "exporting/",
        "server/",
        "test_readme.py",
        "studio_app/",
        "test_package.py",
    ),
    *("families/", "fuzz/"),
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that of two workers none ends long after the other."""

    def rank(item: pytest.Item) -> int:
        place = item.path.relative_to(TESTS).as_posix()
        return next((i for i, name in enumerate(LONGEST) if place.startswith(name)), len(LONGEST))

    items.sort(key=rank)


@pytest.fixture(autouse=True, scope="session")
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One for the whole session: what its own fixtures leave there is known to every test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANEW_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield
