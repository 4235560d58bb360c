"""Report on data as events, a line of JSON each: `python -m anew.studio_app.data_report PATH`, with a `Reading` on standard input.

A process of its own, since it may be killed at any time, and reads files from anybody.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypedDict

from anew.core.reporter import SilentReporter
from anew.data.dataset import Dataset
from anew.data.sources.tables import column_names
from anew.errors import AnewError
from anew.sampling.samples import Samples
from anew.studio_app.item_views import item_views
from anew.workflows.inspect import Inspection, inspect_data

NUM_ITEMS = 24  # items on the sheet: they fill rows of 4, 6, 8 or 12
NUM_SOUNDS = 9  # each has a player, and takes the space of several images; chosen
NICENESS = 10  # leaves the processor to training runs


class Reading(TypedDict):
    """How data is read; fields as in `anew.look`."""

    modality: str | None
    settings: dict[str, str]


class EventReporter(SilentReporter):
    """Writes what is being done as events."""

    def __init__(self, write: Callable[[Mapping[str, object]], None]) -> None:
        self._write = write

    def message(self, text: str) -> None:
        self._write({"doing": text.strip()})


def write_event(event: Mapping[str, object]) -> None:
    """Write an event as a line of standard output. ValueError for one with NaN or an infinite number, which no page can read."""
    print(json.dumps(event, allow_nan=False), flush=True)


def look(
    path: str,
    modality: str | None,
    settings: Mapping[str, str] | None = None,
    write: Callable[[Mapping[str, object]], None] = write_event,
) -> None:
    """Look at data as `anew look` does, and write what comes of it as events.

    These are "seen", which has all but what budgets train, some training items under "sheet", and the columns of tables under
    "columns"; then "budgets", as the last one.
    """

    def visit(data: Dataset, inspection: Inspection) -> None:
        count = NUM_SOUNDS if data.modality.name == "audio" else NUM_ITEMS
        shown = data.items("train", count)
        names, numbers = data.item_labels("train", count)
        labels = [names[int(number)] for number in numbers] if names else []
        samples = Samples(shown, labels if len(labels) == len(shown) else [None] * len(shown), data.modality.base)
        write({"seen": {**inspection.to_json(), "sheet": item_views(samples), "columns": _columns(path)}})

    inspection = inspect_data(path, modality=modality, settings=settings, visit=visit, reporter=EventReporter(write))
    write({"budgets": inspection.to_json()["budgets"], "end": True})


def _columns(path: str) -> list[str]:
    with contextlib.suppress(AnewError, OSError):
        return column_names(Path(path))
    return []


def main(path: str, reading: Reading) -> int:
    """Write the events; of data that cannot be used, the error message and the columns of tables."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    try:
        look(path, reading["modality"], reading["settings"])
    except AnewError as error:
        write_event({"error": str(error), "columns": _columns(path)})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], json.load(sys.stdin)))
