"""A file in which one JSON array holds all records is one text; what to do is said."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from anew.data.dataset import Dataset
from anew.data.sources.json_arrays import CONVERSION, MAX_CHECKED, json_array_notes

FILMS = [{"title": f"Film Nº {i}", "year": 1950 + i} for i in range(60)]


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_of_objects_is_noticed_and_can_be_converted(tmp_path: Path, indent: int | None) -> None:
    """Also one with a byte order mark and a blank in its name."""
    name = "my films.json"
    (tmp_path / name).write_text(json.dumps(FILMS, indent=indent, ensure_ascii=False), "utf-8-sig")
    (note,) = json_array_notes([name], tmp_path)
    assert note.startswith("my films.json begins with an array of objects, and is read as one text.")
    assert note.endswith(f"{CONVERSION} 'my films.json' 'my films.jsonl'")
    assert note in Dataset.open(tmp_path).scan.notes
    words = shlex.split(note[note.index("python -c") :])
    subprocess.run(
        [sys.executable, *words[1:]], cwd=tmp_path, check=True, env=dict(os.environ, PYTHONUTF8="0", LC_ALL="C")
    )
    lines = (tmp_path / "my films.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == FILMS


def test_other_files_and_many_files_are_items(tmp_path: Path) -> None:
    for name, text in {"a.json": '{"a": [{"b": 1}]}', "b.json": "[1, 2]", "c.json": "", "d.txt": '[{"a": 1}]'}.items():
        (tmp_path / name).write_text(text)
    assert json_array_notes(["a.json", "b.json", "c.json", "d.txt", "missing.json"], tmp_path) == []
    names = [f"{i}.json" for i in range(MAX_CHECKED + 1)]
    for name in names:
        (tmp_path / name).write_text(json.dumps(FILMS))
    assert json_array_notes(names, tmp_path) == []
    (note,) = json_array_notes(names[:3], tmp_path)
    assert "0.json begins with an array of objects, as 2 more files do, and is read" in note
