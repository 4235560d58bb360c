"""Generation: characters a second of one stream and of 32 streams on one core, beside nanoGPT's generator.

    python bench/generation.py --data TEXT [--run RUN] --nanogpt CHECKOUT

Anew's model is the one that its default trains in --budget (or the run given); nanoGPT's has its documented CPU shape
and random weights, since its time does not depend on them. Without a checkout: transformers' GPT-2 of that shape,
without a cache, as nanoGPT generates.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from _common import HERE, Table, anew, environment, fresh, parser, pinned, setting_words

# one process: the model is loaded and warm, nothing is written; CPU time on one core, as for the peer
TIMED = """
import json, statistics, sys, time
import anew
run, streams, length, repeats = sys.argv[1], *map(int, sys.argv[2:5])
how = dict(word.split("=", 1) for word in sys.argv[5:])
model = anew.load(run)
model.sample(streams, seed=1, max_tokens=64, **how)
rates = []
for i in range(repeats):
    begun = time.process_time()
    made = model.sample(streams, seed=2 + i, max_tokens=length, **how)
    rates.append(sum(map(len, made)) / (time.process_time() - begun))
shape = model.record.family.config
print(json.dumps({"characters_per_second": statistics.median(rates), "streams": streams, "shape": shape}))
"""


def peer(options: argparse.Namespace, streams: int, core: list[int]) -> dict[str, Any]:
    words = ["generate", "--streams", str(streams), "--length", str(options.length), "--repeats", str(options.repeats)]
    if options.nanogpt is None:
        command = [sys.executable, str(HERE / "_peer_gpt2.py"), *words]
        figures = pinned(command, core, options.work).check().json()
        return {"what": "GPT-2 of transformers, no cache, random weights", **figures}
    python = environment("nanogpt", ["requests"], options.work)
    command = [python, str(HERE / "_peer_nanogpt.py"), *words, "--checkout", str(options.nanogpt)]
    figures = pinned(command, core, options.work).check().json()
    return {"what": "nanoGPT at its CPU shape, random weights", **figures}


def trained(options: argparse.Namespace) -> Path:
    """The run given, or one that Anew's default makes of the data in the budget."""
    if options.run is not None:
        return Path(options.run)
    place = fresh(options.work / "generation")
    words = ["--run", place / "run", "--budget", options.budget, *setting_words(options.set)]
    anew("train", options.data, *words, cores=options.cores, scratch=options.work)
    return place / "run"


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--data", type=Path, help="text to train on, where no --run is given")
    build.add_argument("--run", type=Path, help="a trained run of text to time")
    build.add_argument("--budget", default="60s", help="budget of the run that is trained")
    build.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT; without it, transformers' GPT-2")
    build.add_argument("--streams", type=int, nargs="*", default=[1, 32])
    build.add_argument("--length", type=int, default=500, help="characters (the peer) or tokens (Anew) a stream")
    build.add_argument("--repeats", type=int, default=3, help="timed repeats; the median counts")
    build.add_argument("--how", nargs="*", default=[], metavar="K=V", help="sampling settings for Anew")
    options = build.parse_args()
    if options.data is None and options.run is None:
        build.error("give --data to train a model, or --run")

    core, rows, rates = options.cores[-1:], Table("generation"), {}
    run = trained(options)
    for streams in options.streams:
        theirs = peer(options, streams, core)
        rows.add(**theirs)
        command = [
            sys.executable,
            "-c",
            TIMED,
            str(run),
            *map(str, (streams, options.length, options.repeats)),
            *options.how,
        ]
        ours = pinned(command, core, options.work).check().json()
        rates[streams] = ours["characters_per_second"]
        ratio = ours["characters_per_second"] / theirs["characters_per_second"]
        rows.add(
            what="Anew",
            **ours,
            ratio=round(ratio, 2),
            of_one_stream=round(rates[streams] / rates[options.streams[0]], 2),
        )
    rows.show(["what", "streams", "characters_per_second", "ratio", "of_one_stream"])


if __name__ == "__main__":
    main()
