"""Fixtures for all tests: toys can be imported, a worker keeps to one core, caches are private. What takes longest comes first, and one
worker runs all that shares runs."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from anew.core.machine.openmp import limit_spinning

# Deadlines and "too slow" measure how busy the machine is
hypothesis.settings.register_profile("anew", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("anew")

limit_spinning()  # before PyTorch is imported; processes that tests start inherit it
gc.disable()  # until all tests are collected: it would go through all that was imported again and again


def keep_to_one_core() -> None:
    """Let a worker of several, and the processes that it starts, run on one core. Anew takes as many threads as there are cores,
    whatever OMP_NUM_THREADS says: those of two workers waited for each other, and small trainings took four times the time."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


keep_to_one_core()
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

SHARING_FOLDERS = ("exporting", "server", "studio_app")  # their tests share small runs
# They share `modules.parsed`
RULES = ("tests/test_style.py", "tests/test_layers.py", "tests/test_sizes.py", "tests/test_docstrings.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that of two workers none ends long after the other."""

    def rank(item: pytest.Item) -> int:
        place = item.path.relative_to(TESTS).as_posix()
        return next((i for i, name in enumerate(LONGEST) if place.startswith(name)), len(LONGEST))

    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One worker runs a file, or files that share what takes long to make."""
    from xdist.scheduler import LoadFileScheduling

    class FolderScheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(RULES):
                return "rules"
            folder = nodeid.removeprefix("tests/").partition("/")[0]
            return folder if folder in SHARING_FOLDERS else super()._split_scope(nodeid)

    return FolderScheduling(config, log)


def pytest_collection_finish() -> None:
    """What was imported and collected stays, so the collector of cyclic garbage need not look at it."""
    gc.freeze()
    gc.set_threshold(10_000)  # every 700 new objects it would look at the thousands of a graph that is traced
    gc.enable()


@pytest.fixture
def heeded_hangup() -> Iterator[None]:
    """SIGHUP as in a terminal. If the tests run under `nohup`, it is ignored, and Anew leaves it so."""
    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, previous)


@pytest.fixture(autouse=True, scope="session")
def short_measuring() -> Iterator[None]:
    """Each of a thousand small trainings would spend 0.1 s or more on how busy the cores are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("anew.core.machine.threads.MEASURED_S", 0.01)
        yield


@pytest.fixture(autouse=True, scope="session")
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One for the whole session: what its own fixtures leave there is known to every test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANEW_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield
