"""Whole tensors on the disk of a process, not in its memory."""

from __future__ import annotations

import contextlib
import mmap
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from anew.core import files
from anew.core.arrays import bytes_of
from anew.core.processes.world import World
from anew.errors import RunError
from anew.training.distributed import gather_full

ALIGNMENT = 64  # bytes: more than any type of number needs


def gathered_on_disk(world: World, tensors: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """Gather tensors and open them by memory map on the main process; the others get an empty dict. All must call this.

    They are gathered one after another, and each is written before the next, so that no process holds two of them. The file has
    no name and goes with the last of its tensors. A tensor may be changed, which does not change the file.

    Args:
        tensors: Tensors by name, of which each process may hold a part.
        folder: A folder of the main process, on whose disk the file is.

    Raises:
        RunError: The disk is full.
    """
    # Only the main process needs the whole tensors, but PyTorch has no collective that gathers shards in one process alone.
    whole = ((name, gather_full(tensor).detach()) for name, tensor in tensors.items())
    if world.is_main:
        return through_file(whole, folder)
    for _ in whole:
        pass
    return {}


def through_file(tensors: Iterable[tuple[str, Tensor]], folder: Path) -> dict[str, Tensor]:
    """Write tensors to a file without a name as they come, and open them by memory map; see `gathered_on_disk`."""
    places: list[tuple[str, torch.dtype, torch.Size, int]] = []
    with contextlib.ExitStack() as stack:
        with _naming_the_disk(folder):
            file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
        for name, tensor in tensors:  # gathers over the network, whose errors are not the disk's
            with _naming_the_disk(folder):
                file.write(bytes(-file.tell() % ALIGNMENT))
                places.append((name, tensor.dtype, tensor.shape, file.tell()))
                file.write(bytes_of(tensor).numpy().data)
        with _naming_the_disk(folder):
            file.write(bytes(ALIGNMENT))  # a file without content cannot be mapped
            file.flush()
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return {
        name: torch.frombuffer(memory, dtype=dtype, count=shape.numel(), offset=offset).view(shape)
        if shape.numel()
        else torch.empty(shape, dtype=dtype)
        for name, dtype, shape, offset in places
    }


@contextlib.contextmanager
def _naming_the_disk(folder: Path) -> Iterator[None]:
    """Make an error of the system a RunError that names the folder."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"the weights cannot be collected in {str(folder)!r} ({files.clause(error)}); free some space"
        ) from error
