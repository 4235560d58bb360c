"""Tensors of a run as safetensors: written atomically, read only where they are whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from anew.core import files
from anew.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """safetensors, atomically."""
    files.write(path, serialized(tensors))


def serialized(tensors: Mapping[str, Tensor]) -> bytes:
    """safetensors. Names are sorted, so that equal tensors are equal bytes."""
    from safetensors.torch import save  # torch: a run folder opens without it

    return save({name: tensors[name].contiguous() for name in sorted(tensors)}, {"format": "pt"})


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file; RunError where it is missing, truncated, or only pretends to be one."""
    from safetensors import SafetensorError, safe_open

    files.check_regular(path)
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as error:
        raise RunError(
            f"{str(path)!r} is not a complete safetensors file ({files.clause(error)}); restore it or train again"
        ) from None
