"""The weights that a run samples from: one file, or above 5 GB several with an index, as `transformers` writes and reads them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from anew.core import files
from anew.errors import RunError
from anew.runs.paths import WEIGHT_FILE, WEIGHTS, WEIGHTS_INDEX
from anew.runs.tensors import read_tensors, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

# Tensors in one file, as hubs and file systems take it; a single tensor may be larger.
MAX_FILE_BYTES = 5 * 10**9


def weights_path(folder: Path) -> Path:
    """`model.safetensors`, or the index of the files that the weights are divided into. A folder without weights has neither."""
    single, index = folder / WEIGHTS, folder / WEIGHTS_INDEX
    return index if os.path.lexists(index) and not os.path.lexists(single) else single


def weight_files(folder: Path) -> list[Path]:
    """The files of the weights, the index last; none if there are no weights. Raises RunError if the index is damaged."""
    path = weights_path(folder)
    if path.name == WEIGHTS:
        return [path] if os.path.lexists(path) else []
    return [*(folder / name for name in sorted(set(_weight_map(path).values()))), path]


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All weights, by memory map. Raises RunError if a file is missing or damaged, or does not fit the index."""
    path = weights_path(folder)
    if path.name == WEIGHTS:
        return read_tensors(path)
    tensors: dict[str, Tensor] = {}
    names = _weight_map(path)
    for file in sorted(set(names.values())):
        part = read_tensors(folder / file)
        if part.keys() != {name for name, place in names.items() if place == file}:
            raise RunError(f"{str(folder / file)!r} does not fit {path.name}; restore both or train again")
        tensors |= part
    return tensors


def weights_digest(folder: Path) -> str:
    """The SHA-256 of the weights' files; "" without weights."""
    paths = weight_files(folder)
    return files.sha256(*paths) if paths else ""


def write_weights(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write weights of any device, in place of those that are there. A part of them never passes for the whole.

    A failure, as of a full disk, leaves those that are there; a kill while several files are moved leaves none.

    Args:
        tensors: The weights by name. At most `MAX_FILE_BYTES` of those on a GPU are copied at once.
    """
    groups = _groups(tensors)
    if len(groups) == 1:
        write_tensors(folder / WEIGHTS, {name: tensors[name].cpu() for name in groups[0]})
        _remove_divided(folder)
        return
    temporary = folder / files.temporary_name(WEIGHTS_INDEX)
    try:
        temporary.mkdir()
        names: dict[str, str] = {}
        for number, group in enumerate(groups, 1):
            file = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
            write_tensors(temporary / file, {name: tensors[name].cpu() for name in group})
            names |= dict.fromkeys(group, file)
        total = sum(tensor.nbytes for tensor in tensors.values())
        files.write_json(temporary / WEIGHTS_INDEX, {"metadata": {"total_size": total}, "weight_map": names})
        # From here on nothing needs space. Files of two trainings may have the same names, so there is no index until all are in place.
        remove_weights(folder)
        for file in sorted(set(names.values())):
            os.replace(temporary / file, folder / file)
        files.sync_folder(folder)
        os.replace(temporary / WEIGHTS_INDEX, folder / WEIGHTS_INDEX)
        files.sync_folder(folder)
    except OSError as error:
        raise RunError(
            f"cannot write the weights in {str(folder)!r} ({files.clause(error)}); free some space"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_weights(folder: Path) -> None:
    """Remove the weights of a folder, if it has any."""
    (folder / WEIGHTS).unlink(missing_ok=True)
    _remove_divided(folder)


def _remove_divided(folder: Path) -> None:
    """Remove an index, and then the files that only it makes a whole."""
    if os.path.lexists(folder / WEIGHTS_INDEX):
        (folder / WEIGHTS_INDEX).unlink()
        files.sync_folder(folder)
    for path in folder.iterdir():
        if WEIGHT_FILE.fullmatch(path.name):
            path.unlink()


def _groups(tensors: Mapping[str, Tensor]) -> list[list[str]]:
    """The names of the tensors of each file, in order."""
    groups: list[list[str]] = [[]]
    size = 0
    for name in sorted(tensors):
        if groups[-1] and size + tensors[name].nbytes > MAX_FILE_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(name)
        size += tensors[name].nbytes
    return groups


def _weight_map(path: Path) -> dict[str, str]:
    """The file of each tensor, as an index says."""
    value = files.read_json(path)
    names = value.get("weight_map") if isinstance(value, dict) else None
    if not isinstance(names, dict) or not names:
        raise RunError(f"{str(path)!r} is not an index of weights; restore it or train again")
    checked = {name: file for name, file in names.items() if isinstance(file, str) and WEIGHT_FILE.fullmatch(file)}
    if len(checked) != len(names):
        raise RunError(f"{str(path)!r} names files that are not those of weights; restore it or train again")
    return checked
