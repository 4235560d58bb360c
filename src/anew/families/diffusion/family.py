"""Diffusion: a network learns to remove noise from data at every noise level, so that samples form out of noise.

The network corrects a closed form. One pass over the data fits a mixture of Gaussians in principal components
(`anew.estimators.gaussian_mixture`). Its posterior mean is the skip path of the denoiser (EDM's preconditioning, arXiv
2206.00364, with a matrix instead of a number), and the network is told the component. Sampling does not start from pure noise,
but from the mixture at a noise level where it can hardly be distinguished from the data.

Legend for shapes: B examples, n samples, F parts of an example with a noise level each, D values of one example, K
components, R principal components.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from typing import ClassVar

import torch
from torch import Tensor

from anew.core.random import StepContext, generator, normal_rows
from anew.core.specs import Batch, Grid, SampleRequest
from anew.estimators.gaussian_mixture import GaussianMixture
from anew.families._sizes import conv_candidate_sizes, muon_and_adamw, weights_within
from anew.families.base import Family, Scale, check_axes, check_clusters, class_labels, count_parameters
from anew.families.diffusion.clip import ClipLayout
from anew.families.diffusion.config import DiffusionConfig, DiffusionSampling
from anew.families.diffusion.estimates import clean_estimates, level_errors
from anew.families.diffusion.image import ImageLayout
from anew.families.diffusion.layout import Layout
from anew.families.diffusion.portable import diffusion_sampler
from anew.families.diffusion.wrapping import turned
from anew.families.explaining import NoiseLevel
from anew.families.known import KnownValues, known_values
from anew.families.phases import Loss, OptimizerConfig
from anew.families.portable import PortableSampler
from anew.functional.noise import karras_sigmas
from anew.functional.ode import SOLVERS, encode_flow, multistep, solve
from anew.nets.precision import compute_dtype

LAYOUTS: dict[str, type[Layout]] = {"CHW": ImageLayout, "CTHW": ClipLayout}  # by axes
# Of the mixture: 32 brought the distance of digits from 42 to 13, 100 to 8, and the best rows had 250 (docs/log.md,
# 2026-11-25).
MOST_COMPONENTS = 256
EXAMPLES_PER_COMPONENT = 32  # on average: fewer do not show how a component varies
EXAMPLES_PER_PARAMETER = 0.15  # MNIST at 60 s and 250 s on one core: width 48 and 64
Tap = Callable[[Tensor, Tensor], None]
# Samples that go through the network at a time. This bounds memory; results depend on it, since rounding depends on the
# batch.
ROWS = 128
# Noise levels of latents: distances 5.5 instead of 5.1 and 5.2 instead of 4.8, in half of the time (docs/log.md,
# 2026-11-25).
LATENT_STEPS = 4
# Steps of a path that is to be inverted: many, since its errors add up on the way back; chosen.
FLOW_STEPS = 24
# From this noise level on, in standard deviations of the data, the closed form guides samples: below, it blurs what the
# network knows better, and grey crops lost precision (docs/log.md, 2026-11-27).
AUTOGUIDANCE_FROM = 1.0
MIN_POSTERIOR_STD = 1e-4  # keeps the network's target finite if the closed form leaves no error
LARGEST_SIZE = 9  # of the ladder, about 500 million weights


class Diffusion(Family[Grid, DiffusionConfig]):
    """A denoiser that corrects a closed form."""

    Config: ClassVar[type] = DiffusionConfig
    Sampling: ClassVar[type] = DiffusionSampling
    spec_types: ClassVar[tuple[type, ...]] = (Grid,)
    axes: ClassVar[tuple[str, ...] | None] = tuple(LAYOUTS)
    wins: ClassVar[float] = 0.75
    learning_exponent: ClassVar[float] = 0.7
    follows_keys: ClassVar[bool] = True
    fills_in: ClassVar[bool] = True
    rationale: ClassVar[str] = "continuous values on a grid: on most data measured it came closest in the time"
    interpolates_across_classes: ClassVar[bool] = True

    mixture_centre: Tensor  # the tensors of a GaussianMixture, as buffers
    mixture_basis: Tensor
    mixture_means: Tensor
    mixture_weights: Tensor
    mixture_component_class: Tensor

    def __init__(self, spec: Grid, config: DiffusionConfig) -> None:
        super().__init__(spec, config)
        check_axes("diffusion", spec, LAYOUTS)
        check_clusters("num_components", config.num_components, spec.classes)
        self.layout = LAYOUTS[spec.axes](spec)
        self.any_component = config.num_components  # the last one, of all data
        empty = self.layout.empty_mixture(min(config.rank, self.layout.size), config.num_components + 1)
        for field in fields(empty):
            self.register_buffer(f"mixture_{field.name}", getattr(empty, field.name))
        self.net = self.layout.network(config)

    @property
    def mixture(self) -> GaussianMixture:
        mixture_type = self.layout.mixture_type
        return mixture_type(**{f.name: getattr(self, f"mixture_{f.name}") for f in fields(mixture_type)})

    @classmethod
    def suggest(cls, spec: Grid, scale: Scale) -> DiffusionConfig:
        classes = max(1, spec.classes)
        num_components = min(MOST_COMPONENTS, scale.items // EXAMPLES_PER_COMPONENT) // classes * classes
        # About examples a second, divided by the 100 epochs after which copying may begin.
        speed = 5 if scale.device == "cpu" else 50
        may_copy = scale.seconds is not None and scale.seconds * speed > scale.items
        config = DiffusionConfig(
            num_components=max(num_components, spec.classes),
            dropout=0.1 if may_copy else 0.0,
        )
        return LAYOUTS[spec.axes](spec).suggest(config, scale)

    @classmethod
    def candidate_sizes(cls, spec: Grid, scale: Scale) -> tuple[int, ...]:
        return conv_candidate_sizes(scale.device, LARGEST_SIZE)

    @classmethod
    def target_examples(cls, spec: Grid, config: DiffusionConfig, scale: Scale) -> float:
        layout = LAYOUTS[spec.axes](spec)
        parameters = count_parameters(lambda: layout.network(config))
        return EXAMPLES_PER_PARAMETER * parameters / layout.num_parts  # each frame of a clip is an example

    # -- learn ----------------------------------------------------------------------------------------------------------

    def optimizer(self) -> OptimizerConfig:
        c = self.config
        return muon_and_adamw(
            weights_within("down", "up", "downsample", "upsample", "blocks", but_not="modulation"),
            c.muon_lr,
            c.adamw_lr,
            dtype=self._dtype(),
            decay=c.decay,
            ema_width=c.ema_width,
            weight_decay=c.weight_decay,
        )

    def fit_closed_form(self, sweep: Iterable[Batch]) -> None:
        """Fit the mixture to the first examples of the sweep."""
        batches: list[Batch] = []
        max_examples = self.layout.most_fit_examples
        for batch in sweep:
            batches.append(batch.to("cpu"))
            if sum(map(len, batches)) >= max_examples:
                break
        x = torch.cat([batch.x.float() for batch in batches])[:max_examples]
        labels = _concatenate([batch.labels for batch in batches], max_examples) if self.spec.classes else None
        part_mask = _concatenate([batch.mask for batch in batches], max_examples)
        rank = self.mixture_basis.shape[1]
        mixture = self.layout.fit_mixture(x, part_mask, labels, rank, self.config.num_components)
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
        y = _add_noise(x, self.mixture.per_value(std * sigma), context.normal("noise", x.shape))
        c_skip_y, c_out, F = self._precondition(y, std * sigma, component)
        error = F - (x - c_skip_y) / c_out
        total = _mean_square(error, None if weight is None else self.mixture.per_value(weight), self.layout).sum()
        return Loss(total, len(x), {"clean_error": (error * c_out).square().mean().detach()})

    def _precondition(
        self, y: Tensor, sigma: Tensor, component: Tensor, wraps: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """c_skip y, c_out and the network's output F; the denoised estimate is c_skip y + c_out F (EDM's names, arXiv
        2206.00364, eq. 7; here c_skip is the closed form, a matrix).

        Args:
            y: (B, D).
            sigma: (B, F).
            component: (B,).
            wraps: Whether the network treats images as wrapping around.

        Returns:
            (B, D), (B, D) or (B, 1), and (B, D).
        """
        net = self.layout.wrapped(self.net) if wraps else self.net
        mixture, std = self.mixture, self.spec.std
        c_skip_y, posterior_std = mixture.posterior(y, sigma, component)
        c_out = mixture.per_value(posterior_std.clamp(min=MIN_POSTERIOR_STD))
        c_in = mixture.per_value((sigma.square() + std**2).rsqrt())
        shape, dtype = (y.shape[0], *self.spec.shape), self._dtype()
        c_in_y = (y * c_in).view(shape).to(dtype)
        denoised = (c_skip_y / std).view(shape).to(dtype)
        F = self.layout.run_network(net, c_in_y, denoised, sigma / std, component)
        return c_skip_y, c_out, F.float().flatten(1)

    def _dtype(self) -> torch.dtype:
        return compute_dtype(self.config.precision, self.device)

    # -- sample ---------------------------------------------------------------------------------------------------------

    def sample(self, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        """Drafts; for clips, with as many frames as the request asks for."""
        request = replace(request, sampling=request.sampling_as(DiffusionSampling))
        return self.layout.sample(self._sample_window, request, seed)

    def num_drafts(self, request: SampleRequest) -> int:
        return int(request.sampling_as(DiffusionSampling).steps or self._default_steps)

    @torch.no_grad()
    def _sample_window(self, request: SampleRequest, seed: int, tap: Tap | None = None) -> Iterator[Tensor]:
        """Drafts (n, *shape). tap: is called with the input of each estimate, (n, D), and its noise level ()."""
        sampling = request.sampling_as(DiffusionSampling)
        given_values = known_values(request.condition, request.n, self.spec.shape, self.device)
        sources = [generator(row_seed, "draw", index) for row_seed, index in request.sample_keys(seed)]
        noise = self._noise(sources)
        component = self._choose_component(request, noise["choices"][:, 0], given_values)
        start = self.mixture.sample(component, noise["basis_noise"], noise["residual_noise"])
        part_mask = None
        if not sampling.frames:
            part_mask = self.layout.sampled_parts(self.mixture, component, noise["choices"][:, -1], given_values)
        known_parts = None if given_values is None else self.layout.known_parts(given_values.mask)
        if given_values is not None:
            start = torch.where(given_values.mask, given_values.values, start)

        level = itertools.count()

        def denoise(y: Tensor, sigma: Tensor) -> Tensor:
            part_sigma = sigma.expand(request.n, self.layout.num_parts)
            if given_values is not None and known_parts is not None:
                y = torch.where(self.mixture.per_value(known_parts), given_values.values, y)
                part_sigma = torch.where(known_parts, self.config.sigma_min * self.spec.std, part_sigma)
            if tap is not None:
                tap(y, sigma)
            if part_mask is not None:
                part_sigma = part_sigma.masked_fill(~part_mask, torch.inf)
            if sampling.tile:
                denoised = self._denoise_wrapped(y, part_sigma, next(level))
            else:
                denoised = self._denoise_guided(y, part_sigma, component, sampling)
            return denoised if given_values is None else torch.where(given_values.mask, given_values.values, denoised)

        sigmas = self._sigmas(sampling, sampling.steps or self._default_steps)
        y, size = start + sigmas[0] * noise["noise"], self.layout.size
        solver = self.layout.default_solver if sampling.solver == "auto" else sampling.solver
        for denoised in solve(solver, denoise, y, sigmas, lambda: normal_rows(sources, size).to(self.device)):
            yield self.to_items(denoised, part_mask)

    def noise_levels(self, request: SampleRequest, seed: int) -> Iterator[NoiseLevel]:
        """The steps of `sample`, for stills."""
        inputs: list[tuple[Tensor, Tensor]] = []
        for estimate in self._sample_window(request, seed, lambda y, sigma: inputs.append((y, sigma))):
            y, sigma = inputs[-1]
            yield NoiseLevel(float(sigma), y.view(len(y), *self.spec.shape), estimate)

    def denoise_items(self, noisy: Tensor, sigma: float, labels: Tensor | None = None) -> Tensor:
        return clean_estimates(self, noisy, sigma, labels)

    def denoising_errors(self, x: Tensor, labels: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
        return level_errors(self, x.float(), labels, self._sigmas(DiffusionSampling(), count))

    @property
    def _default_steps(self) -> int:
        return self.layout.default_steps if self.spec.bounded else LATENT_STEPS

    def _sigmas(self, sampling: DiffusionSampling, steps: int) -> Tensor:
        """(steps + 1,) falling noise levels in data units."""
        std = self.spec.std
        sigmas = karras_sigmas(steps, sampling.sigma_min * std, self.config.sigma_max * std, sampling.rho)
        return sigmas.to(self.device)

    def to_items(self, denoised: Tensor, part_mask: Tensor | None = None) -> Tensor:
        """Estimates (n, D) as items (n, *shape)."""
        x = denoised.view(len(denoised), *self.spec.shape)
        x = x.clamp(-1, 1) if self.spec.bounded else x
        return x if part_mask is None else self.layout.hold_last_part(x, part_mask)

    def _noise(self, sources: Sequence[torch.Generator]) -> dict[str, Tensor]:
        """Normal numbers by use, (n, count) each; row i comes from the i-th source."""
        size = self.layout.size
        counts = {
            "residual_noise": size,
            "basis_noise": self.mixture_basis.shape[1],
            "noise": size,
            "choices": self.layout.num_choices,
        }
        rows = normal_rows(sources, sum(counts.values())).to(self.device)
        return dict(zip(counts, torch.split(rows, list(counts.values()), 1), strict=True))

    def _choose_component(self, request: SampleRequest, number: Tensor, known_values: KnownValues | None) -> Tensor:
        """(n,) a component for each sample: at random by its weight, or the nearest one if values are known."""
        weights = self.mixture_weights.expand(request.n, -1)  # (n, K)
        labels = class_labels(request, self.spec.classes)
        if labels is not None:
            weights = weights * (self.mixture_component_class == labels.to(self.device)[:, None])
        if known_values is not None:
            centres = self.mixture_centre + self.mixture_means @ self.mixture_basis.T  # (K, D)
            distance = ((known_values.values[:, None] - centres).square() * known_values.mask[:, None]).sum(2)  # (n, K)
            nearest = distance.masked_fill(weights == 0, torch.inf).argmin(1)
            return torch.where(weights.sum(1) > 0, nearest, self.any_component)
        cumulative = weights.cumsum(1)
        uniform = torch.special.ndtr(number)[:, None] * cumulative[:, -1:]
        component = (uniform >= cumulative).sum(1).clamp(max=self.any_component)
        return torch.where(cumulative[:, -1] > 0, component, self.any_component)

    def _denoise_guided(self, y: Tensor, sigma: Tensor, component: Tensor, sampling: DiffusionSampling) -> Tensor:
        denoised = self.denoise(y, sigma, component)
        if sampling.guidance != 1.0:
            unconditional = self.denoise(y, sigma, torch.full_like(component, self.any_component))
            denoised = unconditional + sampling.guidance * (denoised - unconditional)
        if sampling.autoguidance == 1.0 or not bool((sigma >= AUTOGUIDANCE_FROM * self.spec.std).any()):
            return denoised
        return self.autoguide(denoised, y, sigma, sampling.autoguidance)

    def autoguide(self, denoised: Tensor, y: Tensor, sigma: Tensor, weight: float) -> Tensor:
        """(n, D) denoised estimates of y (n, D) at levels (n, F), moved away from those of a weaker model (autoguidance, arXiv
        2406.02507, eq. 3). The weaker model is the closed form of all data, one Gaussian, which costs next to nothing. Only high
        noise levels are guided (arXiv 2404.07724): there, a network that has seen little stays too close to the mean of the data.

        Args:
            denoised: Estimates of the network.
            y: Noisy data.
            sigma: Noise levels.
            weight: 1 for none.
        """
        is_guided = (sigma >= AUTOGUIDANCE_FROM * self.spec.std) & ~sigma.isinf()
        any_component = torch.full_like(sigma[:, 0], self.any_component, dtype=torch.long)
        closed_form, _ = self.mixture.posterior(y, sigma, any_component)
        extra = self.mixture.per_value((weight - 1.0) * is_guided)
        return denoised + extra * (denoised - closed_form)

    def _denoise_wrapped(self, y: Tensor, sigma: Tensor, level: int) -> Tensor:
        """Denoised estimate of images that wrap around, at the noise level of this number. Shifted images fit no component."""
        y = turned(y, self.spec.shape, level)
        component = torch.full((len(y),), self.any_component, device=y.device)
        return turned(self.denoise(y, sigma, component, wraps=True), self.spec.shape, level, inverse=True)

    def denoise(self, y: Tensor, sigma: Tensor, component: Tensor, wraps: bool = False) -> Tensor:
        """(n, D) denoised estimate at levels (n, F) or () of its parts, for so many rows at a time as fit into a processor's cache."""
        rows = max(1, ROWS // self.layout.num_parts)
        sigma = sigma.expand(len(y), self.layout.num_parts)
        y = torch.where(self.mixture.per_value(sigma).isinf(), 0.0, y)
        parts = []
        for start in range(0, len(y), rows):
            chunk = slice(start, start + rows)
            parts.append(self.denoise_at_once(y[chunk], sigma[chunk], component[chunk], wraps))
        return torch.cat(parts)

    def denoise_at_once(self, y: Tensor, sigma: Tensor, component: Tensor, wraps: bool = False) -> Tensor:
        """(B, D) denoised estimate of y (B, D) at levels (B, F), of components (B,)."""
        c_skip_y, c_out, F = self._precondition(y, sigma, component, wraps)
        return c_skip_y + c_out * F

    # -- latents --------------------------------------------------------------------------------------------------------

    def initial_latents(self, request: SampleRequest, seed: int) -> Tensor:
        """(n, D) approximately normal numbers that lead to the samples of `sample`, as closely as the flow can be inverted."""
        *_, x = self._sample_window(request, seed)
        return self.encode_to_latents(x)

    @torch.no_grad()
    def generate(self, latents: Tensor, request: SampleRequest) -> Iterator[Tensor]:
        """Drafts along the probability flow, which starts from one Gaussian for all rows. Neither labels nor components are used:
        switching between components would make jumps in the path."""
        sampling = request.sampling_as(DiffusionSampling)
        sigmas = self._sigmas(sampling, max(FLOW_STEPS, sampling.steps))
        component = torch.full((len(latents),), self.any_component, device=self.device)
        y = self.mixture.unwhiten(latents.to(self.device), sigmas[0], component)
        solver = SOLVERS.get(sampling.solver, multistep)  # without new noise, which would lead elsewhere each time
        for denoised in solver(lambda y, sigma: self.denoise(y, sigma, component), y, sigmas):
            yield self.to_items(denoised)

    @torch.no_grad()
    def encode_to_latents(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, D): the probability flow, run from the items up to the noise that leads back to them."""
        component = torch.full((len(x),), self.any_component, device=self.device)
        sigmas = self._sigmas(DiffusionSampling(), FLOW_STEPS)[:-1].flip(0)
        clean = x.to(self.device).float().flatten(1)
        y = encode_flow(lambda y, sigma: self.denoise(y, sigma, component), clean, sigmas)
        return self.mixture.whiten(y, sigmas[-1], component)

    def portable_sampler(self) -> PortableSampler:
        return diffusion_sampler(self, self, self._sigmas(DiffusionSampling(), self._default_steps))


def _add_noise(x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
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


EXPORT = Diffusion
