"""What all processes of a training must have in common, before any of it counts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, replace

import torch

from anew.core.machine.device import agree_on_bf16, has_fast_bf16
from anew.core.processes.world import World
from anew.core.specs import spec_to_json
from anew.core.version import __version__
from anew.data.dataset import Dataset
from anew.data.sources.selected_data import are_comparable
from anew.runs.folder import RunFolder
from anew.runs.paths import OWN_FAMILY
from anew.runs.record import Request
from anew.workflows.job import SAME_COMMAND

# Training rows and validation units that processes compare at the beginning, which shows whether they read the same; chosen.
CHECKED_ROWS, CHECKED_UNITS = 32, 100_000.0


def check_same_machines(world: World) -> None:
    """Refuse processes with different versions or kinds of device, and let all compute in the same type where the user named none."""
    world.check_same("the version of anew", __version__, SAME_COMMAND)
    world.check_same("the version of PyTorch", torch.__version__, SAME_COMMAND)
    # They could not exchange tensors, and would wait for each other for half an hour
    world.check_same("the kind of device", world.device.type, "mend the GPU of that machine, or give device=cpu to all")
    agree_on_bf16(not world.any(not has_fast_bf16(world.device)))


def precision_notes(world: World) -> list[str]:
    """A sentence where only some of the processes have hardware for bf16."""
    have_bf16 = world.gather(has_fast_bf16(world.device))
    if all(have_bf16) or not any(have_bf16):
        return []
    return [f"precision=auto is fp32, since process {have_bf16.index(False)} has no hardware for bf16, as others have"]


def check_same_arguments(world: World, arguments: Mapping[str, object]) -> None:
    """Refuse processes that were not started with the same arguments, given as JSON values."""
    world.check_same("the arguments of the command", arguments, SAME_COMMAND)


def check_same_request(world: World, request: Request, folder: RunFolder) -> None:
    """Refuse processes that were not started with the same arguments; the path of the data may differ."""
    own_file = folder.path / OWN_FAMILY
    code = hashlib.sha256(own_file.read_bytes()).hexdigest() if request.family == OWN_FAMILY else None
    check_same_arguments(world, {**asdict(replace(request, data="")), OWN_FAMILY: code})


def check_same_data(world: World, data: Dataset) -> None:
    """Refuse processes that read different data, or split or encode it differently: one would train on another's test items."""
    if world.size == 1:
        return
    digest = hashlib.sha256(data.fingerprint.encode())
    for batch in (
        data.batch(0, "check", 0, CHECKED_ROWS, CHECKED_ROWS),
        *data.scoring("validation", limit=CHECKED_UNITS),
    ):
        for tensor in (batch.x, batch.labels, batch.mask, batch.units, batch.continues):
            digest.update(b"" if tensor is None else tensor.contiguous().numpy().tobytes())
    record = data.state()
    contents = world.gather(record.content)
    # One may read a store and the other a copy of it
    is_comparable = all(content is not None and are_comparable(content, record.content or "") for content in contents)
    content = record.content if is_comparable else None
    world.check_same("the data", [digest.hexdigest(), content], "give all processes the same files")
    # Sentences for the user and counts of what is left out depend on the machine: a listing's age, a run below the data.
    state = record.model_dump(exclude={"path", "content", "notes", "refused", "refusals"})
    encoded = {**state, "spec": spec_to_json(data.spec)}
    world.check_same("how the data is divided and encoded", encoded, SAME_COMMAND)
