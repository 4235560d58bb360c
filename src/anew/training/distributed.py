"""One process or many: DDP and FSDP2, as they wrap a phase, and tensors that are sharded."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from anew.core.random import StepContext
from anew.core.specs import Batch
from anew.core.world import World
from anew.families.base import Family
from anew.families.phases import Loss, Phase
from anew.runs.shards import whole
from anew.runs.state import Checkpoint

CONTAINERS = (nn.ModuleList, nn.ModuleDict)  # they are not called, so that nothing could gather their weights


class LossModule(nn.Module):
    """A phase's loss as a forward pass, since DDP and FSDP2 act where a module is called."""

    def __init__(self, module: nn.Module, loss: Callable[[Batch, StepContext], Loss]) -> None:
        super().__init__()
        self.module = module
        self.loss = loss

    def forward(self, batch: Batch, context: StepContext) -> tuple[Tensor, float | Tensor, dict[str, Tensor]]:
        loss = self.loss(batch, context)
        return loss.total, loss.count, dict(loss.logs)


def wrap_phases(family: Family, phases: Iterable[Phase], world: World, shard: bool) -> dict[str, nn.Module]:
    """Each phase as one callable, by name: as it is for one process, DDP for several. Where weights are to be sharded, one network
    is by FSDP2, and several that call each other are together."""
    phases = list(phases)
    if shard and world.size > 1 and len(phases) > 1:
        from anew.training.sharding import GatheredLoss, ShardedNetworks

        networks = ShardedNetworks(family, world)
        return {phase.name: GatheredLoss(networks, phase.loss) for phase in phases}
    return {phase.name: _wrap(phase.module, phase.loss, world, shard) for phase in phases}


def _wrap(module: nn.Module, loss: Callable[[Batch, StepContext], Loss], world: World, shard: bool) -> nn.Module:
    if world.size == 1:
        return LossModule(module, loss)
    if shard:
        return _sharded(LossModule(module, loss), world)
    from torch.nn.parallel import DistributedDataParallel

    # Strides of a 1 x 1 kernel are not unique, so DDP tells every process that it copies its gradient; nothing is to be done.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    # Buffers are the same everywhere already; newer releases renamed the switch.
    renamed = "forward_sync_buffers" in inspect.signature(DistributedDataParallel.__init__).parameters
    unsynced: dict[str, Any] = {"forward_sync_buffers" if renamed else "broadcast_buffers": False}
    return DistributedDataParallel(LossModule(module, loss), gradient_as_bucket_view=True, **unsynced)


def _sharded(module: LossModule, world: World) -> nn.Module:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(world.device.type, (world.size,))
    lists = [child for child in module.modules() if isinstance(child, nn.ModuleList)]
    blocks = [block for blocks in lists for block in blocks if not isinstance(block, CONTAINERS)]
    for block in reversed(blocks):  # inner ones first: a block takes what its own blocks have left
        fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module


@contextmanager
def sync_gradients(wrapped: nn.Module, *, is_last: bool) -> Iterator[None]:
    """Gradients are exchanged with the last micro-batch of a step only, or with each where they are sharded."""
    skip = not is_last and hasattr(wrapped, "no_sync")
    with wrapped.no_sync() if skip else nullcontext():  # type: ignore[operator]
        yield
    if hasattr(wrapped, "finish_backward"):
        wrapped.finish_backward()  # type: ignore[operator]


def is_sharded(value: Tensor) -> bool:
    """Whether each process holds a part of the tensor."""
    # By its attribute: importing DTensor takes a second that a single process need not spend.
    return hasattr(value, "device_mesh")


def gather_full(value: Tensor) -> Tensor:
    """The complete tensor, gathered from all processes where it is sharded."""
    if not is_sharded(value):
        return value
    from torch.distributed.tensor import DTensor

    assert isinstance(value, DTensor)
    return value.full_tensor()


def shard_like(value: Tensor, like: Tensor) -> Tensor:
    """`value`, which every process has, on the device of `like`, and sharded as `like` is. Nothing is sent."""
    if is_sharded(value):
        return value
    if is_sharded(like):
        from torch.distributed.tensor import DTensor, distribute_tensor

        assert isinstance(like, DTensor)
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
    return value.to(like.device)


def shared_shards(world: World, state: Checkpoint | None) -> Checkpoint | None:
    """The main process's checkpoint on every process, which reads its part of the shards itself; None where it has no shards, or
    where a process cannot see them, on another machine."""
    place = None if state is None or "shards" not in state else str(state["shards"].resolve())
    place = world.broadcast(place)
    if place is None or world.any(not Path(place).is_dir()):
        return None
    meta = world.broadcast(None if state is None else state["meta"])
    assert meta is not None, "the main process has a checkpoint, since it has a place"
    return {"tensors": {}, "meta": meta, "shards": Path(place)}


def broadcast_checkpoint(world: World, state: Checkpoint | None) -> Checkpoint | None:
    """The main process's checkpoint on every process, so that no other has to reach the run folder. The others give None."""
    if world.size == 1:
        return state
    meta = world.broadcast(None if state is None else state["meta"])
    if meta is None:
        return None
    state = None if state is None else whole(state)
    return {"tensors": world.broadcast_tensors(None if state is None else state["tensors"]), "meta": meta}
