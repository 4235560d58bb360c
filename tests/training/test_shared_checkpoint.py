"""Checkpoints of machines that share no disk, and of such that only seem to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from anew.core.processes.world import World
from anew.runs.folder import RunFolder
from anew.runs.state import Checkpoint, CheckpointMeta
from anew.training.shared_checkpoint import shared_shards
from processes import together

# The second process sees no file of the first one, nor that one a file of the second
TRAINING = """
import json
from pathlib import Path
import torch
from anew.core.processes.world import World, together
from anew.planning.build import build_family
from anew.runs.folder import RunFolder
from anew.training import saving
from anew.training.loop import TrainingLoop
from anew.training.progress import StepProgress
from anew.training.shared_checkpoint import broadcast_checkpoint, shared_shards
from anew.training.trainer import Trainer
from anew.training.validation import Validation
from toys import POINT, Points, Toy, ToyConfig

torch.set_num_threads(1)
said = []

def train(world, folder, stop=0):
    family = build_family(Toy, POINT, ToyConfig(), 0, world.device)
    trainer = Trainer(
        family, Points(), StepProgress(16), seed=3, batch_size=9, micro_batch=4, world=world, shard=world.size > 1,
        scratch=folder.path,
    )
    validation = Validation(trainer, lambda: iter([Points().batch(0, "validation", 0, 9, 9)]))
    state, notes = folder.latest() if world.is_main else (None, [])
    assert not notes, notes
    state = shared_shards(world, state) or broadcast_checkpoint(world, state, folder.path)
    if state is not None:
        assert "shards" not in state
        trainer.load_state_dict(state)
        validation.load_state_dict(state)
    losses = []
    def keep(result):
        losses.append(result.losses["main"])
        trainer.stopping = result.step == stop
    TrainingLoop(trainer, folder, None, [keep], validation, checkpoint_seconds=0.0, say=said.append).run()
    return losses

with together() as world:
    if not world.is_main:
        is_dir = Path.is_dir
        Path.is_dir = lambda path: False if "main" in path.parts else is_dir(path)
    own = Path({folder!r}) / ("main" if world.is_main else "other")
    own.mkdir()
    copied, saving.copied = saving.copied, None  # what was collected on the disk is a copy
    losses = train(world, RunFolder(own), 7)
    losses += train(world, RunFolder(own))
    saving.copied = copied
    alone = own / "alone"
    alone.mkdir()
    expected = train(World(), RunFolder(alone)) if world.is_main else []
    print(json.dumps([losses, expected, said, sorted(p.name for p in own.rglob("*.safetensors"))]))
"""

RECEIVING = """
import json
from pathlib import Path
import torch
from anew.core.processes.world import together
from anew.training.shared_checkpoint import broadcast_checkpoint
from held_memory import held_bytes, return_at_once

torch.set_num_threads(1)
return_at_once(1_000_000)
NUMBERS = 2_000_000  # numbers of each of eight tensors: 8 MB
with together() as world:
    names = [f"weights/{{i}}" for i in range(8)]
    state = {{"tensors": {{name: torch.full((NUMBERS,), float(i)) for i, name in enumerate(names)}}, "meta": {{"step": 5}}}}
    state["tensors"]["weights/empty"] = torch.empty(0, 3, dtype=torch.bfloat16)
    before = held_bytes()
    received = broadcast_checkpoint(world, state if world.is_main else None, Path({folder!r}))
    grown = (held_bytes() - before) / (4 * NUMBERS)
    assert received["meta"] == {{"step": 5}}
    assert all(torch.equal(received["tensors"][name], tensor) for name, tensor in state["tensors"].items())
    print(json.dumps(grown))
"""


def test_a_sharded_training_without_a_shared_disk_goes_on(tmp_path: Path) -> None:
    ended = together(TRAINING.format(folder=str(tmp_path)))
    assert [process.code for process in ended] == [0, 0], ended
    (losses, expected, messages, written), (*_, written_elsewhere) = (json.loads(process.out) for process in ended)
    assert messages.count("the machines share no disk, so the first process collects whole checkpoints") == 2
    assert "state.safetensors" in written and not written_elsewhere
    assert len(losses) == len(expected) == 16
    assert all(abs(a - b) <= 1e-4 * abs(b) for a, b in zip(losses, expected, strict=True))


def test_no_process_holds_a_checkpoint_that_it_receives(tmp_path: Path) -> None:
    ended = together(RECEIVING.format(folder=str(tmp_path)))
    assert [process.code for process in ended] == [0, 0], ended
    # Of eight tensors one, the one before while threads let go of it, and what is copied on its way
    assert max(json.loads(process.out) for process in ended) < 4
    assert not list(tmp_path.iterdir())


@dataclass(frozen=True, slots=True)
class Told(World):
    """One of two processes: the first one, which keeps what it says, or the second one on another machine, which hears it.

    Attributes:
        here: A folder of the first process, which on the other machine is at `there`.
    """

    size: int = 2
    said: list[Any] = field(default_factory=list)
    here: str = ""
    there: str = ""

    def broadcast(self, value: Any) -> Any:
        if self.is_main:
            self.said.append(value)
            return value
        return json.loads(json.dumps(self.said.pop(0)).replace(self.here, self.there))

    def any(self, flag: bool) -> bool:
        return flag


def checkpoint_in(folder: Path, spent: float) -> Checkpoint:
    """A checkpoint in parts."""
    folder.mkdir()
    run = RunFolder(folder)
    temporary = run.begin_shards("step-00000003")
    save_file({"weights/a": torch.ones(3)}, temporary / "shards" / "part.safetensors")
    meta: CheckpointMeta = {
        "step": 3,
        "examples": 24,
        "lr_scale": 1.0,
        "early_decay": None,
        "updates": {},
        "spent": spent,
    }
    run.finish_shards("step-00000003", temporary, meta)
    state, notes = run.latest()
    assert state is not None and not notes
    return state


@pytest.mark.parametrize(("there", "is_read"), [("first", True), ("older", False), ("nowhere", False)])
def test_an_older_copy_of_the_run_on_another_machine_is_not_read(tmp_path: Path, there: str, is_read: bool) -> None:
    """Each process would have read its part of another checkpoint, without a word."""
    state = checkpoint_in(tmp_path / "first", 2.0)
    checkpoint_in(tmp_path / "older", 1.0)
    first = Told()
    assert shared_shards(first, state) is not None
    other = Told(1, said=first.said, here=str(tmp_path / "first"), there=str(tmp_path / there))
    assert (shared_shards(other, None) is not None) is is_read
