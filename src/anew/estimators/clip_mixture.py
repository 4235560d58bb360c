"""The mixture of Gaussians of `anew.estimators.gaussian_mixture` for clips, whose frames may have different noise levels.

Given a component, a clip is centre + basis z + e, with z Gaussian and e independent for each value. If each frame has a noise level, the
posterior of z has a closed form: known frames predict the others, so that the same mixture can continue a clip, fill
gaps between frames and generate.

Legend for shapes: N clips, T frames, D = C T H W values of one clip, R principal components, K mixture components.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from anew.core.deadline import UNLIMITED_TURNS
from anew.estimators.gaussian_mixture import TINY, GaussianMixture, empty_mixture, fit_mixture


@dataclass(frozen=True, slots=True)
class ClipMixture(GaussianMixture):
    """A mixture of clips. Its rotations are the identity.

    Attributes:
        frame_grams: (T, R, R) products of each frame's part of the basis with itself; they sum to the identity.
        frame_residual_variance: (T,) mean variance of a frame's values outside the basis.
        length_counts: (K, T) how often a clip of each component has 1, 2, ... T frames.
    """

    frame_grams: Tensor
    frame_residual_variance: Tensor
    length_counts: Tensor

    @property
    def frames(self) -> int:
        return len(self.frame_residual_variance)

    def per_value(self, per_part: Tensor) -> Tensor:
        """(N, T) a number a frame -> (N, D), the same for each of the frame's values."""
        area = len(self.row_rotation) * len(self.column_rotation)
        channels = len(self.centre) // (area * self.frames)
        # `shape[0]` instead of `len`: the axis stays open in exports.
        return per_part[:, None, :, None].expand(-1, channels, -1, area).reshape(per_part.shape[0], -1)

    def posterior(self, y: Tensor, sigma: Tensor, component: Tensor) -> tuple[Tensor, Tensor]:
        """Best estimate of x from y = x + sigma e, and its error.

        Args:
            y: (N, D) noised clips.
            sigma: (N, T) noise level of each frame, infinite for unknown frames.
            component: (N,) component of each clip.

        Returns:
            The estimate (N, D) and its root mean square error in each frame (N, T).
        """
        noise_variance = sigma.square()  # (N, T)
        scales = self.variances[component].sqrt()  # (N, R)
        axes = self.eigenvectors[component] * scales[:, None]  # (N, R, R)
        prior_mean = self.centre + self.means[component] @ self.basis.T  # (N, D)
        weight = 1.0 / (self.frame_residual_variance + noise_variance)  # (N, T)
        # The posterior precision of z in the component's own axes is the identity plus what the frames tell.
        evidence = (weight @ self.frame_grams.flatten(1)).view(axes.shape)  # (N, R, R)
        precision = axes.mT @ evidence @ axes + torch.eye(axes.shape[2], device=axes.device)
        root = torch.linalg.cholesky_ex(precision).L  # (N, R, R); not finite if y is not, so that the trainer notices
        value_weight = self.per_value(weight)  # (N, D)
        weighted = torch.where(value_weight > 0, (y - prior_mean) * value_weight, 0.0) @ self.basis  # (N, R)
        half = torch.linalg.solve_triangular(root, axes.mT, upper=False)  # (N, R, R): its square is the covariance
        in_basis = prior_mean + ((half.mT @ (half @ weighted[..., None])).squeeze(-1)) @ self.basis.T
        shrinkage = self.residual_variance / (self.residual_variance + self.per_value(noise_variance)).clamp(min=TINY)
        denoised = in_basis + torch.where(shrinkage > 0, (y - in_basis) * shrinkage, 0.0)
        return denoised, self._posterior_std(half, noise_variance, weight)

    def _posterior_std(self, half: Tensor, noise_variance: Tensor, weight: Tensor) -> Tensor:
        """(N, T) root mean square error of each frame's values."""
        values_per_frame = len(self.centre) // self.frames
        covariance = half.mT @ half  # (N, R, R)
        in_basis = covariance.flatten(1) @ self.frame_grams.flatten(1).T / values_per_frame  # (N, T)
        residual = self.frame_residual_variance * torch.where(noise_variance.isinf(), 1.0, noise_variance * weight)
        return (in_basis + residual).clamp(min=0).sqrt()


def empty_clip_mixture(shape: tuple[int, ...], rank: int, num_components: int, variance: float) -> ClipMixture:
    """An empty mixture, with the tensors that `fit_clip_mixture` gives for clips of shape (C, T, H, W)."""
    channels, frames, height, width = shape
    mixture = empty_mixture((channels * frames, height, width), rank, num_components, variance)
    return _with_frames(mixture, frames, torch.zeros(num_components, frames))


def fit_clip_mixture(
    x: Tensor,
    lengths: Tensor,
    labels: Tensor | None,
    *,
    rank: int,
    num_clusters: int,
    classes: int,
    rng: torch.Generator,
    turns: Iterator[object] = UNLIMITED_TURNS,
) -> ClipMixture:
    """Fit a mixture to clips, as `fit_mixture` fits one to pictures.

    Args:
        x: (N, C, T, H, W) clips.
        lengths: (N,) frames of each clip, 1 to T.
        labels: (N,) classes; None to ignore classes.
        num_clusters: K - 1; the last component is fitted to all of the data.
        turns: See `fit_mixture`.
    """
    channels, frames, height, width = x.shape[1:]
    flat = x.reshape(len(x), channels * frames, height, width)
    mixture = fit_mixture(
        flat,
        labels,
        rank=rank,
        num_clusters=num_clusters,
        classes=classes,
        rng=rng,
        turns=turns,
        rotate_residual=False,
    )
    length_counts = torch.zeros(num_clusters + 1, frames)
    own_component = mixture.assign(x.flatten(1), labels if classes else None)
    for component in (own_component, torch.full_like(lengths, num_clusters)):
        length_counts.index_put_((component, lengths - 1), torch.ones(len(x)), accumulate=True)
    return _with_frames(mixture, frames, length_counts)


def _with_frames(mixture: GaussianMixture, frames: int, length_counts: Tensor) -> ClipMixture:
    rank = mixture.basis.shape[1]
    area = len(mixture.row_rotation) * len(mixture.column_rotation)
    basis = mixture.basis.view(-1, frames, area, rank)  # (C, T, H W, R)
    residual_variance = mixture.residual_variance.view(-1, frames, area)  # (C, T, H W)
    return ClipMixture(
        **{field.name: getattr(mixture, field.name) for field in fields(mixture)},
        frame_grams=torch.einsum("ctpr,ctps->trs", basis, basis),
        frame_residual_variance=residual_variance.mean((0, 2)),
        length_counts=length_counts,
    )
