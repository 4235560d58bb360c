"""Copies of a run for the other processes. Only the main process reads and writes the run folder, which need not be on a
shared disk. Each other process has a small copy in a folder of its own, which is removed when the process ends, or by a later one."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from anew.core import files
from anew.core.processes.world import World
from anew.runs.folder import RunFolder
from anew.runs.paths import CODEC_WEIGHTS, CONFIG, OWN_FAMILY
from anew.runs.record import BegunRun, RunRecord
from anew.runs.weights import remove_weights, weight_files, write_weights

# Files that a training may read of its run, besides config.json
SMALL_FILES = OWN_FAMILY, "tokenizer.json", CODEC_WEIGHTS
# The names of folders begin with these: of copies, and of those that are being made.
PREFIX, NEW = "anew-copy-", "anew-new-"
PIECE, PIECE_BYTES = "piece", 2**26  # bytes of a file that are sent at once, and are in memory meanwhile; chosen


def folder_of_copy() -> RunFolder:
    """Make a folder for this process's copy of a run; it is removed when the process ends. Copies of processes that were killed are
    removed first."""
    path = Path(tempfile.mkdtemp(prefix=NEW))
    if fcntl is not None:
        for abandoned in path.parent.glob(f"{PREFIX}*"):
            _remove_if_abandoned(abandoned)
        _lock(path)  # held as long as this process lives
        # It gets its final name once it is locked; without a lock, another process would take it for an abandoned copy
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


def _remove_if_abandoned(path: Path) -> None:
    """Remove the copy of a process that has been killed: nobody locks it."""
    with contextlib.suppress(OSError):  # another process removes it, or it is somebody else's
        if path.stat(follow_symlinks=False).st_uid != os.getuid():
            return
        descriptor = _lock(path)
        if descriptor is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)


def share_begun(world: World, folder: RunFolder) -> BegunRun | RunRecord:
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
    record_class: type[BegunRun | RunRecord] = BegunRun if fields["status"] == "begun" else RunRecord
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
    """Share the results of a training, from the main process to every copy: weights and config.json. They go from disk to disk, so
    that no process holds them in memory.

    Args:
        world: The processes.
        folder: The run on the main process, a copy on the others.
        weights: On the main process, the state of the family of a run that has no weights of its own yet.
    """
    if world.size == 1:
        return
    if not world.is_main:
        remove_weights(folder.path)
    source = folder
    if weights is not None and not weight_files(folder.path):
        source = folder_of_copy()
        write_weights(source.path, weights)
    names = world.broadcast([path.name for path in weight_files(source.path)])
    for name in names:
        _send_file(world, source.path / name)
    share_begun(world, folder)


def is_begun(world: World, folder: RunFolder) -> bool:
    """Whether the run on the main process has a config.json."""
    return world.broadcast((folder.path / CONFIG).exists())


def _share_files(world: World, folder: RunFolder) -> None:
    for name in world.broadcast([name for name in SMALL_FILES if (folder.path / name).exists()]):
        _send_file(world, folder.path / name)


def _send_file(world: World, path: Path) -> None:
    """Send a file of the main process to all others, which write it at their own `path`."""
    if not world.is_main:
        files.write_parts(path, _received(world))
        return
    with files.open_checked(path, sys.maxsize) as file:
        while piece := file.read(PIECE_BYTES):
            world.broadcast_tensors({PIECE: torch.frombuffer(bytearray(piece), dtype=torch.uint8)})
    world.broadcast_tensors({})


def _received(world: World) -> Iterator[bytes]:
    """Yield the pieces of a file as they come."""
    while piece := world.broadcast_tensors(None):
        yield piece[PIECE].numpy().tobytes()
