"""One process or many: torchrun's environment, DDP and FSDP2, and the few collectives that the trainer needs."""

from __future__ import annotations

import inspect
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

from anew.core.device import pick_device
from anew.core.random import StepContext
from anew.core.specs import Batch
from anew.errors import ConfigError
from anew.families.phases import Loss

V = TypeVar("V")

GLOO_PAUSE = 0.2  # seconds; see `shutdown`


@dataclass(frozen=True, slots=True)
class World:
    """This process among all of a run: the main one writes files and decides on time.

    Attributes:
        rank: Number of this process, 0 for the main one.
        size: Number of processes.
        device: Where this process computes.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def rows(self, batch_size: int) -> tuple[int, int]:
        """First row and number of rows of the global batch that this process computes.

        Raises:
            ConfigError: The batch does not divide among the processes.
        """
        if batch_size % self.size:
            raise ConfigError(f"batch_size must be a multiple of the {self.size} processes (got {batch_size})")
        count = batch_size // self.size
        return self.rank * count, count

    def sum(self, *values: float) -> list[float]:
        """Each value summed over all processes."""
        if self.size == 1:
            return list(values)
        packed = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(packed)
        return [float(v) for v in packed.tolist()]

    def broadcast(self, value: V) -> V:
        """The main process's value, on every process; a JSON value, so that nothing is unpickled."""
        if self.size == 1:
            return value
        data = json.dumps(value).encode() if self.is_main else b""
        length = torch.tensor([len(data)], dtype=torch.int64, device=self.device)
        dist.broadcast(length, src=0)
        buffer = torch.zeros(int(length), dtype=torch.uint8, device=self.device)
        if self.is_main:
            buffer.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        dist.broadcast(buffer, src=0)
        received: V = json.loads(bytes(buffer.cpu().numpy()))
        return received

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.barrier()


def init(device: str = "auto") -> World:
    """The world that torchrun's environment describes, or a single process.

    Args:
        device: "auto", "cpu", "cuda", or "cuda:N".
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    name = pick_device(device, local_rank)
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if name.startswith("cuda") else "gloo")
    rank = dist.get_rank() if dist.is_initialized() else 0
    if name.startswith("cuda"):
        torch.cuda.set_device(torch.device(name))
    return World(rank, size, torch.device(name))


def shutdown() -> None:
    """Close the process group, if one was opened."""
    if dist.is_initialized():
        # gloo's threads take the interpreter's lock to let go of the tensors of collectives that are done. One that
        # still waits for it when the interpreter ends aborts the whole process (C++ cannot unwind), hence the pause.
        time.sleep(GLOO_PAUSE)
        dist.destroy_process_group()


class LossModule(nn.Module):
    """A phase's loss as a forward pass, since DDP and FSDP2 act where a module is called."""

    def __init__(self, module: nn.Module, loss: Callable[[Batch, StepContext], Loss]) -> None:
        super().__init__()
        self.module = module
        self.loss = loss

    def forward(self, batch: Batch, context: StepContext) -> tuple[Tensor, float | Tensor, dict[str, Tensor]]:
        loss = self.loss(batch, context)
        return loss.total, loss.count, dict(loss.logs)


def wrap(module: nn.Module, loss: Callable[[Batch, StepContext], Loss], world: World, shard: bool) -> nn.Module:
    """The phase as one callable: as it is for one process, DDP for several, FSDP2 where weights are to be sharded."""
    if world.size == 1:
        return LossModule(module, loss)
    if shard:
        return _sharded(LossModule(module, loss), world)
    from torch.nn.parallel import DistributedDataParallel

    # Buffers are the same everywhere already; newer releases renamed the switch.
    renamed = "forward_sync_buffers" in inspect.signature(DistributedDataParallel.__init__).parameters
    unsynced: dict[str, Any] = {"forward_sync_buffers" if renamed else "broadcast_buffers": False}
    return DistributedDataParallel(LossModule(module, loss), **unsynced)


def _sharded(module: LossModule, world: World) -> nn.Module:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(world.device.type, (world.size,))
    for child in module.modules():
        if isinstance(child, nn.ModuleList):
            for block in child:
                fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module


@contextmanager
def sync_gradients(wrapped: nn.Module, is_last: bool) -> Iterator[None]:
    """Gradients are exchanged with the last micro-batch of a step only."""
    skip = not is_last and hasattr(wrapped, "no_sync")
    with wrapped.no_sync() if skip else nullcontext():  # type: ignore[operator]
        yield


def _is_sharded(value: Tensor) -> bool:
    # By its attribute: importing DTensor takes a second that a single process need not spend.
    return hasattr(value, "device_mesh")


def gather_full(value: Tensor) -> Tensor:
    """The complete tensor, gathered from all processes where it is sharded."""
    if not _is_sharded(value):
        return value
    from torch.distributed.tensor import DTensor

    assert isinstance(value, DTensor)
    return value.full_tensor()


def shard_like(value: Tensor, like: Tensor) -> Tensor:
    """`value` on the device of `like`, and sharded as `like` is."""
    if _is_sharded(like):
        from torch.distributed.tensor import DTensor, distribute_tensor

        assert isinstance(like, DTensor)
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    return value.to(like.device)
