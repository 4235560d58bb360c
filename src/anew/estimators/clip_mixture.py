"""The mixture of Gaussians of `anew.estimators.gaussian_mixture` for clips, whose frames may each carry another noise level.

Given a component, a clip is centre + basis z + e, with z Gaussian and e independent for each value. With one noise level a
frame the posterior of z has a closed form: what is known of some frames says what the others may be, so that the same
mixture continues a clip, fills between frames and generates.

Shapes: N clips, T frames, D = C T H W values of one clip, R principal components, K mixture components.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from anew.estimators.gaussian_mixture import Mixture, empty, fit


@dataclass(frozen=True, slots=True)
class ClipMixture(Mixture):
    """grams (T, R, R): the products of each frame's part of the basis with itself; they sum to the identity.

    spare (T,): mean variance of a frame's values outside the basis. lengths (K, T): how often a clip of each component has
    1, 2, ... T frames. Turns are the identity."""

    grams: Tensor
    spare: Tensor
    lengths: Tensor

    @property
    def frames(self) -> int:
        return len(self.spare)

    def spread(self, level: Tensor) -> Tensor:
        """(N, T) a number a frame -> (N, D), the same for each of the frame's values."""
        area = len(self.rows) * len(self.columns)
        channels = len(self.centre) // (area * self.frames)
        return level[:, None, :, None].expand(-1, channels, -1, area).reshape(len(level), -1)

    def posterior(self, y: Tensor, level: Tensor, component: Tensor) -> tuple[Tensor, Tensor]:
        """(N, D) best estimate of x from y = x + level e, and (N, T) its root mean square error in each frame.

        level (N, T): infinite where a frame tells nothing."""
        noise = level.square()
        scales = self.variances[component].sqrt()
        axes, means = self.axes[component] * scales[:, None], self.means[component]  # (N, R, R), (N, R)
        weight = 1.0 / (self.spare + noise)  # (N, T)
        precision = (weight @ self.grams.flatten(1)).view(axes.shape)
        inner = axes.mT @ precision @ axes
        inner.diagonal(dim1=1, dim2=2).add_(1.0)
        root = torch.linalg.cholesky(inner)  # (N, R, R)
        start = self.centre + means @ self.basis.T
        told = torch.where(self.spread(weight) > 0, (y - start) * self.spread(weight), 0.0) @ self.basis  # (N, R)
        half = torch.linalg.solve_triangular(root, axes.mT, upper=False)  # (N, R, R): its square is the covariance
        inside = start + ((half.mT @ (half @ told[..., None])).squeeze(-1)) @ self.basis.T
        kept = self.rest / (self.rest + self.spread(noise)).clamp(min=1e-12)
        clean = inside + torch.where(kept > 0, (y - inside) * kept, 0.0)
        covariance = half.mT @ half
        area = len(self.centre) // self.frames
        error = covariance.flatten(1) @ self.grams.flatten(1).T / area  # (N, T)
        outside = self.spare * torch.where(noise.isinf(), 1.0, noise * weight)
        return clean, (error + outside).clamp(min=0).sqrt()


def empty_clips(shape: tuple[int, ...], rank: int, kinds: int, variance: float) -> ClipMixture:
    """What `fit_clips` gives for clips of shape (C, T, H, W), with nothing in it."""
    channels, frames, height, breadth = shape
    plain = empty((channels * frames, height, breadth), rank, kinds, variance)
    return _with_frames(plain, frames, torch.zeros(kinds, frames))


def fit_clips(
    x: Tensor,
    length: Tensor,
    label: Tensor | None,
    rank: int,
    components: int,
    classes: int,
    source: torch.Generator,
) -> ClipMixture:
    """A mixture of x (N, C, T, H, W) with length (N,) frames each, as `anew.estimators.gaussian_mixture.fit` makes one of pictures."""
    channels, frames, height, breadth = x.shape[1:]
    flat = x.reshape(len(x), channels * frames, height, breadth)
    plain = fit(flat, label, rank, components, classes, source, turned=False)
    lengths = torch.zeros(components + 1, frames)
    for where in (plain.assign(x.flatten(1), label if classes else None), torch.full_like(length, components)):
        lengths.index_put_((where, length - 1), torch.ones(len(x)), accumulate=True)
    return _with_frames(plain, frames, lengths)


def _with_frames(plain: Mixture, frames: int, lengths: Tensor) -> ClipMixture:
    rank = plain.basis.shape[1]
    basis = plain.basis.view(-1, frames, len(plain.rows) * len(plain.columns), rank)
    grams = torch.einsum("ctpr,ctps->trs", basis, basis)
    spare = plain.rest.view(*basis.shape[:3]).mean((0, 2))
    parts = {one.name: getattr(plain, one.name) for one in fields(plain)}
    return ClipMixture(**parts, grams=grams, spare=spare, lengths=lengths)
