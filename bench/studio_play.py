"""Playing in the Studio: how soon a model answers, and how many drafts a second it shows, also while a training runs beside it.

    python bench/studio_play.py RUN [RUN ...] [--beside DATA]

Each run is asked for one sample and for nine, several times with new seeds, as the page asks: `answer_ms` until one
sample is there, `draft_ms` until the first draft of nine, `drafts` the drafts and samples of nine a second (of text:
tokens). Both are medians. The first request of a model loads it (`first_s`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from _common import Table, anew_command, end_group, fresh, parser, start
from studio import Client

REPEATS = 5
TOKENS = 100  # tokens of text that are asked for


def events(client: Client, route: str, body: dict[str, Any]) -> Iterator[tuple[float, dict[str, Any]]]:
    """The events of an answer and the seconds from the request to each."""
    begun, connection = time.perf_counter(), client.connection()
    headers = {**client.headers, "Content-Type": "application/json"}
    connection.request("POST", f"/api/play/{route}", json.dumps(body), headers)
    for line in connection.getresponse():
        if line.startswith(b"data: "):
            event = json.loads(line[6:])
            if "error" in event:
                raise SystemExit(f"{route} {body}: {event['error']}")
            yield time.perf_counter() - begun, event
    connection.close()


def played(client: Client, run: str) -> dict[str, Any]:
    """A row of a run."""
    begun = time.perf_counter()
    about = json.loads(client.get(f"/api/play/about?run={run}")[1])
    first = time.perf_counter() - begun
    is_text = about["tokens"]
    route, sizes = ("tokens", {"max_tokens": TOKENS}) if is_text else ("sample", {"n": 9})
    answers, drafts, rates = [], [], []
    for seed in range(REPEATS + 1):
        smallest = {"max_tokens": 1} if is_text else {"n": 1}
        (*_, (answer, _)) = events(client, route, {"run": run, "seed": seed, **smallest})
        times = [
            at for at, event in events(client, route, {"run": run, "seed": 100 + seed, **sizes}) if "end" not in event
        ]
        if seed:  # the first loads what sampling needs
            answers.append(answer)
            drafts.append(times[0])
            rates.append(len(times) / times[-1])
    return {
        "run": run,
        "first_s": first,
        "answer_ms": 1000 * median(answers),
        "draft_ms": 1000 * median(drafts),
        "drafts": median(rates),
    }


def main() -> None:
    build = parser(__doc__)
    build.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    build.add_argument("--beside", type=Path, help="data that a training learns meanwhile")
    options: argparse.Namespace = build.parse_args()
    place = fresh(options.work / "studio-play")
    for run in options.runs:
        shutil.copytree(run, place / run.name)
    rows, out, training = Table("studio_play"), place / "studio.out", None
    process = start(anew_command("studio", "--folder", place, "--port", "0", "--json"), options.cores, place / "studio")
    try:
        while not out.exists() or not out.read_text().endswith("\n"):
            time.sleep(0.02)
        client = Client(json.loads(out.read_text())["address"])
        if options.beside is not None:
            words = ["train", options.beside, "--run", place / "beside", "--budget", "10m"]
            training = start(anew_command(*words), options.cores, place / "training")
            while (
                not (place / "beside" / "events.jsonl").exists()
                or '"step"' not in (place / "beside" / "events.jsonl").read_text()
            ):
                time.sleep(0.5)
        for run in options.runs:
            rows.add(beside=options.beside is not None, **played(client, run.name))
    finally:
        for running in (process, training):
            if running is not None:
                end_group(running)
    rows.show()


if __name__ == "__main__":
    main()
