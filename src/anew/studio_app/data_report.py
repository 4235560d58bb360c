"""Report on data as JSON on standard output: `python -m anew.studio_app.data_report PATH [MODALITY]`.

A process of its own: it may be ended at any time, and what it reads is a stranger's.
"""

from __future__ import annotations

import json
import os
import sys

from anew.data.dataset import Dataset
from anew.errors import AnewError
from anew.sampling.samples import Samples
from anew.studio_app.shown_items import shown_items
from anew.workflows.inspect import inspect_data

SHOWN = 24  # items of the sheet: rows of 4, 6, 8 or 12 come out even
SHOWN_SOUNDS = 9  # each is to be heard, and takes the room of several pictures; chosen
NICE = 10  # looking at data leaves the processor to trainings


def report(path: str, modality: str | None) -> dict[str, object]:
    """The inspection with some items of the training part."""
    items: list[dict[str, object]] = []

    def visit(data: Dataset) -> None:
        count = SHOWN_SOUNDS if data.modality.name == "audio" else SHOWN
        drawn = data.items("train", count)
        names, numbers = data.item_labels("train", count)
        labels = [names[int(number)] for number in numbers] if names else []
        samples = Samples(drawn, labels if len(labels) == len(drawn) else [None] * len(drawn), data.modality.base)
        items.extend(shown_items(samples))

    inspection = inspect_data(path, modality=modality, visit=visit)
    return {**inspection.to_json(), "sheet": items}


def main(path: str, modality: str | None = None) -> int:
    """Print the report, or an object with the sentence of why there is none."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    try:
        print(json.dumps(report(path, modality)))
    except AnewError as error:
        print(json.dumps({"error": str(error)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
