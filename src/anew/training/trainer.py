"""The loop: for each phase a batch, its loss, its gradients, its optimiser; then the average of weights. One event a step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from anew.core import random
from anew.core.random import StepContext
from anew.core.specs import Batch
from anew.errors import ConfigError, TrainingError
from anew.families.base import Family, Phase, decay_share
from anew.functional.ema import power_decay, power_exponent
from anew.training.distributed import World, full, gathering, shard_like, wrap
from anew.training.optim import Optimiser
from anew.training.progress import Pace


class Batches(Protocol):
    """What the trainer asks of data: rows of a step's global batch, a pure function of its arguments."""

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch: ...

    def prefetch(self, step: int, phase: str, first: int, count: int, size: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Stepped:
    """A finished step. losses, norms: by phase; rate: relative to the peak; examples: seen so far."""

    step: int
    progress: float
    losses: dict[str, float]
    norms: dict[str, float]
    logs: dict[str, float]
    rate: float
    examples: int


class NonFinite(TrainingError):
    """A loss or gradient was not a number; no weight was touched by it."""

    def __init__(self, phase: str, step: int) -> None:
        super().__init__(f"the loss of phase {phase!r} is not finite at step {step}")
        self.phase = phase
        self.step = step


class Trainer:
    """Iterate to train. To stop, stop iterating; the state between two events is a whole one.

    batch: examples of the global batch; micro: largest number of rows of it in memory at once, per process.
    """

    def __init__(
        self,
        family: Family,
        data: Batches,
        pace: Pace,
        *,
        seed: int,
        batch: int,
        micro: int,
        world: World,
        shard: bool = False,
    ) -> None:
        self.family, self.data, self.pace, self.world = family, data, pace, world
        self.seed, self.batch, self.micro = seed, batch, max(1, micro)
        self.step, self.examples, self.slowdown = 0, 0, 1.0
        self.shortened: float | None = None
        self.stopping = False
        self.phases = family.phases()
        if shard and world.size > 1 and len(self.phases) > 1:
            raise ConfigError(
                "parallel=fsdp shards one network, and this family trains several that call each other; leave it out"
            )
        self.whole = {p.name: wrap(p.module, p.loss, world, shard) for p in self.phases}
        self.optims = {p.name: Optimiser(p.module, p.optim) for p in self.phases}
        width = max(p.optim.average for p in self.phases)
        self.exponent = power_exponent(width) if width > 0 else None
        self.average = {n: p.detach().clone() for n, p in family.named_parameters()} if self.exponent else {}
        self.decay = decay_share(self.phases)

    def __iter__(self) -> Iterator[Stepped]:
        while (progress := self._progress()) is not None:
            yield self._advance(progress)

    def _progress(self) -> float | None:
        raw = self.world.agree(None if self.stopping else self.pace.at(self.step))
        if raw is None or self.shortened is None:
            return None if raw is None else float(raw)
        start = 1.0 - self.decay
        mapped = start + (raw - self.shortened) / self.shortened * start if self.shortened > 0 else 1.0
        return mapped if mapped < 1.0 else None

    def shorten(self, progress: float) -> None:
        """Begin the decay now: what validation asks for when more of the flat part would make things worse."""
        if self.shortened is None and 0.0 < progress < 1.0 - self.decay:
            self.shortened = progress

    def _advance(self, progress: float) -> Stepped:
        losses: dict[str, float] = {}
        norms: dict[str, float] = {}
        logs: dict[str, float] = {}
        self.family.train()
        for phase in self.phases:
            if self.step % phase.every or not phase.span[0] <= progress < max(phase.span[1], phase.span[0] + 1e-9):
                continue
            for turn in range(phase.repeat):
                losses[phase.name], norms[phase.name] = self._update(phase, turn, progress, logs)
        self.family.on_step_end(self._agreed(logs))
        self.step += 1
        self.examples += self.batch
        self._keep_average()
        acting = next((p for p in self.phases if p.name in losses), self.phases[0])
        done = self.optims[acting.name].updates - 1
        rate = self.optims[acting.name].rate(done, acting.within(progress)) * self.slowdown
        return Stepped(self.step, progress, losses, norms, logs, rate, self.examples)

    def _update(self, phase: Phase, turn: int, progress: float, logs: dict[str, float]) -> tuple[float, float]:
        """One update of one phase; returns (loss, gradient norm). Raises NonFinite before any weight moves."""
        name = phase.name if phase.repeat == 1 else f"{phase.name}.{turn}"
        optim = self.optims[phase.name]
        self._open(phase)
        start, rows = self.world.rows(self.batch)
        batch = self.data.batch(self.step, name, start, rows, self.batch).to(self.world.device)
        total, count = self._accumulate(phase, name, batch, start, progress, logs)
        total, count = self.world.sum(total, count)
        if not math.isfinite(total):
            self._drop(optim)
            raise NonFinite(phase.name, self.step)
        norm = self._clip(optim, self.world.size / max(count, 1e-12), phase.optim.clip)
        if not math.isfinite(norm):
            self._drop(optim)
            raise NonFinite(phase.name, self.step)
        optim.step(optim.rate(optim.updates, phase.within(progress)) * self.slowdown)
        self._drop(optim)
        self.data.prefetch(self.step + 1, name, start, rows, self.batch)
        return total / max(count, 1e-12), norm

    def _accumulate(
        self, phase: Phase, name: str, batch: Batch, start: int, progress: float, logs: dict[str, float]
    ) -> tuple[float, float]:
        total = count = 0.0
        cuts = list(range(0, len(batch), self.micro))
        for cut in cuts:
            part = batch.rows(cut, cut + self.micro)
            first = self.step * self.batch + start + cut
            context = StepContext(self.seed, self.step, progress, name, first, self.world.device)
            whole = self.whole[phase.name]
            with random.use_context(context), gathering(whole, cut == cuts[-1]):
                value, counted, extra = whole(part, context)
                value.backward()
            total += float(value.detach())
            count += float(counted)
            for key, log in extra.items():
                logs[key] = logs.get(key, 0.0) + float(log) * len(part) / len(batch)
        return total, count

    def _agreed(self, logs: dict[str, float]) -> dict[str, float]:
        """The logs' means over all processes, in place."""
        if self.world.size > 1 and logs:
            logs.update(zip(logs, (v / self.world.size for v in self.world.sum(*logs.values())), strict=True))
        return logs

    def _open(self, phase: Phase) -> None:
        """Gradients reach this phase's weights and no others."""
        if len(self.phases) > 1:
            for parameter in self.family.parameters():
                parameter.requires_grad_(False)
            for parameter in phase.module.parameters():
                parameter.requires_grad_(True)

    def _clip(self, optim: Optimiser, scale: float, limit: float) -> float:
        grads = [p.grad for p in optim.parameters if p.grad is not None]
        torch._foreach_mul_(grads, scale)
        norm = float(full(torch.nn.utils.get_total_norm(grads)))
        if limit > 0 and norm > limit and math.isfinite(norm):
            torch._foreach_mul_(grads, limit / (norm + 1e-6))
        return norm

    def _drop(self, optim: Optimiser) -> None:
        for parameter in optim.parameters:
            parameter.grad = None

    @torch.no_grad()
    def _keep_average(self) -> None:
        if self.exponent is None:
            return
        keep = power_decay(self.step, self.exponent)
        live = dict(self.family.named_parameters())
        torch._foreach_lerp_(list(self.average.values()), [live[n].detach() for n in self.average], 1.0 - keep)

    @contextmanager
    def averaged(self) -> Iterator[Family]:
        """The family with its averaged weights in place and in evaluation mode, for as long as the context lasts."""
        live = dict(self.family.named_parameters())
        kept = {n: live[n].detach().clone() for n in self.average}
        for name, value in self.average.items():
            live[name].data.copy_(value)  # in place: FSDP2 holds views of the storage
        self.family.eval()
        try:
            yield self.family
        finally:
            for name, value in kept.items():
                live[name].data.copy_(value)
            self.family.train()

    def weights(self) -> dict[str, Tensor]:
        """The state to sample from: averaged parameters where an average is kept, and all buffers; gathered, on the CPU."""
        state = {n: v for n, v in self.family.state_dict().items()}
        state.update(self.average)
        return {n: full(v).detach().to("cpu", copy=True).contiguous() for n, v in state.items()}

    def state_dict(self) -> dict[str, Any]:
        """{"tensors": name -> tensor, "meta": JSON}: all that the next step depends on. Tensors may be the live ones."""
        tensors = {f"weights/{n}": full(v) for n, v in self.family.state_dict().items()}
        tensors |= {f"average/{n}": full(v) for n, v in self.average.items()}
        for name, optim in self.optims.items():
            tensors |= {f"optim/{name}/{key}": value for key, value in optim.state_dict().items()}
        meta = {
            "step": self.step,
            "examples": self.examples,
            "slowdown": self.slowdown,
            "shortened": self.shortened,
            "updates": {name: optim.updates for name, optim in self.optims.items()},
        }
        return {"tensors": {n: t.detach().cpu().contiguous() for n, t in tensors.items()}, "meta": meta}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo `state_dict`; buffers may be left out, other names or shapes that do not fit raise RuntimeError."""
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}, "optim": {}}
        for name, value in state["tensors"].items():
            kind, _, rest = name.partition("/")
            parts.setdefault(kind, {})[rest] = value
        live = self.family.state_dict()
        parameters = dict(self.family.named_parameters())
        kept = {n: v for n, v in live.items() if n not in parameters and n not in parts["weights"]}
        placed = {n: shard_like(v, live[n]) if n in live else v for n, v in parts["weights"].items()}
        self.family.load_state_dict(kept | placed)
        meta = state["meta"]
        self.average = {n: shard_like(v, parameters[n]).clone() for n, v in parts["average"].items()}
        for name, optim in self.optims.items():
            mine = [(k.removeprefix(f"{name}/"), v) for k, v in parts["optim"].items() if k.startswith(f"{name}/")]
            optim.load_state_dict(mine, meta["updates"][name])
        self.step, self.examples = meta["step"], meta["examples"]
        self.slowdown, self.shortened = meta["slowdown"], meta["shortened"]
