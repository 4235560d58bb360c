"""Checkpoints in parts: written by some processes, read by another number of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from anew.runs import shards
from anew.runs.folder import RunFolder
from processes import finish, fork

SCRIPT = """
import json
from pathlib import Path
import torch
from anew.core.processes.world import together
from anew.planning.build import build_family
from anew.runs.folder import RunFolder
from anew.training.loop import TrainingLoop
from anew.training.progress import StepProgress
from anew.training.shared_checkpoint import broadcast_checkpoint, shared_shards
from anew.training.trainer import Trainer
from anew.training.validation import Validation
from toys import POINT, Points, Toy, ToyConfig
torch.set_num_threads(1)
with together() as world:
    family = build_family(Toy, POINT, ToyConfig(), 0, world.device)
    trainer = Trainer(
        family, Points(), StepProgress(24), seed=3, batch_size=12, micro_batch=4, world=world, shard=True
    )
    validation = Validation(trainer, lambda: iter([Points().batch(0, "validation", 0, 12, 12)]))
    folder = RunFolder(Path({folder!r}))
    state, notes = folder.latest() if world.is_main else (None, [])
    shards = shared_shards(world, state) if world.size > 1 else None
    state = shards or broadcast_checkpoint(world, state, folder.path)
    if state is not None:
        trainer.load_state_dict(state)
        validation.load_state_dict(state)
    losses = []
    def keep(result):
        losses.append(result.losses["main"])
        trainer.stopping = result.step == {stop}
    loop = TrainingLoop(trainer, folder, None, [keep], validation, checkpoint_seconds=0.0)
    outcome = loop.run()
    weights, step = validation.final_weights()
    total = sum(float(w.double().abs().sum()) for w in weights.values())
    print(json.dumps(world.broadcast([losses, total, step, notes, outcome])))
"""


def train(folder: Path, size: int, stop: int = 0) -> Any:
    script = SCRIPT.format(folder=str(folder), stop=stop)
    ended = finish(fork([("-c", script)] * size, [None] * size), 600)
    assert all(process.code == 0 for process in ended), ended
    return json.loads(ended[0].out)


@pytest.mark.slow
def test_a_run_goes_on_with_other_numbers_of_processes(tmp_path: Path) -> None:
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    expected, total, best, *_ = train(tmp_path / "whole", 1)
    losses: list[float] = []
    for size, stop in ((3, 8), (2, 18)):
        more, _, _, notes, outcome = train(tmp_path / "parts", size, stop)
        losses += more
        newest = tmp_path / "parts" / "checkpoints" / f"step-{stop:08d}"
        assert outcome == "interrupted" and not notes
        assert len(list((newest / "shards").glob("*.safetensors"))) == size
    state, _ = RunFolder(tmp_path / "parts").latest()
    assert state is not None and not state["tensors"]
    (newest / "shards" / sorted(p.name for p in (newest / "shards").iterdir())[0]).unlink()
    more, last_total, last_best, notes, _ = train(tmp_path / "parts", 1)
    assert len(notes) == 1 and notes[0].startswith("checkpoint step-00000018 is damaged")
    assert len(more) > 6
    losses[24 - len(more) :] = more  # from the checkpoint before
    assert last_best == best
    assert len(losses) == len(expected) == 24
    assert all(abs(a - b) <= 1e-4 * abs(b) for a, b in zip(losses, expected, strict=True))
    assert abs(last_total - total) <= 1e-3 * total


def test_parts_are_read_whole_a_few_tensors_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = {name: torch.full((size,), float(size)) for name, size in (("a", 3), ("b", 100), ("c", 4), ("d", 5))}
    save_file({name: tensors[name] for name in "ac"}, tmp_path / "first.safetensors")
    save_file({name: tensors[name] for name in "bd"}, tmp_path / "second.safetensors")
    real_read, sizes = shards._read, []  # private names: how much is read at once is only seen there
    monkeypatch.setattr(shards, "READ_BYTES", 64)
    monkeypatch.setattr(
        shards, "_read", lambda folder, outlines: sizes.append(len(outlines)) or real_read(folder, outlines)
    )
    in_turn = list(shards.read_in_turn(tmp_path))
    assert [name for name, _ in in_turn] == ["a", "b", "c", "d"] and sizes == [1, 1, 2]
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in in_turn)
