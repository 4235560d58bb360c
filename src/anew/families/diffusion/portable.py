"""Diffusion as graphs: what sampling starts from, and the denoiser."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from anew.core.specs import Grid
from anew.errors import ConfigError
from anew.estimators.gaussian_mixture import GaussianMixture
from anew.families import portable
from anew.families.diffusion.layout import Layout
from anew.families.portable import Graph, PortableSampler


class PortableDiffusion(Protocol):
    """What is used of the family."""

    spec: Grid
    layout: Layout
    any_component: int

    @property
    def mixture(self) -> GaussianMixture: ...

    def denoised(self, y: Tensor, sigma: Tensor, component: Tensor) -> Tensor: ...


def diffusion_sampler(family: PortableDiffusion, owner: nn.Module, sigmas: Tensor) -> PortableSampler:
    """From the closed form at the highest noise level down to a sample.

    Args:
        family: The diffusion.
        owner: The same, as a module.
        sigmas: (steps + 1,) noise levels.
    """
    if family.layout.num_parts > 1:
        raise ConfigError(
            "diffusion of clips solves a system of equations for each clip and step, for which ONNX has no operator; train the "
            "transformer on codes (space=latent), or export images or sound"
        )
    mixture, size = family.mixture, family.layout.size
    rank = mixture.basis.shape[1]
    shape, is_bounded = family.spec.shape, family.spec.bounded

    def start(component: Tensor, inside: Tensor, outside: Tensor) -> Tensor:
        return mixture.sample(component, inside, outside).view(-1, *shape)

    def denoise(y: Tensor, sigma: Tensor, component: Tensor) -> Tensor:
        return family.denoised(y.flatten(1), sigma[:, None], component).view(-1, *shape)

    rows = {"component": torch.zeros(2, dtype=torch.long)}
    noise = {"inside": torch.zeros(2, rank), "outside": torch.zeros(2, size)}
    noisy = {"y": torch.zeros(2, *shape), "sigma": torch.ones(2)}
    graphs = (
        Graph("start", owner, start, rows | noise, ("start",)),
        Graph("denoiser", owner, denoise, noisy | rows, ("denoised",)),
    )
    steps = (
        portable.choose("component", mixture.weights, mixture.component_class, family.any_component),
        portable.normal("inside", rank),
        portable.normal("outside", size),
        portable.normal("noise", *shape),
        portable.run("start", "component", "inside", "outside", out="start"),
        portable.denoise("denoiser", "start", sigmas, "component", out="x", noise="noise", clip=is_bounded),
    )
    return PortableSampler(graphs, steps)
