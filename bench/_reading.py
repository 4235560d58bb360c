"""Opens, divides and encodes a data set, prints the CPU seconds of encoding and what came of it. Run by `reading.py`, pinned.

python bench/_reading.py DATA CACHE"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import psutil

from anew.data.dataset import Dataset
from anew.data.types import DataBudget

TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds; times of processes have no more digits


def used() -> float:
    """CPU seconds of this process and of those that decode for it."""
    process = psutil.Process()
    times = [member.cpu_times() for member in (process, *process.children(recursive=True))]
    return sum(t.user + t.system for t in times) + times[0].children_user + times[0].children_system


def main() -> None:
    place, cache = sys.argv[1], Path(sys.argv[2])
    data = Dataset.open(place, cache=cache)
    divided = used()
    data.fit(DataBudget(300.0, data.scan.items, data.scan.bytes))
    fitted = used()
    items = sum(len(batch) for batch in data.one_pass("train"))
    encoded = used()
    for _ in data.one_pass("train"):  # what every pass costs: reading what is encoded, spectrograms
        pass
    again = used() - encoded
    data.close()
    row = {"kind": data.scan.modality, "files": data.scan.items, "swept": items, "examples": data.train_items}
    print(json.dumps({**row, "encoding_s": max(encoded - divided - again, fitted - divided, TICK)}))


if __name__ == "__main__":
    main()
