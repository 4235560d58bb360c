"""Compile: a training step of networks that torch.compile has compiled beside one of the same networks as they are.

    python bench/compile.py [--families gan vae diffusion transformer] [--sizes 0 2 4] [--device cpu] [--precision bf16] [--steps 15]

Blocks are compiled as `compile=on` does it, in one process: of either network a step in turns, so that a machine whose speed
changes treats both alike. `compiling_s`: the first three steps, in which everything is compiled. `faster`: ratio of the medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from _common import Table, parser
from anew.core import settings as cfg
from anew.core.processes.world import World
from anew.core.random import generator
from anew.core.specs import Batch, Grid, Spec, Tokens
from anew.families.base import Scale, load_family, num_parameters
from anew.planning.build import build_family
from anew.training.compilation import compile_blocks
from anew.training.progress import StepProgress
from anew.training.trainer import Trainer

if TYPE_CHECKING:
    from anew.families.base import FamilyConfig

SPECS: dict[str, Spec] = {
    "gan": Grid((1, 28, 28), "CHW", 10, 0.6),
    "vae": Grid((1, 28, 28), "CHW", 10, 0.6),
    "diffusion": Grid((1, 28, 28), "CHW", 10, 0.6),
    "fsq": Grid((1, 28, 28), "CHW", 0, 0.6),
    "transformer": Tokens(96, 256, {}, 0, True),
}
WARM_STEPS = 3
SECONDS = 600.0  # seconds of the training that sizes are suggested for


class Made:
    """Random items and labels, a function of the step."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch:
        rng = generator("compile", step, phase)
        if isinstance(self.spec, Tokens):
            return Batch(torch.randint(self.spec.vocab, (count, self.spec.length + 1), generator=rng))
        return Batch(
            torch.rand((count, *self.spec.shape), generator=rng) * 2 - 1, torch.randint(10, (count,), generator=rng)
        )

    def prefetch(self, step: int, phase: str, first: int, count: int, size: int) -> None: ...

    def one_pass(self) -> Iterator[Batch]:
        batch = self.batch(-1, "", 0, 256, 256)
        yield Batch(batch.x.reshape(1, -1)) if isinstance(self.spec, Tokens) else batch


def steps_of(name: str, size: int, arguments: argparse.Namespace, is_compiled: bool) -> tuple[Iterator[object], int]:
    spec, family_class = SPECS[name], load_family(name)
    device = torch.device(arguments.device)
    suggested = family_class.suggest(spec, Scale(10_000, 1e7, SECONDS, size, device.type))
    config: FamilyConfig = cfg.from_json(
        family_class.Config, cfg.to_json(suggested) | {"precision": arguments.precision}
    )
    family = build_family(family_class, spec, config, 0, device)
    family.fit_closed_form(batch.to(device) for batch in Made(spec).one_pass())
    if is_compiled:
        compile_blocks(family)
    count = config.batch_size
    world = World().on(arguments.device)
    trainer = Trainer(family, Made(spec), StepProgress(10**9), seed=0, batch_size=count, micro_batch=count, world=world)
    return iter(trainer), num_parameters(family)


def seconds_of(steps: Iterator[object], count: int, device: str) -> float:
    begin = time.perf_counter()
    for _ in range(count):
        next(steps)
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def row(name: str, size: int, arguments: argparse.Namespace) -> dict[str, Any]:
    plain, weights = steps_of(name, size, arguments, is_compiled=False)
    compiled, _ = steps_of(name, size, arguments, is_compiled=True)
    seconds_of(plain, WARM_STEPS, arguments.device)
    compiling = seconds_of(compiled, WARM_STEPS, arguments.device)
    times: dict[str, list[float]] = {"plain": [], "compiled": []}
    for _ in range(arguments.steps):
        times["plain"].append(seconds_of(plain, 1, arguments.device))
        times["compiled"].append(seconds_of(compiled, 1, arguments.device))
    medians = {way: statistics.median(values) for way, values in times.items()}
    return {
        "family": name,
        "size": size,
        "weights": weights,
        "device": arguments.device,
        "precision": arguments.precision,
        "threads": torch.get_num_threads(),
        "compiling_s": round(compiling, 1),
        "step_s": round(medians["plain"], 4),
        "compiled_s": round(medians["compiled"], 4),
        "faster": round(medians["plain"] / medians["compiled"], 2),
    }


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--families", nargs="*", default=list(SPECS), choices=list(SPECS))
    build.add_argument("--sizes", type=int, nargs="*", default=[0, 2])
    build.add_argument("--device", default="cpu")
    build.add_argument("--precision", default="bf16", choices=("fp32", "bf16"))
    build.add_argument("--steps", type=int, default=15)
    arguments = build.parse_args()
    os.sched_setaffinity(0, arguments.cores)
    torch.set_num_threads(len(arguments.cores))
    table = Table("compile")
    for name in arguments.families:
        for size in arguments.sizes:
            table.add(**row(name, size, arguments))
    table.show()


if __name__ == "__main__":
    main()
