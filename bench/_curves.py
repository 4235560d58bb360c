"""One process of some that train every family for some steps: its loss curves. `_curves.py ddp|fsdp STEPS [FAMILY ...] [ulp] [fp64]`.

ulp: the initial weights are changed in their last bit, by which to judge what rounding alone does. fp64: all numbers have 64 bits.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from anew.core import settings as cfg
from anew.core.processes.world import World, together
from anew.core.random import generator
from anew.core.specs import Batch, Grid, Spec, Tokens
from anew.families.base import Scale, load_family
from anew.planning.build import build_family
from anew.training.progress import StepProgress
from anew.training.trainer import Trainer

if TYPE_CHECKING:
    from anew.families.base import FamilyConfig

ROWS, MICRO_BATCH = 24, 8  # a step's examples, as many for each of 2, 3 and 4 processes, and those in memory at once
LAST_BIT = 2.0**-24
SPECS: dict[str, Spec] = {
    "pictures": Grid((1, 12, 12), "CHW", 0, 0.5),
    "stream": Tokens(20, 16, {}, 0, True),
    "records": Tokens(23, 12, {"begin": 20, "end": 21, "pad": 22}, 2, False),
}
CASES = (
    ("gan", "pictures"),
    ("vae", "pictures"),
    ("diffusion", "pictures"),
    ("fsq", "pictures"),
    ("transformer", "stream"),
    ("transformer", "records"),
)


class Made:
    """Random items, a function of step and row: bright discs of random places and sizes, and words of a few random stems."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch:
        rng = generator("curves", step)
        rows = slice(first, first + count)
        if isinstance(self.spec, Grid):
            return Batch(_discs(self.spec, torch.rand((size, 3), generator=rng))[rows].to(torch.get_default_dtype()))
        stems = torch.randint(20, (8, self.spec.length + 1), generator=generator("stems"))
        x = stems[torch.randint(8, (size,), generator=rng)]
        changed = torch.rand(x.shape, generator=rng) < 0.2
        x = torch.where(changed, torch.randint(20, x.shape, generator=rng), x)[rows]
        labels = torch.randint(2, (size,), generator=rng)[rows] if self.spec.classes else None
        if "end" not in self.spec.special:
            return Batch(x)
        x[:, 0], x[:, 9], x[:, 10:] = 20, 21, 22
        return Batch(x, labels, (x[:, 1:] != 22).to(torch.get_default_dtype()))

    def prefetch(self, step: int, phase: str, first: int, count: int, size: int) -> None: ...

    def one_pass(self) -> Iterator[Batch]:
        batch = self.batch(-1, "", 0, 256, 256)
        yield Batch(batch.x.reshape(1, -1)) if isinstance(self.spec, Tokens) and self.spec.packed else batch


def _discs(spec: Grid, uniform: torch.Tensor) -> torch.Tensor:
    """(B, 1, H, W) in [-1, 1] from (B, 3)."""
    side = torch.linspace(0, 1, spec.shape[1])
    x, y, radius = (uniform[:, i, None, None] for i in range(3))
    distance = ((side[None, :, None] - y) ** 2 + (side[None, None, :] - x) ** 2).sqrt()
    return torch.tanh(8 * (0.1 + 0.3 * radius - distance))[:, None]


def curve(world: World, name: str, spec: Spec, steps: int, shard: bool, change: float) -> list[list[float]]:
    """Losses of the phases at each step."""
    owner = load_family(name)
    suggested = cfg.to_json(owner.suggest(spec, Scale(256, 5000.0, 10.0, 0)))
    config: FamilyConfig = cfg.from_json(owner.Config, suggested | {"precision": "fp32"})
    family = build_family(owner, spec, config, 0, torch.device("cpu"))
    family.fit_closed_form(Made(spec).one_pass())
    with torch.no_grad():
        for number, parameter in enumerate(family.parameters()):
            noise = torch.randn(parameter.shape, generator=generator("change", number))
            parameter.mul_(1 + change * noise)
    trainer = Trainer(
        family,
        Made(spec),
        StepProgress(steps),
        seed=1,
        batch_size=ROWS,
        micro_batch=MICRO_BATCH,
        world=world,
        shard=shard,
    )
    return [list(result.losses.values()) for result in trainer]


def use_64_bits() -> None:
    """Every number of the package that would have 32 bits gets 64."""
    torch.set_default_dtype(torch.float64)
    torch.float32 = torch.float64  # families name it where they compute in full precision
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]


def main() -> None:
    torch.set_num_threads(1)
    way, steps, *more = sys.argv[1:]
    if "fp64" in more:
        use_64_bits()
    with together() as world:
        chosen = set(more) - {"ulp", "fp64"}
        for name, spec in CASES:
            if chosen and name not in chosen:
                continue
            losses = curve(world, name, SPECS[spec], int(steps), way == "fsdp", LAST_BIT if "ulp" in more else 0.0)
            if world.is_main:
                print(json.dumps({"case": f"{name}, {spec}", "losses": losses}), flush=True)


if __name__ == "__main__":
    main()
