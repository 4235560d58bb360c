"""Diffusion: a network learns to remove noise from data at every noise level, so that samples form out of noise.

Sampling does not start from pure noise, but from the closed form of the denoiser (`denoiser.py`) at a noise level where it can
hardly be distinguished from the data.

Legend for shapes: n samples, F parts of an example with a noise level each, D values of one example, K components.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from anew.core.machine.device import move
from anew.core.random import StepContext, evenly_spread, normal_rows, sample_generator
from anew.core.specs import Grid, SampleRequest
from anew.errors import ConfigError
from anew.estimators.gaussian_mixture import sample_components
from anew.families.base import class_labels
from anew.families.diffusion.config import DiffusionConfig, DiffusionSampling
from anew.families.diffusion.denoiser import AUTOGUIDANCE_FROM, DiffusionModel
from anew.families.diffusion.distillation import check_distillable, copy_weights, distillation_loss, student_optimizer
from anew.families.diffusion.layout import SMALLEST_SIGMA
from anew.families.diffusion.portable import diffusion_sampler
from anew.families.diffusion.wrapping import roll_images
from anew.families.explaining import NoiseLevel
from anew.families.known import KnownValues, known_values
from anew.families.phases import Phase
from anew.families.portable import PortableSampler
from anew.functional.noise import karras_sigmas
from anew.functional.ode import SOLVERS, encode_flow, multistep, solve

EstimateCallback = Callable[[Tensor, Tensor], None]
# Noise levels of latents: distances 5.5 instead of 5.1 and 5.2 instead of 4.8, in half of the time (docs/log.md,
# 2026-11-25).
LATENT_STEPS = 4
LOWEST_SIGMA_MIN = 1e-4  # the smallest of training, too
# Steps of a path that is to be inverted: many, since its errors add up on the way back; chosen.
FLOW_STEPS = 24


class Diffusion(DiffusionModel):
    """The denoiser as a sampler, and perhaps a student that samples in one step."""

    Sampling: ClassVar[type] = DiffusionSampling
    wins: ClassVar[float] = 0.75
    learning_exponent: ClassVar[float] = 0.7
    min_batch_size: ClassVar[int | None] = 16
    follows_keys: ClassVar[bool] = True
    fills_in: ClassVar[bool] = True
    rationale: ClassVar[str] = (
        "on most pictures that were measured, its samples came closest to real ones in the same time"
    )
    interpolates_across_classes: ClassVar[bool] = True

    is_distilled: Tensor  # () bool: whether the student has learned anything; only if there is one

    def __init__(self, spec: Grid, config: DiffusionConfig) -> None:
        super().__init__(spec, config)
        self.student: nn.Module | None = None
        if config.distillation:
            check_distillable(spec)
            self.student = self.layout.network(replace(config, dropout=0.0, augment_p=0.0))
            self.register_buffer("is_distilled", torch.tensor(False))

    # -- learn ----------------------------------------------------------------------------------------------------------

    def phases(self) -> tuple[Phase, ...]:
        """One, or that of the denoiser and then that of its student."""
        if self.student is None:
            return super().phases()
        student, start = self.student, 1.0 - self.config.distillation
        return (
            Phase("main", self.net, self.loss, self.optimizer(), span=(0.0, start)),
            Phase(
                "student",
                student,
                lambda batch, context: distillation_loss(self, student, batch, context),
                student_optimizer(self.optimizer()),
                span=(start, 1.0),
            ),
        )

    def on_step_end(self, logs: Mapping[str, float]) -> None:
        """Until it learns, the student follows the denoiser, from whose last weights it then starts."""
        learns = "student_error" in logs
        if self.num_steps is not None and not learns:
            self.num_steps += 1
        if self.student is None:
            return
        self.is_distilled.fill_(learns)
        if not learns:
            copy_weights(self.net, self.student)

    # -- sample ---------------------------------------------------------------------------------------------------------

    def sample(self, request: SampleRequest, seed: int) -> Iterator[Tensor]:
        """Drafts; for clips, with as many frames as the request asks for."""
        request = replace(request, sampling=request.sampling_as(DiffusionSampling))
        return self.layout.sample(self._sample_window, request, seed)

    def num_drafts(self, request: SampleRequest) -> int:
        return self._num_steps(request.sampling_as(DiffusionSampling), request.condition is not None)

    @torch.no_grad()
    def _sample_window(
        self, request: SampleRequest, seed: int, on_estimate: EstimateCallback | None = None
    ) -> Iterator[Tensor]:
        """Drafts (n, *shape). on_estimate: is called with the input of each estimate, (n, D), and its noise level ()."""
        sampling = request.sampling_as(DiffusionSampling)
        if sampling.tile:
            _check_tile(request, sampling)
        given_values = known_values(request.condition, request.n, self.spec.shape, self.device)
        keys = request.sample_keys(seed)
        generators = [sample_generator(row_seed, "draw", index) for row_seed, index in keys]
        noise = self._noise(generators)
        component = self._choose_component(request, evenly_spread(keys, "component"), given_values)
        start = self.mixture.sample(component, noise["basis_noise"], noise["residual_noise"])
        part_mask = None
        if not sampling.frames:
            part_mask = self.layout.sampled_parts(self.mixture, component, noise["choices"], given_values)
        known_parts = None if given_values is None else self.layout.known_parts(given_values.mask)
        if given_values is not None:
            start = torch.where(given_values.mask, given_values.values, start)

        level = itertools.count()
        student = None if given_values is not None else self._student_for(sampling)
        # Once, since each read of the number of steps waits for the device
        guided = replace(sampling, autoguidance=self.autoguidance_weight(sampling.autoguidance))

        def denoise(y: Tensor, sigma: Tensor) -> Tensor:
            part_sigma = sigma.expand(request.n, self.layout.num_parts)
            if given_values is not None and known_parts is not None:
                y = torch.where(self.mixture.per_value(known_parts), given_values.values, y)
                part_sigma = torch.where(known_parts, self.config.sigma_min * self.spec.std, part_sigma)
            if on_estimate is not None:
                on_estimate(y, sigma)
            if part_mask is not None:
                part_sigma = part_sigma.masked_fill(~part_mask, torch.inf)
            if student is not None:
                denoised = self.denoise(y, part_sigma, component, student)
            elif sampling.tile:
                denoised = self._denoise_wrapped(y, part_sigma, next(level))
            else:
                denoised = self._denoise_guided(y, part_sigma, component, guided)
            return denoised if given_values is None else torch.where(given_values.mask, given_values.values, denoised)

        sigmas = self._sigmas(sampling, self._num_steps(sampling, given_values is not None))
        y, size = start + sigmas[0] * noise["noise"], self.layout.size
        solver = self.layout.default_solver if sampling.solver == "auto" else sampling.solver
        for denoised in solve(solver, denoise, y, sigmas, lambda: move(normal_rows(generators, size), self.device)):
            yield self.to_items(denoised, part_mask)

    def noise_levels(self, request: SampleRequest, seed: int) -> Iterator[NoiseLevel]:
        """The steps of the denoiser, for stills."""
        sampling = request.sampling_as(DiffusionSampling)
        steps = sampling.steps if sampling.steps > 1 else self._default_steps
        request = replace(request, sampling=replace(sampling, steps=steps))
        inputs: list[tuple[Tensor, Tensor]] = []
        for estimate in self._sample_window(request, seed, lambda y, sigma: inputs.append((y, sigma))):
            y, sigma = inputs[-1]
            yield NoiseLevel(float(sigma), y.view(len(y), *self.spec.shape), estimate)

    def denoise_items(self, noisy: Tensor, sigma: float, labels: Tensor | None = None) -> Tensor:
        return self._clean_estimates(noisy, sigma, labels, near=noisy)

    def denoising_errors(self, x: Tensor, labels: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
        x = x.float()
        noise = StepContext(0, 0, phase="errors").normal("noise", x.shape)
        levels = self._sigmas(DiffusionSampling(), count)[:-1].cpu()  # the last one, 0, is left out
        estimates = [self._clean_estimates(x + sigma * noise, sigma, labels, x).cpu() for sigma in levels.tolist()]
        return levels, torch.stack([(estimate - x.cpu()).square().mean() for estimate in estimates])

    @torch.no_grad()
    def _clean_estimates(self, noisy: Tensor, sigma: float, labels: Tensor | None, near: Tensor) -> Tensor:
        """(n, *shape) estimates of the clean items behind noisy ones, each with the component nearest to an item of `near`."""
        labels_here = None if labels is None or not self.spec.classes else labels.to(self.device)
        rows, near_rows = (x.flatten(1).float().to(self.device) for x in (noisy, near))  # each (n, D)
        component = self.mixture.assign(near_rows, labels_here)
        return self.to_items(self.denoise(rows, torch.tensor(sigma), component))

    @property
    def _default_steps(self) -> int:
        return self.layout.default_steps if self.spec.bounded else LATENT_STEPS

    def _student_for(self, sampling: DiffusionSampling) -> nn.Module | None:
        """The student, if it has learned to draw such samples: with one step and the defaults of all other settings."""
        if self.student is None or not bool(self.is_distilled) or sampling.steps > 1:
            return None
        return self.student if replace(sampling, steps=0) == DiffusionSampling() else None

    def _num_steps(self, sampling: DiffusionSampling, fills_in: bool = False) -> int:
        has_student = not fills_in and self._student_for(sampling) is not None
        return sampling.steps or (1 if has_student else self._default_steps)

    def _sigmas(self, sampling: DiffusionSampling, steps: int, default_sigma_min: float | None = None) -> Tensor:
        """(steps + 1,) falling noise levels in data units. default_sigma_min: None for that of samples.

        Raises:
            ConfigError: They do not fall, or sigma_min is too small.
        """
        std = self.spec.std
        if 0.0 < sampling.sigma_min < LOWEST_SIGMA_MIN:
            raise ConfigError(f"sigma_min must be 0 or at least {LOWEST_SIGMA_MIN:g} (got {sampling.sigma_min:g})")
        sigma_min = sampling.sigma_min or default_sigma_min or self.layout.default_sigma_min
        sigmas = karras_sigmas(steps, sigma_min * std, self.config.sigma_max * std, sampling.rho)
        if bool((sigmas.diff() >= 0).any()):
            raise ConfigError(
                f"{steps} noise levels need a sigma_min well below the model's sigma_max of {self.config.sigma_max:g} "
                f"(got {sigma_min:g}); give a smaller sigma_min"
            )
        return move(sigmas, self.device)

    def to_items(self, denoised: Tensor, part_mask: Tensor | None = None) -> Tensor:
        """Estimates (n, D) as items (n, *shape)."""
        x = denoised.view(len(denoised), *self.spec.shape)
        x = x.clamp(-1, 1) if self.spec.bounded else x
        return x if part_mask is None else self.layout.hold_last_part(x, part_mask)

    def _noise(self, generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
        """Normal numbers by use, (n, count) each; row i comes from the i-th generator."""
        size = self.layout.size
        counts = {
            "residual_noise": size,
            "basis_noise": self.mixture_basis.shape[1],
            "noise": size,
            "choices": self.layout.num_choices,
        }
        rows = move(normal_rows(generators, sum(counts.values())), self.device)
        return dict(zip(counts, torch.split(rows, list(counts.values()), 1), strict=True))

    def _choose_component(self, request: SampleRequest, uniform: Tensor, known_values: KnownValues | None) -> Tensor:
        """(n,) a component for each sample: by its weight and uniform (n,), or the nearest one if values are known."""
        labels = class_labels(request, self.spec.classes)
        if known_values is None:
            return sample_components(self.mixture_weights, self.mixture_component_class, uniform, labels)
        weights = self.mixture_weights.expand(request.n, -1)  # (n, K)
        if labels is not None:
            weights = weights * (self.mixture_component_class == labels.to(self.device)[:, None])
        offsets = self.mixture_means @ self.mixture_basis.T  # (K, D) of the components from the centre
        mask = known_values.mask.float()
        values = (known_values.values - self.mixture_centre) * mask  # (n, D)
        # Squared distance at the known values, less what is the same for all components: their differences take (n, K, D) numbers.
        distance = mask @ offsets.square().T - 2.0 * values @ offsets.T  # (n, K)
        nearest = distance.masked_fill(weights == 0, torch.inf).argmin(1)
        return torch.where(weights.sum(1) > 0, nearest, self.any_component)

    def _denoise_guided(self, y: Tensor, sigma: Tensor, component: Tensor, sampling: DiffusionSampling) -> Tensor:
        denoised = self.denoise(y, sigma, component)
        if sampling.guidance != 1.0:
            unconditional = self.denoise(y, sigma, torch.full_like(component, self.any_component))
            denoised = unconditional + sampling.guidance * (denoised - unconditional)
        if sampling.autoguidance == 1.0 or not bool((sigma >= AUTOGUIDANCE_FROM * self.spec.std).any()):
            return denoised
        return self.autoguide(denoised, y, sigma, sampling.autoguidance)

    def _denoise_wrapped(self, y: Tensor, sigma: Tensor, level: int) -> Tensor:
        """Denoised estimate of images that wrap around, at the noise level of this number. Shifted images fit no component."""
        y = roll_images(y, self.spec.shape, level)
        component = torch.full((len(y),), self.any_component, device=y.device)
        denoised = self.denoise(y, sigma, component, self.layout.wrapped(self.net))
        return roll_images(denoised, self.spec.shape, level, inverse=True)

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
        if sampling.tile:
            raise ConfigError("tile applies to samples, not to the way from one to another; leave it out")
        sigmas = self._sigmas(sampling, max(FLOW_STEPS, sampling.steps), SMALLEST_SIGMA)
        component = torch.full((len(latents),), self.any_component, device=self.device)
        y = self.mixture.unwhiten(latents.to(self.device), sigmas[0], component)
        # No solver with new noise, which would lead elsewhere each time
        solver = SOLVERS.get(sampling.solver, multistep)
        for denoised in solver(lambda y, sigma: self.denoise(y, sigma, component), y, sigmas):
            yield self.to_items(denoised)

    @torch.no_grad()
    def encode_to_latents(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, D): the probability flow, run from the items up to the noise that leads back to them."""
        component = torch.full((len(x),), self.any_component, device=self.device)
        sigmas = self._sigmas(DiffusionSampling(), FLOW_STEPS, SMALLEST_SIGMA)[:-1].flip(0)
        clean = x.to(self.device).float().flatten(1)
        y = encode_flow(lambda y, sigma: self.denoise(y, sigma, component), clean, sigmas)
        return self.mixture.whiten(y, sigmas[-1], component)

    def portable_sampler(self) -> PortableSampler:
        sampling = DiffusionSampling()
        student, weight = self._student_for(sampling), self.autoguidance_weight()

        def estimate(y: Tensor, sigma: Tensor, component: Tensor) -> Tensor:
            denoised = self.denoise_at_once(y, sigma, component, student)
            return denoised if student is not None else self.autoguide(denoised, y, sigma, weight)

        return diffusion_sampler(self, self._sigmas(sampling, self._num_steps(sampling)), estimate)


def _check_tile(request: SampleRequest, sampling: DiffusionSampling) -> None:
    """Raise ConfigError for what images that wrap around cannot follow."""
    if request.labels is not None:
        raise ConfigError("tile follows no label; leave one of them out")
    if sampling.guidance != 1.0 or sampling.autoguidance not in (0.0, 1.0):
        raise ConfigError("tile follows neither guidance nor autoguidance; leave them out, or tile")


EXPORT = Diffusion
