"""A file in which one JSON array holds all records is one text; what to do is said."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from anew.core.stores.text_column import ChosenTexts, TextColumn
from anew.data.dataset import Dataset
from anew.data.sources.json_arrays import MAX_CHECKED, json_array_notes

FILMS = [{"title": f"Film {i}", "year": 1950 + i} for i in range(60)]


def chosen(paths: list[str]) -> ChosenTexts:
    return ChosenTexts(TextColumn.of(paths))


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_of_objects_is_noticed_and_can_be_converted(tmp_path: Path, indent: int | None) -> None:
    (tmp_path / "my films.json").write_text(json.dumps(FILMS, indent=indent), encoding="utf-8-sig")
    (note,) = json_array_notes(chosen(["my films.json"]), tmp_path)
    assert note.startswith("my films.json begins with an array of objects, and is read as one text.")
    assert note.endswith('"my films.json" "my films.jsonl"')
    assert note in Dataset.open(tmp_path).scan.notes
    command = [sys.executable, *shlex.split(note[note.index("python ") :])[1:]]
    subprocess.run(command, cwd=tmp_path, check=True)
    lines = (tmp_path / "my films.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == FILMS


@pytest.mark.skipif(sys.platform == "win32", reason="such names are not allowed there")
def test_a_name_is_never_carried_out(tmp_path: Path) -> None:
    """Names come from strangers, and the command in the note is there to be pasted."""
    name = '$(touch made) `touch made`"; touch made; ".json'
    (tmp_path / name).write_text(json.dumps(FILMS))
    (note,) = json_array_notes(chosen([name]), tmp_path)
    command = f"{shlex.quote(sys.executable)}{note[note.index('python ') + len('python') :]}"
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, f"{name}l"])


def test_other_files_and_many_files_are_items(tmp_path: Path) -> None:
    for name, text in {"a.json": '{"a": [{"b": 1}]}', "b.json": "[1, 2]", "c.json": "", "d.txt": '[{"a": 1}]'}.items():
        (tmp_path / name).write_text(text)
    assert json_array_notes(chosen(["a.json", "b.json", "c.json", "d.txt", "missing.json"]), tmp_path) == []
    names = [f"{i}.json" for i in range(MAX_CHECKED + 1)]
    for name in names:
        (tmp_path / name).write_text(json.dumps(FILMS))
    assert json_array_notes(chosen(names), tmp_path) == []
    (note,) = json_array_notes(chosen(names[:3]), tmp_path)
    assert "0.json begins with an array of objects, as 2 more files do, and is read" in note
