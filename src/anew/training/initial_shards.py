"""Weights that are sharded from the beginning: each process holds a part of them.

Each process draws every tensor whole, so that the numbers are those of a single process, and keeps its part before the next one
is drawn. The parts are those of FSDP2: rows, as many for each process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Placement, Replicate, Shard
from torch.nn.modules.module import register_module_parameter_registration_hook

from anew.core.processes.world import World

Owners = list[tuple[nn.Module, str]]  # the modules that hold a parameter, with its name in each


@contextmanager
def kept_in_shards(world: World, on_freed: Callable[[int], None]) -> Iterator[None]:
    """Within this context, parameters of new modules become shards when they are registered. They must have their values by then.

    Args:
        on_freed: Called with the bytes of each parameter that this process does not keep.
    """
    mesh = init_device_mesh(world.device.type, (world.size,))

    def keep(module: nn.Module, name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
        if parameter is None or isinstance(parameter.data, DTensor):
            return None
        shard = _own_part(parameter, mesh, world)
        assert isinstance(shard.data, DTensor)
        on_freed(parameter.nbytes - shard.data.to_local().nbytes)
        return shard

    hook = register_module_parameter_registration_hook(keep)  # type: ignore[arg-type]
    try:
        yield
    finally:
        hook.remove()


def _own_part(parameter: nn.Parameter, mesh: DeviceMesh, world: World) -> nn.Parameter:
    value = parameter.detach()
    placement: Placement = Replicate()
    part = value
    if value.ndim:
        placement = Shard(0)
        parts = value.chunk(world.size)
        part = parts[world.rank] if world.rank < len(parts) else value[:0]
    part = part.to(world.device, copy=True).contiguous()  # a view would keep the whole
    shard = DTensor.from_local(part, mesh, [placement], run_check=False, shape=value.shape, stride=value.stride())
    return nn.Parameter(shard, requires_grad=parameter.requires_grad)


def owners_of(modules: Iterable[nn.Module]) -> dict[nn.Parameter, Owners]:
    """Where each parameter of these modules is."""
    owners: dict[nn.Parameter, Owners] = {}
    for module in modules:
        for name, parameter in module._parameters.items():
            if parameter is not None:
                owners.setdefault(parameter, []).append((module, name))
    return owners


@contextmanager
def shards_set_aside(module: nn.Module) -> Iterator[None]:
    """Within this context, tensors without content stand for the shards of a module, for FSDP2 to make its own of; afterwards
    the shards take their places."""
    shards = {p: owners for p, owners in owners_of(module.modules()).items() if isinstance(p.data, DTensor)}
    for parameter, owners in shards.items():
        outline = nn.Parameter(
            torch.empty(parameter.shape, dtype=parameter.dtype, device="meta"), requires_grad=parameter.requires_grad
        )
        for owner, name in owners:
            owner._parameters[name] = outline
    try:
        yield
    finally:
        for parameter, owners in shards.items():
            for owner, name in owners:
                owner._parameters[name] = parameter
