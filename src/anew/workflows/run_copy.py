"""Copies of a run for the other processes. Only the main process reads and writes the run folder, which need not be on a
shared disk. Each other process has a small copy in a folder of its own, which is removed when the process ends, or by a later one."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from anew.core import files
from anew.core.world import World
from anew.runs.folder import RunFolder
from anew.runs.paths import CODEC_WEIGHTS, CONFIG, OWN_FAMILY, WEIGHTS
from anew.runs.record import Begun, RunRecord
from anew.runs.tensors import read_tensors, write_tensors

# Files that a training may read of its run, besides config.json
SMALL_FILES = OWN_FAMILY, "tokenizer.json", CODEC_WEIGHTS
PREFIX, NEW = "anew-copy-", "anew-new-"  # of the names of folders: of copies, and of those that are being made
FILE_BYTES = 2**31  # largest file that is sent to other processes, in memory; a codec's weights are the largest


def folder_of_copy() -> RunFolder:
    """Make a folder for this process's copy of a run; it is removed when the process ends. Those of processes that were killed are
    removed first."""
    path = Path(tempfile.mkdtemp(prefix=NEW))
    if fcntl is not None:
        for left in path.parent.glob(f"{PREFIX}*"):
            _remove_if_left(left)
        _lock(path)  # for as long as this process lives
        # Under its own name once it is locked, or another process would take it for one that was left
        path = path.rename(path.with_name(path.name.replace(NEW, PREFIX, 1)))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return RunFolder(path)


def _lock(path: Path) -> int | None:
    """Lock a folder until the descriptor that is returned is closed; None if another process has locked it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    with contextlib.suppress(OSError):  # or the disk has no locks: there each process removes its own folder alone
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    os.close(descriptor)
    return None


def _remove_if_left(path: Path) -> None:
    """Remove the copy of a process that has been killed: nobody locks it."""
    with contextlib.suppress(OSError):  # another process removes it, or it is somebody else's
        if path.stat(follow_symlinks=False).st_uid != os.getuid():
            return
        descriptor = _lock(path)
        if descriptor is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)


def share_begun(world: World, folder: RunFolder) -> Begun | RunRecord:
    """Share config.json and the small files of the run with all processes, and return config.json.

    Args:
        world: The processes.
        folder: The run on the main process, a copy on the others.

    Raises:
        RunError: On the main process, if the run cannot be read.
    """
    if world.size == 1:
        return folder.read()
    record_here = folder.read() if world.is_main else None
    fields = world.broadcast({} if record_here is None else record_here.model_dump(mode="json"))
    record_class: type[Begun | RunRecord] = Begun if fields["status"] == "begun" else RunRecord
    record = record_class.model_validate(fields) if record_here is None else record_here
    if not world.is_main:
        folder.write_config(record)
    _share_files(world, folder)
    return record


def share_record(world: World, folder: RunFolder) -> RunRecord:
    """Share a run as `share_begun` does, and return its record. Raises RunError if the run has no plan yet."""
    share_begun(world, folder)
    return folder.record()


def share_trained(world: World, folder: RunFolder, weights: Mapping[str, Tensor] | None = None) -> None:
    """Share the results of a training, from the main process to every copy: weights and config.json.

    Args:
        world: The processes.
        folder: The run on the main process, a copy on the others.
        weights: The state of the family, if the main process has it in memory.
    """
    if world.size == 1:
        return
    path = folder.path / WEIGHTS
    received = world.broadcast_tensors((weights or read_tensors(path)) if world.is_main else None)
    if not world.is_main:
        write_tensors(path, received)
    share_begun(world, folder)


def is_begun(world: World, folder: RunFolder) -> bool:
    """Whether the run on the main process has a config.json."""
    return world.broadcast((folder.path / CONFIG).exists())


def _share_files(world: World, folder: RunFolder) -> None:
    contents: dict[str, Tensor] = {}
    for name in SMALL_FILES if world.is_main else ():
        if (folder.path / name).exists():
            contents[name] = torch.frombuffer(bytearray(files.read(folder.path / name, FILE_BYTES)), dtype=torch.uint8)
    for name, content in world.broadcast_tensors(contents).items():
        if not world.is_main:
            files.write(folder.path / name, content.numpy().tobytes())
