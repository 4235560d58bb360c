"""Memory that this process may still take: of a GPU, of the machine, and within the limits of a container."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import psutil
import torch
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from anew.core.machine.cores import control_groups

BUFFER_BYTES = 2**26  # bytes of buffers besides the weights: masks, tables of positions; chosen
MIN_BYTES = 2.0**28  # what is always assumed: a limit that is read as used up is a limit read wrongly
# Names of the limit, of what is used, and of the part of that which the kernel takes back on demand (files it has cached).
V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_BUFFER_LIMIT: ContextVar[int | None] = ContextVar(
    "buffer_limit", default=None
)  # bytes of buffers within `parameters_within`


def free_memory(device: torch.device) -> float:
    """Bytes that this process can still have: of the device, or its share of this machine or container."""
    if device.type == "cuda":
        # PyTorch keeps what was let go, and takes it again.
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(torch.cuda.mem_get_info(device)[0] + cached)
    if device.type == "mps":  # it shares the memory of the machine
        left = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
        return max(min(float(left), float(psutil.virtual_memory().available)), MIN_BYTES)
    free = min(float(psutil.virtual_memory().available), container_memory())
    return max(free / int(os.environ.get("LOCAL_WORLD_SIZE", "1")), MIN_BYTES)


@contextmanager
def parameters_within(limit: int) -> Iterator[None]:
    """Raises ValueError as soon as modules made inside have more than `limit` bytes of parameters, or BUFFER_BYTES more than that
    of buffers: some are not among the weights. A tensor is checked before it is filled, when it takes no memory yet."""
    totals = {"parameters": 0, "buffers": 0}

    def weigh(tensor: torch.Tensor | None, of: str, most: int) -> None:
        totals[of] += 0 if tensor is None else tensor.numel() * tensor.element_size()
        if totals[of] > most:
            raise _too_large(of, most)

    hooks = (
        register_module_parameter_registration_hook(lambda _, name, tensor: weigh(tensor, "parameters", limit)),
        register_module_buffer_registration_hook(
            lambda _, name, tensor: weigh(tensor, "buffers", limit + BUFFER_BYTES)
        ),
    )
    earlier = _BUFFER_LIMIT.set(limit + BUFFER_BYTES)
    try:
        yield
    finally:
        _BUFFER_LIMIT.reset(earlier)
        for hook in hooks:
            hook.remove()


def check_memory(size: int) -> None:
    """Call it before tensors of this size are made, if they are registered later.

    Raises:
        ValueError: They are larger than buffers may be inside of `parameters_within`.
    """
    limit = _BUFFER_LIMIT.get()
    if limit is not None and size > limit:
        raise _too_large("buffers", limit)


def _too_large(of: str, most: int) -> ValueError:
    return ValueError(f"a network with {of} of more than {most:,} bytes, which its weights do not fill")


def container_memory() -> float:
    """Bytes left under the tightest limit of the control groups that this process is in; infinite without a limit."""
    groups = control_groups("memory")
    return min((_remaining_bytes(folder, V2 if version == 2 else V1) for version, folder in groups), default=math.inf)


def _remaining_bytes(folder: Path, names: tuple[str, str, str]) -> float:
    limit, used, reclaimable = names
    try:
        limit_bytes = (folder / limit).read_text(encoding="ascii").strip()
        if not limit_bytes.isdigit():  # "max"
            return math.inf
        used_bytes = float((folder / used).read_text(encoding="ascii"))
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
        return float(limit_bytes) - used_bytes + float(statistics.get(reclaimable, 0))
    except (OSError, ValueError):
        return math.inf
