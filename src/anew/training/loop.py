"""What happens beside the steps: checkpoints, validation, going back after a non-finite loss, a clean stop on a signal."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from anew.core import random
from anew.core.random import StepContext
from anew.core.specs import Batch
from anew.errors import TrainingError
from anew.families.base import Family
from anew.functional.schedules import decay_start
from anew.runs.events import Events
from anew.runs.folder import DECAY_START, RunFolder
from anew.training.trainer import NonFinite, Stepped, Trainer

Listener = Callable[[Stepped], str | None]  # what it returns is a warning, said like the family's own
TRIES = 3  # how often a run goes back after a non-finite loss before it gives up


class Validation:
    """Loss of the averaged weights on data that may steer training, at fixed progress points.

    Keeps the best weights; when they have not been bettered `patience` times before the decay, the decay begins at once.
    """

    def __init__(
        self, trainer: Trainer, batches: Callable[[], Iterable[Batch]], points: int = 16, patience: int = 3
    ) -> None:
        self.trainer, self.batches = trainer, batches
        self.points, self.patience = points, patience
        self.best: dict[str, Tensor] = {}
        self.record: list[tuple[int, float]] = []

    def due(self, stepped: Stepped, previous: float) -> bool:
        return int(stepped.progress * self.points) > int(previous * self.points)

    def check(self, stepped: Stepped) -> float:
        """Measure, keep the best, ask for the decay where it is time; returns the mean loss."""
        loss = self.loss()
        if not self.record or loss < min(value for _, value in self.record):
            learned = {n for n, _ in self.trainer.family.named_parameters()}
            self.best = {n: w for n, w in self.trainer.weights().items() if n in learned}
        self.record.append((stepped.step, loss))
        worse = len(self.record) - 1 - min(range(len(self.record)), key=lambda i: self.record[i][1])
        if worse >= self.patience:
            self.trainer.shorten(stepped.progress)
        return loss

    @torch.no_grad()
    def loss(self) -> float:
        """Mean loss of the first phase on the validation batches, with noise that is the same each time."""
        total = count = 0.0
        seen = 0
        whole = self.trainer.whole[self.trainer.phases[0].name]
        with self.trainer.averaged() as family:
            for batch in self.batches():
                context = StepContext(self.trainer.seed, 0, 0.0, "validation", seen, family.device, training=False)
                with random.use_context(context):
                    value, counted, _ = whole(batch.to(family.device), context)
                total, count, seen = total + float(value), count + float(counted), seen + len(batch)
        return total / max(count, 1e-12)

    def final(self) -> tuple[dict[str, Tensor], int | None]:
        """The weights to keep: the best seen, if the last are worse; and the step they are from (None: the last)."""
        last = self.loss()
        step, best = min(self.record, key=lambda r: r[1], default=(0, float("inf")))
        if best < last and self.best:
            return self.trainer.weights() | self.best, step
        return self.trainer.weights(), None

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {f"best/{n}": t for n, t in self.best.items()}, {"validation": [list(r) for r in self.record]}

    def load(self, state: Mapping[str, Any]) -> None:
        self.best = {n.removeprefix("best/"): t for n, t in state["tensors"].items() if n.startswith("best/")}
        self.record = [(int(s), float(v)) for s, v in state["meta"].get("validation", [])]


@torch.no_grad()
def validation_loss(family: Family, batches: Iterable[Batch], seed: int) -> float:
    """Mean loss of a family's first phase, in evaluation mode, with noise that is the same each time."""
    total = count = 0.0
    seen = 0
    phase = family.phases()[0]
    for batch in batches:
        context = StepContext(seed, 0, 0.0, "validation", seen, family.device, training=False)
        with random.use_context(context):
            loss = phase.loss(batch.to(family.device), context)
        total, count, seen = total + float(loss.total), count + float(loss.count), seen + len(batch)
    return total / max(count, 1e-12)


@dataclass
class Watch:
    """One training, watched until it ends: `outcome` is "finished", "interrupted", or "shortened" (by validation).

    checkpoint_s: seconds between checkpoints; they take at most a fiftieth of the time. spent: seconds before this process.
    say: where the first warning of the family or a listener goes; it is an event, too.
    """

    trainer: Trainer
    folder: RunFolder
    events: Events | None
    listeners: list[Listener] = field(default_factory=list)
    validation: Validation | None = None
    checkpoint_s: float = 30.0
    spent: Callable[[], float] = time.monotonic
    say: Callable[[str], None] = lambda text: None
    warned: bool = False

    def run(self) -> str:
        self.good, self.initial = "", self._initial()
        self.saved_at, self.save_took, self.previous, self.marked = time.monotonic(), 0.0, 0.0, False
        tries = 0
        with _signals(self.trainer):
            while (error := self._steps()) is not None:
                tries += 1
                self._go_back(error, tries)
            self._save()
            if self.trainer.stopping:
                return "interrupted"
        return "finished" if self.trainer.shortened is None else "shortened"

    def _steps(self) -> NonFinite | None:
        """Train until the plan is done (None) or a loss is not finite."""
        try:
            for stepped in self.trainer:
                self._after(stepped)
        except NonFinite as error:
            return error
        return None

    def _after(self, stepped: Stepped) -> None:
        if self.events is not None:
            self.events.write("step", **_record(stepped), seconds=round(self.spent(), 4))
        with self.trainer.pace.aside():
            if self.validation is not None and self.validation.due(stepped, self.previous):
                loss = self.validation.check(stepped)
                if self.events is not None:
                    self.events.write("validation", step=stepped.step, loss=loss)
            said = [listener(stepped) for listener in self.listeners]
            self._warn(stepped, [self.trainer.family.warning(stepped.progress), *said])
            self._checkpoint(stepped)
        self.previous = stepped.progress

    def _warn(self, stepped: Stepped, said: Iterable[str | None]) -> None:
        warning = next((text for text in said if text is not None), None)
        if warning is None or self.warned:
            return
        self.warned = True
        if self.events is not None:
            self.events.write("warning", step=stepped.step, text=warning)
            self.say(warning)

    def _checkpoint(self, stepped: Stepped) -> None:
        start = decay_start(self.trainer.decay)
        following = stepped.progress + max(0.0, stepped.progress - self.previous)
        due = not self.marked and self.previous < start <= following + 1e-9
        if due and self.trainer.decay < 1.0 and self.trainer.shortened is None:
            self.marked = True
            self._save(DECAY_START)
        waited = time.monotonic() - self.saved_at
        if self.trainer.world.agree(waited >= max(self.checkpoint_s, 50 * self.save_took)):
            self._save()

    def _initial(self) -> dict[str, Any]:
        """Where to go back to while nothing is saved yet: learned weights alone, since buffers can be large."""
        state = self.trainer.state_dict()
        learned = {f"weights/{n}" for n, _ in self.trainer.family.named_parameters()}
        buffers = {f"weights/{n}" for n, _ in self.trainer.family.named_buffers()} - learned
        return {
            "tensors": {n: t.clone() for n, t in state["tensors"].items() if n not in buffers},
            "meta": state["meta"],
        }

    def _state(self) -> dict[str, Any]:
        state = self.trainer.state_dict()
        state["meta"]["spent"] = self.spent()
        if self.validation is not None:
            tensors, meta = self.validation.state()
            state["tensors"].update(tensors)
            state["meta"].update(meta)
        return state

    def _save(self, name: str | None = None) -> None:
        begin = time.monotonic()
        state = self._state()
        name = name or f"step-{self.trainer.step:08d}"
        if self.trainer.world.first:
            self.folder.save(name, state)
            if self.events is not None:
                self.events.write("checkpoint", step=self.trainer.step, name=name)
                self.events.flush()
        self.trainer.world.barrier()
        self.good, self.initial = name, {}
        self.saved_at = time.monotonic()
        self.save_took = self.saved_at - begin

    def _go_back(self, error: NonFinite, tries: int) -> None:
        good = self.folder.checkpoint(self.good) if self.good else self.initial
        back = good["meta"]["step"]
        if self.events is not None:
            self.events.write("non_finite", phase=error.phase, step=error.step, back_to=back)
        if tries > TRIES:
            raise TrainingError(
                f"{error}, and going back to step {back} {TRIES} times with a lower rate did not help; "
                "give a lower rate with --set, or look at the data for values out of range"
            ) from error
        slower = self.trainer.slowdown * 0.5
        self.trainer.load_state_dict(good)
        self.trainer.slowdown = slower


def _record(stepped: Stepped) -> dict[str, Any]:
    one = len(stepped.losses) == 1
    losses = (
        {"loss": next(iter(stepped.losses.values()))} if one else {f"loss_{n}": v for n, v in stepped.losses.items()}
    )
    norms = (
        {"grad_norm": next(iter(stepped.norms.values()))}
        if one
        else {f"grad_norm_{n}": v for n, v in stepped.norms.items()}
    )
    numbers = {**losses, **norms, **stepped.logs}
    return {
        "step": stepped.step,
        "progress": stepped.progress,
        "rate": round(stepped.rate, 6),
        "examples": stepped.examples,
        **{name: round(value, 6) for name, value in numbers.items()},
    }


@contextmanager
def _signals(trainer: Trainer) -> Iterator[None]:
    """SIGINT and SIGTERM end the training after the step in hand; a second one ends the process as usual."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        trainer.stopping = True
        signal.signal(number, old[number])

    old: dict[int, Any] = {}
    numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        old[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
