"""The denoiser of diffusion: a network that corrects a closed form, its training, and its estimates.

One pass over the data fits a mixture of Gaussians in principal components (`anew.estimators.gaussian_mixture`). Its posterior
mean is the skip path of the denoiser (EDM's preconditioning, arXiv 2206.00364, with a matrix instead of a number), and the
network is told the component.

Legend for shapes: B examples, F parts of an example with a noise level each, D values of one example, K components.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import ClassVar

import torch
from torch import Tensor, nn

from anew.core.deadline import UNLIMITED_TURNS
from anew.core.random import StepContext
from anew.core.specs import Batch, Grid
from anew.estimators.gaussian_mixture import GaussianMixture
from anew.families._sizes import ROWS, conv_candidate_sizes, muon_and_adamw, suggest_num_clusters, weights_within
from anew.families.base import Family, Scale, check_axes, check_clusters, num_parameters_of
from anew.families.diffusion.clip import ClipLayout
from anew.families.diffusion.config import DiffusionConfig
from anew.families.diffusion.image import ImageLayout
from anew.families.diffusion.layout import Layout
from anew.families.phases import Loss, OptimizerConfig

LAYOUTS: dict[str, type[Layout]] = {"CHW": ImageLayout, "CTHW": ClipLayout}  # by axes
# Most components of the mixture: 32 brought the distance of digits from 42 to 13, 100 to 8, and the best rows had 250 (docs/log.md,
# 2026-11-25).
MAX_COMPONENTS = 256
# The noise level, in standard deviations of the data, from which on the closed form guides samples: below, it blurs what the network knows
# better, and grey crops lost precision (docs/log.md, 2026-11-27).
AUTOGUIDANCE_FROM = 1.0
# The weight of that guidance after a short training, and the steps between which it falls to 1, in their logarithm. By a classifier of
# digits 1.3 is best after 1,100 steps, 1.2 after 2,750, and none after 8,000; by a random network, of CIFAR-10, 1.1 after 1,100 steps,
# and 1 to 1.1 after 3,100 (docs/log.md, 2026-12-02).
MAX_AUTOGUIDANCE = 1.2
FIRST_STEPS, LAST_STEPS = 1_000, 6_000
# Roughly how many small images a training sees in a second, for use before the size of the network is known
CPU_EXAMPLES_PER_SECOND, GPU_EXAMPLES_PER_SECOND = 500, 5000
DROPOUT_EPOCHS = 100  # copying may begin from here on; chosen
# From so many epochs on, a network that also sees images flipped and in other colours denoises unseen ones better: by 1% after 50, by up
# to 14% after 150 and more. After 10 to 30 it gains nothing. The more often each image is seen, the higher the probability: 0.2 to 0.5 were
# measured, and differ little (docs/log.md, 2026-12-01).
AUGMENT_EPOCHS = 50
AUGMENT_P_PER_EPOCH = 1 / 300
MAX_AUGMENT_P = 0.5
MIN_POSTERIOR_STD = 1e-4  # keeps the network's target finite if the closed form leaves no error
MAX_SIZE = 9  # last step of the ladder of sizes, about 500 million weights


class DiffusionModel(Family[Grid, DiffusionConfig]):
    """A network that corrects a closed form."""

    Config: ClassVar[type] = DiffusionConfig
    spec_types: ClassVar[tuple[type, ...]] = (Grid,)
    axes: ClassVar[tuple[str, ...] | None] = tuple(LAYOUTS)

    mixture_centre: Tensor  # the tensors of a GaussianMixture, as buffers
    mixture_basis: Tensor
    mixture_means: Tensor
    mixture_weights: Tensor
    mixture_component_class: Tensor
    # () int64: steps that trained the network; None for a run of a version that did not count them
    num_steps: Tensor | None

    def __init__(self, spec: Grid, config: DiffusionConfig) -> None:
        super().__init__(spec, config)
        check_axes("diffusion", spec, LAYOUTS)
        check_clusters("num_components", config.num_components, spec.classes)
        self.layout = LAYOUTS[spec.axes](spec)
        self.any_component = config.num_components  # the last one, of all data
        empty = self.layout.empty_mixture(min(config.rank, self.layout.size), config.num_components + 1)
        for field in fields(empty):
            self.register_buffer(f"mixture_{field.name}", getattr(empty, field.name))
        self.register_buffer("num_steps", torch.zeros((), dtype=torch.long))
        self.net = self.layout.network(config)

    def allocate_buffers(self, shapes: Mapping[str, torch.Size]) -> None:
        if "num_steps" not in shapes:
            self.num_steps = None

    @property
    def mixture(self) -> GaussianMixture:
        mixture_type = self.layout.mixture_type
        return mixture_type(**{f.name: getattr(self, f"mixture_{f.name}") for f in fields(mixture_type)})

    @classmethod
    def suggest(cls, spec: Grid, scale: Scale) -> DiffusionConfig:
        examples_per_second = CPU_EXAMPLES_PER_SECOND if scale.device == "cpu" else GPU_EXAMPLES_PER_SECOND
        epochs = (scale.seconds or 0.0) / scale.slowdown * examples_per_second / max(1, scale.items)
        config = DiffusionConfig(
            num_components=suggest_num_clusters(scale.items, spec.classes, MAX_COMPONENTS),
            dropout=0.1 if epochs > DROPOUT_EPOCHS else 0.0,
            augment_p=_suggest_augment_p(epochs) if spec.is_picture else 0.0,
        )
        return LAYOUTS[spec.axes](spec).suggest(config, scale)

    @classmethod
    def candidate_sizes(cls, spec: Grid, scale: Scale) -> tuple[int, ...]:
        return conv_candidate_sizes(scale.device, MAX_SIZE)

    @classmethod
    def target_examples(cls, spec: Grid, config: DiffusionConfig, scale: Scale) -> float:
        layout = LAYOUTS[spec.axes](spec)
        parameters = num_parameters_of(lambda: layout.network(config))
        # Each frame of a clip is an example
        return layout.examples_per_parameter(config) * parameters / layout.num_parts

    # -- learn --------------------------------------------------------------------------------------------------------

    def optimizer(self) -> OptimizerConfig:
        matrices = weights_within("down", "up", "downsample", "upsample", "blocks", exclude="modulation")
        return muon_and_adamw(matrices, self.config, dtype=self.block_dtype, weight_decay=self.config.weight_decay)

    def fit_closed_form(self, batches: Iterable[Batch], turns: Iterator[object] = UNLIMITED_TURNS) -> None:
        """Fit the mixture to the first examples."""
        fitted: list[Batch] = []
        max_examples = self.layout.max_fit_examples
        for batch in batches:
            fitted.append(batch.to("cpu"))
            if sum(map(len, fitted)) >= max_examples:
                break
        x = torch.cat([batch.x.float() for batch in fitted])[:max_examples]
        labels = _concatenate([batch.labels for batch in fitted], max_examples) if self.spec.classes else None
        part_mask = _concatenate([batch.mask for batch in fitted], max_examples)
        rank = self.mixture_basis.shape[1]
        mixture = self.layout.fit_mixture(x, part_mask, labels, rank, self.config.num_components, turns)
        for field in fields(mixture):
            getattr(self, f"mixture_{field.name}").copy_(getattr(mixture, field.name))

    def loss(self, batch: Batch, context: StepContext) -> Loss:
        """Squared error of the network's output, with equal weights for all parts of an example."""
        std = self.spec.std
        x = batch.x.flatten(1).float()  # (B, D)
        component = self.mixture.assign(x, batch.labels if self.spec.classes else None)
        if context.training and self.config.label_dropout:
            is_hidden = context.uniform("hide", (len(x),)) < self.config.label_dropout
            component = torch.where(is_hidden, self.any_component, component)
        sigma, weight = self.layout.training_sigmas(context, batch, self.config)  # (B, F)
        y = add_noise(x, self.mixture.per_value(std * sigma), context.normal("noise", x.shape))
        augmentations = None
        if context.training:
            augmentations = self.layout.draw_augmentations(context, len(x), self.config)
        c_skip_y, c_out, F = self.precondition(self.net, y, std * sigma, component, augmentations)
        error = F - (x - c_skip_y) / c_out
        total = _mean_square(error, None if weight is None else self.mixture.per_value(weight), self.layout).sum()
        return Loss(total, len(x), {"clean_error": (error * c_out).square().mean().detach()})

    # -- estimate -----------------------------------------------------------------------------------------------------

    def denoise(self, y: Tensor, sigma: Tensor, component: Tensor, net: nn.Module | None = None) -> Tensor:
        """(n, D) denoised estimate at levels (n, F) or () of its parts, for so many rows at a time as fit into a processor's cache.
        net: Another network than its own."""
        rows = max(1, ROWS // self.layout.num_parts)
        sigma = sigma.expand(len(y), self.layout.num_parts)
        y = torch.where(self.mixture.per_value(sigma).isinf(), 0.0, y)
        parts = []
        for start in range(0, len(y), rows):
            chunk = slice(start, start + rows)
            parts.append(self.denoise_at_once(y[chunk], sigma[chunk], component[chunk], net))
        return torch.cat(parts)

    def denoise_at_once(self, y: Tensor, sigma: Tensor, component: Tensor, net: nn.Module | None) -> Tensor:
        """(B, D) denoised estimate of y (B, D) at levels (B, F), of components (B,)."""
        c_skip_y, c_out, F = self.precondition(net or self.net, y, sigma, component)
        return c_skip_y + c_out * F

    def autoguidance_weight(self, weight: float = 0.0) -> float:
        """The weight of autoguidance in sampling. weight: That of `DiffusionSampling`, of which 0 is what suits the length of the
        training."""
        if weight:
            return weight
        steps = FIRST_STEPS if self.num_steps is None else max(FIRST_STEPS, int(self.num_steps))
        share = math.log(LAST_STEPS / steps) / math.log(LAST_STEPS / FIRST_STEPS)
        return 1.0 + (MAX_AUTOGUIDANCE - 1.0) * max(0.0, share)

    def autoguide(self, denoised: Tensor, y: Tensor, sigma: Tensor, weight: float) -> Tensor:
        """(n, D) denoised estimates of y (n, D) at levels (n, F), moved away from those of a weaker model (autoguidance, arXiv
        2406.02507, eq. 3). The weaker model is the closed form of all data, one Gaussian, which costs next to nothing. Only high
        noise levels are guided (arXiv 2404.07724): there, a network that has seen little stays too close to the mean of the data.

        Args:
            weight: 1 for none.
        """
        if weight == 1.0:
            return denoised
        is_guided = (sigma >= AUTOGUIDANCE_FROM * self.spec.std) & ~sigma.isinf()
        any_component = torch.full_like(sigma[:, 0], self.any_component, dtype=torch.long)
        closed_form, _ = self.mixture.posterior(y, sigma, any_component)
        extra = self.mixture.per_value((weight - 1.0) * is_guided)
        return denoised + extra * (denoised - closed_form)

    def precondition(
        self, net: nn.Module, y: Tensor, sigma: Tensor, component: Tensor, augmentations: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """c_skip y, c_out and the network's output F; the denoised estimate is c_skip y + c_out F (EDM's names, arXiv
        2206.00364, eq. 7; here c_skip is the closed form, a matrix).

        Args:
            y: (B, D).
            sigma: (B, F).
            component: (B,).
            augmentations: See `Layout.run_network`.

        Returns:
            (B, D), (B, D) or (B, 1), and (B, D).
        """
        mixture, std = self.mixture, self.spec.std
        c_skip_y, posterior_std = mixture.posterior(y, sigma, component)
        c_out = mixture.per_value(posterior_std.clamp(min=MIN_POSTERIOR_STD))
        c_in = mixture.per_value((sigma.square() + std**2).rsqrt())
        shape, dtype = (y.shape[0], *self.spec.shape), self.block_dtype
        c_in_y = (y * c_in).view(shape).to(dtype)
        denoised = (c_skip_y / std).view(shape).to(dtype)
        F = self.layout.run_network(net, c_in_y, denoised, sigma / std, component, augmentations)
        return c_skip_y, c_out, F.float().flatten(1)


def _suggest_augment_p(epochs: float) -> float:
    return round(min(MAX_AUGMENT_P, epochs * AUGMENT_P_PER_EPOCH), 2) if epochs >= AUGMENT_EPOCHS else 0.0


def add_noise(x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """x (B, D) with noise of these levels; values at an infinite level become 0."""
    return torch.where(sigma.isinf(), 0.0, x + sigma * noise)


def _mean_square(error: Tensor, value_weight: Tensor | None, layout: Layout) -> Tensor:
    """(B,) mean square of error (B, D). value_weight: (B, D) weight of the part of each value; None: all the same."""
    if value_weight is None:
        return error.square().mean(1)
    return (error.square() * value_weight * (layout.num_parts / layout.size)).sum(1)


def _concatenate(parts: list[Tensor | None], max_rows: int) -> Tensor | None:
    """The rows of all parts, at most `max_rows`; None if a part is missing."""
    present = [part for part in parts if part is not None]
    return torch.cat(present)[:max_rows] if present and len(present) == len(parts) else None
