"""Files that once failed, through the whole path of data again; and a short turn of each kind of fuzzing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz import corpus

TESTS = Path(__file__).parents[1]


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m fuzz`, in a process of its own: it forks, which a process with threads should not."""
    environment = {"PYTHONPATH": os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "fuzz", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


@pytest.fixture(scope="module")
def replayed() -> dict[str, str]:
    """What failed of each format that has files in the corpus."""
    completed = fuzz("--replay")
    assert completed.stdout, completed.stderr
    faults: dict[str, str] = json.loads(completed.stdout)
    return faults


@pytest.mark.parametrize("name", sorted({entry["format"] for entry in corpus.lines()}))
def test_files_that_once_failed(name: str, replayed: dict[str, str]) -> None:
    assert replayed[name] == ""


@pytest.mark.parametrize("path", sorted(str(p.relative_to(corpus.HERE)) for p in corpus.HERE.rglob("*") if p.is_file()))
def test_every_kept_file_is_small_and_in_the_index(path: str) -> None:
    if path != corpus.INDEX.name:
        assert (corpus.HERE / path).stat().st_size <= corpus.MOST_BYTES
        assert any(path in entry["files"] for entry in corpus.lines())


@pytest.mark.parametrize(
    ("kinds", "seed", "turns"),
    [
        (["png", "jsonl", "parquet-images"], 0, 1),
        pytest.param(["run protein"], 0, 1, marks=pytest.mark.slow),
        pytest.param(["commands"], 1, 1, marks=pytest.mark.slow),
    ],
)
def test_a_short_turn_of_each_kind(kinds: list[str], seed: int, turns: int) -> None:
    completed = fuzz("--no-keep", "--seed", str(seed), "--count", str(turns), "--only", *kinds)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert completed.stdout.splitlines()[-1].startswith("all")
