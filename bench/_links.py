"""One process of some that measure: a step's computing, the link, and steps of DDP and FSDP2. `_links.py RANKS-OF-HOSTS LAYERS WIDTH`.

The three kinds of measurement alternate, since the load of the machine changes.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed as dist

from anew.core import settings as cfg
from anew.core.processes.world import World, together
from anew.core.specs import Batch, Tokens
from anew.families.base import Scale, load_family, num_parameters
from anew.nets.decoder import Decoder
from anew.planning.build import build_family
from anew.training.progress import StepProgress
from anew.training.trainer import Trainer

if TYPE_CHECKING:
    from anew.families.base import FamilyConfig

SPEC = Tokens(256, 64, {}, 0, True)
ROUNDS, STEPS, WARM = 3, 6, 2
SENT = Path("/sys/class/net/eth0/statistics/tx_bytes")
PROBE = 1024**2  # numbers of the reduction that measures the bandwidth


class Noise:
    """Batches of random tokens."""

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch:
        rng = torch.Generator().manual_seed(step)
        return Batch(torch.randint(0, SPEC.vocab, (size, SPEC.length + 1), generator=rng)[first : first + count])

    def prefetch(self, step: int, phase: str, first: int, count: int, size: int) -> None: ...


def trainer_of(layers: int, width: int, world: World, rows: int, shard: bool) -> Trainer:
    owner = load_family("transformer")
    shape = {"layers": layers, "width": width, "heads": width // 64, "mlp_size": width * 8 // 3 // 64 * 64}
    suggested = cfg.to_json(owner.suggest(SPEC, Scale(10_000, 640_000.0, None, 0)))
    config: FamilyConfig = cfg.from_json(
        owner.Config, suggested | shape | {"precision": "fp32", "ngrams": False, "dropout": 0.0}
    )
    family = build_family(owner, SPEC, config, 0, torch.device("cpu"))
    return Trainer(
        family, Noise(), StepProgress(10_000), seed=1, batch_size=rows, micro_batch=rows, world=world, shard=shard
    )


def seconds_of(work: Callable[[], object], times: int) -> list[float]:
    taken = []
    for _ in range(times):
        begin = time.monotonic()
        work()
        taken.append(time.monotonic() - begin)
    return taken


class Steps:
    """A training of which some steps are timed now and then."""

    def __init__(self, trainer: Trainer) -> None:
        self.seconds: list[float] = []
        self.optimizer: list[float] = []
        self.sent: list[int] = []
        self._steps = iter(trainer)
        step = trainer.optimizers["main"].step

        def timed_step(lr_factor: float) -> None:
            self.optimizer.extend(seconds_of(lambda: step(lr_factor), 1))

        trainer.optimizers["main"].step = timed_step  # type: ignore[method-assign]

    def take(self) -> None:
        for number in range(WARM + STEPS):
            sent = int(SENT.read_text())
            taken = seconds_of(lambda: next(self._steps), 1)
            if number >= WARM:
                self.seconds += taken
                self.sent.append(int(SENT.read_text()) - sent)
            else:
                self.optimizer.clear()


def main() -> None:
    torch.set_num_threads(1)
    rows_each, layers, width = map(int, sys.argv[1:])
    with together() as world:
        rows = rows_each * world.size
        alone = Steps(trainer_of(layers, width, World(), rows_each, False))
        together_ = {way: trainer_of(layers, width, world, rows, way == "fsdp") for way in ("ddp", "fsdp")}
        shared = {way: Steps(trainer) for way, trainer in together_.items()}
        probe, one, ones = torch.ones(PROBE), torch.ones(1), torch.empty(world.size)
        large: list[float] = []
        small: list[float] = []
        optimizer: list[float] = []
        for _ in range(ROUNDS):
            dist.barrier()
            alone.take()
            optimizer += alone.optimizer
            dist.barrier()
            large += seconds_of(lambda: dist.all_reduce(probe), 3)
            # A gather, as a reduction of one or two numbers takes only half of a ring's hops in gloo
            small += seconds_of(lambda: dist.all_gather_into_tensor(ones, one), 20)
            for steps in shared.values():
                dist.barrier()
                steps.take()
        if world.is_main:
            print(json.dumps(facts(together_["ddp"], alone, optimizer, large, small, shared)), flush=True)


def facts(
    trainer: Trainer,
    alone: Steps,
    optimizer: list[float],
    large: list[float],
    small: list[float],
    shared: dict[str, Steps],
) -> dict[str, Any]:
    family, net = trainer.family, trainer.family.get_submodule("net")
    assert isinstance(net, Decoder)
    groups = trainer.optimizers["main"].config.groups
    muon = [
        parameter.numel()
        for name, parameter in family.named_parameters()
        if next(group for group in groups if group.match(name, parameter)).optimizer == "muon"
    ]
    blocks = [num_parameters(block) for block in net.blocks]
    total = num_parameters(family)
    return {
        "weights": [p.numel() for p in reversed(list(family.parameters()))],
        "blocks": [*blocks, total - sum(blocks)],
        "matrices": muon,
        "alone_s": statistics.median(alone.seconds),
        "optimizer_s": statistics.median(optimizer),
        "large_s": statistics.median(large),
        "large_bytes": 4 * PROBE,
        "small_s": statistics.median(small),
        "steps": {
            way: {"seconds": statistics.median(steps.seconds), "sent": statistics.median(steps.sent)}
            for way, steps in shared.items()
        },
    }


if __name__ == "__main__":
    main()
