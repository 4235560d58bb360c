"""Molecules as records."""

from __future__ import annotations

from anew.data.modalities.molecule import Molecule
from anew.data.types import Item


def test_only_a_line_feed_begins_a_molecule() -> None:
    """A name with another separator of lines began a second one."""
    molecules = Molecule(Molecule.Config()).split_records(Item("a.smi", "CCO one\u2028two\nCC\x85 three\n\nC\n"))
    assert [(item.name, item.data) for item in molecules] == [("a.smi:1", "CCO"), ("a.smi:2", "CC"), ("a.smi:4", "C")]
