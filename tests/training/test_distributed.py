"""Two processes are one: the same global batches, the same loss curve, with DDP and with FSDP2."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from torch.distributed.tensor.debug import CommDebugMode
from torch.testing._internal.distributed.fake_pg import FakeStore

from anew.training.distributed import shard_like
from processes import together

SCRIPT = """
import json
import torch
from anew.core.processes.world import together
from anew.planning.build import build_family
from anew.training.progress import StepProgress
from anew.training.trainer import Trainer
from toys import POINT, Points, Toy, ToyConfig
torch.set_num_threads(1)
with together() as world:
    family = build_family(Toy, POINT, ToyConfig(), 0, world.device)
    trainer = Trainer(
        family, Points(), StepProgress(50), seed=3, batch_size=15, micro_batch=4, world=world, shard={shard}
    )
    losses = [s.losses["main"] for s in trainer]
    state = trainer.state_dict()
    weights = trainer.weights()
    assert world.is_main or not state["tensors"] and not weights
    values = {{"losses": losses, "sum": sum(float(w.double().abs().sum()) for w in weights.values()),
              "names": sorted(state["tensors"])}}
    print(json.dumps(world.broadcast(values)))
"""


def curve(size: int, shard: bool) -> dict[str, Any]:
    ended = together(SCRIPT.format(shard=shard), size)
    assert all(process.code == 0 for process in ended), ended
    assert len({process.out for process in ended}) == 1
    values: dict[str, Any] = json.loads(ended[0].out)
    return values


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    return curve(1, False)


@pytest.mark.parametrize("shard", [False, True], ids=["ddp", "fsdp2"])
def test_two_processes_equal_one(alone: dict[str, Any], shard: bool) -> None:
    """15 rows in micro-batches of 4: the processes have 8 and 7, and as many micro-batches where weights are sharded."""
    first, second = alone, curve(2, shard)
    assert second["names"] == first["names"]
    for step, (a, b) in enumerate(zip(first["losses"], second["losses"], strict=True)):
        assert abs(a - b) <= 1e-4 * abs(a), step
    assert abs(first["sum"] - second["sum"]) <= 1e-3 * first["sum"]


VALIDATED = """
import json
import torch
from anew.core.processes.world import together
from anew.core.registry import load
from anew.families.base import Scale
from anew.planning.build import build_family
from anew.training.progress import StepProgress
from anew.training.trainer import Trainer
from anew.training.validation import Validation
from contract.test_families import SPECS, Made

torch.set_num_threads(1)
def curve(world, is_validated):
    owner = load("families", "vae")
    config = owner.suggest(SPECS["grey"], Scale(256, 5000.0, 10.0, 0))
    family = build_family(owner, SPECS["grey"], config, 0, world.device)
    data = Made(SPECS["grey"])
    trainer = Trainer(family, data, StepProgress(6), seed=1, batch_size=4, micro_batch=2, world=world, shard=True)
    validation = Validation(trainer, lambda: iter([data.batch(0, "validation", 0, 4, 4)]))
    losses = []
    for result in trainer:
        losses.append(list(result.losses.values()))
        if is_validated and result.step > 2:
            validation.loss()
    return losses

with together() as world:
    print(json.dumps([curve(world, is_validated) for is_validated in (False, True)]))
"""


def test_sharded_weights_are_the_same_after_a_validation_of_averaged_ones() -> None:
    ended = together(VALIDATED)
    assert [process.code for process in ended] == [0, 0], ended
    plain, validated = json.loads(ended[0].out)
    assert plain == validated


def test_sharding_what_every_process_has_sends_nothing() -> None:
    """Muon shards each of its updates; on a link of 100 Mb/s that was 8% of a step."""
    value = torch.arange(12.0).view(4, 3)
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    try:
        like = distribute_tensor(torch.zeros(4, 3), init_device_mesh("cpu", (2,)), [Shard(0)])
        with CommDebugMode() as counts:
            sharded = shard_like(value, like)
        assert counts.get_total_counts() == 0
        assert torch.equal(sharded.to_local(), value[:2])  # type: ignore[attr-defined]
    finally:
        dist.destroy_process_group()
