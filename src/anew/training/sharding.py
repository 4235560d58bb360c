"""Sharding of a family of several networks, whose weights are complete on a process only while a loss needs them.

FSDP2 expects that a module is called once and differentiated once, but a GAN's discriminator is called by two losses and
differentiated twice. Here, therefore, the weights of all networks are gathered before a loss, and gradients are reduced after it, parameter
by parameter (the sharding of ZeRO, arXiv 1910.02054). Between losses, weights, gradients, moments and average are
held in shards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard, distribute_tensor

from anew.core.processes.world import World
from anew.core.random import StepContext
from anew.core.specs import Batch
from anew.families.base import Family
from anew.families.phases import Loss
from anew.training.initial_shards import Owners, owners_of

LossTerms = tuple[Tensor, float | Tensor, dict[str, Tensor]]


@dataclass
class ShardedParameter:
    """A parameter in parts, one in each process, and the modules that own it, with its name in each."""

    shard: nn.Parameter
    owners: Owners

    def assign(self, parameter: nn.Parameter) -> None:
        for owner, name in self.owners:
            owner._parameters[name] = parameter


class ShardedNetworks:
    """The parameters of a family, sharded over all processes as DTensors."""

    def __init__(self, family: Family, world: World) -> None:
        mesh = init_device_mesh(world.device.type, (world.size,))
        self.world = world
        self.parameters = [
            ShardedParameter(_shard(parameter, mesh), owners)
            for parameter, owners in owners_of(family.modules()).items()
        ]
        self._assign_shards()

    @contextmanager
    def whole(self) -> Iterator[list[nn.Parameter]]:
        """Within this context, the modules hold gathered weights. Gives the gathered parameters, in the order of `parameters`."""
        gathered = []
        for parameter in self.parameters:
            shard = parameter.shard
            assert isinstance(shard.data, DTensor)
            gathered.append(nn.Parameter(shard.data.full_tensor(), requires_grad=shard.requires_grad))
        try:
            for parameter, gathered_tensor in zip(self.parameters, gathered, strict=True):
                parameter.assign(gathered_tensor)
            yield gathered
        finally:
            self._assign_shards()

    def _assign_shards(self) -> None:
        for parameter in self.parameters:
            parameter.assign(parameter.shard)


class GatheredLoss(nn.Module):
    """A phase's loss as a forward pass, for which the weights are gathered.

    Args:
        networks: The sharded parameters of the family, shared by its phases.
    """

    def __init__(self, networks: ShardedNetworks, loss: Callable[[Batch, StepContext], Loss]) -> None:
        super().__init__()
        self.networks = networks
        self.loss = loss
        self._reducer: Reducer | None = None

    def forward(self, batch: Batch, context: StepContext) -> LossTerms:
        with self.networks.whole() as gathered:
            if torch.is_grad_enabled():
                self._reducer = Reducer(self.networks, gathered)
            loss = self.loss(batch, context)
        return loss.total, loss.count, dict(loss.logs)

    def finish_backward(self) -> None:
        """Reduce the gradients that `backward` has not reduced yet."""
        if self._reducer is not None:
            self._reducer.finish()
            self._reducer = None

    def reshard(self) -> None:
        """Let go of gathered weights whose loss was not differentiated."""
        self._reducer = None


class Reducer:
    """Averages gradients over processes as soon as they are ready; each process keeps its shard.

    A process whose rows need no penalty has another graph, and its gradients are ready in another order. Therefore all processes reduce in
    a fixed order, the last parameter first.
    """

    def __init__(self, networks: ShardedNetworks, gathered: list[nn.Parameter]) -> None:
        pairs = zip(networks.parameters, gathered, strict=True)
        self._waiting = [(parameter.shard, full) for parameter, full in pairs if full.requires_grad]
        self._size = networks.world.size
        self._ready: set[nn.Parameter] = set()
        for _, full in self._waiting:
            full.register_post_accumulate_grad_hook(self._mark_ready)  # type: ignore[no-untyped-call]

    def _mark_ready(self, full: Tensor) -> None:
        assert isinstance(full, nn.Parameter)
        self._ready.add(full)
        while self._waiting and self._waiting[-1][1] in self._ready:
            self._reduce(*self._waiting.pop())

    def finish(self) -> None:
        while self._waiting:
            self._reduce(*self._waiting.pop())

    def _reduce(self, shard: nn.Parameter, full: nn.Parameter) -> None:
        assert isinstance(shard.data, DTensor)
        local_gradient = torch.zeros_like(full) if full.grad is None else full.grad
        full.grad = None
        partial = DTensor.from_local(local_gradient, shard.data.device_mesh, [Partial()], run_check=False)
        gradient = partial.redistribute(placements=shard.data.placements) / self._size
        shard.grad = gradient if shard.grad is None else shard.grad + gradient


def _shard(parameter: nn.Parameter, mesh: DeviceMesh) -> nn.Parameter:
    """The parameter as a shard, which it may be already."""
    if isinstance(parameter.data, DTensor):
        return parameter
    placement: Placement = Shard(0) if parameter.ndim else Replicate()
    return nn.Parameter(distribute_tensor(parameter.data, mesh, [placement]), requires_grad=parameter.requires_grad)
