"""The loop: exact resume, micro-batches, phases, averages, non-finite losses, signals."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from anew.errors import ConfigError, TrainingError
from anew.planning.budget import build
from anew.runs.events import Events, progress_record, read
from anew.runs.folder import RunFolder
from anew.training.distributed import World
from anew.training.loop import Validation, Watch
from anew.training.progress import ReplayPace, StepPace
from anew.training.trainer import NonFinite, Stepped, Trainer
from toys import POINT, Points, Toy, ToyConfig, TwoPhase


def trainer(total: int = 20, kind: type = Toy, micro: int = 16, data: Any = None, **config: Any) -> Trainer:
    family = build(kind, POINT, ToyConfig(**config), 0, torch.device("cpu"))
    return Trainer(family, data or Points(), StepPace(total), seed=3, batch=16, micro=micro, world=World())


@pytest.mark.parametrize("kind", [Toy, TwoPhase])
def test_a_resumed_run_is_the_same_run(kind: type) -> None:
    whole = trainer(kind=kind)
    losses = [s.losses for s in whole]
    first = trainer(kind=kind)
    steps = iter(first)
    for _ in range(7):
        next(steps)
    state = first.state_dict()
    second = trainer(kind=kind)
    second.load_state_dict(state)
    assert [s.losses for s in second] == losses[7:]
    for name, value in whole.weights().items():
        assert torch.equal(value, second.weights()[name]), name


def test_networks_that_call_each_other_are_not_sharded() -> None:
    family = build(TwoPhase, POINT, ToyConfig(), 0, torch.device("cpu"))
    two = World(rank=0, size=2)
    with pytest.raises(ConfigError, match="leave it out"):
        Trainer(family, Points(), StepPace(2), seed=3, batch=16, micro=16, world=two, shard=True)


def test_micro_batches_change_nothing() -> None:
    one = [s.losses["main"] for s in trainer()]
    cut = [s.losses["main"] for s in trainer(micro=5)]
    assert torch.allclose(torch.tensor(one), torch.tensor(cut), rtol=1e-4)


def test_gradients_reach_only_the_phase_in_hand() -> None:
    run = trainer(kind=TwoPhase)
    before = {n: p.detach().clone() for n, p in run.family.named_parameters()}
    run.phases = run.phases[:1]
    next(iter(run))
    for name, value in run.family.named_parameters():
        moved = not torch.equal(value, before[name])
        assert moved == (name == "critic.weight"), name  # the bias cancels in this loss


def test_a_second_phase_acts_when_it_is_due() -> None:
    seen = [set(s.losses) for s in trainer(4, TwoPhase)]
    assert seen == [{"critic", "maker"}, {"critic"}, {"critic", "maker"}, {"critic"}]


def test_training_learns_and_the_rate_lands_on_zero() -> None:
    events = list(trainer(150, dropout=0.0))
    assert events[-1].losses["main"] < 0.5 * events[0].losses["main"]
    assert events[-1].rate < 0.05
    assert max(e.rate for e in events) == 1.0


def test_a_non_finite_loss_touches_no_weight() -> None:
    run = trainer(data=Points(poison=5))
    steps = iter(run)
    for _ in range(5):
        next(steps)
    before = run.weights()
    with pytest.raises(NonFinite, match="'main' is not finite at step 5"):
        next(steps)
    assert all(torch.equal(v, before[n]) for n, v in run.weights().items())


class Heals(Points):
    """Poisoned the first time only."""

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Any:
        found = super().batch(step, phase, first, count, size)
        if step == 5:
            self.poison = None
        return found


def test_going_back_lowers_the_rate_and_goes_on(tmp_path: Path) -> None:
    run = trainer(data=Heals(poison=5))
    assert Watch(run, RunFolder(tmp_path), None, checkpoint_s=1e9).run() == "finished"
    assert run.step == 20
    assert run.slowdown == 0.5


def test_three_times_is_enough(tmp_path: Path) -> None:
    run = trainer(data=Points(poison=5))
    with pytest.raises(TrainingError, match="phase 'main' is not finite at step 5"):
        Watch(run, RunFolder(tmp_path), None, checkpoint_s=1e9).run()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_stops(tmp_path: Path, number: int) -> None:
    def kick(stepped: Stepped) -> None:
        if stepped.step == 6:
            os.kill(os.getpid(), number)

    run = trainer()
    assert Watch(run, RunFolder(tmp_path), None, [kick], checkpoint_s=1e9).run() == "interrupted"
    state, notes = RunFolder(tmp_path).latest()
    assert state is not None and not notes
    assert state["meta"]["step"] == 6
    again = trainer()
    again.load_state_dict(state)
    assert all(True for _ in again)
    straight = trainer()
    assert all(True for _ in straight)
    for name, value in straight.weights().items():
        assert torch.equal(value, again.weights()[name])


def test_what_a_listener_returns_is_a_warning_said_once(tmp_path: Path) -> None:
    events, said = Events(tmp_path / "events.jsonl"), []
    run = trainer()

    def listener(stepped: Stepped) -> str | None:
        return f"all alike at {stepped.step}" if stepped.step >= 5 else None

    Watch(run, RunFolder(tmp_path), events, [listener], checkpoint_s=1e9, say=said.append).run()
    events.close()
    written = [e for e in read(tmp_path / "events.jsonl") if e["event"] == "warning"]
    assert said == ["all alike at 5"] and [(e["step"], e["text"]) for e in written] == [(5, "all alike at 5")]


def test_the_log_replays_a_run(tmp_path: Path) -> None:
    events = Events(tmp_path / "events.jsonl")
    run = trainer()
    Watch(run, RunFolder(tmp_path), events, checkpoint_s=1e9).run()
    events.close()
    again = trainer()
    again.pace = ReplayPace(progress_record(tmp_path / "events.jsonl"))
    assert all(True for _ in again)
    for name, value in run.weights().items():
        assert torch.equal(value, again.weights()[name])


def test_validation_that_gets_worse_begins_the_decay(tmp_path: Path) -> None:
    run = trainer(400)
    validation = Validation(run, lambda: iter([Points().batch(10**6, "", 0, 16, 16)]))
    values = iter([1.0, 0.9] + [2.0 + i for i in range(100)])
    validation.loss = lambda: next(values)  # type: ignore[method-assign]
    assert Watch(run, RunFolder(tmp_path), None, validation=validation, checkpoint_s=1e9).run() == "shortened"
    assert run.step < 300
    weights, step = validation.final()
    assert step == validation.record[1][0]
    assert all(torch.equal(weights[n], validation.best[n]) for n in weights)


def test_decay_start_is_kept(tmp_path: Path) -> None:
    run = trainer(40)
    Watch(run, RunFolder(tmp_path), None, checkpoint_s=1e9).run()
    state, notes = RunFolder(tmp_path).decay_start()
    assert state is not None and not notes
    assert state["meta"]["step"] == 20
