"""Processes of our own import nothing from the folder that they run in, which may be a stranger's."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import anew
from anew.core.programs import own_command

SRC = Path(anew.__file__).parent


def test_nothing_is_imported_from_the_current_folder(tmp_path: Path) -> None:
    for name in ("argparse", "anew", "json", "typing", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('code of a stranger was run')")
    completed = subprocess.run(own_command("anew", "--version"), cwd=tmp_path, capture_output=True, text=True)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert anew.__version__ in completed.stdout


def test_every_process_is_started_that_way() -> None:
    starts = {
        str(path.relative_to(SRC))
        for path in SRC.rglob("*.py")
        if re.search(r"[\"']-m[\"']|sys\.executable,\s*[\"']-(?!P)", path.read_text(encoding="utf-8"))
    }
    assert starts == {"core/programs.py"}
