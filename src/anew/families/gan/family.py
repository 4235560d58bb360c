"""A generative adversarial network: one network makes items out of random numbers, another tells them from real ones.

The baseline of R3GAN (arXiv 2501.05441): each generated item is judged against a real one, the discriminator's slope is kept
small at both, and neither network has a normalisation layer. What is made starts from a sketch, a closed form of the data's
coarse part (`anew.families.gan.coarse_prior`), whose clusters serve both networks as classes: in a run of minutes few items are seen, and
how often each kind occurs need not be learned from them. With few items the discriminator sees changed items only, and
a controller sets how often (arXiv 2006.06676). A sample is one pass of the averaged generator.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from anew.core.random import StepContext, generator
from anew.core.settings import knob
from anew.core.specs import Batch, Grid, SampleRequest
from anew.errors import ConfigError
from anew.families.base import Family, Scale, check_clusters, count_parameters
from anew.families.gan.coarse_prior import MOST_CLUSTERS, Sketch, clusters
from anew.families.phases import Loss, OptimizerConfig, ParameterGroup, Phase
from anew.functional.adversarial import (
    COLLAPSED,
    diversity_ratio,
    gradient_penalty,
    lazy_rows,
    relativistic_loss,
    update_running_mean,
)
from anew.functional.augment import MAX_P, NUM_UNIFORMS, augment, updated_p
from anew.functional.latents import slerp
from anew.nets.precision import arithmetic
from anew.nets.resnet import Discriminator, Generator, bounded

EXAMPLES_A_PARAMETER = 0.25
ROWS = 128  # examples that go through the network at a time
AUGMENT_PASSES = 50  # over the data in which the probability of augmentation could go from 0 to 1
JUDGED_FROM = 0.15  # of the run: before, a generator makes noise that is all alike
STARTS, MOVES = 4, 200  # of an inversion: starts for an item, and steps


@dataclass(frozen=True, slots=True)
class GanConfig:
    batch: int = knob(32, "examples a step", low=1)
    width: int = knob(48, "channels at the largest size", low=8, high=4096)
    mults: tuple[int, ...] = knob((1, 2), "channels of each size, as multiples of width")
    depth: int = knob(1, "blocks a size", low=1, high=64)
    patch: int = knob(2, "side of the patches that the networks see as one position", low=1, high=64)
    numbers: int = knob(64, "random numbers that an item is made from", low=1, high=4096)
    components: int = knob(MOST_CLUSTERS, "clusters of items, which serve as classes", low=0, high=1024)
    rank: int = knob(32, "principal components in the sketch that items start from", low=1, high=256)
    penalty: float = knob(2.0, "weight of the discriminator's squared slope at items", low=0.0, high=1e4)
    penalty_every: int = knob(4, "the slope is measured at one of so many items of a step", low=1, high=1024)
    augment: float = knob(0.0, "probability of each augmentation when training begins", low=0.0, high=MAX_P)
    augment_target: float = knob(
        0.6, "augment more while real and generated are told apart better than this", low=0.0, high=1.0
    )
    augment_items: int = knob(100_000, "examples in which the probability could go from 0 to 1; 0 keeps it", low=0)
    rate: float = knob(0.03, "peak learning rate of matrices (Muon)", low=0.0, high=1.0)
    rate_rest: float = knob(0.0015, "peak learning rate of the rest (AdamW)", low=0.0, high=1.0)
    momentum: float = knob(
        0.8, "momentum of matrices: an opponent moves, so that old gradients mislead", low=0.0, high=0.99
    )
    decay: float = knob(0.5, "last share of the run in which the rate falls", low=0.0, high=1.0)
    average: float = knob(0.05, "relative width of the average of weights", low=0.0, high=0.25)
    precision: str = knob("auto", "arithmetic of the networks", choices=("auto", "fp32", "bf16"))


@dataclass(frozen=True, slots=True)
class GanSampling:
    spread: float = knob(
        1.0, "length of the random numbers; below 1 samples are more typical and less varied", low=0.0, high=3.0
    )


class Gan(Family):
    """Two phases a step, the discriminator's first. Row i of all randomness is a function of the example alone."""

    Config: ClassVar[type] = GanConfig
    Sampling: ClassVar[type] = GanSampling
    spec_types: ClassVar[tuple[type, ...]] = (Grid,)
    axes: ClassVar[tuple[str, ...] | None] = ("CHW",)
    preferred_for: ClassVar[frozenset[str]] = frozenset({"speed"})
    early_stopping: ClassVar[bool] = False  # the discriminator's loss does not tell how good samples are
    rationale: ClassVar[str] = "continuous values on a grid: a sample takes one step"
    interpolates_across_classes: ClassVar[bool] = True

    spec: Grid
    config: GanConfig
    strength: Tensor  # () probability of each augmentation
    apart: Tensor  # () running mean of how well pairs are told apart
    variety: Tensor  # () running mean of the variety of what is generated

    def __init__(self, spec: Grid, config: GanConfig) -> None:
        super().__init__(spec, config)
        if spec.axes != "CHW":
            raise ConfigError(f"gan takes grids with axes 'CHW', and this one has {spec.axes!r}")
        check_clusters("components", config.components, spec.classes)
        widths = tuple(config.width * m for m in config.mults)
        self.sketch = Sketch(spec.shape, min(config.rank, config.numbers), config.components, spec.classes)
        kinds = self.sketch.kinds
        self.generator = Generator(config.numbers, kinds, spec.shape, widths, config.depth, config.patch)
        self.discriminator = Discriminator(kinds, spec.shape, widths, config.depth, config.patch)
        self.register_buffer("strength", torch.tensor(config.augment))
        self.register_buffer("apart", torch.zeros(()))
        self.register_buffer("variety", torch.ones(()))

    @classmethod
    def suggest(cls, spec: Grid, scale: Scale) -> GanConfig:
        side = max(spec.shape[1:])
        patch = 1 if side <= 12 else 2 if side <= 72 else 2 ** math.ceil(math.log2(side / 40))
        halvings = max(1, math.ceil(math.log2(side / patch / 7))) if side >= 4 else 0
        return GanConfig(
            components=clusters(scale.items, spec.classes),
            batch=32 if scale.device == "cpu" else 256,
            width=(32, 48, 64, 96, 128, 192, 256)[min(max(scale.model_size, 0), 6)],
            mults=(1, *(min(2 * 2**i, 4) for i in range(halvings))),
            depth=1 if scale.model_size <= 3 else 2,
            patch=patch,
            augment=0.3 if scale.items < 2000 else 0.0,
            augment_items=AUGMENT_PASSES * max(1000, scale.items),
        )

    @classmethod
    def candidate_sizes(cls, spec: Grid, scale: Scale) -> tuple[int, ...]:
        return (0, 1, 2, 3) if scale.device == "cpu" else (2, 3, 4, 5, 6)

    @classmethod
    def target_examples(cls, spec: Grid, config: GanConfig, scale: Scale) -> float:
        return EXAMPLES_A_PARAMETER * count_parameters(lambda: cls(spec, config))

    def fit_closed_form(self, sweep: Iterable[Batch]) -> None:
        self.sketch.fit(sweep)

    # -- learn ----------------------------------------------------------------------------------------------------------

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("discriminator", self.discriminator, self._discriminator_loss, self.optimizer()),
            Phase("generator", self.generator, self._generator_loss, self.optimizer()),
        )

    def optimizer(self) -> OptimizerConfig:
        c = self.config
        return OptimizerConfig(
            (
                ParameterGroup(self._is_matrix, "muon", c.rate, momentum=c.momentum),
                ParameterGroup(lambda name, parameter: True, "adamw", c.rate_rest, betas=(0.0, 0.99)),
            ),
            warmup_steps=20,
            decay=c.decay,
            ema_width=c.average,
            grad_clip=0.0,  # neither rule looks at the size of gradients
        )

    @staticmethod
    def _is_matrix(name: str, parameter: Tensor) -> bool:
        return parameter.ndim == 4 and "stages" in name

    def _discriminator_loss(self, batch: Batch, context: StepContext) -> Loss:
        c, dtype = self.config, self._dtype()
        kinds = self._kinds(batch)
        with torch.no_grad():
            made = self._augmented(self._made(kinds, context), context, "made")
            real = self._augmented(batch.x.float(), context, "real")
        size = len(batch)
        logits = self.discriminator(torch.cat([real, made]), torch.cat([kinds, kinds]), dtype)
        total = relativistic_loss(logits[:size], logits[size:]).sum()
        turn = lazy_rows(context.step, context.first_row, size, c.penalty_every).to(real.device)
        if len(turn) and c.penalty:
            told, seen = torch.cat([kinds[turn], kinds[turn]]), torch.cat([real[turn], made[turn]])
            slope = gradient_penalty(lambda x: self.discriminator(x, told, dtype), seen)
            total = total + 0.5 * c.penalty * c.penalty_every * slope.sum()
        apart = torch.sign((logits[:size] - logits[size:]).detach()).mean()
        return Loss(total, size, {"apart": apart})

    def _generator_loss(self, batch: Batch, context: StepContext) -> Loss:
        dtype, kinds = self._dtype(), self._kinds(batch)
        items = self._made(kinds, context)
        made = self.discriminator(self._augmented(items, context, "made"), kinds, dtype)
        with torch.no_grad():
            real = self.discriminator(self._augmented(batch.x.float(), context, "real"), kinds, dtype)
        logs = {"variety": diversity_ratio(items.detach(), batch.x), "augment": self.strength.detach()}
        return Loss(relativistic_loss(made, real).sum(), len(batch), logs)

    def _kinds(self, batch: Batch) -> Tensor:
        return self.sketch.kind(batch.x, batch.label if self.spec.classes else None)

    def _made(self, kinds: Tensor, context: StepContext) -> Tensor:
        z = context.normal("numbers", (len(kinds), self.config.numbers))
        return self._generated(torch.cat([z, self._weights(kinds)], 1), self._dtype())

    def _augmented(self, x: Tensor, context: StepContext, use: str) -> Tensor:
        strength = float(self.strength)
        if strength <= 0.0:
            return x
        return augment(x, context.uniform(f"augment {use}", (len(x), NUM_UNIFORMS)), strength)

    def on_step_end(self, logs: Mapping[str, float]) -> None:
        c = self.config
        self.apart.copy_(update_running_mean(self.apart, logs["apart"]))
        self.variety.copy_(update_running_mean(self.variety, logs["variety"]))
        if c.augment_items:
            self.strength.copy_(updated_p(self.strength, self.apart, c.augment_target, c.batch / c.augment_items))

    def warning(self, progress: float) -> str | None:
        if progress < JUDGED_FROM or float(self.variety) >= COLLAPSED:
            return None
        share = f"{max(0.0, float(self.variety)):.0%}"
        return (
            f"the generator has collapsed: {share} of the variety of your data; give a larger penalty or another seed"
        )

    def _dtype(self) -> torch.dtype:
        return arithmetic(self.config.precision, self.device)

    # -- draw -----------------------------------------------------------------------------------------------------------

    def sample(self, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        if request.condition is not None:
            raise ConfigError("gan cannot keep given values in a sample; leave them out, or use the family 'diffusion'")
        yield from self.generate(self.initial_latents(request, seed), request)

    @torch.no_grad()
    def initial_latents(self, request: SampleRequest, seed: int) -> Tensor:
        """(n, N + kinds): normal numbers, then weights of the kinds; row i is a function of (seed, request.first_index + i)."""
        how: GanSampling = request.sampling or GanSampling()
        sources = [generator(seed, "draw", request.first_index + i) for i in range(request.n)]
        rows = torch.stack([torch.randn(self.config.numbers + 1, generator=source) for source in sources])
        z = how.spread * rows[:, :-1].to(self.device)
        if request.labels is not None and not self.spec.classes:
            raise ConfigError("a label was given, but the data had no labels; leave it out")
        chosen = self.sketch.choose(torch.special.ndtr(rows[:, -1].double()), request.labels)
        return torch.cat([z, self._weights(chosen)], 1)

    def _weights(self, label: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(label, self.sketch.kinds).to(self.device, torch.float32)

    @torch.no_grad()
    def generate(self, latents: Tensor, request: SampleRequest) -> Iterator[Tensor]:
        """One draft: the items. Kinds are those that the latents hold."""
        kind = self._dtype()
        shown = [self._generated(some, kind) for some in torch.split(latents.to(self.device), ROWS)]
        yield torch.cat(shown)

    def _generated(self, latents: Tensor, kind: torch.dtype) -> Tensor:
        z, weights = latents[:, : self.config.numbers], latents[:, self.config.numbers :]
        x: Tensor = self.generator(z, weights, self.sketch(z, weights), kind)
        return bounded(x) if self.spec.bounded else x

    def encode_to_latents(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """(n, N + kinds) latents, each found by a fixed number of steps down the squared error from the best of a few
        starts: the item's own kind and the numbers of its sketch, and random numbers for the rest."""
        found = []
        known = None if label is None or not self.spec.classes else label.to(self.device)
        for place in range(0, len(x), ROWS // STARTS):
            rows = slice(place, place + ROWS // STARTS)
            part = x[rows].to(self.device).float()
            kind = self.sketch.kind(part, None if known is None else known[rows])
            found.append(self._inverted(part, kind))
        return torch.cat(found)

    def _inverted(self, x: Tensor, kind: Tensor) -> Tensor:
        size, numbers = math.prod(self.spec.shape), self.config.numbers
        z = self.initial_latents(SampleRequest(STARTS), 0)[:, :numbers].repeat(len(x), 1)  # (n * STARTS, N)
        z[:, : self.sketch.rank] = self.sketch.numbers(x, kind).repeat_interleave(STARTS, 0)
        weights, aim = self._weights(kind).repeat_interleave(STARTS, 0), x.repeat_interleave(STARTS, 0)
        moved, slopes = torch.zeros_like(z), torch.zeros_like(z)
        error = torch.zeros(len(z), device=z.device)
        for step in range(MOVES):
            with torch.enable_grad():
                z = z.detach().requires_grad_(True)
                made = self._generated(torch.cat([z, weights], 1), torch.float32)
                error = (made - aim).square().flatten(1).sum(1)
                # Held near where normal numbers lie, so that walks between inverted items stay on known ground.
                (slope,) = torch.autograd.grad((error + 0.001 * size / numbers * z.square().sum(1)).sum(), z)
            moved.lerp_(slope, 0.1)
            slopes.lerp_(slope.square().mean(1, keepdim=True).expand_as(slopes), 0.05)
            bias = (1 - 0.9 ** (step + 1)) / (1 - 0.95 ** (step + 1)) ** 0.5
            z = z.detach() - 0.1 * (1 - step / MOVES) * moved / bias / (slopes.sqrt() + 1e-12)
        best = error.view(-1, STARTS).argmin(1) + STARTS * torch.arange(len(x), device=x.device)
        return torch.cat([z, weights], 1)[best].detach()

    def interpolate(self, one: Tensor, other: Tensor, share: Tensor) -> Tensor:
        """Numbers along the sphere, weights of the kinds along a line."""
        numbers = self.config.numbers
        straight = torch.lerp(one[None, numbers:], other[None, numbers:], share[:, None])
        return torch.cat([slerp(one[:numbers], other[:numbers], share), straight], 1)


EXPORT: Any = Gan
