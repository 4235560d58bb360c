"""Displays of a model: one line, and a small table in a notebook."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from anew.core.specs import Tokens
from anew.families.base import num_parameters
from anew.runs.record import RunRecord
from anew.sampling.generator import Generator


def model_line(generator: Generator, record: RunRecord, folder: Path) -> str:
    """Describe a model on one line: family, kind of data, size and run folder."""
    facts = model_facts(generator, record, folder)
    return f"Model({facts['family']}, {facts['data']}, {facts['parameters']} parameters, run={str(folder)!r})"


def model_html(generator: Generator, record: RunRecord, folder: Path, notes: Sequence[str]) -> str:
    """An HTML table of facts about a model, with the notes below."""
    facts = model_facts(generator, record, folder).items()
    rows = "".join(f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in facts)
    return f"<table>{rows}</table>{''.join(f'<p>{html.escape(note)}</p>' for note in notes)}"


def model_facts(generator: Generator, record: RunRecord, folder: Path) -> dict[str, str]:
    """Facts about a model that users want to see first, by name."""
    spec = generator.item_spec
    size = f"up to {spec.length} tokens" if isinstance(spec, Tokens) else " x ".join(map(str, spec.shape))
    parameters = num_parameters(generator.family)
    return {
        "family": record.described_family,
        "data": f"{record.data.modality} {size}",
        "classes": str(spec.classes) if spec.classes else "none",
        "parameters": f"{parameters:,}",
        "trained on": record.data.path,
        "status": record.status,
        "device": str(generator.device),
        "run": str(folder),
    }
