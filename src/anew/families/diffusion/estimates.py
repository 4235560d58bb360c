"""Estimates of a denoiser at one noise level, which pages show besides its samples.

Legend for shapes: n items, D values of one item.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from anew.core.random import StepContext
from anew.core.specs import Grid
from anew.estimators.gaussian_mixture import GaussianMixture


class DenoisingFamily(Protocol):
    """The part of the family that is used here."""

    spec: Grid

    @property
    def device(self) -> torch.device: ...

    @property
    def mixture(self) -> GaussianMixture: ...

    def denoise(self, y: Tensor, sigma: Tensor, component: Tensor) -> Tensor: ...

    def to_items(self, denoised: Tensor) -> Tensor: ...


@torch.no_grad()
def clean_estimates(
    family: DenoisingFamily, noisy: Tensor, sigma: float, labels: Tensor | None, near: Tensor | None = None
) -> Tensor:
    """(n, *shape) estimates of the clean items behind noisy ones (n, *shape), each with the component nearest to the noisy item, or
    to `near` (n, *shape)."""
    labels_here = None if labels is None or not family.spec.classes else labels.to(family.device)
    rows = noisy.flatten(1).float().to(family.device)  # (n, D)
    nearest = rows if near is None else near.flatten(1).float().to(family.device)
    component = family.mixture.assign(nearest, labels_here)
    return family.to_items(family.denoise(rows, torch.tensor(sigma), component))


def level_errors(family: DenoisingFamily, x: Tensor, labels: Tensor | None, sigmas: Tensor) -> tuple[Tensor, Tensor]:
    """Noise levels (L,) without the last one, which is 0, and the mean squared error of estimates of items x (n, *shape) at
    each."""
    noise = StepContext(0, 0, phase="errors").normal("noise", x.shape)
    levels = sigmas[:-1].cpu()
    estimates = [clean_estimates(family, x + sigma * noise, sigma, labels, x).cpu() for sigma in levels.tolist()]
    return levels, torch.stack([(estimate - x.cpu()).square().mean() for estimate in estimates])
