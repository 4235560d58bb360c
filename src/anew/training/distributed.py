"""Training on one process or several: DDP and FSDP2 as wrappers of a phase, and sharded tensors."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from anew.core.processes.local_link import LocalLink
from anew.core.processes.world import World
from anew.core.random import StepContext
from anew.core.specs import Batch
from anew.families.base import Family
from anew.families.phases import Loss, Phase
from anew.training.shared_memory import SharedGradients

CONTAINERS = (nn.ModuleList, nn.ModuleDict)  # these are never called, so FSDP2 could not gather their weights


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
    """Wrap the loss of each phase as a module, by name.

    If there are several processes, it is wrapped by DDP, or by `SharedGradients` if all compute on one machine's cores. If weights are
    to be sharded, a single network is wrapped by FSDP2; several networks, which may call each other, are sharded together
    (`GatheredLoss`).
    """
    phases = list(phases)
    if shard and world.size > 1 and len(phases) > 1:
        from anew.training.sharding import GatheredLoss, ShardedNetworks

        networks = ShardedNetworks(family, world)
        return {phase.name: GatheredLoss(networks, phase.loss) for phase in phases}
    return {phase.name: _wrap(family, phase, world, shard) for phase in phases}


def sharded_losses(family: Family, world: World, shard: bool) -> dict[str, nn.Module] | None:
    """The losses of the phases of a family whose weights are to be shards from now on; None if they are not to be."""
    return wrap_phases(family, family.phases(), world, shard) if shard and world.size > 1 else None


def _wrap(family: Family, phase: Phase, world: World, shard: bool) -> nn.Module:
    module, loss = phase.module, phase.loss
    if world.size == 1:
        return LossModule(module, loss)
    if shard:
        return _sharded(LossModule(module, loss), world, family.block_dtype)
    if (link := memory_link(world)) is not None:
        _send_state(module, world)
        return SharedGradients(LossModule(module, loss), link)
    from torch.nn.parallel import DistributedDataParallel

    # Strides of a 1 x 1 kernel are not unique, so DDP warns that it copies its gradient, which is harmless.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    # Buffers are equal on all processes already. Newer releases renamed the argument.
    renamed = "forward_sync_buffers" in inspect.signature(DistributedDataParallel.__init__).parameters
    unsynced: dict[str, Any] = {"forward_sync_buffers" if renamed else "broadcast_buffers": False}
    return DistributedDataParallel(LossModule(module, loss), gradient_as_bucket_view=True, **unsynced)


def memory_link(world: World) -> LocalLink | None:
    """The link of processes that train copies of a model on the cores of one machine; None for others."""
    return world.link if world.device.type == "cpu" else None


@torch.no_grad()
def _send_state(module: nn.Module, world: World) -> None:
    """Let all processes begin with the main one's weights and buffers, as DDP does."""
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        tensor.copy_(world.broadcast_tensors({name: tensor})[name])


def _sharded(module: LossModule, world: World, block_dtype: torch.dtype) -> nn.Module:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    from anew.training.initial_shards import shards_set_aside

    mesh = init_device_mesh(world.device.type, (world.size,))
    lists = [child for child in module.modules() if isinstance(child, nn.ModuleList)]
    blocks = [block for blocks in lists for block in blocks if not isinstance(block, CONTAINERS)]
    # Weights that are cast anyway are sent in that type, which halves them; inputs may be of another on purpose.
    policy = MixedPrecisionPolicy(param_dtype=block_dtype, reduce_dtype=torch.float32, cast_forward_inputs=False)
    with shards_set_aside(module):
        for block in reversed(blocks):  # inner blocks first: a block then takes the parameters that they leave
            fully_shard(block, mesh=mesh, mp_policy=policy)
        fully_shard(module, mesh=mesh)
    return module


@contextmanager
def sync_gradients(wrapped: nn.Module, *, is_last: bool) -> Iterator[None]:
    """Within this context, gradients are exchanged only for the last micro-batch of a step, or for each if sharded."""
    skip = not is_last and hasattr(wrapped, "no_sync")
    with wrapped.no_sync() if skip else nullcontext():  # type: ignore[operator]
        yield
    if isinstance(wrapped, SharedGradients) and is_last:
        wrapped.average()
    if hasattr(wrapped, "finish_backward"):
        wrapped.finish_backward()  # type: ignore[operator]


@contextmanager
def forward_only(wrapped: nn.Module) -> Iterator[None]:
    """Within this context, no pass forward has a pass backward. FSDP2 keeps the weights of the outermost module whole between the
    two, so without this the next step would compute with those of the last pass here: averaged ones, after a validation."""
    try:
        yield
    finally:
        if hasattr(wrapped, "reshard"):
            wrapped.reshard()  # type: ignore[operator]


def is_sharded(value: Tensor) -> bool:
    """Whether each process holds a part of the tensor."""
    # Checked by an attribute, since importing DTensor takes a second, which a single process need not spend.
    return hasattr(value, "device_mesh")


def gather_full(value: Tensor) -> Tensor:
    """The complete tensor, which is gathered from all processes if it is sharded."""
    if not is_sharded(value):
        return value
    from torch.distributed.tensor import DTensor

    assert isinstance(value, DTensor)
    return value.full_tensor()


def shard_like(value: Tensor, like: Tensor) -> Tensor:
    """Move `value`, which every process has, to the device of `like`, and shard it as `like` is. Nothing is communicated."""
    if is_sharded(value):
        return value
    if is_sharded(like):
        from torch.distributed.tensor import DTensor, distribute_tensor

        assert isinstance(like, DTensor)
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
    return value.to(like.device)
