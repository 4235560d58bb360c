"""Families are found by their names, or in a file of the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from anew.errors import ConfigError
from anew.families.base import Family, collapse_warning, load_family, load_family_file


def test_a_name_gives_its_class_or_the_nearest_name() -> None:
    assert load_family("gan").__name__ == "Gan"
    with pytest.raises(ConfigError, match="unknown family 'gna'; did you mean 'gan'"):
        load_family("gna")


def test_a_collapse_is_said_with_what_the_family_advises() -> None:
    gan = load_family("gan")
    assert collapse_warning(0.25, gan.collapse_advice) is None
    sentence = (
        "the generator has collapsed: its items have 3% of the variety of your data; use a larger gradient_penalty, "
    )
    assert collapse_warning(0.031, gan.collapse_advice) == f"{sentence}another seed or family"
    assert "have 0% of the variety of your data; give more time" in str(collapse_warning(-0.1, Family.collapse_advice))


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
