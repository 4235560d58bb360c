"""Alignments: the sequences of Stockholm and CLUSTAL files, whatever their blocks, and what only looks like them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.data.formats.text import alignments, fasta
from anew.data.modalities.protein import Protein, ProteinConfig
from anew.data.types import Item
from anew.workflows.inspect import inspect_data

NAME = st.text(st.sampled_from("ABCdef0123456789_./-"), min_size=1, max_size=20).filter(lambda name: name[:2] != "//")
ALIGNMENT = st.integers(1, 90).flatmap(
    lambda width: st.dictionaries(
        NAME,
        st.text(st.sampled_from("ACDEFGHIKLMNPQRSTVWYacdef-."), min_size=width, max_size=width),
        min_size=1,
        max_size=6,
    )
)


def stockholm(rows: dict[str, str], block: int = 60) -> str:
    """A file with all kinds of annotation."""
    lines = ["# STOCKHOLM 1.0", "#=GF ID made", "", *(f"#=GS {name} AC Q1.1" for name in rows)]
    for start in range(0, len(next(iter(rows.values()))), block):
        for name, residues in rows.items():
            lines += [f"{name:24} {residues[start : start + block]}", f"#=GR {name} SS  {'H' * block}"]
        lines += [f"#=GC SS_cons           {'H' * block}", ""]
    return "\n".join([*lines, "//", ""])


def clustal(rows: dict[str, str], block: int = 60, head: str = "CLUSTAL W (1.83) multiple sequence alignment") -> str:
    """A file with lines of conservation, and numbers of residues."""
    lines = [head, "", ""]
    for start in range(0, len(next(iter(rows.values()))), block):
        stop = start + block
        lines += [f"{name:24} {residues[start:stop]} {stop}" for name, residues in rows.items()]
        lines += [" " * 25 + "*:. *", ""]
    return "\n".join(lines)


@settings(max_examples=60, deadline=None)
@given(ALIGNMENT, st.integers(1, 70), st.sampled_from(["\n", "\r\n", "\r"]))
def test_rows_are_read_whatever_the_blocks(rows: dict[str, str], block: int, end: str) -> None:
    for text in (
        stockholm(rows, block),
        stockholm(rows, block) * 2,
        clustal(rows, block),
        clustal(rows, block, "MUSCLE (3.8)"),
    ):
        assert alignments.looks_like(text)
        records = [(record.name, record.sequence) for record in fasta.parse(text.replace("\n", end))]
        assert records == list(rows.items()) * (1 + text.count("STOCKHOLM", 20))


def test_a_damaged_row_is_refused_and_the_others_stay() -> None:
    text = stockholm({"a/1-9": "ACDEFGHIK", "b/1-9": "AC-EFGHIK"}).replace("AC-EFGHIK", "")
    protein = Protein(ProteinConfig())
    items = list(protein.split_records(Item("made.sto", text.encode())))
    assert [(item.name, item.data) for item in items] == [("made.sto:a/1-9", "ACDEFGHIK"), ("made.sto:b/1-9", "")]
    assert protein.validate_header(items[1]) == "it has no residues"


@pytest.mark.parametrize(
    "text",
    [
        "CLUSTAL W is a program that aligns sequences.\nIt was written in 1994.\n",
        "MUSCLE\n\n",
        ">a\nACDEF\n",
        "CLUSTALS of stars\nstar ACDEF\n",
    ],
)
def test_what_is_no_alignment(text: str) -> None:
    assert not alignments.looks_like(text)


@pytest.mark.parametrize(("name", "write"), [("made.sto", stockholm), ("made.txt", clustal)])
def test_an_alignment_is_its_sequences(name: str, write: object, tmp_path: Path) -> None:
    source = random.Random(0)
    rows = {f"p{i}/1-80": "".join(source.choices(fasta.PROTEIN + "--", k=80)) for i in range(40)}
    (tmp_path / name).write_text(write(rows))  # type: ignore[operator]
    inspection = inspect_data(str(tmp_path / name), budget=60.0)
    assert (inspection.modality, inspection.items) == ("protein", 40)
    assert "40 sequences came from an alignment, whose gaps were removed." in inspection.notes
