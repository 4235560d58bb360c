"""Training phases, each a module with a loss and an optimizer. The trainer knows only these types, not the families."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from anew.core.random import StepContext
from anew.core.specs import Batch
from anew.functional.schedules import decay_start


@dataclass(frozen=True, slots=True)
class Loss:
    """A sum and a count. The trainer divides by the count of the whole global batch, so that micro-batches, masks and
    processes change nothing.

    Attributes:
        total: Sum over the examples or targets of the batch; a scalar in fp32, with gradient.
        count: Number of these examples or targets.
        logs: Further scalars to show, each already a mean. No two phases of a family use the same name.
    """

    total: Tensor
    count: float | Tensor
    logs: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """Parameters that share an update rule. A parameter goes to the first group of its phase that matches it.

    Attributes:
        match: Takes (name, parameter) and returns whether it belongs to the group.
        optimizer: "muon" for matrices (all dimensions after the first are flattened), "adamw" for everything else.
        lr: Peak learning rate.
        betas: Decay rates of AdamW's moments.
        eps: AdamW's term in the denominator.
        weight_decay: Decoupled weight decay, multiplied by the scheduled learning rate.
        dtype: Type of the products with which Muon makes a matrix orthogonal. bf16 turns a difference in the last bit into one
            of 1e-3 of an update. fp32 does not, if results should not depend on the order of sums.
    """

    match: Callable[[str, Tensor], bool]
    optimizer: Literal["muon", "adamw"]
    lr: float
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.95
    dtype: torch.dtype = torch.bfloat16


@dataclass(frozen=True, slots=True)
class OptimizerConfig:
    """Optimizer settings of a phase's parameters.

    Attributes:
        groups: Parameter groups, in the order in which they are tried.
        decay: Share of the phase, at its end, in which the learning rate falls to zero (warm-up, stable, decay).
        power: Exponent of the fall.
        grad_clip: Largest global gradient norm; 0: no clipping.
        ema_width: Relative width of the power-function average of weights, see `functional/schedules.py`; 0 keeps the raw weights.
    """

    groups: tuple[ParameterGroup, ...]
    warmup_steps: int = 20
    decay: float = 0.5
    power: float = 1.0
    grad_clip: float = 1.0
    ema_width: float = 0.05


@dataclass(frozen=True)
class Phase:
    """A module, its loss and its optimizer. A GAN has two, most families one.

    Attributes:
        name: Name of the phase in logs and of its random streams.
        loss: Takes (batch, context) and returns the loss.
        span: When in the run the phase acts, as shares of the plan. Warm-up and decay are relative to the span, and counted in
            the phase's own updates.
        differentiates_twice: Whether the loss contains a gradient with respect to an input of `module`, such as a penalty on it.
    """

    name: str
    module: nn.Module
    loss: Callable[[Batch, StepContext], Loss]
    optimizer: OptimizerConfig
    span: tuple[float, float] = (0.0, 1.0)
    differentiates_twice: bool = False

    def is_active(self, progress: float) -> bool:
        """Whether the phase acts when `progress` of the plan is done."""
        start, stop = self.span
        return start <= progress < max(stop, start + 1e-9)

    def progress_within(self, progress: float) -> float:
        """Share of the span that is done when `progress` of the plan is."""
        start, stop = self.span
        return min(1.0, max(0.0, (progress - start) / max(stop - start, 1e-9)))

    @property
    def decay_start(self) -> float:
        """Progress of the plan at which the learning rate of this phase begins to fall."""
        start, stop = self.span
        return start + decay_start(self.optimizer.decay) * (stop - start)


def decay_share(phases: Iterable[Phase]) -> float:
    """Share of a run, at its end, in which the learning rate of any phase falls, and which a longer run would repeat."""
    return 1.0 - min(phase.decay_start for phase in phases)
