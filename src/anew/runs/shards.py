"""Checkpoints in parts: each process writes what it holds, as safetensors, by PyTorch's Distributed Checkpoint; any number of
processes reads what it needs of them."""

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
    """Called by all processes alike, which talk by `group`. What all hold alike is written once."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    state = {name: tensor.detach() for name, tensor in tensors.items()}
    writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
    save(state, storage_writer=writer, process_group=group)


def read_shards(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Fill these tensors in place, of sharded ones the part that this process holds. Called by all processes alike."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    state = {name: tensor.detach() for name, tensor in tensors.items()}
    load(state, storage_reader=HuggingFaceStorageReader(str(folder)))


def stored_tensors(folder: Path) -> dict[str, Tensor]:
    """Tensors without content, of the names, shapes and types that the shards have."""
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
    """All tensors, put together on the CPU of this process alone."""
    import torch
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    state = {name: torch.empty(t.shape, dtype=t.dtype) for name, t in stored_tensors(folder).items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that there is one process alone, which is meant
        load(dict(state), storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=True)
    return state


def whole(state: Checkpoint) -> Checkpoint:
    """A checkpoint with its tensors put together on this process."""
    if "shards" not in state:
        return state
    return {"tensors": read_whole(state["shards"]), "meta": state["meta"]}
