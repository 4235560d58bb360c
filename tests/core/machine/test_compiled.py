"""Machine code on disk: kept for the sources that it was made of, and for no others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

INNER = "from anew.core.machine.compiled import compiled_inner\n\n@compiled_inner\ndef inner(x):\n    return x + {}\n"
OUTER = "from anew.core.machine.compiled import compiled\nfrom loops.inner import inner\n\n@compiled\ndef outer(x):\n    return inner(x)\n"
CALL = "from loops.outer import outer; outer(1.0); print(outer(1), sum(outer.stats.cache_hits.values()))"


def result(folder: Path) -> list[float]:
    """What the outer function gives in a new process, and how often its machine code came from the disk."""
    completed = subprocess.run([sys.executable, "-c", CALL], cwd=folder, capture_output=True, text=True, check=True)
    return [float(word) for word in completed.stdout.split()]


@pytest.mark.slow
def test_a_change_of_what_a_function_calls_in_another_file_is_seen(tmp_path: Path) -> None:
    loops = tmp_path / "loops"
    loops.mkdir()
    (loops / "__init__.py").touch()
    (loops / "outer.py").write_text(OUTER)
    (loops / "inner.py").write_text(INNER.format(1))
    assert result(tmp_path) == [2, 0]
    assert result(tmp_path) == [2, 2]
    (loops / "inner.py").write_text(INNER.format(10))
    assert result(tmp_path) == [11, 0]
