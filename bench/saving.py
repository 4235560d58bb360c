"""Saving: what a checkpoint takes from the training, when the training waits for it and when a thread writes a copy.

    python bench/saving.py [--layers 2 6] [--width 768] [--rounds 5] [--window 20]

A Transformer on random tokens, in windows of so many steps: without a checkpoint, with one that the training waits for, with one in
the background, in turns. Of each kind the medians over the rounds: seconds that the training stood still, and processor seconds of
its thread in them (which hold on a busy machine too); processor seconds that the window took more than one without; and the
share of the time where a checkpoint is due every 30 seconds.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from _common import Table, parser
from _memory import SPEC, Noise
from anew.core import settings as cfg
from anew.core.processes.world import World
from anew.families.base import Scale, load_family, num_parameters
from anew.planning.build import build_family
from anew.runs.folder import RunFolder
from anew.training.progress import StepProgress
from anew.training.saving import CheckpointSaver
from anew.training.trainer import Trainer

if TYPE_CHECKING:
    from anew.families.base import FamilyConfig

KINDS = ("none", "waiting", "background")
DUE_S = 30.0


def make_trainer(layers: int, width: int) -> Trainer:
    owner = load_family("transformer")
    shape = {"layers": layers, "width": width, "heads": width // 64, "mlp_size": 8 * width // 3}
    suggested = cfg.to_json(owner.suggest(SPEC, Scale(10_000, 640_000.0, None, 0)))
    config: FamilyConfig = cfg.from_json(
        owner.Config, suggested | shape | {"precision": "fp32", "ngrams": False, "dropout": 0.0}
    )
    family = build_family(owner, SPEC, config, 0, torch.device("cpu"))
    return Trainer(family, Noise(), StepProgress(10**9), seed=1, batch_size=4, micro_batch=4, world=World())


def window(
    steps: Callable[[], object], count: int, saver: CheckpointSaver, method: str, number: int
) -> dict[str, float]:
    """Wall and processor seconds of so many steps, and those that the training stood still."""
    begin, processor, stood, copied = time.monotonic(), time.process_time(), 0.0, 0.0
    if method != "none":
        copied = time.thread_time()
        saver.save(f"step-{number:08d}", is_last=method == "waiting")
        stood, copied = time.monotonic() - begin, time.thread_time() - copied
    for _ in range(count):
        steps()
    wall = time.monotonic() - begin
    saver.wait()
    return {"wall": wall, "processor": time.process_time() - processor, "stood": stood, "copied": copied}


def rows(layers: int, width: int, rounds: int, count: int, work: Path) -> list[dict[str, object]]:
    trainer = make_trainer(layers, width)
    saver = CheckpointSaver(trainer, RunFolder(work), None, lambda: 0.0, print, lambda step, name: None)
    iterator = iter(trainer)
    windows: dict[str, list[dict[str, float]]] = {method: [] for method in KINDS}
    for _ in range(3):
        next(iterator)
    for number, method in itertools.product(range(rounds), KINDS):
        windows[method].append(window(lambda: next(iterator), count, saver, method, number))

    def median(method: str, name: str) -> float:
        return statistics.median(entry[name] for entry in windows[method])

    medians = []
    for method in KINDS[1:]:
        more = statistics.median(
            entry["processor"] - plain["processor"]
            for entry, plain in zip(windows[method], windows["none"], strict=True)
        )
        medians.append(
            {
                "weights": num_parameters(trainer.family),
                "kind": method,
                "step_s": round(median("none", "wall") / count, 3),
                "stood_s": round(median(method, "stood"), 3),
                "stood_processor_s": round(median(method, "copied"), 3),
                "window_s": round(median(method, "wall"), 2),
                "without_s": round(median("none", "wall"), 2),
                "more_processor_s": round(more, 2),
                "percent_of_30s": round(100 * median(method, "copied") / DUE_S, 2),
            }
        )
    return medians


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--layers", type=int, nargs="+", default=[2, 6])
    arguments.add_argument("--width", type=int, default=768)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--window", type=int, default=20, help="steps")
    options = arguments.parse_args()
    torch.set_num_threads(max(1, len(options.cores)))
    options.work.mkdir(parents=True, exist_ok=True)
    table = Table("saving")
    for layers in options.layers:
        with tempfile.TemporaryDirectory(dir=options.work) as work:
            for row in rows(layers, options.width, options.rounds, options.window, Path(work)):
                table.add(**row)
    table.show()


if __name__ == "__main__":
    main()
