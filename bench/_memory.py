"""One process of some that train a Transformer for a few steps: its memory while the network is built, once it is built, once it is
shared, and at its peak. `_memory.py ddp|fsdp LAYERS STEPS`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from anew.core import settings as cfg
from anew.core.processes.world import together
from anew.core.specs import Batch, Tokens
from anew.families.base import Scale, load_family, num_parameters
from anew.planning.build import build_family, build_shards
from anew.training.distributed import sharded_losses
from anew.training.progress import StepProgress
from anew.training.trainer import Trainer

if TYPE_CHECKING:
    from anew.families.base import FamilyConfig

SPEC = Tokens(256, 64, {}, 0, True)


class Noise:
    """Batches of random tokens."""

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch:
        rng = torch.Generator().manual_seed(step)
        return Batch(torch.randint(0, SPEC.vocab, (size, SPEC.length + 1), generator=rng)[first : first + count])

    def prefetch(self, step: int, phase: str, first: int, count: int, size: int) -> None: ...


def megabytes(name: str) -> int:
    """VmRSS or VmHWM of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) // 1024


def main() -> None:
    torch.set_num_threads(1)
    owner = load_family("transformer")
    shape = {"layers": int(sys.argv[2]), "width": 768, "heads": 12, "mlp_size": 2048}
    with together() as world:
        before = megabytes("VmRSS")
        suggested = cfg.to_json(owner.suggest(SPEC, Scale(10_000, 640_000.0, None, 0)))
        config: FamilyConfig = cfg.from_json(owner.Config, suggested | shape | {"ngrams": False, "dropout": 0.0})
        is_sharded = sys.argv[1] == "fsdp"
        network = owner, SPEC, config, 0
        family = build_shards(*network, world) if is_sharded else build_family(*network, world.device)
        building, built = megabytes("VmHWM"), megabytes("VmRSS")
        trainer = Trainer(
            family,
            Noise(),
            StepProgress(int(sys.argv[3])),
            seed=1,
            batch_size=2,
            micro_batch=1,
            world=world,
            sharded=sharded_losses(family, world, is_sharded),
        )
        placed = megabytes("VmRSS")
        losses = [result.losses["main"] for result in trainer]
        row: dict[str, float] = {
            "parameters": num_parameters(family),
            "before_mb": before,
            "building_mb": building,
            "built_mb": built,
            "placed_mb": placed,
        }
        row |= {"peak_mb": megabytes("VmHWM"), **({"loss": losses[-1]} if losses else {})}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
