"""A generative adversarial network: one network makes items out of random numbers, another one distinguishes them from real ones.

It follows the baseline of R3GAN (arXiv 2501.05441): each generated item is judged against a real one, the discriminator's gradient
is kept small at both, and neither network has a normalisation layer. The generator starts from a closed form of the coarse part of
the data (`anew.families.gan.coarse_prior`), whose clusters serve both networks as classes: a run of minutes sees few items, and the
frequency of each cluster need not be learned from them. If there are few items, the discriminator sees only augmented items, and a
controller sets how often (arXiv 2006.06676). A sample takes one pass of the averaged generator.

Legend for shapes: B items, Z latent numbers, K components of the coarse prior.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from anew.core.deadline import UNLIMITED_TURNS
from anew.core.machine.device import move
from anew.core.random import StepContext, evenly_spread, normal_rows, sample_generator
from anew.core.specs import Batch, Grid, SampleRequest
from anew.errors import ConfigError
from anew.families._sizes import (
    ROWS,
    conv_candidate_sizes,
    conv_depth,
    conv_width,
    muon_and_adamw,
    suggest_num_clusters,
    suggest_patch_size,
    weights_within,
)
from anew.families.base import (
    Family,
    Scale,
    check_axes,
    check_clusters,
    class_labels,
    collapse_warning,
    families_that,
    num_parameters_of,
)
from anew.families.gan.coarse_prior import CoarsePrior
from anew.families.gan.config import MAX_CLUSTERS, GanConfig, GanSampling
from anew.families.gan.portable import gan_sampler
from anew.families.phases import Loss, OptimizerConfig, Phase
from anew.families.portable import PortableSampler
from anew.functional.adversarial import (
    diversity_ratio,
    gradient_penalty,
    lazy_rows,
    relativistic_loss,
    update_running_mean,
)
from anew.functional.augment import NUM_UNIFORMS, augment, updated_p
from anew.functional.latents import slerp
from anew.nets.resnet import Discriminator, ResNetGenerator, soft_clamp

# Examples, for each parameter, before a larger generator is worth it; chosen, diffusion has 0.15.
EXAMPLES_PER_PARAMETER = 0.25
POSITIONS = 40  # a side, of large items
# The probability of augmentation can rise from 0 to 1 in so many epochs: for 10,000 items, the 500,000 examples of ADA
# (arXiv 2006.06676).
AUGMENT_EPOCHS = 50
# The discriminator would memorize fewer items before the controller reacts, so augmentation begins at 0.3; chosen.
FEW_ITEMS = 2000
# Share of the run: before it, the generator's noise has little variety, which would look like a collapse; chosen.
COLLAPSE_FROM = 0.15
# Starts of the search for an item's latents, of which the best is kept: a single search sometimes ends badly; chosen.
INVERSION_STARTS = 4
INVERSION_STEPS = 200  # steps of each search: more would be slower; chosen
# First learning rate of the search for latents, which falls to 0, and the decays of Adam's averages; both chosen. The weight of the prior
# (times the values of an item, divided by the latents) keeps latents where normal numbers lie, and hardly costs detail; chosen.
INVERSION_LR, INVERSION_BETAS = 0.1, (0.9, 0.95)
INVERSION_PRIOR = 0.001


class Gan(Family[Grid, GanConfig]):
    """Two phases a step, the discriminator's first. The random numbers of row i depend only on the example."""

    Config: ClassVar[type] = GanConfig
    Sampling: ClassVar[type] = GanSampling
    spec_types: ClassVar[tuple[type, ...]] = (Grid,)
    axes: ClassVar[tuple[str, ...] | None] = ("CHW",)
    takes_rows: ClassVar[bool] = False
    preferred_for: ClassVar[frozenset[str]] = frozenset({"speed"})
    wins: ClassVar[float] = 0.25
    learning_exponent: ClassVar[float] = 0.6
    follows_keys: ClassVar[bool] = True
    rationale: ClassVar[str] = "sampling takes one step, the fastest there is"
    collapse_advice: ClassVar[str] = "use a larger gradient_penalty, another seed or family"
    early_stopping: ClassVar[bool] = False  # the discriminator's loss does not say how good samples are
    interpolates_across_classes: ClassVar[bool] = True

    augment_p: Tensor  # () probability of each augmentation
    sign_accuracy: Tensor  # () running mean of how well pairs are distinguished
    diversity: Tensor  # () running mean of the diversity of generated items

    def __init__(self, spec: Grid, config: GanConfig) -> None:
        super().__init__(spec, config)
        check_axes("gan", spec, ("CHW",))
        check_clusters("num_clusters", config.num_clusters, spec.classes)
        c = config
        widths = tuple(c.width * mult for mult in c.channel_mults)
        self.coarse_prior = CoarsePrior(spec.shape, min(c.rank, c.latent_dim), c.num_clusters, spec.classes)
        num_components = self.coarse_prior.num_components
        self.generator = ResNetGenerator(c.latent_dim, num_components, spec.shape, widths, c.depth, c.patch_size)
        self.discriminator = Discriminator(num_components, spec.shape, widths, c.depth, c.patch_size)
        self.register_buffer("augment_p", torch.tensor(c.augment_p))
        self.register_buffer("sign_accuracy", torch.zeros(()))
        self.register_buffer("diversity", torch.ones(()))

    def allocate_buffers(self, shapes: Mapping[str, torch.Size]) -> None:
        if "coarse_prior.mixing" not in shapes:
            self.coarse_prior.leave_channels_alone()

    @classmethod
    def suggest(cls, spec: Grid, scale: Scale) -> GanConfig:
        side = max(spec.shape[1:])
        patch_size = suggest_patch_size(side, POSITIONS)
        halvings = max(1, math.ceil(math.log2(side / patch_size / 7))) if side >= 4 else 0  # down to 7 positions
        return GanConfig(
            num_clusters=suggest_num_clusters(scale.items, spec.classes, MAX_CLUSTERS),
            batch_size=32 if scale.device == "cpu" else 256,
            width=conv_width(scale.model_size),
            channel_mults=(1, *(min(2 * 2**i, 4) for i in range(halvings))),
            depth=conv_depth(scale.model_size),
            patch_size=patch_size,
            augment_p=0.3 if scale.items < FEW_ITEMS else 0.0,
            augment_examples=AUGMENT_EPOCHS * max(1000, scale.items),
        )

    @classmethod
    def candidate_sizes(cls, spec: Grid, scale: Scale) -> tuple[int, ...]:
        return conv_candidate_sizes(scale.device)

    @classmethod
    def target_examples(cls, spec: Grid, config: GanConfig, scale: Scale) -> float:
        return EXAMPLES_PER_PARAMETER * num_parameters_of(lambda: cls(spec, config))

    def fit_closed_form(self, batches: Iterable[Batch], turns: Iterator[object] = UNLIMITED_TURNS) -> None:
        self.coarse_prior.fit(batches, turns)

    # -- learn ----------------------------------------------------------------------------------------------------------

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase(
                "discriminator",
                self.discriminator,
                self._discriminator_loss,
                self.optimizer(),
                differentiates_twice=True,
            ),
            Phase("generator", self.generator, self._generator_loss, self.optimizer()),
        )

    def optimizer(self) -> OptimizerConfig:
        c = self.config
        return muon_and_adamw(
            weights_within("stages", ndims=(4,)),
            c,
            dtype=self.block_dtype,
            momentum=c.momentum,
            betas=(0.0, 0.99),
            grad_clip=0.0,  # neither optimizer depends on the size of gradients
        )

    def _discriminator_loss(self, batch: Batch, context: StepContext) -> Loss:
        c, dtype, size = self.config, self.block_dtype, len(batch)
        component, p = self._assign(batch), float(self.augment_p)
        with torch.no_grad():
            generated = self._augment(self._generate_like(component, context), p, context, "made")
            real = self._augment(batch.x.float(), p, context, "real")
        logits = self.discriminator(torch.cat([real, generated]), torch.cat([component, component]), dtype)
        real_logits, generated_logits = logits[:size], logits[size:]
        total = relativistic_loss(real_logits, generated_logits).sum()
        rows = lazy_rows(context.step, context.first_row, size, c.penalty_interval)
        if len(rows) and c.gradient_penalty:
            rows = move(rows, real.device)
            items = torch.cat([real[rows], generated[rows]])
            item_component = torch.cat([component[rows], component[rows]])
            penalty = gradient_penalty(lambda x: self.discriminator(x, item_component, dtype), items)
            total = total + 0.5 * c.gradient_penalty * c.penalty_interval * penalty.sum()
        sign_accuracy = torch.sign((real_logits - generated_logits).detach()).mean()
        return Loss(total, size, {"sign_accuracy": sign_accuracy})

    def _generator_loss(self, batch: Batch, context: StepContext) -> Loss:
        dtype, component, p = self.block_dtype, self._assign(batch), float(self.augment_p)
        generated = self._generate_like(component, context)
        generated_logits = self.discriminator(self._augment(generated, p, context, "made"), component, dtype)
        with torch.no_grad():
            real = self._augment(batch.x.float(), p, context, "real")
            real_logits = self.discriminator(real, component, dtype)
        logs = {"diversity": diversity_ratio(generated.detach(), batch.x), "augment_p": self.augment_p.detach()}
        return Loss(relativistic_loss(generated_logits, real_logits).sum(), len(batch), logs)

    def _assign(self, batch: Batch) -> Tensor:
        """(B,) the component of each real item."""
        return self.coarse_prior.assign(batch.x, batch.labels if self.spec.classes else None)

    def _generate_like(self, component: Tensor, context: StepContext) -> Tensor:
        """(B, *shape) new items of these components (B,)."""
        z = context.normal("numbers", (len(component), self.config.latent_dim))
        return self._generate(torch.cat([z, self._one_hot(component)], 1), self.block_dtype)

    def _augment(self, x: Tensor, p: float, context: StepContext, stream: str) -> Tensor:
        """Items that are changed with the probability p, a number on the CPU: each read of `augment_p` waits for the device."""
        if p <= 0.0:
            return x
        return augment(
            x, context.uniform(f"augment {stream}", (len(x), NUM_UNIFORMS)), p, self.spec.brightness_channels
        )

    def on_step_end(self, logs: Mapping[str, float]) -> None:
        c = self.config
        self.sign_accuracy.copy_(update_running_mean(self.sign_accuracy, logs["sign_accuracy"]))
        self.diversity.copy_(update_running_mean(self.diversity, logs["diversity"]))
        if c.augment_examples:
            change = c.batch_size / c.augment_examples
            self.augment_p.copy_(updated_p(self.augment_p, self.sign_accuracy, c.augment_target, change))

    def warning(self, progress: float) -> str | None:
        return None if progress < COLLAPSE_FROM else collapse_warning(float(self.diversity), self.collapse_advice)

    # -- explain --------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def discriminator_logits(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n,) logits of the discriminator for items x (n, *shape), each with the component that it is assigned to."""
        component = self.coarse_prior.assign(x, labels if self.spec.classes else None)
        logits: Tensor = self.discriminator(x, component, self.block_dtype)
        return logits

    def input_gradient(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, *shape) gradient of the discriminator's logits at items x (n, *shape)."""
        component = self.coarse_prior.assign(x, labels if self.spec.classes else None)
        with torch.enable_grad():
            values = x.detach().float().requires_grad_(True)
            (gradient,) = torch.autograd.grad(self.discriminator(values, component, torch.float32).sum(), values)
        return gradient

    # -- sample ---------------------------------------------------------------------------------------------------------

    def sample(self, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        if request.condition is not None:
            able = families_that(lambda family: family.fills_in)
            raise ConfigError(f"gan cannot keep given values in a sample; leave them out, or use the family {able}")
        yield from self.generate(self.initial_latents(request, seed), request)

    @torch.no_grad()
    def initial_latents(self, request: SampleRequest, seed: int) -> Tensor:
        """(n, Z + K): normal numbers, then weights of the components; row i is a function of (seed, first_index + i)."""
        sampling = request.sampling_as(GanSampling)
        labels = class_labels(request, self.spec.classes)
        keys = request.sample_keys(seed)
        generators = [sample_generator(row_seed, "draw", index) for row_seed, index in keys]
        z = sampling.truncation * move(normal_rows(generators, self.config.latent_dim), self.device)
        component = self.coarse_prior.sample_components(evenly_spread(keys, "component"), labels)
        return torch.cat([z, self._one_hot(component)], 1)

    def _one_hot(self, component: Tensor) -> Tensor:
        num_components = self.coarse_prior.num_components
        return torch.nn.functional.one_hot(component, num_components).to(self.device, torch.float32)

    @torch.no_grad()
    def generate(self, latents: Tensor, request: SampleRequest) -> Iterator[Tensor]:
        """One draft: the items. The latents say their components."""
        dtype = self.block_dtype
        items = [self._generate(rows, dtype) for rows in torch.split(latents.to(self.device), ROWS)]
        yield torch.cat(items)

    def _generate(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        z, component_weights = latents[:, : self.config.latent_dim], latents[:, self.config.latent_dim :]
        prior = self.coarse_prior
        x: Tensor = self.generator(z, component_weights, prior(z, component_weights), prior.mixing, dtype)
        return soft_clamp(x) if self.spec.bounded else x

    def encode_to_latents(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, Z + K) latents that minimize the squared error, each from the best of a few searches of a fixed number of steps. They
        start from the item's component, the latents of its coarse part, and random numbers for the rest."""
        num_rows = ROWS // INVERSION_STARTS
        labels = None if labels is None or not self.spec.classes else labels.to(self.device)
        latents = []
        for start in range(0, len(x), num_rows):
            rows = slice(start, start + num_rows)
            items = x[rows].to(self.device).float()
            component = self.coarse_prior.assign(items, None if labels is None else labels[rows])
            latents.append(self._invert(items, component))
        return torch.cat(latents)

    def _invert(self, x: Tensor, component: Tensor) -> Tensor:
        """(n, Z + K) latents of items x (n, *shape) of components (n,), by Adam with one step size for all numbers of an
        item."""
        size, latent_dim = math.prod(self.spec.shape), self.config.latent_dim
        beta, beta_sq = INVERSION_BETAS
        starts = self.initial_latents(SampleRequest(INVERSION_STARTS), 0)[:, :latent_dim]
        z = starts.repeat(len(x), 1)  # (n * INVERSION_STARTS, Z)
        coarse_latents = self.coarse_prior.latents_of(x, component)
        z[:, : self.coarse_prior.rank] = coarse_latents.repeat_interleave(INVERSION_STARTS, 0)
        component_weights = self._one_hot(component).repeat_interleave(INVERSION_STARTS, 0)
        target = x.repeat_interleave(INVERSION_STARTS, 0)
        exp_avg, exp_avg_sq = torch.zeros_like(z), torch.zeros_like(z)
        error = torch.zeros(len(z), device=z.device)
        for step in range(INVERSION_STEPS):
            with torch.enable_grad():
                z = z.detach().requires_grad_(True)
                generated = self._generate(torch.cat([z, component_weights], 1), torch.float32)
                error = (generated - target).square().flatten(1).sum(1)
                # Kept where normal numbers lie, so that the generator knows the latents on paths between inverted items.
                prior = INVERSION_PRIOR * size / latent_dim * z.square().sum(1)
                (grad,) = torch.autograd.grad((error + prior).sum(), z)
            exp_avg.lerp_(grad, 1 - beta)
            exp_avg_sq.lerp_(grad.square().mean(1, keepdim=True).expand_as(exp_avg_sq), 1 - beta_sq)
            bias_correction = (1 - beta ** (step + 1)) / (1 - beta_sq ** (step + 1)) ** 0.5
            lr = INVERSION_LR * (1 - step / INVERSION_STEPS)
            z = z.detach() - lr * exp_avg / bias_correction / (exp_avg_sq.sqrt() + 1e-12)
        best_start = error.view(-1, INVERSION_STARTS).argmin(1)
        best = best_start + INVERSION_STARTS * torch.arange(len(x), device=x.device)
        return torch.cat([z, component_weights], 1)[best].detach()

    def interpolate(self, start: Tensor, end: Tensor, fractions: Tensor) -> Tensor:
        """Normal numbers along the sphere, and weights of the components along a line."""
        latent_dim = self.config.latent_dim
        weights = torch.lerp(start[None, latent_dim:], end[None, latent_dim:], fractions[:, None])
        return torch.cat([slerp(start[:latent_dim], end[:latent_dim], fractions), weights], 1)

    def portable_sampler(self) -> PortableSampler:
        return gan_sampler(self, self.coarse_prior, self.generator, self.config.latent_dim, self.spec.bounded)


EXPORT = Gan
