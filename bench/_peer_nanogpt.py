"""Drives a nanoGPT checkout: its documented CPU recipe, the loss over a whole text, the speed of its generator.

Runs as a script of its own (`text.py` and `generation.py` start it, pinned); the last line it prints is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import runpy
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

# README of nanoGPT, "I only have a macbook": the command line as it stands there
RECIPE = [
    *("config/train_shakespeare_char.py", "--device=cpu", "--compile=False", "--eval_iters=20", "--log_interval=1"),
    *("--block_size=64", "--batch_size=12", "--n_layer=4", "--n_head=4", "--n_embd=128", "--max_iters=2000"),
    *("--lr_decay_iters=2000", "--dropout=0.0"),
]
SHAPE = {"n_layer": 4, "n_head": 4, "n_embd": 128, "block_size": 64, "bias": False, "dropout": 0.0}
WINDOW = 64


def prepare(checkout: Path, work: Path, text: Path) -> None:
    """A copy of the checkout with its data made by its own script from this text (split 90/10 by position)."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(checkout, work, ignore=shutil.ignore_patterns(".git"))
    data = work / "data" / "shakespeare_char"
    shutil.copy(text, data / "input.txt")
    with contextlib.redirect_stdout(io.StringIO()):
        runpy.run_path(str(data / "prepare.py"), run_name="__main__")


class Tee(io.StringIO):
    def write(self, text: str) -> int:
        sys.stderr.write(text)
        return super().write(text)


def train(work: Path, offset: int, extra: list[str]) -> dict[str, Any]:
    """Trains as documented; seconds are process CPU seconds of the iterations, its own evaluations left out. offset: of its seed."""
    log = Tee()
    clock, seeding = time.time, torch.manual_seed
    # nanoGPT times its iterations with time.time: on a shared machine only CPU time is a property of the program
    time.time = time.process_time
    torch.manual_seed = lambda seed: seeding(seed + offset)
    begun = clock(), time.process_time()
    sys.argv = ["train.py", *RECIPE, *extra]
    sys.path.insert(0, str(work))
    with contextlib.chdir(work), contextlib.redirect_stdout(log):
        runpy.run_path("train.py", run_name="__main__")
    time.time, torch.manual_seed = clock, seeding
    times = {int(i): float(ms) / 1e3 for i, ms in re.findall(r"iter (\d+): .*?time ([\d.]+)ms", log.getvalue())}
    evaluated = {int(i) for i in re.findall(r"^step (\d+):", log.getvalue(), re.M)}
    plain = [seconds for i, seconds in times.items() if i not in evaluated]
    seconds = sum(plain) + statistics.median(plain) * (len(times) - len(plain))
    return {
        "steps": len(times),
        "train_seconds": seconds,
        "ms_per_step": 1e3 * statistics.median(plain),
        "wall_all": clock() - begun[0],
        "cpu_all": time.process_time() - begun[1],
    }


def load(work: Path) -> tuple[Any, dict[str, Any]]:
    sys.path.insert(0, str(work))
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    saved = torch.load(work / "out-shakespeare-char" / "ckpt.pt", map_location="cpu", weights_only=True)
    model = GPT(GPTConfig(**saved["model_args"]))
    model.load_state_dict(saved["model"])
    return model.eval(), saved


@torch.no_grad()
def nats(model: Any, ids: torch.Tensor, stride: int, context: int = WINDOW) -> tuple[float, int]:
    """Mean loss over every character of a text but the first; each is counted once, in its longest context."""
    total, count, first = 0.0, 0, 0
    starts = range(0, len(ids) - 1, stride)
    for start in starts:
        piece = ids[start : start + context + 1]
        skip = max(first - start, 0)
        if len(piece) - 1 <= skip:
            break
        logits = model(piece[None, :-1], piece[None, 1:])[0][0]  # (L, V)
        losses = torch.nn.functional.cross_entropy(logits[skip:], piece[1:][skip:], reduction="none")
        total, count, first = total + float(losses.sum()), count + len(losses), start + len(piece) - 1
    return total / count, count


def score(work: Path) -> dict[str, Any]:
    model, saved = load(work)
    ids = torch.from_numpy(np.fromfile(work / "data/shakespeare_char/val.bin", dtype=np.uint16).astype(np.int64))
    apart, count = nats(model, ids, WINDOW)
    overlapping, _ = nats(model, ids, WINDOW // 2)
    return {
        "nats": apart,
        "nats_stride_32": overlapping,
        "characters": count,
        "parameters": sum(p.numel() for p in model.parameters()),
        "saved_at": saved["iter_num"],
    }


def generate(checkout: Path, streams: int, length: int, repeats: int, vocabulary: int = 65) -> dict[str, Any]:
    """Characters a second of its own `generate`, with random weights: the time does not depend on them."""
    sys.path.insert(0, str(checkout))
    from model import GPT, GPTConfig

    model = GPT(GPTConfig(vocab_size=vocabulary, **SHAPE)).eval()
    first = torch.zeros(streams, 1, dtype=torch.long)
    seconds = []
    with torch.no_grad():
        model.generate(first, 70, temperature=0.8, top_k=200)
        for _ in range(repeats):
            begun = time.process_time()
            model.generate(first, length, temperature=0.8, top_k=200)
            seconds.append(time.process_time() - begun)
    return {"characters_per_second": streams * length / statistics.median(seconds), "streams": streams}


def main() -> None:
    build = argparse.ArgumentParser(description=__doc__)
    build.add_argument("action", choices=["train", "generate"])
    build.add_argument("--checkout", type=Path, required=True)
    build.add_argument("--work", type=Path)
    build.add_argument("--text", type=Path)
    build.add_argument("--seed", type=int, default=0)
    build.add_argument("--streams", type=int, default=1)
    build.add_argument("--length", type=int, default=500)
    build.add_argument("--repeats", type=int, default=3)
    options, extra = build.parse_known_args()
    torch.set_num_threads(1)
    if options.action == "generate":
        result = generate(options.checkout.resolve(), options.streams, options.length, options.repeats)
    else:
        prepare(options.checkout, options.work.resolve(), options.text)
        result = train(options.work.resolve(), options.seed, extra)
        result.update(score(options.work.resolve()))
    with contextlib.redirect_stdout(sys.__stdout__):
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
