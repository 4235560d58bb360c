"""Opens, divides and encodes a data set, prints the CPU seconds of encoding and what came of it. Run by `reading.py`, pinned.

python bench/_reading.py DATA CACHE"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from anew.data.dataset import Dataset
from anew.data.types import DataBudget


def main() -> None:
    place, cache = sys.argv[1], Path(sys.argv[2])
    data = Dataset.open(place, cache=cache)
    divided = time.process_time()
    data.fit(DataBudget(300.0, data.scan.items, data.scan.bytes))
    fitted = time.process_time()
    items = sum(len(batch) for batch in data.sweep("train"))
    encoded = time.process_time()
    for _ in data.sweep("train"):  # what every pass costs: reading what is encoded, spectrograms
        pass
    again = time.process_time() - encoded
    data.close()
    row = {"kind": data.scan.modality, "files": data.scan.items, "swept": items, "examples": data.train_items}
    print(json.dumps({**row, "encoding_s": max(encoded - divided - again, fitted - divided)}))


if __name__ == "__main__":
    main()
