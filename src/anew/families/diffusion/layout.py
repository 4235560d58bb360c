"""Operations of diffusion that depend on the axes of a grid: the network, the closed form, and which parts of an item have a noise
level of their own. No other module looks at axes.

Legend for shapes: B examples, F parts of an example with a noise level each (1 of an image, T of a clip), D values of one
example, C channels.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar

from torch import Tensor, nn

from anew.core.random import StepContext
from anew.core.specs import Batch, Grid, SampleRequest
from anew.errors import ConfigError
from anew.estimators.gaussian_mixture import GaussianMixture
from anew.families.base import Scale
from anew.families.diffusion.config import DiffusionConfig
from anew.families.known import KnownValues
from anew.functional.ode import STOCHASTIC

MAX_FIT_VALUES = 48_000_000  # values to which the closed form is fitted, which bounds its memory to 200 MB
MAX_FIT_EXAMPLES = 10_000  # so many small items are fitted: more make the fit slow and change it little; chosen
SMALLEST_SIGMA = 0.03  # noise level of the last step, in standard deviations of the data; chosen
EXAMPLES_PER_PARAMETER = 0.15  # MNIST at 60 s and 250 s on one core: width 48 and 64
# Examples for each parameter where single pixels are seen: batches of 16 instead of 64 make four times as many steps of the same examples,
# so fewer are enough. With this number, the planner chooses networks whose stages below the first are as wide as those of a network that
# sees patches (docs/log.md, 2026-11-29).
PIXELWISE_EXAMPLES_PER_PARAMETER = 0.06

SampleWindow = Callable[[SampleRequest, int], Iterator[Tensor]]  # (request, seed) -> drafts (n, *shape)


class Layout(ABC):
    """Diffusion on grids of certain axes.

    Attributes:
        mixture_type: Type of the closed form.
        num_choices: How many random numbers `sampled_parts` needs for a sample.
        default_steps: Noise levels that a sample passes through.
        default_solver: Name of the solver that leads from one to the next.
        default_sigma_min: Noise level of the last one, in standard deviations of the data.
    """

    mixture_type: ClassVar[type[GaussianMixture]]
    num_choices: ClassVar[int] = 0
    # With new noise at each level, samples of 12 levels came nearer to the data than those of 8, and 16 and 24 brought none nearer
    # (docs/log.md, 2026-11-27).
    default_steps: ClassVar[int] = 12
    default_solver: ClassVar[str] = STOCHASTIC

    @property
    def default_sigma_min(self) -> float:
        return SMALLEST_SIGMA

    def __init__(self, spec: Grid) -> None:
        self.spec = spec
        self.size = math.prod(spec.shape)

    @property
    def num_parts(self) -> int:
        """F."""
        return 1

    @property
    def max_fit_examples(self) -> int:
        """Most examples to which the closed form is fitted."""
        return min(MAX_FIT_EXAMPLES, max(2, MAX_FIT_VALUES // self.size))

    def examples_per_parameter(self, config: DiffusionConfig) -> float:
        """Examples that a network should see for each of its parameters."""
        return EXAMPLES_PER_PARAMETER

    @abstractmethod
    def network(self, config: DiffusionConfig) -> nn.Module:
        """The network for `run_network`."""

    @abstractmethod
    def suggest(self, config: DiffusionConfig, scale: Scale) -> DiffusionConfig:
        """The config with the settings that depend on the shape and the model size."""

    @abstractmethod
    def empty_mixture(self, rank: int, num_components: int) -> GaussianMixture:
        """The closed form before it is fitted."""

    @abstractmethod
    def fit_mixture(
        self,
        x: Tensor,
        part_mask: Tensor | None,
        labels: Tensor | None,
        rank: int,
        num_clusters: int,
        turns: Iterator[object],
    ) -> GaussianMixture:
        """The closed form of x (N, *shape); part_mask (N, F): which parts examples have (None: all); turns: see `fit_mixture`."""

    @abstractmethod
    def training_sigmas(
        self, context: StepContext, batch: Batch, config: DiffusionConfig
    ) -> tuple[Tensor, Tensor | None]:
        """(B, F) noise levels in standard deviations of the data, infinite for parts that an example does not have, and (B, F) the
        weight of each part in the loss (None: all the same)."""

    def draw_augmentations(self, context: StepContext, count: int, config: DiffusionConfig) -> Tensor | None:
        """(B, num_augmentations) how `run_network` moves each of B examples for the network; None if none is moved."""
        return None

    @abstractmethod
    def run_network(
        self,
        net: nn.Module,
        c_in_y: Tensor,
        denoised: Tensor,
        sigma: Tensor,
        component: Tensor,
        augmentations: Tensor | None = None,
    ) -> Tensor:
        """The network's output (B, C, ...).

        Args:
            net: The result of `network`.
            c_in_y: (B, *shape) noisy data of about unit size.
            denoised: (B, *shape) the closed form's estimate, of about unit size.
            sigma: (B, F) noise levels in standard deviations of the data.
            component: (B,) numbers of components.
            augmentations: The result of `draw_augmentations`. The network is shown moved examples, and its output is moved back.
        """

    def wrapped(self, net: nn.Module) -> nn.Module:
        """The network for images that wrap around.

        Raises:
            ConfigError: The items cannot wrap around.
        """
        raise ConfigError("tile applies to images only; leave it out")

    def known_parts(self, mask: Tensor) -> Tensor | None:
        """(n, F) which parts are known completely, from a mask (n, D); None if an example has no parts."""
        return None

    def sampled_parts(
        self, mixture: GaussianMixture, component: Tensor, choices: Tensor, known_values: KnownValues | None
    ) -> Tensor | None:
        """(n, F) which parts samples of these components have, chosen by normal numbers (n, `num_choices`); None: all."""
        return None

    def hold_last_part(self, x: Tensor, part_mask: Tensor) -> Tensor:
        """Samples (n, *shape) in which missing last parts repeat the last one."""
        return x

    @abstractmethod
    def sample(self, sample_window: SampleWindow, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        """Drafts of `sample_window`, joined if samples should be longer than one window."""
