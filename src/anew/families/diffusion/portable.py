"""Diffusion as graphs: the start of sampling, and the denoiser."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from anew.estimators.clip_mixture import ClipMixture
from anew.families import portable
from anew.families.diffusion.denoiser import DiffusionModel
from anew.families.portable import Graph, PortableSampler
from anew.functional.ode import ETA, STOCHASTIC

# (y (B, D), levels (B, F), components (B,)) -> denoised estimates (B, D); it must not branch on values, as it is traced
Estimate = Callable[[Tensor, Tensor, Tensor], Tensor]


def diffusion_sampler(family: DiffusionModel, sigmas: Tensor, estimate: Estimate) -> PortableSampler:
    """A sampler that goes from the closed form at the highest noise level down to a sample.

    Args:
        sigmas: (steps + 1,) noise levels.
        estimate: Denoised estimates as in sampling with default settings.
    """
    mixture, size = family.mixture, family.layout.size
    rank = mixture.basis.shape[1]
    shape, is_bounded = family.spec.shape, family.spec.bounded

    def start(component: Tensor, basis_noise: Tensor, residual_noise: Tensor) -> Tensor:
        return mixture.sample(component, basis_noise, residual_noise).view(-1, *shape)

    def denoise(y: Tensor, sigma: Tensor, component: Tensor) -> Tensor:
        return estimate(y.flatten(1), sigma[:, None], component).view(-1, *shape)

    rows = {"component": torch.zeros(2, dtype=torch.long)}
    noise = {"basis_noise": torch.zeros(2, rank), "residual_noise": torch.zeros(2, size)}
    noisy = {"y": torch.zeros(2, *shape), "sigma": torch.ones(2)}
    starting = Graph("start", family, start, rows | noise, ("start",))
    is_stochastic = family.layout.default_solver == STOCHASTIC and len(sigmas) > 2
    drawing = _drawing(family, len(sigmas) - 2 if is_stochastic else 0)
    denoising = portable.denoise(
        "denoiser",
        "start",
        sigmas,
        "component",
        out="x",
        noise="noise",
        renoise="renoise" if is_stochastic else None,
        eta=ETA if is_stochastic else 0.0,
        clip=is_bounded,
    )
    if not isinstance(mixture, ClipMixture):
        graphs = (starting, Graph("denoiser", family, denoise, noisy | rows, ("denoised",)))
        return PortableSampler(graphs, (*drawing, denoising))
    return _of_clips(family, estimate, mixture, (starting, noisy | rows), (*drawing, denoising))


def _of_clips(
    family: DiffusionModel,
    estimate: Estimate,
    mixture: ClipMixture,
    start: tuple[Graph, dict[str, Tensor]],
    steps_of_images: tuple[dict[str, object], ...],
) -> PortableSampler:
    """The sampler of clips, which have lengths, and frames that may be given.

    Args:
        family, estimate: As in `diffusion_sampler`.
        mixture: The closed form of clips.
        start: The first graph, and examples of the inputs of the denoiser of images.
        steps_of_images: The steps for images; the last one denoises.
    """
    starting, inputs = start
    *drawing, denoising = steps_of_images
    shape = family.spec.shape
    position = torch.arange(family.layout.num_parts)

    smallest_sigma = family.config.sigma_min * family.spec.std

    def denoise_parts(y: Tensor, sigma: Tensor, component: Tensor, last: Tensor, is_known: Tensor) -> Tensor:
        is_there = position <= last[:, None]  # (n, F)
        part_sigma = torch.where(is_known > 0.5, smallest_sigma, sigma[:, None])
        part_sigma = torch.where(is_there, part_sigma, torch.inf)
        flat = torch.where(mixture.per_value(part_sigma).isinf(), 0.0, y.flatten(1))
        return estimate(flat, part_sigma, component).view(-1, *shape)

    def hold(x: Tensor, last: Tensor) -> Tensor:
        return family.layout.hold_last_part(x, position <= last[:, None])

    last = {"last": torch.tensor([0, family.layout.num_parts - 1])}
    is_known = {"given": torch.zeros(2, family.layout.num_parts)}
    clip_graphs = (
        starting,
        Graph("denoiser", family, denoise_parts, inputs | last | is_known, ("denoised",)),
        Graph("holder", family, hold, {"x": inputs["y"]} | last, ("held",)),
    )
    steps = (
        *drawing,
        portable.choose_row("last", mixture.length_counts, "component"),
        portable.normal("given", family.layout.num_parts, scale=0.0),  # 1 for frames that y holds without noise
        {**denoising, "inputs": ["component", "last", "given"], "out": "clip"},
        portable.run("holder", "clip", "last", out="x"),
    )
    return PortableSampler(clip_graphs, steps)


def _drawing(family: DiffusionModel, num_renoised: int) -> tuple[dict[str, object], ...]:
    """The steps that draw all random values of a sample, and what it starts from. num_renoised: steps that take new noise."""
    mixture, shape = family.mixture, family.spec.shape
    return (
        portable.choose("component", mixture.weights, mixture.component_class, family.any_component),
        portable.normal("basis_noise", mixture.basis.shape[1]),
        portable.normal("residual_noise", family.layout.size),
        portable.normal("noise", *shape),
        *([portable.normal("renoise", num_renoised, *shape)] if num_renoised else []),
        portable.run("start", "component", "basis_noise", "residual_noise", out="start"),
    )
