"""The device that is used, what it lacks, the type that networks compute in there, and its global random numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from anew.errors import ConfigError, shorten

M = TypeVar("M", bound=nn.Module)

NAMES = "auto, cpu, cuda, cuda:N or mps"
WITHOUT_DOUBLES = {"mps"}  # types of devices that have no 64-bit floats: Apple's GPUs


def pick_device(device: str | torch.device, local_rank: int = 0, num_processes: int = 1) -> str:
    """The device to use.

    Args:
        device: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:N" or "mps", the GPU of an Apple computer.
        local_rank: Number of this process among those of the machine; "auto" and "cuda" give each a GPU of its own.
        num_processes: How many processes compute together. Several cannot share "mps", and "auto" gives them the CPU instead.

    Raises:
        ConfigError: The name is unknown, there is no such device, or there are fewer GPUs than processes on this machine.
    """
    device = str(device) if isinstance(device, torch.device) else device
    if not isinstance(device, str):
        raise ConfigError(f"`device` must be {NAMES} (got {shorten(device)})")
    if device == "auto":
        if torch.cuda.is_available():
            return _own_gpu(local_rank, num_processes)
        return "mps" if torch.backends.mps.is_available() and num_processes == 1 else "cpu"
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", device):
        raise ConfigError(f"device={device!r} is unknown; give {NAMES}", "device")
    if device == "mps" and not torch.backends.mps.is_available():
        raise ConfigError(
            "device='mps' does not exist: PyTorch finds no GPU of an Apple computer; give auto or cpu", "device"
        )
    if device == "mps" and num_processes > 1:
        raise ConfigError(
            f"device='mps' is used by one process, not by {num_processes} together; start one, or give device=cpu",
            "device",
        )
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device={device!r} does not exist: PyTorch finds no CUDA device; give auto or cpu", "device")
    if int(device.partition(":")[2] or 0) >= torch.cuda.device_count() > 0:
        raise ConfigError(
            f"device={device!r} does not exist: there are {torch.cuda.device_count()} CUDA devices; give one",
            "device",
        )
    return _own_gpu(local_rank, num_processes) if device == "cuda" else device


def _own_gpu(local_rank: int, num_processes: int) -> str:
    count = torch.cuda.device_count()
    if num_processes == 1:  # launched alone, whatever number its launcher gave it
        return f"cuda:{local_rank % count}"
    if local_rank >= count:
        raise ConfigError(
            f"process {local_rank} of this machine has no GPU of its own: there are {count}, and processes cannot share one; "
            f"start {count} processes on this machine, or give device=cpu"
        )
    return f"cuda:{local_rank}"


def release_unused_memory() -> None:
    """Give memory of GPUs that no tensor uses back to other programs: PyTorch keeps it for tensors to come."""
    torch.cuda.empty_cache()  # which does nothing before CUDA is used
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def widest_float(device: torch.device) -> torch.dtype:
    """The widest floating-point type of a device."""
    return torch.float32 if device.type in WITHOUT_DOUBLES else torch.float64


def move(x: Tensor, device: str | torch.device) -> Tensor:
    """A tensor on a device. The copy to a CUDA device runs while that computes, which needs pinned memory: from any other, the
    copy would wait until all of the work before it is done."""
    if torch.device(device).type != "cuda":
        return x.to(device)
    return (x.pin_memory() if x.device.type == "cpu" else x).to(device, non_blocking=True)


def to_double(x: Tensor) -> Tensor:
    """A tensor in 64-bit floats; on the CPU where its device has none."""
    return x.to(torch.float64) if widest_float(x.device) is torch.float64 else x.cpu().double()


def to_device(module: M, device: torch.device) -> M:
    """Move a module to a device. Buffers of 64-bit floats, with which only NumPy computes, stay behind where it has none."""
    left_behind = []
    if widest_float(device) is not torch.float64:
        buffers = [(owner, *pair) for owner in module.modules() for pair in owner.named_buffers(recurse=False)]
        left_behind = [entry for entry in buffers if entry[2].dtype == torch.float64]
    for owner, name, _ in left_behind:
        owner._buffers[name] = None
    module.to(device)
    for owner, name, buffer in left_behind:
        owner._buffers[name] = buffer
    return module


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, PyTorch's global random numbers on the CPU and on `device` follow from the seed; afterwards they go on as if
    nothing had been drawn: they belong to the user's process."""
    gpus = [device] if device.type in ("cuda", "mps") else []
    with torch.random.fork_rng(devices=gpus, device_type=device.type if gpus else "cuda"):
        torch.default_generator.manual_seed(seed)
        if device.type == "mps":
            torch.mps.manual_seed(seed)
        elif gpus:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


_without_bf16: list[bool] = []  # whether other processes of this training have no hardware for it, once they were asked


def agree_on_bf16(have_all: bool) -> None:
    """Let `precision=auto` mean the same in all processes of a training: weights and gradients are sent in that type.

    Args:
        have_all: Whether all of them have hardware for bf16.
    """
    _without_bf16[:] = [not have_all]


def compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The type for a setting `precision`: "fp32", "bf16", or "auto" for bf16 where the device has hardware for it, and all others of
    this training do, too."""
    if precision == "auto":
        return torch.bfloat16 if has_fast_bf16(device) and not any(_without_bf16) else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 products have hardware of their own: on CPUs tiles (AMX) or AVX-512's dot products, which make a step
    of the image families 1.5 to 1.9 times as fast."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    checks = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return device.type == "cpu" and any(check is not None and check() for check in checks)
