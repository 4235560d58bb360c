"""Tensors of a run as safetensors: written atomically, and read only if they are whole."""

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

HEADER_BYTES = 8 * 2**20  # most bytes of the header of a safetensors file: names and shapes of some 100,000 tensors

if TYPE_CHECKING:
    from torch import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str] | None = None) -> None:
    """Write safetensors, atomically. Names are sorted, so that equal tensors give equal files. facts: for the header.

    The file is written directly from the tensors' memory: a copy as bytes would double the memory, and making it would block all
    other threads."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file  # imported here: a run folder opens without PyTorch

    def fill(temporary: Path) -> None:
        try:
            save_file(
                {name: tensors[name].contiguous() for name in sorted(tensors)},
                temporary,
                {"format": "pt", **(facts or {})},
            )
        except SafetensorError as error:  # the disk is full, or the folder is gone
            raise _system_error(error, temporary.parent) from error

    files.write_by(path, fill)


def _system_error(error: Exception, folder: Path) -> OSError:
    """The OSError behind a SafetensorError, which gives it only in words."""
    number = re.search(r"os error (\d+)", str(error))
    code = errno.EIO if folder.is_dir() else errno.ENOENT
    if number:
        code = int(number[1])
    return OSError(code, os.strerror(code))


def check_header(path: Path) -> None:
    """Raise RunError if the header of a safetensors file is longer than that of any model: a million empty tensors would become a
    million objects."""
    with files.open_checked(path, sys.maxsize) as file:
        size = int.from_bytes(file.read(8), "little")
    if size > HEADER_BYTES:
        raise RunError(
            f"{str(path)!r} is not a complete safetensors file (its header would have {size:,} bytes); restore it or train again"
        )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file. Raises RunError if it is missing, truncated, or not such a file."""
    from safetensors import SafetensorError, safe_open

    check_header(path)
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as error:
        raise RunError(
            f"{str(path)!r} is not a complete safetensors file ({files.clause(error)}); restore it or train again"
        ) from None
