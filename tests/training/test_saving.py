"""Checkpoints that a thread writes: what they hold, when they are waited for, and where their errors are raised."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from anew.core.processes.world import World
from anew.errors import RunError
from anew.planning.build import build_family
from anew.runs.events import Events, read
from anew.runs.folder import RunFolder
from anew.runs.state import Checkpoint
from anew.training import saving
from anew.training.loop import TrainingLoop
from anew.training.progress import StepProgress, TimeProgress
from anew.training.saving import CheckpointSaver
from anew.training.trainer import StepResult, Trainer
from toys import POINT, Points, Toy, ToyConfig

STEPS = 12


def trainer() -> Trainer:
    family = build_family(Toy, POINT, ToyConfig(), 0, torch.device("cpu"))
    return Trainer(family, Points(), StepProgress(STEPS), seed=3, batch_size=8, micro_batch=8, world=World())


class SlowFolder(RunFolder):
    """Writes only when it may, and fails on demand."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.may_write = threading.Event()
        self.fault: RunError | None = None

    def save(self, name: str, state: Checkpoint) -> None:
        assert self.may_write.wait(30)
        if self.fault is not None:
            raise self.fault
        super().save(name, state)


def saver_of(run: Trainer, folder: RunFolder, saved: list[Any]) -> CheckpointSaver:
    return CheckpointSaver(run, folder, None, lambda: 1.5, saved.append, lambda step, name: saved.append((step, name)))


def test_what_is_saved_is_the_state_at_its_step_whatever_was_learned_since(tmp_path: Path) -> None:
    run, saved, folder = trainer(), [], SlowFolder(tmp_path)
    saver, steps = saver_of(run, folder, saved), iter(run)
    for _ in range(4):
        next(steps)
    expected = {name: tensor.clone() for name, tensor in run.state_dict()["tensors"].items()}
    saver.save("step-00000004")
    for _ in range(3):
        next(steps)
        saver.poll()
    assert saver.is_busy and not saved
    folder.may_write.set()
    saver.wait()
    assert saved == [(4, "step-00000004")]
    state, notes = RunFolder(tmp_path).latest()
    assert state is not None and not notes and state["meta"]["step"] == 4 and state["meta"]["spent"] == 1.5
    assert state["tensors"].keys() == expected.keys()
    assert all(torch.equal(state["tensors"][name], tensor) for name, tensor in expected.items())


def test_the_length_of_a_training_that_was_made_longer_is_kept(tmp_path: Path) -> None:
    run, progress, folder = trainer(), TimeProgress(100.0), SlowFolder(tmp_path)
    run.progress = progress
    folder.may_write.set()
    saver = saver_of(run, folder, [])
    for step, length in enumerate((None, 160.0)):
        if length is not None:
            progress.extend(length)
        saver.save(f"step-{step:08d}")
        saver.wait()
        state, _ = RunFolder(tmp_path).latest()
        assert state is not None and state["meta"].get("length") == length
        run.step += 1


def test_an_error_is_heard_of_at_the_next_checkpoint_and_at_the_end(tmp_path: Path) -> None:
    run, folder = trainer(), SlowFolder(tmp_path)
    folder.fault = RunError("the disk is full")
    folder.may_write.set()
    saver = saver_of(run, folder, [])
    saver.save("step-00000000")
    with pytest.raises(RunError, match="disk is full"):
        saver.save("step-00000001")
    with pytest.raises(RunError, match="disk is full"):
        TrainingLoop(run, folder, None, checkpoint_seconds=1e9).run()
    saver.save("step-00000002")
    saver.end()  # after another error: nothing more is raised


def test_one_at_a_time_and_the_end_waits(tmp_path: Path) -> None:
    run, folder = trainer(), SlowFolder(tmp_path)
    events = Events(tmp_path / "events.jsonl")

    def release(result: StepResult) -> None:
        if result.step == 4:  # before the checkpoint where the decay starts, which waits for the first
            folder.may_write.set()

    loop = TrainingLoop(run, folder, events, [release], checkpoint_seconds=0.0)
    assert loop.run() == "finished"
    events.close()
    assert not loop.saver.is_busy
    written = [event for event in read(tmp_path / "events.jsonl") if event["event"] == "checkpoint"]
    assert next(event["step"] for event in written) == 1 and written[-1]["step"] == STEPS
    state, _ = folder.latest()
    assert state is not None and state["meta"]["step"] == STEPS


def test_without_memory_for_a_copy_the_training_waits_which_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "free_memory", lambda device: 100.0)
    sentences: list[Any] = []
    saver = saver_of(trainer(), RunFolder(tmp_path), sentences)
    for number in range(2):
        saver.save(f"step-{number:08d}")
        assert RunFolder(tmp_path).latest()[0] is not None
    assert [text for text in sentences if isinstance(text, str)] == [
        "memory does not hold a copy of the state, so the training waits for each checkpoint"
    ]
