"""What every family is: a module that says what it accepts, how it learns (phases) and how it draws (drafts).

The trainer knows this file and no family. A family knows specs, maths and nets, and no data, trainer or command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from anew.core.random import StepContext
from anew.core.specs import Batch, Grid, SampleRequest, Spec
from anew.errors import ConfigError
from anew.functional.latents import slerp


@dataclass(frozen=True, slots=True)
class Scale:
    """What a family may derive its sizes from.

    seconds: training time (None where only steps are given); items: examples in the train split (windows or records for
    tokens); units: characters, residues or pixels in it; model_size: 0 the smallest candidate, each +1 about doubles the cost
    of a step; device, threads: where it will run.
    """

    items: int
    units: float
    seconds: float | None = None
    model_size: int = 0
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Loss:
    """total: sum over what counts in the batch, fp32, with gradient; count: how much counted (examples or targets).

    The trainer divides by the count of the whole global batch, so that micro-batches, masks and processes change nothing.
    logs: further scalars to show, each already a mean.
    """

    total: Tensor
    count: float | Tensor
    logs: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that share an update rule; the first group of a phase whose `match(name, parameter)` holds takes it.

    rule: "muon" for matrices (more dimensions are flattened behind the first), "adamw" for everything else.
    lr: peak rate; weight_decay: decoupled, multiplied by the scheduled lr.
    """

    match: Callable[[str, Tensor], bool]
    rule: Literal["muon", "adamw"]
    lr: float
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.95


@dataclass(frozen=True, slots=True)
class Optim:
    """How a phase's parameters move.

    warmup: steps of linear warm-up; decay: last share of the run in which the rate falls to zero (warm-up, stable, decay);
    power: exponent of the fall; clip: largest global gradient norm; average: relative width of the power-function average
    of weights (EDM2, arXiv 2312.02696, eq. 121; 0 keeps the raw weights).
    """

    groups: tuple[Group, ...]
    warmup: int = 20
    decay: float = 0.5
    power: float = 1.0
    clip: float = 1.0
    average: float = 0.05


@dataclass(frozen=True)
class Phase:
    """A module, its loss and its optimiser; a GAN has two, most families one.

    repeat: updates a step; every: acts on each `every`-th step; span: when in the run, as shares of the plan. Warm-up and
    decay of the rate are those of the span, and are counted in the phase's own updates.
    """

    name: str
    module: nn.Module
    loss: Callable[[Batch, StepContext], Loss]
    optim: Optim
    repeat: int = 1
    every: int = 1
    span: tuple[float, float] = (0.0, 1.0)

    def within(self, progress: float) -> float:
        """Share of the span that is done when `progress` of the plan is."""
        low, high = self.span
        return min(1.0, max(0.0, (progress - low) / max(high - low, 1e-9)))

    @property
    def decay_start(self) -> float:
        """Progress of the plan at which this phase's rate begins to fall."""
        low, high = self.span
        return low + (1.0 - min(1.0, max(0.0, self.optim.decay))) * (high - low)


def decay_share(phases: Iterable[Phase]) -> float:
    """Last share of a run in which the rate of some phase falls: what a longer run would take back."""
    return 1.0 - min(phase.decay_start for phase in phases)


def check_components(components: int, classes: int) -> None:
    """ConfigError where not each class has a component of its own."""
    if components < classes:
        raise ConfigError(f"components={components} is less than the {classes} classes; give at least {classes}")


def parameters_of(make: Callable[[], nn.Module]) -> int:
    """How many parameters a network would have. The state of chance stays as it is."""
    # Not on the device "meta": its first tensor loads torch's compiler, a second of CPU time.
    with torch.random.fork_rng(devices=[]):
        return sum(p.numel() for p in make().parameters())


@runtime_checkable
class Codec(Protocol):
    """A trained pair that turns a Grid into a smaller Grid (latents) or into Tokens (codes), and back.

    latent: what `encode` gives; (B, *shape) -> (B, *latent.shape) of about unit deviation, or (B, L) int64.
    """

    @property
    def latent(self) -> Spec: ...

    def encode(self, x: Tensor) -> Tensor: ...

    def decode(self, z: Tensor) -> Tensor: ...


class Family(nn.Module):
    """Base of all families. A one-loss family writes `loss`, `optim`, `draw`, and `suggest`; the rest has defaults.

    Config: frozen dataclass of knobs, holds at least `batch: int` (examples a step). Sampling: frozen dataclass of knobs.
    """

    Config: ClassVar[type]
    Sampling: ClassVar[type]
    spec_types: ClassVar[tuple[type, ...]]
    axes: ClassVar[tuple[str, ...] | None] = None  # of the Grids that it takes; None: whatever they are
    preferred_for: ClassVar[frozenset[str]] = frozenset({"quality"})  # among "quality", "speed", "latent"
    early_stopping: ClassVar[bool] = True  # whether the first phase's loss on held-out data tells when to stop
    rationale: ClassVar[str] = ""  # one clause: why this family follows from the spec it accepts
    as_codec: ClassVar[Mapping[str, Any] | None] = None  # Config fields where it serves as a Codec; None: it is none
    latent_spec_type: ClassVar[type] = Grid  # the kind of spec that its latents have, where it serves as a Codec
    codec_share: ClassVar[float] = 0.45  # of the training time, where it is learned before another family
    generates: ClassVar[bool] = (
        True  # whether it draws by itself; what is a codec alone is learned before another family
    )
    no_interpolation_reason: ClassVar[str] = "use a family that has one"  # one clause: why not, and what to use instead
    interpolates_across_classes: ClassVar[bool] = (
        False  # whether `generate` needs no label, so that a walk may lead from one class to another
    )

    spec: Spec
    config: Any

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__()
        self.spec = spec
        self.config = config

    @classmethod
    def supports(cls, spec: Spec) -> bool:
        """Whether the family works on data of this spec."""
        if not isinstance(spec, cls.spec_types):
            return False
        return not isinstance(spec, Grid) or cls.axes is None or spec.axes in cls.axes

    @classmethod
    def suggest(cls, spec: Any, scale: Scale) -> Any:
        """A Config for the spec at `scale.model_size`; a pure function of its arguments."""
        raise NotImplementedError

    @classmethod
    def candidate_sizes(cls, spec: Any, scale: Scale) -> tuple[int, ...]:
        """Dials worth measuring for this budget, smallest first."""
        return (0, 1, 2)

    @classmethod
    def target_examples(cls, spec: Any, config: Any, scale: Scale) -> float:
        """Examples that this Config should see before a larger one is worth it; the planner takes the largest Config
        whose measured rate affords its target_examples within the budget."""
        return 0.0

    @classmethod
    def better_on_latents(cls, spec: Any, scale: Scale) -> bool:
        """Whether it does better on the latents of a codec, which is learned first, than on data of this spec itself."""
        return False

    def fit_closed_form(self, sweep: Iterable[Batch]) -> None:
        """Learn what has a closed form (counts, means, spectra) from one pass over train data, into buffers.

        Packed tokens come as (1, n) stretches of text in order, records as (B, L+1) with mask, grids as (B, *shape).
        Called once before step 0 and never on resume, since buffers are part of the state."""

    def calibrate(self, sweep: Iterable[Batch]) -> None:
        """Fit what needs held-out validation data once training is over; `sweep` gives scoring batches of that part."""

    def optim(self) -> Optim:
        raise NotImplementedError

    def loss(self, batch: Batch, context: StepContext) -> Loss:
        raise NotImplementedError

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("main", self, self.loss, self.optim()),)

    def on_step_end(self, logs: Mapping[str, float]) -> None:
        """Called after each step with its logs, the same on every process: where a controller moves its own buffers."""

    def warning(self, progress: float) -> str | None:
        """What the user should know of a training that goes wrong, a sentence, or None; said once a run."""
        return None

    def sample(self, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        """Drafts of (n, *shape) or (n, <=L) while they form; the last one is the sample."""
        raise NotImplementedError

    def initial_latents(self, request: SampleRequest, seed: int) -> Tensor:
        """(n, K) numbers that samples start from, row i a function of (seed, request.first_index + i): the space that `walk` moves in.
        ConfigError where the family has none."""
        name = type(self).__name__.lower()
        raise ConfigError(f"the family {name!r} has no continuous space to walk in; {self.no_interpolation_reason}")

    def generate(self, latents: Tensor, request: SampleRequest) -> Iterator[Tensor]:
        """Drafts of the samples (n, *shape) that start from `latents` (n, K), without further randomness."""
        raise NotImplementedError

    def encode_to_latents(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """(n, K) latents that lead back to the items x (n, *shape), as nearly as the family can."""
        raise NotImplementedError

    def interpolate(self, one: Tensor, other: Tensor, share: Tensor) -> Tensor:
        """(n, K) latents at `share` (n,) of the way from one (K,) to other (K,): along the sphere, where normal numbers lie."""
        return slerp(one, other, share)

    def bits(self, batch: Batch) -> Tensor | None:
        """(B,) bits of the counted targets of each example (exact, or a bound that the family's docstring states), or
        None where the family has no likelihood."""
        return None

    def bits_by_part(self, batch: Batch) -> dict[str, Tensor]:
        """(B,) bits under parts of the model alone, by name, where it is a mixture: what each would reach without the rest."""
        return {}

    def allocate_buffers(self, state: Mapping[str, torch.Size]) -> None:
        """Make room for buffers whose size is learned by `fit_closed_form`, before a state dict is loaded. `state`: name -> shape."""

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device
