"""A checkpoint that the main process has read, on all processes. Only that one needs access to the run folder."""

from __future__ import annotations

from pathlib import Path

from anew.core import files
from anew.core.processes.world import World
from anew.runs.folder import MANIFEST
from anew.runs.shards import read_in_turn, whole
from anew.runs.state import Checkpoint
from anew.training.gathering import through_file


def shared_shards(world: World, state: Checkpoint | None) -> Checkpoint | None:
    """The main process's checkpoint on every process, each of which then reads its part of the shards itself.

    Returns None if the checkpoint has no shards, or if a process on another machine cannot see them. A machine may have an older
    copy of the run under the same name, so manifests are compared.
    """
    shards = None if state is None else state.get("shards")
    place, digest = world.broadcast(("", "") if shards is None else (str(shards.resolve()), _manifest_digest(shards)))
    if not place or world.any(_manifest_digest(Path(place)) != digest):
        return None
    meta = world.broadcast(None if state is None else state["meta"])
    assert meta is not None, "the main process has a checkpoint, since it has a place"
    return {"tensors": {}, "meta": meta, "shards": Path(place)}


def _manifest_digest(shards: Path) -> str:
    """The digest of the manifest of the checkpoint that has these shards; "" without one."""
    manifest = shards.parent / MANIFEST
    return files.sha256(manifest) if manifest.is_file() else ""


def broadcast_checkpoint(world: World, state: Checkpoint | None, folder: Path) -> Checkpoint | None:
    """The main process's checkpoint on every process; the others call this with None.

    Args:
        folder: Of this process. On its disk are the tensors, which are opened by memory map: of the others, and of shards.

    Raises:
        RunError: The disk is full.
    """
    if world.size == 1:
        return None if state is None else whole(state)
    meta = world.broadcast(None if state is None else state["meta"])
    if meta is None:
        return None
    if state is None:
        return {"tensors": through_file(world.broadcast_each(None), folder), "meta": meta}
    tensors = through_file(read_in_turn(state["shards"]), folder) if "shards" in state else state["tensors"]
    for _ in world.broadcast_each(tensors):
        pass
    return {"tensors": tensors, "meta": meta}
