"""Trains four families on one cloud of points, and prints lines of JSON: `python -m THIS_MODULE SECONDS SEED`."""

from __future__ import annotations

import json
import os
import sys

import numpy as np

from anew.core.machine.threads import use_threads
from anew.evaluation.reporting.sheet import sheet
from anew.studio_app.item_views import data_url
from anew.workflows.toy_comparison import ToyReport, chance_shares, cloud, compare_on_toy_data

NICENESS = 5  # training runs have priority
NUM_IMAGES = 12  # images of a report
NUM_POINTS = 400  # so many points of the data are shown: enough to see their shape; chosen


def event(report: ToyReport) -> dict[str, object]:
    """A report as JSON values."""
    levels = report.pictures[:NUM_IMAGES].add(1).mul(127.5).clamp(0, 255).round().byte().numpy()
    return {
        "family": report.family,
        "step": report.step,
        "seconds": round(report.seconds, 2),
        "points": np.round(report.points.numpy().astype(float), 4).tolist(),
        "sheet": data_url("image/png", sheet(list(levels), columns=6, gap=2, min_side=32)),
        "inside": round(report.inside, 4),
        "covered": round(report.covered, 4),
        "is_last": report.is_last,
    }


def main(seconds: str, seed: str) -> int:
    """Print the cloud, then one line for each report, and the end."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    use_threads()
    points = cloud(NUM_POINTS, int(seed))
    inside, covered = chance_shares(int(seed))
    chance = {"inside": round(inside, 4), "covered": round(covered, 4)}
    print(
        json.dumps({"cloud": np.round(points.numpy().astype(float), 4).tolist(), "chance": chance}, allow_nan=False),
        flush=True,
    )
    for report in compare_on_toy_data(float(seconds), int(seed)):
        print(json.dumps(event(report), allow_nan=False), flush=True)
    print(json.dumps({"end": True}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
