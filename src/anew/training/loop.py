"""The training loop around the steps: checkpoints, validation, recovery from a non-finite loss, a clean stop on signals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Literal

import torch

from anew.core.stop_signals import handled_stops
from anew.errors import TrainingError
from anew.functional.schedules import decay_start
from anew.runs.events import Events, EventValue, last_step
from anew.runs.folder import DECAY_START, RunFolder
from anew.runs.state import Checkpoint
from anew.training.saving import CheckpointSaver
from anew.training.shared_checkpoint import broadcast_checkpoint, shared_shards
from anew.training.trainer import NonFinite, StepResult, Trainer
from anew.training.validation import Validation

Listener = Callable[[StepResult], str | None]  # returns a warning, which is reported like one of the family
# "stopped_early": the validation loss rose, so the decay began early
TrainingEnd = Literal["finished", "interrupted", "stopped_early"]

# Most non-finite losses in a row after which training goes back: after more, the data or the learning rate is at fault.
MAX_RESTORES = 3
# The time between checkpoints is at least so many times that of writing one: the goal is under 2% (docs/log.md, 2026-11-26).
CHECKPOINT_SHARE = 50


class TrainingLoop:
    """Runs one training to its end.

    Args:
        folder: The run, which holds the checkpoints.
        events: Log of events; None on processes that write nothing.
        listeners: Called after each step; the first warning that one returns is reported.
        validation: Measures the loss on held-out data; None if it does not steer the training.
        checkpoint_seconds: Least seconds between checkpoints.
        spent: Returns the seconds of training so far, those of earlier processes included.
        say: Called with the first warning of the family or a listener, which is also logged as an event.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: RunFolder,
        events: Events | None,
        listeners: Sequence[Listener] = (),
        validation: Validation | None = None,
        *,
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
        self.saver = CheckpointSaver(trainer, folder, validation, spent, say, self._write_saved)
        self._has_warned = False
        self._initial_state: Checkpoint | None = None
        self._previous_progress = 0.0
        self._kept_decay_start = False
        self._threads = 0

    def run(self) -> TrainingEnd:
        """Train until the plan is done or a signal stops the training.

        Raises:
            TrainingError: Losses stay non-finite.
        """
        self._initial_state = self._learned_state()
        self._previous_progress = self._logged_progress()
        self.saver.saved_at = time.monotonic()
        try:
            with handled_stops(self._stop, once=True):
                self._train_to_end()
                if self.trainer.world.any(self.trainer.stopping):
                    return "interrupted"
        except BaseException:  # Ctrl-C included: the writing thread must not outlive the training
            self.saver.end()
            raise
        return "finished" if self.trainer.early_decay is None else "stopped_early"

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """End the training after the current step."""
        self.trainer.stopping = True

    def _logged_progress(self) -> float:
        """The progress of the step from which a resumed training continues.

        With it, what happens once at some progress (a validation, the checkpoint before the decay) does not happen again.
        """
        step, progress = self.trainer.step, 0.0
        if step and self.trainer.world.is_main:
            last = last_step(self.folder.path)
            progress = last["progress"] if last.get("step") == step else 0.0
        return self.trainer.world.broadcast(progress)

    def _train_to_end(self) -> None:
        while (error := self._train()) is not None:
            self._restore_last_good(error)
        self._save(is_last=True)
        self.trainer.world.barrier()

    def _train(self) -> NonFinite | None:
        """Train until the plan is done (None) or a loss is not finite."""
        try:
            for result in self.trainer:
                self._after_step(result)
        except NonFinite as error:
            return error
        return None

    def _after_step(self, result: StepResult) -> None:
        if result.step >= self.trainer.overcome_at:
            self.trainer.num_restores, self.trainer.lr_scale = 0, 1.0
        if torch.get_num_threads() != self._threads:  # logged so that a replay takes this step with as many threads
            self._threads = torch.get_num_threads()
            self._write("threads", step=result.step, threads=self._threads)
        self._write("step", **_event_fields(result), seconds=round(self.spent(), 4))
        with self.trainer.progress.paused():
            if self.validation is not None and self.validation.is_due(result, self._previous_progress):
                self._write("validation", step=result.step, loss=self.validation.check(result))
                if self.validation.is_rising() and self.trainer.may_decay_at(result.progress):
                    self._begin_decay(result)
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

    def _begin_decay(self, result: StepResult) -> None:
        """Begin the decay before its time. A run that is given more goes on from here, so the state is kept as it is without it."""
        self._save_decay_start()
        self.trainer.early_decay = result.progress

    # -- checkpoints ----------------------------------------------------------------------------------------------------

    def _checkpoint_if_due(self, result: StepResult) -> None:
        if self._is_last_before_decay(result):
            self._save_decay_start()
        self.saver.poll()
        waited = time.monotonic() - self.saver.saved_at
        is_due = waited >= max(self.checkpoint_seconds, CHECKPOINT_SHARE * self.saver.cost_seconds)
        if self.trainer.world.broadcast(is_due and not self.saver.is_busy):
            self._save()

    def _save_decay_start(self) -> None:
        self._kept_decay_start = True
        self._save(DECAY_START)

    def _is_last_before_decay(self, result: StepResult) -> bool:
        """Whether the next step, if it is as long as this one, is in the decay."""
        if self._kept_decay_start or self.trainer.decay >= 1.0 or self.trainer.early_decay is not None:
            return False
        step_length = max(0.0, result.progress - self._previous_progress)
        start = decay_start(self.trainer.decay)
        return self._previous_progress < start <= result.progress + step_length + 1e-9

    def _learned_state(self) -> Checkpoint:
        """The state to go back to before the first checkpoint, without buffers, which can be large."""
        state = self.trainer.live_state() if self.trainer.shard else self.trainer.state_dict()
        buffers = self.saver.buffer_names()
        tensors = {n: t.clone() for n, t in state["tensors"].items() if n not in buffers}
        meta = state["meta"]
        if self.validation is not None:
            tensors |= self.validation.best_tensors()
            meta = {**meta, "validation": list(self.validation.history)}
        return {"tensors": tensors, "meta": meta}

    def _save(self, name: str | None = None, *, is_last: bool = False) -> None:
        """Begin a checkpoint of this step. Its events are written to the disk first, so that it can be replayed."""
        if self.events is not None:
            self.events.sync()
        self.saver.save(name or f"step-{self.trainer.step:08d}", is_last=is_last)
        self._initial_state = None

    def _write_saved(self, step: int, name: str) -> None:
        if self.events is not None:
            self._write("checkpoint", step=step, name=name)
            self.events.flush()
        note = self.folder.note_checkpoint()
        if note is not None:
            self.saver.say_once(f"{note}; the training goes on")

    def _last_good_state(self) -> Checkpoint:
        """The state of the last checkpoint, on all processes; before the first checkpoint, the initial state."""
        world = self.trainer.world
        self.saver.wait()
        last = self.saver.last_name
        if not last and self.trainer.shard:
            assert self._initial_state is not None
            return self._initial_state
        state = self._initial_state if world.is_main else None
        if last and world.is_main:
            state = self.folder.checkpoint(last)
        state = shared_shards(world, state) or broadcast_checkpoint(world, state, self.folder.path)
        assert state is not None, "until the first checkpoint there is an initial state"
        return state

    def _restore_last_good(self, error: NonFinite) -> None:
        """Go back to the last good state, with half the learning rate up to as many steps after the non-finite loss as before it."""
        num_restores = self.trainer.num_restores + 1
        state = self._last_good_state()
        step = state["meta"]["step"]
        self._write("non_finite", phase=error.phase, step=error.step, back_to=step)
        if num_restores > MAX_RESTORES:
            raise TrainingError(
                f"{error}, and going back {MAX_RESTORES} times in a row, each time with a lower learning rate, did not help; "
                "set a lower learning rate, or check the data for values out of range"
            ) from error
        overcome_at = max(self.trainer.overcome_at, 2 * error.step - step + 1)
        lr_scale = self.trainer.lr_scale * 0.5
        self.trainer.load_state_dict(state)
        if self.validation is not None:  # what was measured since then is of steps that are taken back
            self.validation.load_state_dict(state)
        self.trainer.lr_scale, self.trainer.overcome_at, self.trainer.num_restores = lr_scale, overcome_at, num_restores


def _event_fields(result: StepResult) -> dict[str, EventValue]:
    """The fields of a step's event. A single phase is not named."""

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
