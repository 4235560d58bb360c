"""Checkpoints in parts: each process writes the tensors that it holds, as safetensors, through PyTorch's Distributed Checkpoint.
Any number of processes can read them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from anew.runs.state import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup

SHARDS = "shards"  # the folder within a checkpoint


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


def read_whole(folder: Path) -> dict[str, Tensor]:
    """All tensors whole, on the CPU of this process only."""
    import torch
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    state = {name: torch.empty(t.shape, dtype=t.dtype) for name, t in stored_tensors(folder).items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it warns of a single process, which is intended
        load(dict(state), storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=True)
    return state


def whole(state: Checkpoint) -> Checkpoint:
    """A checkpoint with whole tensors on this process."""
    if "shards" not in state:
        return state
    return {"tensors": read_whole(state["shards"]), "meta": state["meta"]}
