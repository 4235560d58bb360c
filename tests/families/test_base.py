"""Families are found by their names, or in a file of the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from anew.errors import ConfigError
from anew.families.base import load_family, load_family_file


def test_a_name_gives_its_class_or_the_nearest_name() -> None:
    assert load_family("gan").__name__ == "Gan"
    with pytest.raises(ConfigError, match="unknown family 'gna'; did you mean 'gan'"):
        load_family("gna")


@pytest.mark.parametrize(
    ("export", "message"),
    [
        ("Near", "exports Near, which is not a subclass of anew.families.base.Family"),
        ("Near()", "EXPORT is not a class"),
        ("None", "Config is missing"),
    ],
)
def test_a_file_must_export_a_family(export: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "near.py"
    file.write_text(f"class Near:\n    Config = Sampling = spec_types = suggest = None\n\n\nEXPORT = {export}\n")
    with pytest.raises(ConfigError, match=message):
        load_family_file(file)
