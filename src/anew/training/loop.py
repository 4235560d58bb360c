"""What happens beside the steps: checkpoints, validation, going back after a non-finite loss, a clean stop on a signal."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Literal

import torch

from anew.errors import TrainingError
from anew.functional.schedules import decay_start
from anew.runs.events import Events, EventValue
from anew.runs.folder import DECAY_START, RunFolder
from anew.runs.shards import SHARDS, write_shards
from anew.runs.state import Checkpoint
from anew.training.distributed import broadcast_checkpoint, shared_shards
from anew.training.trainer import NonFinite, StepResult, Trainer
from anew.training.validation import Validation

Listener = Callable[[StepResult], str | None]  # what it returns is a warning, said like the family's own
Outcome = Literal["finished", "interrupted", "stopped_early"]  # the last: validation made the decay begin early

MOST_RESTORES = 3  # after so many non-finite losses the data or the rate is at fault, and going back does not help
CHECKPOINT_SHARE = 50  # checkpoints take at most one part in so many of the time


class TrainingLoop:
    """Runs one training to its end.

    Args:
        trainer: What takes the steps.
        folder: Where checkpoints go.
        events: Where events are written; None on processes that write nothing.
        listeners: Called after each step; the first warning that one returns is said.
        validation: Measures the loss on held-out data; None where it does not steer the training.
        checkpoint_seconds: Least seconds between checkpoints.
        spent: Seconds of training so far, those of earlier processes included.
        say: Where the first warning of the family or a listener goes; it is an event, too.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: RunFolder,
        events: Events | None,
        listeners: Sequence[Listener] = (),
        validation: Validation | None = None,
        checkpoint_seconds: float = 30.0,
        spent: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.trainer = trainer
        self.folder = folder
        self.events = events
        self.listeners = listeners
        self.validation = validation
        self.checkpoint_seconds = checkpoint_seconds
        self.spent = spent
        self.say = say
        self._has_warned = False
        self._last_checkpoint = ""
        self._initial_state: Checkpoint | None = None
        self._saved_at = 0.0
        self._save_seconds = 0.0
        self._previous_progress = 0.0
        self._kept_decay_start = False
        self._threads = 0
        self._has_told_whole = False

    def run(self) -> Outcome:
        """Train until the plan is done or a signal comes.

        Raises:
            TrainingError: Losses stay non-finite.
        """
        self._initial_state = self._learned_state()
        self._saved_at = time.monotonic()
        restores = 0
        with _stop_on_signals(self.trainer):
            while (error := self._train()) is not None:
                restores += 1
                self._restore_last_good(error, restores)
            self._save()
            if self.trainer.world.any(self.trainer.stopping):
                return "interrupted"
        return "finished" if self.trainer.early_decay is None else "stopped_early"

    def _train(self) -> NonFinite | None:
        """Train until the plan is done (None) or a loss is not finite."""
        try:
            for result in self.trainer:
                self._after_step(result)
        except NonFinite as error:
            return error
        return None

    def _after_step(self, result: StepResult) -> None:
        if torch.get_num_threads() != self._threads:  # a replay takes this step with as many
            self._threads = torch.get_num_threads()
            self._write("threads", step=result.step, threads=self._threads)
        self._write("step", **_event_fields(result), seconds=round(self.spent(), 4))
        with self.trainer.progress.paused():
            if self.validation is not None and self.validation.is_due(result, self._previous_progress):
                self._write("validation", step=result.step, loss=self.validation.check(result))
            warnings = [listener(result) for listener in self.listeners]
            self._warn_once(result, [self.trainer.family.warning(result.progress), *warnings])
            self._checkpoint_if_due(result)
        self._previous_progress = result.progress

    def _write(self, event: str, **fields: EventValue) -> None:
        if self.events is not None:
            self.events.write(event, **fields)

    def _warn_once(self, result: StepResult, warnings: Iterable[str | None]) -> None:
        warning = next((text for text in warnings if text is not None), None)
        if warning is None or self._has_warned:
            return
        self._has_warned = True
        if self.events is not None:
            self._write("warning", step=result.step, text=warning)
            self.say(warning)

    # -- checkpoints ----------------------------------------------------------------------------------------------------

    def _checkpoint_if_due(self, result: StepResult) -> None:
        if self._is_last_before_decay(result):
            self._kept_decay_start = True
            self._save(DECAY_START)
        waited = time.monotonic() - self._saved_at
        is_due = waited >= max(self.checkpoint_seconds, CHECKPOINT_SHARE * self._save_seconds)
        if self.trainer.world.broadcast(is_due):
            self._save()

    def _is_last_before_decay(self, result: StepResult) -> bool:
        """Whether the next step, if it is as long as this one, lies in the decay."""
        if self._kept_decay_start or self.trainer.decay >= 1.0 or self.trainer.early_decay is not None:
            return False
        step_length = max(0.0, result.progress - self._previous_progress)
        start = decay_start(self.trainer.decay)
        return self._previous_progress < start <= result.progress + step_length + 1e-9

    def _learned_state(self) -> Checkpoint:
        """Where to go back to while nothing is saved yet: learned weights alone, since buffers can be large."""
        state = self.trainer.live_state() if self.trainer.shard else self.trainer.state_dict()
        buffers = self._buffer_names()
        tensors = {n: t.clone() for n, t in state["tensors"].items() if n not in buffers}
        return {"tensors": tensors, "meta": state["meta"]}

    def _buffer_names(self) -> set[str]:
        """Tensors of the state that no gradient changes."""
        learned = {f"weights/{n}" for n, _ in self.trainer.family.named_parameters()}
        return {f"weights/{n}" for n, _ in self.trainer.family.named_buffers()} - learned

    def _state(self, is_live: bool = False) -> Checkpoint:
        """What a checkpoint holds: whole tensors on the main process, or those that each process computes with."""
        state = self.trainer.live_state() if is_live else self.trainer.state_dict()
        state["buffers"] = self._buffer_names()
        state["meta"]["spent"] = self.spent()
        if self.validation is not None:
            tensors, meta = self.validation.state_dict()
            state["tensors"].update(tensors if is_live else self.trainer.collect(tensors))
            state["meta"].update(meta)
        return state

    def _save(self, name: str | None = None) -> None:
        begin = time.monotonic()
        name = name or f"step-{self.trainer.step:08d}"
        if not (self.trainer.shard and self._save_shards(name)):
            state = self._state()
            if self.trainer.world.is_main:
                self.folder.save(name, state)
        if self.trainer.world.is_main and self.events is not None:
            self.events.write("checkpoint", step=self.trainer.step, name=name)
            self.events.flush()
        self.trainer.world.barrier()
        self._last_checkpoint = name
        self._initial_state = None
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - begin

    def _save_shards(self, name: str) -> bool:
        """A checkpoint that each process writes its part of; False where one does not see the folder, on another machine."""
        world = self.trainer.world
        temporary = self.folder.begin_shards(name) if world.is_main else None
        place = Path(world.broadcast("" if temporary is None else str(temporary.resolve())))
        if world.any(not place.is_dir()):
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
            if not self._has_told_whole:
                self.say("the machines share no disk, so the first process collects whole checkpoints")
            self._has_told_whole = True
            return False
        state = self._state(is_live=True)
        write_shards(place / SHARDS, state["tensors"])
        if temporary is not None:
            self.folder.finish_shards(name, temporary, state["meta"])
        return True

    def _last_good_state(self) -> Checkpoint:
        """That of the last checkpoint, which the main process has; before the first one, the initial state."""
        world = self.trainer.world
        if not self._last_checkpoint and self.trainer.shard:
            assert self._initial_state is not None
            return self._initial_state
        state = self._initial_state if world.is_main else None
        if self._last_checkpoint and world.is_main:
            state = self.folder.checkpoint(self._last_checkpoint)
        state = shared_shards(world, state) or broadcast_checkpoint(world, state)
        assert state is not None, "until the first checkpoint there is an initial state"
        return state

    def _restore_last_good(self, error: NonFinite, restores: int) -> None:
        """Go back to the last whole state, with half the learning rate."""
        state = self._last_good_state()
        step = state["meta"]["step"]
        self._write("non_finite", phase=error.phase, step=error.step, back_to=step)
        if restores > MOST_RESTORES:
            raise TrainingError(
                f"{error}, and going back to step {step} {MOST_RESTORES} times with a lower learning rate did not help; "
                "set a lower learning rate, or check the data for values out of range"
            ) from error
        lr_scale = self.trainer.lr_scale * 0.5
        self.trainer.load_state_dict(state)
        self.trainer.lr_scale = lr_scale


def _event_fields(result: StepResult) -> dict[str, EventValue]:
    """A step as its event shows it. A single phase is not named."""

    def named(key: str, values: dict[str, float]) -> dict[str, float]:
        return {key if len(values) == 1 else f"{key}_{phase}": value for phase, value in values.items()}

    numbers = named("loss", result.losses) | named("grad_norm", result.grad_norms) | result.logs
    return {
        "step": result.step,
        "progress": result.progress,
        "rate": round(result.lr_factor, 6),
        "examples": result.examples,
        **{name: round(value, 6) for name, value in numbers.items()},
    }


@contextmanager
def _stop_on_signals(trainer: Trainer) -> Iterator[None]:
    """SIGINT and SIGTERM end the training after the current step; a second one ends the process as usual."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        trainer.stopping = True
        signal.signal(number, previous[number])

    numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        previous[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
