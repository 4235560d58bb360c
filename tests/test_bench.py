"""Every benchmark starts and says its options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"


@pytest.mark.parametrize("name", sorted(p.name for p in BENCH.glob("[a-z]*.py")))
def test_help_names_the_options(name: str) -> None:
    completed = subprocess.run(
        [sys.executable, str(BENCH / name), "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert completed.returncode == 0, completed.stderr[-2000:]
    assert "--cores" in completed.stdout
