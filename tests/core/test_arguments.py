"""Arguments of the public functions."""

from __future__ import annotations

from pathlib import Path

import pytest

from anew.core.arguments import new_path, stem
from anew.errors import ConfigError


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data/faces.zip", "faces"),
        ("a" * 300, "a" * 100),
        ("é" * 300, "é" * 100),
        ("名" * 100, "名" * 66),
        ("d\udcff", "d"),  # a byte that is not UTF-8, as Python reads a file name
        ("\udcff", ""),
    ],
)
def test_a_folder_is_named_after_any_path(path: str, name: str) -> None:
    assert stem(Path(path)) == name


def test_what_is_written_is_written_here(tmp_path: Path) -> None:
    assert new_path("out", tmp_path / "new") == tmp_path / "new"
    for address in ("s3://bucket/new", Path("s3://bucket/new"), "ftp://host/new"):
        with pytest.raises(ConfigError, match="is an address, but this is written on this machine"):
            new_path("out", address)
