"""The trainer. A step takes a batch for each phase, computes loss and gradients, updates weights, and then their average."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from anew.core import random
from anew.core.machine.device import widest_float
from anew.core.processes.world import World
from anew.core.random import StepContext
from anew.core.specs import Batch
from anew.errors import TrainingError
from anew.families.base import Family
from anew.families.phases import Phase, decay_share
from anew.functional.schedules import decay_start, power_decay, power_exponent
from anew.runs.shards import read_shards, stored_tensors
from anew.runs.state import Checkpoint, CheckpointMeta
from anew.training.distributed import gather_full, memory_link, shard_like, sync_gradients, wrap_phases
from anew.training.gathering import gathered_on_disk
from anew.training.optim import Optimizer
from anew.training.progress import Progress

TINY = 1e-12  # avoids a division by a count of zero


class Batches(Protocol):
    """The data interface of the trainer: rows of a step's global batch, a pure function of its arguments."""

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch: ...

    def prefetch(self, step: int, phase: str, first: int, count: int, size: int) -> None: ...


@dataclass(frozen=True, slots=True)
class StepResult:
    """A finished step.

    Attributes:
        step: Number of finished steps.
        progress: Progress at which it was taken.
        losses: Mean loss of each active phase, by name.
        grad_norms: Norm of its gradient before clipping, by name.
        logs: Further scalars of the losses, by name.
        lr_factor: Learning rate relative to its peak.
        examples: Number of examples so far.
    """

    step: int
    progress: float
    losses: dict[str, float]
    grad_norms: dict[str, float]
    logs: dict[str, float]
    lr_factor: float
    examples: int


class NonFinite(TrainingError):
    """A loss or gradient was not a finite number; no weight was changed by it."""

    def __init__(self, phase: str, step: int) -> None:
        super().__init__(f"the loss of phase {phase!r} is not finite at step {step}")
        self.phase = phase
        self.step = step


class Trainer:
    """Trains a family: iterate over it to take steps, and stop iterating to stop. The state between two steps is consistent.

    Args:
        family: The family; its weights are changed in place.
        progress: Says how far the run is at each step.
        batch_size: Examples of the global batch.
        micro_batch: Most rows of it that a process holds in memory at once.
        shard: Whether weights are sharded among processes (FSDP2) instead of copied (DDP).
        sharded: The results of `sharded_losses`, if they are shards already.
        scratch: Folder of the main process, where sharded tensors are collected on the disk; None collects them in memory.
    """

    def __init__(
        self,
        family: Family,
        data: Batches,
        progress: Progress,
        *,
        seed: int,
        batch_size: int,
        micro_batch: int,
        world: World,
        shard: bool = False,
        sharded: Mapping[str, nn.Module] | None = None,
        scratch: Path | None = None,
    ) -> None:
        self.family = family
        self.data = data
        self.progress = progress
        self.world = world
        self.shard = sharded is not None or (shard and world.size > 1)
        self.scratch = scratch
        self.seed = seed
        self.batch_size = batch_size
        self.micro_batch = max(1, micro_batch)
        self.step = 0
        self.examples = 0
        self.lr_scale = 1.0  # halved after a non-finite loss
        self.overcome_at = 0  # the step from which the last non-finite loss counts as overcome
        self.num_restores = 0  # restores since a non-finite loss was last overcome
        self.early_decay: float | None = None  # progress at which the decay began earlier than planned
        self.stopping = False
        self.phases = family.phases()
        self.wrapped = wrap_phases(family, self.phases, world, shard) if sharded is None else dict(sharded)
        link = None if self.shard else memory_link(world)
        self.optimizers = {p.name: Optimizer(p.module, p.optimizer, link) for p in self.phases}
        ema_width = max(p.optimizer.ema_width for p in self.phases)
        self.ema_exponent = power_exponent(ema_width) if ema_width > 0 else None
        self.average = {n: p.detach().clone() for n, p in family.named_parameters()} if ema_width > 0 else {}
        self.decay = decay_share(self.phases)

    def __iter__(self) -> Iterator[StepResult]:
        while (progress := self._next_progress()) is not None:
            yield self._advance(progress)

    def _next_progress(self) -> float | None:
        """The progress of the next step, or None at the end; the same on all processes."""
        planned = None if self.stopping else self.progress.at(self.step)
        # Any process may have been told to stop, and the progress of the main process counts. One exchange tells both.
        is_over = planned is None and self.world.is_main
        own_progress = planned if planned is not None and self.world.is_main else 0.0
        any_stopping, main_is_over, main_progress = self.world.maximum(
            float(self.stopping), float(is_over), own_progress
        )
        self.stopping = bool(any_stopping)
        if self.stopping or main_is_over:
            return None
        if self.early_decay is None or self.progress.has_early_decay:
            return main_progress
        # The decay began early. It has the same share of the shortened run as it would have of the planned one.
        start = decay_start(self.decay)
        progress = (
            start + (main_progress - self.early_decay) / self.early_decay * start if self.early_decay > 0 else 1.0
        )
        return progress if progress < 1.0 else None

    def may_decay_at(self, progress: float) -> bool:
        """Whether the decay has not begun, so that it may begin at this progress, earlier than planned."""
        return self.early_decay is None and 0.0 < progress < decay_start(self.decay)

    # -- a step ---------------------------------------------------------------------------------------------------------

    def _advance(self, progress: float) -> StepResult:
        losses: dict[str, float] = {}
        grad_norms: dict[str, float] = {}
        logs: dict[str, float] = {}
        self.family.train()
        acting_phases = [phase for phase in self.phases if phase.is_active(progress)]
        for phase in acting_phases:
            losses[phase.name], grad_norms[phase.name] = self._update(phase, progress, logs)
        self.family.on_step_end(logs)
        self.step += 1
        self.examples += self.batch_size
        self._update_average(acting_phases)
        acting = acting_phases[0] if acting_phases else self.phases[0]
        optimizer = self.optimizers[acting.name]
        lr_factor = optimizer.lr_factor(optimizer.updates - 1, acting.progress_within(progress)) * self.lr_scale
        return StepResult(self.step, progress, losses, grad_norms, logs, lr_factor, self.examples)

    def _update(self, phase: Phase, progress: float, logs: dict[str, float]) -> tuple[float, float]:
        """Take one update of one phase.

        Returns:
            Mean loss and gradient norm.

        Raises:
            NonFinite: Before any weight moves.
        """
        optimizer = self.optimizers[phase.name]
        self._freeze_others(phase)
        start, rows = self.world.rows(self.batch_size)
        batch = self.data.batch(self.step, phase.name, start, rows, self.batch_size).to(self.world.device)
        total, count, means = self._accumulate(phase, batch, start, progress)
        if shared := means.keys() & logs.keys():
            raise ValueError(f"two phases log {sorted(shared)[0]!r}; a name may be used by one phase only")
        # A single exchange, since each exchange waits for the slowest process.
        total, count, *values = self.world.sum(total, count, *means.values())
        logs.update(zip(means, values, strict=True))
        count = max(count, TINY)
        if not math.isfinite(total):
            optimizer.zero_grad()
            raise NonFinite(phase.name, self.step)
        norm = _scale_and_clip(optimizer, self.world.size / count, phase.optimizer.grad_clip)
        if not math.isfinite(norm):
            optimizer.zero_grad()
            raise NonFinite(phase.name, self.step)
        optimizer.step(optimizer.lr_factor(optimizer.updates, phase.progress_within(progress)) * self.lr_scale)
        optimizer.zero_grad()
        self.data.prefetch(self.step + 1, phase.name, start, rows, self.batch_size)
        return total / count, norm

    def _accumulate(
        self, phase: Phase, batch: Batch, start: int, progress: float
    ) -> tuple[float, float, dict[str, float]]:
        """Accumulate gradients over this process's rows of a batch, one micro-batch after another.

        Returns:
            Sum and count of the loss, and this process's part of the means of the whole batch's scalars.
        """
        micro_batches: list[tuple[int, list[str], list[float | Tensor]]] = []
        wrapped = self.wrapped[phase.name]
        for offset, end in self._micro_batches(len(batch)):
            rows = batch.rows(offset, end)
            first_row = self.step * self.batch_size + start + offset
            context = StepContext(self.seed, self.step, progress, phase.name, first_row, self.world.device)
            with random.use_context(context), sync_gradients(wrapped, is_last=end == len(batch)):
                loss, loss_count, scalars = wrapped(rows, context)
                loss.backward()
            micro_batches.append((len(rows), list(scalars), [loss.detach(), loss_count, *scalars.values()]))
        values = iter(_to_floats([value for _, _, values in micro_batches for value in values]))
        total = count = 0.0
        means: dict[str, float] = {}
        for num_rows, names, _ in micro_batches:
            total, count = total + next(values), count + next(values)
            for name in names:
                means[name] = means.get(name, 0.0) + next(values) * num_rows / self.batch_size
        return total, count, means

    def _micro_batches(self, num_rows: int) -> list[tuple[int, int]]:
        """The range of each micro-batch of this process's rows.

        If weights are sharded, each micro-batch is an exchange, so every process has the same number of them.
        """
        size = self.micro_batch
        if not self.shard or self.batch_size % self.world.size == 0:
            return [(first, min(num_rows, first + size)) for first in range(0, num_rows, size)]
        # Shares of processes differ by one row, so with at least two rows in a micro-batch all can be cut into as many.
        count = -(-self.world.largest_share(self.batch_size) // max(2, size))
        return [(num_rows * number // count, num_rows * (number + 1) // count) for number in range(count)]

    def _freeze_others(self, phase: Phase) -> None:
        """Let only the weights of this phase have gradients."""
        if len(self.phases) > 1:
            for parameter in self.family.parameters():
                parameter.requires_grad_(False)
            for parameter in phase.module.parameters():
                parameter.requires_grad_(True)

    # -- the average of weights -----------------------------------------------------------------------------------------

    @torch.no_grad()
    def _update_average(self, acting_phases: Iterable[Phase]) -> None:
        """Let the weights of each acting phase into their average, which counts the updates of the phase."""
        if self.ema_exponent is None:
            return
        names = {id(parameter): name for name, parameter in self.family.named_parameters()}
        for phase in acting_phases:
            parameters = [parameter for parameter in phase.module.parameters() if id(parameter) in names]
            weights = {names[id(parameter)]: parameter.detach() for parameter in parameters}
            weight = 1.0 - power_decay(self.optimizers[phase.name].updates, self.ema_exponent)
            torch._foreach_lerp_([self.average[name] for name in weights], list(weights.values()), weight)

    @contextmanager
    def averaged(self) -> Iterator[Family]:
        """Within this context, the family has its averaged weights and is in evaluation mode."""
        parameters = dict(self.family.named_parameters())
        raw = {name: parameters[name].detach().clone() for name in self.average}
        self._copy_into(parameters, self.average)
        self.family.eval()
        try:
            yield self.family
        finally:
            self._copy_into(parameters, raw)
            self.family.train()

    @staticmethod
    def _copy_into(parameters: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            parameters[name].data.copy_(value)  # in place: FSDP2 holds views of the storage

    # -- state ----------------------------------------------------------------------------------------------------------

    def weights(self, replaced: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """The state to sample from, on the CPU of the main process: averaged parameters, if averaged, and all buffers.

        Other processes get an empty dict; they must call this, too, since they are needed to gather the state.

        Args:
            replaced: Parameters that take the place of those, by name.
        """
        state = self.family.state_dict() | self.average | dict(replaced or {})
        return {n: t.clone() if t.data_ptr() == state[n].data_ptr() else t for n, t in self.collect(state).items()}

    def state_dict(self) -> Checkpoint:
        """All that the next step depends on: {"tensors": name -> tensor, "meta": JSON}.

        Only the main process has the tensors, which may be the live ones; the others have only "meta".
        """
        state = self.live_state()
        return {"tensors": self.collect(state["tensors"]), "meta": state["meta"]}

    def live_state(self) -> Checkpoint:
        """The same as `state_dict`, with this process's live tensors, which may be shards."""
        tensors = {f"weights/{n}": v for n, v in self.family.state_dict().items()}
        tensors |= {f"average/{n}": v for n, v in self.average.items()}
        for name, optimizer in self.optimizers.items():
            tensors |= {f"optimizer/{name}/{key}": value for key, value in optimizer.state.items()}
        meta: CheckpointMeta = {
            "step": self.step,
            "examples": self.examples,
            "lr_scale": self.lr_scale,
            "overcome_at": self.overcome_at,
            "num_restores": self.num_restores,
            "early_decay": self.early_decay,
            "updates": {name: optimizer.updates for name, optimizer in self.optimizers.items()},
        }
        return {"tensors": tensors, "meta": meta}

    @property
    def collects_on_disk(self) -> bool:
        """Whether `collect` gives copies on the disk of the main process, which later steps do not change."""
        return self.shard and self.scratch is not None

    def collect(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gather tensors on the CPU of the main process, one after another; of sharded ones, none stays in memory if there is a
        scratch folder. The other processes get an empty dict."""
        if self.collects_on_disk:
            assert self.scratch is not None, "there is a folder"
            return gathered_on_disk(self.world, tensors, self.scratch)
        collected = {}
        for name, tensor in tensors.items():
            gathered = gather_full(tensor).detach()
            if self.world.is_main:
                collected[name] = gathered.cpu().contiguous()
        return collected

    def load_state_dict(self, state: Checkpoint) -> None:
        """Load a state, as from `state_dict`; buffers may be missing. From shards, each process reads its part.

        Raises:
            RuntimeError: Names or shapes do not fit.
        """
        if "shards" in state:
            stored = stored_tensors(state["shards"])
            for name, optimizer in self.optimizers.items():
                optimizer.make_slots(strip_prefix(stored, f"optimizer/{name}/"))
            live = self.live_state()["tensors"]
            expected = {name for name in stored if not name.startswith("best/")}
            if live.keys() != expected:
                raise RuntimeError(f"{sorted(live.keys() ^ expected)[0]!r} is missing, here or in the checkpoint")
            read_shards(state["shards"], live)
            self._load_meta(state["meta"])
            return
        saved: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}, "optimizer": {}}
        for name, value in state["tensors"].items():
            part, _, name_in_part = name.partition("/")
            saved.setdefault(part, {})[name_in_part] = value
        current = self.family.state_dict()
        parameters = dict(self.family.named_parameters())
        buffers = {n: v for n, v in current.items() if n not in parameters and n not in saved["weights"]}
        placed = {n: shard_like(v, current[n]) if n in current else v for n, v in saved["weights"].items()}
        self.family.load_state_dict(buffers | placed)
        self.average = {n: shard_like(v, parameters[n]).clone() for n, v in saved["average"].items()}
        meta = state["meta"]
        for name, optimizer in self.optimizers.items():
            prefix = f"{name}/"
            moments = [(k.removeprefix(prefix), v) for k, v in saved["optimizer"].items() if k.startswith(prefix)]
            optimizer.load_state_dict(moments, meta["updates"][name])
        self._load_meta(meta)

    def _load_meta(self, meta: CheckpointMeta) -> None:
        for name, optimizer in self.optimizers.items():
            optimizer.updates = meta["updates"][name]
        self.step, self.examples = meta["step"], meta["examples"]
        self.lr_scale, self.early_decay = meta["lr_scale"], meta["early_decay"]
        self.overcome_at, self.num_restores = meta.get("overcome_at", 0), meta.get("num_restores", 0)


def strip_prefix(names: Iterable[str], prefix: str) -> list[str]:
    """The names that begin with a prefix, without it."""
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def _to_floats(values: Sequence[float | Tensor]) -> list[float]:
    """Convert numbers and scalar tensors to floats, with a single synchronisation of the device."""
    scalars = [
        value.detach().to(widest_float(value.device)).reshape(()) for value in values if isinstance(value, Tensor)
    ]
    numbers = iter(torch.stack(scalars).tolist() if scalars else ())
    return [float(next(numbers) if isinstance(value, Tensor) else value) for value in values]


def _scale_and_clip(optimizer: Optimizer, scale: float, grad_clip: float) -> float:
    """Multiply gradients by `scale` and clip their norm to `grad_clip` (0: no clipping). Returns the norm before clipping."""
    grads = [p.grad for p in optimizer.parameters.values() if p.grad is not None]
    torch._foreach_mul_(grads, scale)
    norm = float(gather_full(torch.nn.utils.get_total_norm(grads)))
    if grad_clip > 0 and norm > grad_clip and math.isfinite(norm):
        torch._foreach_mul_(grads, grad_clip / (norm + 1e-6))
    return norm
