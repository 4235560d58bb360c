"""Interface of families: a module with the data it supports, its training (phases) and its sampling (drafts).

A family uses specs, functions, estimators and nets. It knows nothing of data, the trainer or the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import TypeVar

from anew.core import registry
from anew.core.arrays import Numbers
from anew.core.deadline import UNLIMITED_TURNS
from anew.core.machine.device import compute_dtype
from anew.core.machine.loop_compiler import Loops
from anew.core.random import StepContext
from anew.core.specs import Batch, Grid, SampleRequest, Spec
from anew.core.wording import listed
from anew.errors import ConfigError
from anew.families.phases import Loss, OptimizerConfig, Phase
from anew.families.portable import Graph, PortableSampler, StockDecoder
from anew.families.training_settings import TrainingSettings
from anew.functional.adversarial import COLLAPSED
from anew.functional.latents import slerp

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    class FamilyConfig(DataclassInstance, Protocol):
        """Settings common to the `Config` of all families."""

        @property
        def batch_size(self) -> int: ...


# The refusal of samples that are not numbers
NOT_FINITE = "the model drew values that are not finite numbers; use other sampling settings, or train the run again"
RequestOf = Callable[[int, int], SampleRequest]  # (number of samples, seed) -> the request
# A family's spec of its data, and its settings. Code that takes any family leaves both open.
SpecT = TypeVar("SpecT", bound=Spec, default=Any)
ConfigT = TypeVar("ConfigT", bound="FamilyConfig", default=Any)


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale from which a family derives its sizes.

    Attributes:
        items: Examples in the train split (windows or records for tokens).
        units: Characters, residues or pixels in it.
        seconds: Training time; None if only steps are given.
        model_size: 0 for the smallest candidate; each +1 about doubles the cost of a step.
        device: Type of the device that it will run on, e.g. "cpu".
        threads: Threads that it will have there.
        loops_ready: Whether loops that it would use are compiled; else it does without them.
        slowdown: How many times longer than on idle cores work takes there.
    """

    items: int
    units: float
    seconds: float | None = None
    model_size: int = 0
    device: str = "cpu"
    threads: int = 1
    loops_ready: bool = True
    slowdown: float = 1.0


@dataclass(frozen=True, slots=True)
class TokenDraft:
    """Samples of tokens while they grow.

    Attributes:
        ids: (n, t) the prompt and the tokens drawn so far.
        weights: (n, V) proportional to the probabilities from which the last token was drawn, before temperature and cuts.
    """

    ids: NDArray[np.int64]
    weights: NDArray[np.float32]


@runtime_checkable
class SamplesTokens(Protocol):
    """A family that samples one token after another, and can draw samples of several seeds together."""

    def sample_tokens(
        self, request: SampleRequest, keys: Sequence[tuple[int, int]], reads_prompt: bool = False
    ) -> Iterator[TokenDraft]:
        """Drafts of the samples, one a token; to cancel, stop iterating.

        Args:
            request: Its condition may be (n, L), a prompt for each sample.
            keys: (seed, index) of each of the n samples: the sample that `sample` gives for this seed at this index.
            reads_prompt: Whether each token of the prompt makes a draft too, with the weights before it.
        """
        ...


def check_axes(family: str, spec: Grid, allowed: Iterable[str]) -> None:
    """Raise ConfigError if the axes of a grid are not allowed."""
    if spec.axes not in allowed:
        expected = " or ".join(map(repr, allowed))
        raise ConfigError(f"{family} supports grids with axes {expected} (got {spec.axes!r})")


def check_clusters(setting: str, number: int, classes: int) -> None:
    """Raise ConfigError if there are fewer clusters than classes: each class needs a cluster of its own."""
    if number < classes:
        raise ConfigError(f"{setting} must be at least the number of classes, {classes} (got {number})")


def class_labels(request: SampleRequest, classes: int) -> Tensor | None:
    """The labels (n,) of a request. Raises ConfigError if there are labels, but the data has no classes."""
    if request.labels is not None and not classes:
        raise ConfigError("a label was given, but the data has no classes; leave it out")
    return request.labels


def num_parameters(*modules: nn.Module) -> int:
    """How many numbers are learned by gradients."""
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def collapse_warning(variety: float, advice: str) -> str | None:
    """The warning for a generator whose items have little of the variety of the data, else None. variety: a `diversity_ratio`."""
    if variety >= COLLAPSED:
        return None
    return f"the generator has collapsed: its items have {max(0.0, variety):.0%} of the variety of your data; {advice}"


def label_conflict(sampling: object) -> str:
    """The setting with which samples follow no label, even if the data has labels; "" if there is none."""
    return str(getattr(sampling, "label_conflict", ""))


def num_parameters_of(make: Callable[[], nn.Module]) -> int:
    """Number of parameters that a network would have. The global random state is left unchanged."""
    # Not on the device "meta": its first tensor loads torch's compiler, a second of CPU time.
    with torch.random.fork_rng(devices=[]):
        return num_parameters(make())


class Family(nn.Module, Generic[SpecT, ConfigT]):
    """Base of all families. A one-loss family writes `suggest`, `optimizer`, `loss` and `sample`; the rest has defaults.

    Attributes:
        Config: Frozen dataclass of settings; holds at least `batch_size: int`, the examples of a step.
        Sampling: Frozen dataclass of settings.
        spec_types: Types of spec that it supports.
        axes: Axes of the Grids that it supports, e.g. ("CHW",); None for any.
        takes_rows: Whether it supports Grids that are one row of values, as slow signals are, which networks of images pad to a square.
        takes_unbounded: Whether it supports Grids whose values have no bounds, as those of latents.
        preferred_for: The preferences for which it is the first choice, among "quality", "speed" and "latent".
        wins: Share of the image data sets in docs/log.md on which its samples came out best. A family that never won is not tried.
        learning_exponent: How fast its Fréchet distance falls towards that of real items: as progress to minus this power.
        rationale: Why this family suits the spec, one clause.
        collapse_advice: Advice if its samples come out all alike.
        min_batch_size: Examples to which the planner may halve the batches of a short training; None: it keeps them.
        early_stopping: Whether the first phase's loss on held-out data decides when to stop.
        generates: Whether it samples by itself. A family that is only a codec is trained before another one.
        codec_config: Fields of its Config when it serves as a codec; None if it cannot.
        codec_time_share: Share of the training time that it takes as a codec.
        latent_spec_type: Type of the spec of its latents, if it serves as a codec.
        no_interpolation_reason: If it has no continuous space, a clause on what to use instead.
        follows_keys: Whether `sample` draws each row by `SampleRequest.sample_keys`, so that several seeds grow as one batch.
        fills_in: Whether `sample` keeps the values of a Grid that a condition gives.
        interpolates_across_classes: Whether `generate` needs no label, so that a path may lead from class to class.
        scores_by_class: Whether `bits` are those given the labels of the batch, so that an example without one has to be scored
            under every class.
    """

    Config: ClassVar[type]
    Sampling: ClassVar[type]
    spec_types: ClassVar[tuple[type, ...]]
    axes: ClassVar[tuple[str, ...] | None] = None
    takes_rows: ClassVar[bool] = True
    takes_unbounded: ClassVar[bool] = True
    preferred_for: ClassVar[frozenset[str]] = frozenset({"quality"})
    wins: ClassVar[float] = 0.0
    learning_exponent: ClassVar[float] = 0.5
    rationale: ClassVar[str] = ""
    collapse_advice: ClassVar[str] = "give more time, another seed or family"
    min_batch_size: ClassVar[int | None] = None
    early_stopping: ClassVar[bool] = True
    generates: ClassVar[bool] = True
    codec_config: ClassVar[Mapping[str, object] | None] = None
    codec_time_share: ClassVar[float] = 0.45
    latent_spec_type: ClassVar[type] = Grid
    no_interpolation_reason: ClassVar[str] = "use a family that has one"
    follows_keys: ClassVar[bool] = False
    fills_in: ClassVar[bool] = False
    interpolates_across_classes: ClassVar[bool] = False
    scores_by_class: ClassVar[bool] = True

    spec: SpecT
    config: ConfigT

    def __init__(self, spec: SpecT, config: ConfigT) -> None:
        super().__init__()
        self.spec = spec
        self.config = config

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def block_dtype(self) -> torch.dtype:
        """The type that the loss casts all weights of its blocks to (of each `nn.ModuleList`); shards of them are sent in it."""
        config = self.config
        return compute_dtype(config.precision, self.device) if isinstance(config, TrainingSettings) else torch.float32

    # -- plan -----------------------------------------------------------------------------------------------------------

    @classmethod
    def supports(cls, spec: Spec) -> bool:
        """Whether the family works on data of this spec."""
        if not isinstance(spec, cls.spec_types):
            return False
        if not isinstance(spec, Grid):
            return True
        has_bounds = spec.bounded or cls.takes_unbounded
        return has_bounds and (cls.axes is None or spec.axes in cls.axes) and (cls.takes_rows or not spec.is_row)

    @classmethod
    def suggest(cls, spec: SpecT, scale: Scale) -> ConfigT:
        """A Config for the spec at `scale.model_size`; a pure function of its arguments."""
        raise NotImplementedError

    @classmethod
    def implied(cls, overrides: Mapping[str, object]) -> Mapping[str, object]:
        """Settings that follow from those that the user gave, in place of suggestions that these exclude."""
        return {}

    @classmethod
    def loops_to_compile(cls, spec: SpecT, config: ConfigT) -> Loops | None:
        """Loops that this Config uses and that are not yet compiled on this machine."""
        return None

    @classmethod
    def plan_notes(cls, spec: SpecT, scale: Scale, config: ConfigT) -> tuple[str, ...]:
        """Further notes on a plan, besides its sizes, one sentence each."""
        return ()

    @classmethod
    def candidate_sizes(cls, spec: SpecT, scale: Scale) -> tuple[int, ...]:
        """Model sizes worth measuring for this budget, smallest first."""
        return (0, 1, 2)

    @classmethod
    def target_examples(cls, spec: SpecT, config: ConfigT, scale: Scale) -> float:
        """Examples that this Config should see before a larger one is worth it. The planner chooses the largest Config that is fast
        enough to reach its target within the budget."""
        return 0.0

    # -- learn ----------------------------------------------------------------------------------------------------------

    @classmethod
    def fitting_seconds(cls, spec: SpecT, config: ConfigT, scale: Scale) -> float:
        """About how many seconds of an idle core `fit_closed_form` takes; 0 where that is no part of a budget to plan with."""
        return 0.0

    def fit_closed_form(self, batches: Iterable[Batch], turns: Iterator[object] = UNLIMITED_TURNS) -> None:
        """Fit buffers that have a closed form (counts, means, spectra) in one pass over train data.

        Called once before step 0 and never on resume, since buffers are part of the state.

        Args:
            batches: Train data, `max_fitted_examples` examples at most: packed tokens as (1, n) stretches of whole documents in
                random order (of pieces of them where the limit leaves some out), records as (B, L+1) with mask, grids as (B, *shape).
            turns: One is taken before each part of the work that can be left out. Where they end, the rest of it is.
        """

    @property
    def max_fitted_examples(self) -> int | None:
        """Examples that `fit_closed_form` reads at most; None: all. They come from everywhere in the data."""
        return None

    def note_partial_pass(self) -> None:
        """Called after `fit_closed_form` where its batches left out train data."""

    def prepare_drawing(self) -> None:
        """Do, after the weights were read, what drawing and scoring need first and no file holds, such as reading the training text
        again; nothing by default."""

    def fit_latents(self, batches: Iterable[Batch]) -> None:
        """Fit the distribution of the latents of a trained network in closed form, into buffers, before `calibrate`.

        Also called during training, with fewer items, before samples are shown. batches: Train data, as in training."""

    @property
    def max_calibrated_targets(self) -> int | None:
        """Targets that `calibrate` reads at most, which then come from everywhere in the validation part; None: all."""
        return None

    def calibrate(self, batches: Iterable[Batch]) -> None:
        """Fit, after training, what needs held-out validation data, from scoring batches of it."""

    @property
    def calibrates_drawing(self) -> bool:
        """Whether `calibrate_drawing` fits anything."""
        return False

    def calibrate_drawing(self, documents: Iterable[Batch], request_of: RequestOf) -> Iterator[object]:
        """Fit, after `calibrate`, how tokens are drawn: ever better until the caller stops, which it can after each step of drawing.

        Args:
            documents: Documents of the validation part, one a batch; none where the data has no running text. See `documents_of`.
            request_of: Makes the request for n samples of a seed as users make it who set nothing: with classes by their shares in the
                data, and the sampling settings that suit the data.
        """
        return iter(())

    def allocate_buffers(self, shapes: Mapping[str, torch.Size]) -> None:
        """Make room for buffers whose size `fit_closed_form` learned, before a state dict with these shapes is loaded."""

    def optimizer(self) -> OptimizerConfig:
        """Optimizer configuration of the one phase, for families with one."""
        raise NotImplementedError

    def loss(self, batch: Batch, context: StepContext) -> Loss:
        """The loss of the one phase, for families with one."""
        raise NotImplementedError

    def phases(self) -> tuple[Phase, ...]:
        """The training phases, in the order in which they act within a step."""
        return (Phase("main", self, self.loss, self.optimizer()),)

    def on_step_end(self, logs: Mapping[str, float]) -> None:
        """Called after each step with its logs, which are the same on every process. A controller can update its buffers here."""

    def warning(self, progress: float) -> str | None:
        """A sentence if training goes wrong, or None; reported once per run."""
        return None

    # -- sample ---------------------------------------------------------------------------------------------------------

    def remarks(self) -> tuple[str, ...]:
        """Notes for the report on how the trained model samples, one sentence each."""
        return ()

    def sample(self, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        """Drafts of (n, *shape) or (n, <=L) while they form; the last one is the sample."""
        raise NotImplementedError

    def num_drafts(self, request: SampleRequest) -> int:
        """About how many drafts `sample` yields for a request with sampling settings, to choose evenly spaced ones to show."""
        return 1

    def initial_latents(self, request: SampleRequest, seed: int) -> Tensor:
        """Starting points of samples, in the space in which `interpolate` moves.

        Returns:
            (n, K), row i a function of (seed, request.first_index + i).

        Raises:
            ConfigError: The family has no such space.
        """
        raise registry.no_continuous_space(type(self).__name__.lower(), self.no_interpolation_reason)

    def generate(self, latents: Tensor, request: SampleRequest) -> Iterator[Tensor]:
        """Drafts of the samples (n, *shape) that start from `latents` (n, K), without further randomness."""
        raise NotImplementedError

    def encode_to_latents(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, K) latents from which `generate` gives the items x (n, *shape), as closely as the family can."""
        raise NotImplementedError

    def interpolate(self, start: Tensor, end: Tensor, fractions: Tensor) -> Tensor:
        """(n, K) latents at `fractions` (n,) of the way from start (K,) to end (K,), along the sphere on which normal numbers lie."""
        return slerp(start, end, fractions)

    # -- score ----------------------------------------------------------------------------------------------------------

    def bits(self, batch: Batch) -> Tensor | None:
        """(B,) bits of the counted targets of each example (exact, or a bound that the family's docstring states), or
        None if the family has no likelihood."""
        return None

    @property
    def reads_documents(self) -> bool:
        """Whether the bits of a window depend on the windows before it, see `Batch.continues`; batches may then be long."""
        return False

    @property
    def has_counts(self) -> bool:
        """Whether counts of training items are mixed with the network."""
        return False

    def bits_by_part(self, batch: Batch) -> dict[str, Tensor]:
        """(B,) bits under each part of the model alone, by name, if it is a mixture."""
        return {}

    def bits_and_parts(self, batch: Batch) -> tuple[Tensor | None, dict[str, Tensor]]:
        """Results of `bits` and `bits_by_part`; a family may compute both in one pass."""
        return self.bits(batch), self.bits_by_part(batch)

    def training_records(self, rows: Sequence[Numbers]) -> list[bool | None] | None:
        """Whether each of these encoded records was trained on; None for one if that is not known, None in all if it is known for none."""
        return None

    # -- export ---------------------------------------------------------------------------------------------------------

    def stock_decoder(self) -> StockDecoder:
        """Its network as a class that other libraries know.

        Raises:
            ConfigError: There is no such class for it.
        """
        name = type(self).__name__.lower()
        raise ConfigError(
            f"the family {name!r} is not a language model; only a transformer over text or sequences is one"
        )

    def portable_sampler(self) -> PortableSampler:
        """Its networks as graphs, and the steps that sample from them, for the default sampling settings.

        Raises:
            ConfigError: Its sampling cannot be expressed in such steps.
        """
        name = type(self).__name__.lower()
        raise ConfigError(f"the family {name!r} provides no graphs; it would do so in its `portable_sampler` method")

    def portable_decoder(self) -> Graph:
        """The graph from latents or codes to items, of a family that serves as a codec."""
        raise NotImplementedError

    def portable_encoder(self) -> Graph:
        """The graph from items to latents on a grid, of a family that serves as a codec with such latents."""
        raise NotImplementedError

    def check_state(self) -> None:
        """Check loaded buffers, of which only names, shapes and dtypes were checked so far.

        Raises:
            ValueError: An index in a buffer is out of range (one clause).
        """


def load_family(name: str) -> type[Family]:
    """The family of this name. Raises ConfigError with the nearest name if there is none."""
    family = registry.load("families", name)
    assert issubclass(family, Family)
    return family


def families_that(can: Callable[[type[Family]], bool]) -> str:
    """The names of the families for which this holds, for a sentence: "diffusion or vae"."""
    return listed([name for name in registry.available("families") if can(load_family(name))], "or")


def load_family_file(path: Path) -> type[Family]:
    """The family that a user's Python file exports. This runs the file.

    Raises:
        ConfigError: It is missing, fails, or exports something else.
    """
    family = registry.load_user_family(path)
    if not issubclass(family, Family):
        raise ConfigError(
            f"{str(path)!r} exports {family.__name__}, which is not a subclass of anew.families.base.Family"
        )
    return family
