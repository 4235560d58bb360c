"""Checkpoints in parts: each process writes the tensors that it holds, as safetensors, through PyTorch's Distributed Checkpoint.
Any number of processes can read them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from anew.runs.state import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup

SHARDS = "shards"  # the folder within a checkpoint
READ_BYTES = 2**28  # tensors that are read at once: for each time, files are opened and their headers read; chosen


def write_shards(folder: Path, tensors: Mapping[str, Tensor], group: ProcessGroup) -> None:
    """Write a checkpoint; all processes of `group` must call this. Tensors that all of them hold are written once."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    state = {name: tensor.detach() for name, tensor in tensors.items()}
    writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
    save(state, storage_writer=writer, process_group=group)


def read_shards(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Fill these tensors in place (of sharded ones, this process's part). All processes must call this."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    state = {name: tensor.detach() for name, tensor in tensors.items()}
    load(state, storage_reader=HuggingFaceStorageReader(str(folder)))


def stored_tensors(folder: Path) -> dict[str, Tensor]:
    """Tensors without content, with the names, shapes and types of those in the shards."""
    import torch
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    described = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    return {
        name: torch.empty(entry.size, dtype=entry.properties.dtype, device="meta")
        for name, entry in described.items()
        if isinstance(entry, TensorStorageMetadata)
    }


def read_in_turn(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield all tensors whole, on this process only. About `READ_BYTES` of them are in memory at once."""
    stored = stored_tensors(folder)
    group: dict[str, Tensor] = {}
    for name in sorted(stored):
        if group and sum(outline.nbytes for outline in (*group.values(), stored[name])) > READ_BYTES:
            yield from _read(folder, group).items()
            group = {}
        group[name] = stored[name]
    yield from _read(folder, group).items()


def _read(folder: Path, outlines: Mapping[str, Tensor]) -> dict[str, Tensor]:
    import torch
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    state = {name: torch.empty(t.shape, dtype=t.dtype) for name, t in outlines.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it warns of a single process, which is intended
        load(dict(state), storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=True)
    return state


def whole(state: Checkpoint) -> Checkpoint:
    """A checkpoint with whole tensors on this process."""
    if "shards" not in state:
        return state
    return {"tensors": _read(state["shards"], stored_tensors(state["shards"])), "meta": state["meta"]}
