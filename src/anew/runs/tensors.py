"""Tensors of a run as safetensors: written atomically, read only where they are whole."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from anew.core import files
from anew.errors import RunError

HEADER_BYTES = 8 * 2**20  # of a safetensors file, at most: names and shapes of some 100,000 tensors

if TYPE_CHECKING:
    from torch import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str] | None = None) -> None:
    """safetensors, atomically. Names are sorted, so that equal tensors are equal bytes. Straight from the tensors' memory: bytes
    in between would take as much again, and a thread that makes them would hold up all others. facts: for its header."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file  # torch: a run folder opens without it

    def fill(temporary: Path) -> None:
        try:
            save_file(
                {name: tensors[name].contiguous() for name in sorted(tensors)},
                temporary,
                {"format": "pt", **(facts or {})},
            )
        except SafetensorError as error:  # of the system: the disk is full, the folder is gone
            raise _system_error(error, temporary.parent) from error

    files.write_by(path, fill)


def _system_error(error: Exception, folder: Path) -> OSError:
    """The error of the system that a SafetensorError tells of in words alone."""
    number = re.search(r"os error (\d+)", str(error))
    code = int(number[1]) if number else errno.EIO if folder.is_dir() else errno.ENOENT
    return OSError(code, os.strerror(code))


def check_header(path: Path) -> None:
    """RunError where the header of a safetensors file is longer than that of any model: for each of a million empty tensors an
    object would be made."""
    with files.open_checked(path, sys.maxsize) as file:
        size = int.from_bytes(file.read(8), "little")
    if size > HEADER_BYTES:
        raise RunError(
            f"{str(path)!r} is not a complete safetensors file (its header would have {size:,} bytes); restore it or train again"
        )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file; RunError where it is missing, truncated, or only pretends to be one."""
    from safetensors import SafetensorError, safe_open

    check_header(path)
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as error:
        raise RunError(
            f"{str(path)!r} is not a complete safetensors file ({files.clause(error)}); restore it or train again"
        ) from None
