"""Report on data as JSON on standard output: `python -m anew.studio_app.data_report PATH`, with a `Reading` on standard input.

A process of its own, since it may be killed at any time, and reads files from anybody.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from anew.data.dataset import Dataset
from anew.data.sources.tables import column_names
from anew.errors import AnewError
from anew.sampling.samples import Samples
from anew.studio_app.item_views import item_views
from anew.workflows.inspect import inspect_data

NUM_ITEMS = 24  # on the sheet: they fill rows of 4, 6, 8 or 12
NUM_SOUNDS = 9  # each has a player, and takes the space of several images; chosen
NICENESS = 10  # leaves the processor to training runs


class Reading(TypedDict):
    """How data is read; fields as in `anew.look`."""

    modality: str | None
    settings: dict[str, str]


def report(path: str, modality: str | None, settings: Mapping[str, str] | None = None) -> dict[str, object]:
    """The result of `anew look`, with some training items under "sheet", and the columns of tables under "columns"."""
    items: list[dict[str, object]] = []

    def visit(data: Dataset) -> None:
        count = NUM_SOUNDS if data.modality.name == "audio" else NUM_ITEMS
        shown = data.items("train", count)
        names, numbers = data.item_labels("train", count)
        labels = [names[int(number)] for number in numbers] if names else []
        samples = Samples(shown, labels if len(labels) == len(shown) else [None] * len(shown), data.modality.base)
        items.extend(item_views(samples))

    inspection = inspect_data(path, modality=modality, settings=settings, visit=visit)
    return {**inspection.to_json(), "sheet": items, "columns": _columns(path)}


def _columns(path: str) -> list[str]:
    with contextlib.suppress(AnewError, OSError):
        return column_names(Path(path))
    return []


def main(path: str, reading: Reading) -> int:
    """Print the report, or an object with the error message and the columns of tables."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    try:
        print(json.dumps(report(path, reading["modality"], reading["settings"])))
    except AnewError as error:
        print(json.dumps({"error": str(error), "columns": _columns(path)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], json.load(sys.stdin)))
