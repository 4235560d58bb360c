"""The loss on held-out data, which selects the best weights, and says when more training makes things worse."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from statistics import fmean, median

import torch
from torch import Tensor

from anew.core import random
from anew.core.random import StepContext
from anew.core.specs import Batch
from anew.core.wording import BARELY_TRAINED
from anew.families.base import Family
from anew.runs.shards import read_shards, stored_tensors
from anew.runs.state import Checkpoint
from anew.training.distributed import forward_only, shard_like
from anew.training.progress import TimeProgress
from anew.training.trainer import StepResult, Trainer, strip_prefix

# A rise counts if it is this many times as large as losses usually deviate from the line between their neighbours. Measured in
# 20 runs: 2.1 and more where the loss went on rising, at most 1.3 where it wavered (docs/log.md, 2026-11-28).
MIN_RISE = 2.0
POINTS = 16  # measurements in a run; chosen
# Before the first of these points, steps whose number is a power of two are measured, from this one on: a network that learned 450 names
# was best at step 60 of 1,300, and the first point came at step 130 (docs/log.md, 2026-12-03); chosen.
FIRST_MEASURED = 16
PATIENCE = 3  # measurements that must be higher than the best one for the loss to be rising; chosen
# Share of a time-limited training that measuring may take: without it, 12 measurements took half of a training of 13 steps of
# clips on busy cores; chosen.
MAX_SHARE = 0.1

LossFunction = Callable[[Batch, StepContext], tuple[Tensor, float | Tensor]]


@torch.no_grad()
def _mean_loss(loss: LossFunction, batches: Iterable[Batch], seed: int, device: torch.device) -> float:
    """The mean loss over batches, with noise that is the same each time."""
    total = count = 0.0
    rows = 0
    for batch in batches:
        context = StepContext(seed, 0, 0.0, "validation", rows, device, training=False)
        with random.use_context(context):
            batch_total, batch_count = loss(batch.to(device), context)
        total += float(batch_total)
        count += float(batch_count)
        rows += len(batch)
    return total / max(count, 1e-12)


def validation_loss(family: Family, batches: Iterable[Batch], seed: int) -> float:
    """The mean loss of a family's first phase, in evaluation mode, with noise that is the same each time."""
    phase = family.phases()[0]

    def loss(batch: Batch, context: StepContext) -> tuple[Tensor, float | Tensor]:
        value = phase.loss(batch, context)
        return value.total, value.count

    return _mean_loss(loss, batches, seed, family.device)


def _is_early(result: StepResult) -> bool:
    """Whether a step is before the first point of measurement."""
    return result.progress * POINTS < 1.0


def _is_measured_early(result: StepResult) -> bool:
    return _is_early(result) and result.step >= FIRST_MEASURED and result.step.bit_count() == 1


class Validation:
    """Measures the loss of the averaged weights on validation data, at fixed points of progress.

    The best weights are kept.

    Args:
        batches: Returns the validation batches, the same each time.
        replayed_steps: The steps after which a replayed run measured; None if no run is replayed.
    """

    def __init__(
        self,
        trainer: Trainer,
        batches: Callable[[], Iterable[Batch]],
        replayed_steps: Collection[int] | None = None,
    ) -> None:
        self.trainer = trainer
        self.batches = batches
        self.replayed_steps = replayed_steps
        self._not_before = 0.0  # seconds of `time.monotonic()`
        self.best_weights: dict[str, Tensor] = {}
        self.history: list[tuple[int, float]] = []  # (step, loss), finite losses only

    def is_due(self, result: StepResult, previous_progress: float) -> bool:
        """Whether a point of measurement is between the previous step and this one, or this step an early one to measure, and there is
        time for it.

        Progress may also have gone back, in a training that was given more time.
        """
        if self.replayed_steps is not None:
            return result.step in self.replayed_steps
        is_point = int(result.progress * POINTS) != int(previous_progress * POINTS) or _is_measured_early(result)
        return is_point and self.trainer.world.broadcast(time.monotonic() >= self._not_before)

    def check(self, result: StepResult) -> float:
        """Measure and return the mean loss, and keep the best weights. A loss that is not finite says nothing about them.

        Of the measurements before the first point only the best is remembered, so that they cannot be taken for a rise.
        """
        begin = time.monotonic()
        loss = self.loss()
        # Trainings by steps measure equally often if they are equal
        if isinstance(self.trainer.progress, TimeProgress):
            end = time.monotonic()
            self._not_before = end + (end - begin) * (1.0 - MAX_SHARE) / MAX_SHARE
        if not math.isfinite(loss):
            return loss
        losses = [value for _, value in self.history]
        if not losses or loss < min(losses):
            self.best_weights = self._weights_now()
            if _is_early(result):
                self.history.clear()
        elif _is_early(result):
            return loss
        self.history.append((result.step, loss))
        return loss

    def is_rising(self) -> bool:
        """Whether more training at the full rate makes things worse: the last measurements are higher than the best one by more than
        their noise, and are not falling again. Measurements of a hardly trained network do not count."""
        losses = [loss for _, loss in self.history]
        recent = [loss for step, loss in self.history[-PATIENCE:] if step >= BARELY_TRAINED]
        if len(recent) < PATIENCE or min(losses) >= min(recent) or recent[-1] < recent[-2]:
            return False
        deviations = [abs(b - (a + c) / 2.0) for a, b, c in zip(losses, losses[1:], losses[2:], strict=False)]
        return fmean(recent) - min(losses) > MIN_RISE * median(deviations)

    def _weights_now(self) -> dict[str, Tensor]:
        """Copies of the weights whose loss is measured: on the CPU of the main process, or shards on each process."""
        measured = set(self.trainer.phases[0].module.parameters())
        learned = {n: p for n, p in self.trainer.family.named_parameters() if p in measured}
        if self.trainer.shard:
            return {n: self.trainer.average.get(n, p).detach().clone() for n, p in learned.items()}
        return {n: w for n, w in self.trainer.weights().items() if n in learned}

    def loss(self) -> float:
        """The mean loss of the first phase on the validation batches, with noise that is the same each time."""
        wrapped = self.trainer.wrapped[self.trainer.phases[0].name]

        def loss(batch: Batch, context: StepContext) -> tuple[Tensor, float | Tensor]:
            total, count, _ = wrapped(batch, context)
            return total, count

        with self.trainer.averaged() as family, forward_only(wrapped):
            loss_here = _mean_loss(loss, self.batches(), self.trainer.seed, family.device)
        return self.trainer.world.broadcast(loss_here)  # different processors may round differently, and all must agree

    def final_weights(self) -> tuple[dict[str, Tensor], int | None]:
        """The weights to keep, and the step they are from: None for the last ones, unless earlier ones are better."""
        last = self.loss()
        step, best = min(self.history, key=lambda entry: entry[1], default=(0, float("inf")))
        is_earlier_better = best < last or (self.history and not math.isfinite(last))
        return (self.trainer.weights(self.best_weights), step) if is_earlier_better else (self.trainer.weights(), None)

    def best_tensors(self) -> dict[str, Tensor]:
        """The best weights, by their names in a checkpoint."""
        return {f"best/{name}": value for name, value in self.best_weights.items()}

    def load_state_dict(self, state: Checkpoint) -> None:
        """Load best weights and history from a checkpoint."""
        tensors = state["tensors"]
        if "shards" in state:
            self._read_best(state["shards"])
        elif self.trainer.world.is_main or self.trainer.shard:
            best = {n.removeprefix("best/"): t for n, t in tensors.items() if n.startswith("best/")}
            parameters = dict(self.trainer.family.named_parameters())
            self.best_weights = {n: shard_like(t, parameters[n]) if self.trainer.shard else t for n, t in best.items()}
        self.history = [(int(step), float(loss)) for step, loss in state["meta"].get("validation", [])]

    def _read_best(self, shards: Path) -> None:
        parameters = dict(self.trainer.family.named_parameters())
        names = strip_prefix(stored_tensors(shards), "best/")
        self.best_weights = {name: torch.zeros_like(parameters[name].detach()) for name in names}
        if names:
            read_shards(shards, {f"best/{name}": tensor for name, tensor in self.best_weights.items()})
