"""Folders are made with what leads to them, and nothing in them is lost unasked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anew.errors import ConfigError
from anew.sampling.output_folders import check_unused, make_empty_folder, make_folder, with_other_origins


def test_folders_are_made_and_must_be_empty(tmp_path: Path) -> None:
    folder = make_empty_folder(tmp_path / "a" / "b", overwrite=False)
    file = folder / "0000.txt"
    file.write_text("mine")
    check_unused([folder / "0001.txt"], overwrite=False)
    with pytest.raises(ConfigError, match="not empty"):
        make_empty_folder(folder, overwrite=False)
    with pytest.raises(ConfigError, match="exists; give another"):
        check_unused([file], overwrite=False)
    assert make_empty_folder(folder, overwrite=True) == folder
    check_unused([file], overwrite=True)
    with pytest.raises(ConfigError, match="cannot make the folder"):
        make_folder(file / "c")


def test_origins_of_other_files_stay(tmp_path: Path) -> None:
    place, data = tmp_path / ".origins.json", b'{"b": [2]}'
    assert with_other_origins(place, data) == data
    place.write_text('{"a": [1], "b": [1]}')
    assert json.loads(with_other_origins(place, data)) == {"a": [1], "b": [2]}
