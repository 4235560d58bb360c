"""Closed-form density model: a mixture of Gaussians over principal components, fitted in one pass.

It serves diffusion twice: its posterior mean is the best linear denoiser of a component, which a network need only
correct; and at high noise its noised samples are those of the data, so that sampling may start there. For a GAN it makes the coarse part of
an item.

Legend for shapes: N examples, D = C H W values of one example, R principal components, K mixture components.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from anew.core.deadline import UNLIMITED_TURNS
from anew.core.machine.memory import check_memory

TINY = 1e-12  # added to variances, so that nothing is divided by zero
LLOYD_STEPS = 25  # steps of k-means, which has hardly more to gain by then
ANY_CLASS = -1  # class of a component that serves all classes
# Weight of a class that none of the fitted examples has: hardly ever drawn without its label, and its logarithm is finite.
UNSEEN_CLASS_WEIGHT = 1e-6
FOLDS = 4  # folds of the cross-fitting; chosen: each fit sees three quarters of the items
ITEMS_PER_DIRECTION = 2  # at least: with fewer, directions are those of single items
# Items times values of one times principal components, up to which folds are fitted: a second or two.
MAX_CROSS_FIT = 2**30
CROSS_FIT_ROUNDS = 4  # rounds of subspace iteration, half as many as for the basis itself: only variances are needed


@dataclass(frozen=True, slots=True)
class GaussianMixture:
    """Gaussians in the space of principal components, and independent values outside it, in a rotated frame.

    Attributes:
        centre: (D,) mean of all data.
        basis: (D, R) orthonormal principal directions.
        channel_rotation: (C, C) orthonormal rotation of the residual outside the basis, over channels.
        row_rotation: (H, H) orthonormal rotation of the residual over rows.
        column_rotation: (W, W) orthonormal rotation of the residual over columns.
        residual_variance: (D,) variance of each value outside the basis, rotated.
        means: (K, R) mean of each component in the basis.
        eigenvectors: (K, R, R) axes of each component's covariance, in columns.
        variances: (K, R) variances along them.
        weights: (K,) how often each component occurs.
        component_class: (K,) class of each component; ANY_CLASS for all classes.
    """

    centre: Tensor
    basis: Tensor
    channel_rotation: Tensor
    row_rotation: Tensor
    column_rotation: Tensor
    residual_variance: Tensor
    means: Tensor
    eigenvectors: Tensor
    variances: Tensor
    weights: Tensor
    component_class: Tensor

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (N, D) -> coordinates in the basis (N, R), and the rest, rotated (N, D)."""
        centred = x - self.centre
        coordinates = centred @ self.basis  # (N, R)
        return coordinates, self._rotate(centred - coordinates @ self.basis.T)

    def _rotate(self, x: Tensor) -> Tensor:
        return rotate(x, self.channel_rotation, self.row_rotation, self.column_rotation)

    def _rotate_back(self, x: Tensor) -> Tensor:
        return rotate(x, self.channel_rotation.T, self.row_rotation.T, self.column_rotation.T)

    def assign(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N,) the component whose mean is nearest to x (N, D); with labels, among those of the example's class."""
        coordinates, _ = self.project(x)
        return nearest_component(coordinates, self.means, self.weights, self.component_class, labels)

    def denoise(self, y: Tensor, sigma: Tensor, component: Tensor) -> Tensor:
        """(N, D) best linear estimate of x from y = x + sigma e within each row's component; sigma (N,)."""
        coordinates, residual = self.project(y)
        noise_variance = sigma.square()[:, None]  # (N, 1)
        variances, axes, means = self.variances[component], self.eigenvectors[component], self.means[component]
        along = torch.einsum("nr,nrk->nk", coordinates - means, axes) * (variances / (variances + noise_variance))
        coordinates = means + torch.einsum("nk,nrk->nr", along, axes)
        residual = residual * (self.residual_variance / (self.residual_variance + noise_variance).clamp(min=TINY))
        return self.centre + coordinates @ self.basis.T + self._rotate_back(residual)

    def posterior_std(self, sigma: Tensor, component: Tensor) -> Tensor:
        """(N,) root mean square error of `denoise` per value: sqrt of the mean posterior variance."""
        noise_variance = sigma.square()[:, None]
        variances = self.variances[component]
        total = (variances * noise_variance / (variances + noise_variance)).sum(1)
        residual = self.residual_variance
        total = total + (residual * noise_variance / (residual + noise_variance).clamp(min=TINY)).sum(1)
        return (total / len(self.centre)).sqrt()

    def posterior(self, y: Tensor, sigma: Tensor, component: Tensor) -> tuple[Tensor, Tensor]:
        """`denoise` (N, D) and `posterior_std` (N, 1), for sigma (N, 1)."""
        sigma = sigma.squeeze(1)
        return self.denoise(y, sigma, component), self.posterior_std(sigma, component)[:, None]

    def per_value(self, per_part: Tensor) -> Tensor:
        """Broadcast numbers of parts that have a noise level each to the values of an example.

        Here an example is one part: (N, 1) stays as it is.
        """
        return per_part

    def sample(self, component: Tensor, basis_noise: Tensor, residual_noise: Tensor) -> Tensor:
        """(N, D) samples of each row's component from standard normal numbers (N, R) and (N, D)."""
        along = basis_noise * self.variances[component].sqrt()
        coordinates = self.means[component] + torch.einsum("nk,nrk->nr", along, self.eigenvectors[component])
        residual = residual_noise * self.residual_variance.sqrt()
        return self.centre + coordinates @ self.basis.T + self._rotate_back(residual)

    def unwhiten(self, white: Tensor, sigma: Tensor, component: Tensor) -> Tensor:
        """(N, D) standard normal numbers -> data of each row's component, plus noise of standard deviation sigma ()."""
        white_coordinates = white @ self.basis  # (N, R)
        residual = self._rotate(white - white_coordinates @ self.basis.T)
        along = white_coordinates * (self.variances[component] + sigma.square()).sqrt()
        coordinates = self.means[component] + torch.einsum("nk,nrk->nr", along, self.eigenvectors[component])
        residual = residual * (self.residual_variance + sigma.square()).sqrt()
        return self.centre + coordinates @ self.basis.T + self._rotate_back(residual)

    def whiten(self, y: Tensor, sigma: Tensor, component: Tensor) -> Tensor:
        """The inverse of `unwhiten`, except for what the residual's scales bring into the basis, which is little if sigma is high."""
        coordinates, residual = self.project(y)
        along = torch.einsum("nr,nrk->nk", coordinates - self.means[component], self.eigenvectors[component])
        along = along / (self.variances[component] + sigma.square()).sqrt()
        residual = residual / (self.residual_variance + sigma.square()).sqrt()
        return along @ self.basis.T + self._rotate_back(residual)


def rotate(x: Tensor, channels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """x (N, D) with its three axes multiplied by the matrices (C, C), (H, H) and (W, W)."""
    grid = x.view(x.shape[0], len(channels), len(rows), len(columns))
    grid = (rows @ (grid @ columns.T)).flatten(2)  # (N, C, H W)
    return (channels @ grid).flatten(1)


def dct_matrix(size: int) -> Tensor:
    """(size, size) orthonormal discrete cosine transform (type II), one frequency a row."""
    index = torch.arange(size, dtype=torch.float64)
    waves = torch.cos(math.pi / size * (index + 0.5) * index[:, None]) * math.sqrt(2 / size)
    waves[0] /= math.sqrt(2)
    return waves.float()


def empty_mixture(shape: tuple[int, ...], rank: int, num_components: int, variance: float) -> GaussianMixture:
    """An empty mixture, with the tensors that `fit_mixture` gives for items of shape (C, H, W). num_components: K."""
    size = math.prod(shape)
    check_memory(4 * (size * (rank + 2) + num_components * rank * rank + sum(extent**2 for extent in shape)))
    return GaussianMixture(
        centre=torch.zeros(size),
        basis=torch.zeros(size, rank),
        channel_rotation=torch.eye(shape[0]),
        row_rotation=torch.eye(shape[1]),
        column_rotation=torch.eye(shape[2]),
        residual_variance=torch.full((size,), variance),
        means=torch.zeros(num_components, rank),
        eigenvectors=torch.zeros(num_components, rank, rank),
        variances=torch.zeros(num_components, rank),
        weights=torch.zeros(num_components),
        component_class=torch.full((num_components,), ANY_CLASS),
    )


def fit_mixture(
    x: Tensor,
    labels: Tensor | None,
    *,
    rank: int,
    num_clusters: int,
    classes: int,
    rng: torch.Generator,
    rotate_residual: bool = True,
    turns: Iterator[object] = UNLIMITED_TURNS,
) -> GaussianMixture:
    """Fit principal components, clusters by k-means in them (within each class), and a Gaussian for each cluster.

    Args:
        x: (N, C, H, W) data.
        labels: (N,) classes; None to ignore classes.
        rank: R, number of principal components.
        num_clusters: K - 1, divided evenly among classes; the last component is fitted to all of the data.
        classes: Number of classes, 0 without labels.
        rotate_residual: Whether the residual outside the components may be rotated.
        turns: One is taken before each round that improves the components after the first, and before each fold of the
            cross-fitting; where they end, the rest of these is left out.

    Returns:
        The mixture. A class without examples gets the Gaussian of all data as a component of its own, so that its later examples are not
        taken for another class.
    """
    shape, x = x.shape[1:], x.flatten(1)
    centre = x.mean(0)
    centred = x - centre
    basis = principal_directions(centred, rank, rng, turns=turns)  # (D, R)
    used_rank = min(rank, max(1, len(x) // ITEMS_PER_DIRECTION))
    basis[:, used_rank:] = 0.0  # variation along these directions belongs to the residual
    coordinates = centred @ basis  # (N, R)
    residual = centred - coordinates @ basis.T
    if rotate_residual:
        rotations, residual_variance = _shortest_description(residual, shape, float(centred.square().mean()))
    else:
        rotations, residual_variance = _no_rotation(shape), residual.square().mean(0)
    scales = torch.ones(rank)  # (R,)
    if x.numel() * rank <= MAX_CROSS_FIT and len(x) >= FOLDS:
        spread = _held_out_spread(x, rotations, used_rank, rng, turns)
        if spread is not None:
            scales[:used_rank], residual_variance = spread
    cluster, cluster_class = cluster_by_class(coordinates, labels, num_clusters, classes, rng)
    component_class = functional.pad(cluster_class, (0, 1), value=ANY_CLASS)  # the last one is of all data
    pooled = _covariance(coordinates)
    within = _covariance_within(coordinates, cluster, pooled)
    gaussians = [
        _fit_gaussian(coordinates[cluster == k], pooled, within, coordinates, scales) for k in range(num_clusters)
    ]
    gaussians.append(_Gaussian(coordinates.mean(0), *_scaled_eigen(pooled, scales)))
    return GaussianMixture(
        centre=centre,
        basis=basis,
        channel_rotation=rotations[0],
        row_rotation=rotations[1],
        column_rotation=rotations[2],
        residual_variance=residual_variance,
        means=torch.stack([g.mean for g in gaussians]),
        eigenvectors=torch.stack([g.eigenvectors for g in gaussians]),
        variances=torch.stack([g.variances for g in gaussians]),
        weights=_component_weights(cluster, component_class, classes),
        component_class=component_class,
    )


def _component_weights(cluster: Tensor, component_class: Tensor, classes: int) -> Tensor:
    """(K,) the share of each component, from the component of each example (N,)."""
    weights = torch.bincount(cluster, minlength=len(component_class)).float() / max(1, len(cluster))
    for label in range(classes):
        components = torch.nonzero(component_class == label).flatten()
        if len(components) and not weights[components].any():
            weights[components[0]] = UNSEEN_CLASS_WEIGHT
    return weights


def nearest_component(
    coordinates: Tensor, means: Tensor, weights: Tensor, component_class: Tensor, labels: Tensor | None
) -> Tensor:
    """The component with the nearest mean among those with a positive weight; with labels, among the components of the example's
    class.

    Args:
        coordinates: (N, R) of each example.
        means, weights, component_class: See `GaussianMixture`.
        labels: (N,) classes.

    Returns:
        (N,). Where no component of a class occurs, the last one, as for `sample_components`.
    """
    distance = torch.cdist(coordinates, means)  # (N, K)
    distance = distance.masked_fill(weights == 0, torch.inf)
    if labels is not None:
        distance = distance.masked_fill(component_class != labels[:, None], torch.inf)
    return distance.argmin(1).where(distance.amin(1).isfinite(), len(means) - 1)


def sample_components(weights: Tensor, component_class: Tensor, uniform: Tensor, labels: Tensor | None) -> Tensor:
    """(n,) components drawn by their frequency in the data, or in the class. Where no component of a class occurs, the last one.

    In double precision on the CPU: the same components on every machine, and none that never occurs.

    Args:
        weights, component_class: See `GaussianMixture`.
        uniform: (n,) in [0, 1).
        labels: (n,) classes; below 0 for any.
    """
    weights_of = weights.cpu().double().expand(len(uniform), -1)  # (n, K)
    if labels is not None:
        labels = labels.cpu()
        is_other_class = (labels >= 0)[:, None] & (component_class.cpu() != labels[:, None])
        weights_of = weights_of.masked_fill(is_other_class, 0.0)
    cumulative = weights_of.cumsum(1)
    component = (cumulative <= uniform.cpu().double()[:, None] * cumulative[:, -1:]).sum(1)
    return component.clamp(max=len(weights) - 1).to(weights.device)


Rotations = tuple[Tensor, Tensor, Tensor]  # one each for channels, rows and columns


def _no_rotation(shape: torch.Size) -> Rotations:
    channels, height, width = shape
    return torch.eye(channels), torch.eye(height), torch.eye(width)


def _shortest_description(residual: Tensor, shape: torch.Size, power: float) -> tuple[Rotations, Tensor]:
    """The rotations that describe residual (N, D) with the fewest bits, and the variances (D,) under them.

    Either none, which suits drawings with empty borders, or principal colours and cosines, which suit photographs.
    """
    channels, height, width = shape
    by_channel = residual.view(len(residual), channels, -1).transpose(0, 1).flatten(1)  # (C, N H W)
    _, colours = torch.linalg.eigh((by_channel @ by_channel.T).double())
    candidates = [
        _no_rotation(shape),
        (colours.T.float().contiguous(), dct_matrix(height), dct_matrix(width)),
    ]
    described = [(rotations, rotate(residual, *rotations).square().mean(0)) for rotations in candidates]
    floor = 1e-2 * power + TINY  # details below a tenth of the data's deviation need no description
    return min(described, key=lambda pair: float((pair[1] + floor).log().sum()))


def _held_out_spread(
    x: Tensor, rotations: Rotations, rank: int, rng: torch.Generator, turns: Iterator[object]
) -> tuple[Tensor, Tensor] | None:
    """Spread of held-out items of x (N, D), by cross-fitting: components explain more of the items that they were fitted on than of
    others, and nearly all of few items.

    Returns:
        (R,) deviation of held-out items along each principal component, relative to that of fitted items, at most 1; (D,)
        variance outside the components, rotated. Both by the folds that there were turns for; None without any.
    """
    num_held_out = 0
    held_out_power, fitted_power = torch.zeros(rank), torch.zeros(rank)
    residual_power = torch.zeros(x.shape[1])
    for fold, _ in zip(range(FOLDS), turns, strict=False):
        is_held_out = torch.arange(len(x)) % FOLDS == fold
        centre = x[~is_held_out].mean(0)
        fitted, held_out = x[~is_held_out] - centre, x[is_held_out] - centre
        basis = principal_directions(fitted, rank, rng, CROSS_FIT_ROUNDS)
        coordinates = held_out @ basis
        residual_power += rotate(held_out - coordinates @ basis.T, *rotations).square().sum(0)
        num_held_out += len(held_out)
        held_out_power += coordinates.square().sum(0)
        fitted_power += (fitted @ basis).square().mean(0) * len(held_out)
    if not num_held_out:
        return None
    scales = (held_out_power / fitted_power.clamp(min=TINY)).clamp(max=1.0).sqrt()
    return scales, residual_power / num_held_out


def principal_directions(
    centred: Tensor, rank: int, rng: torch.Generator, rounds: int = 8, turns: Iterator[object] = UNLIMITED_TURNS
) -> Tensor:
    """(D, R) leading principal directions of centred (N, D) by subspace iteration, of one round and as many more, up to `rounds`, as
    there are turns for; directions beyond the data's rank are arbitrary."""
    basis = torch.randn(centred.shape[1], rank, generator=rng)
    for _ in chain([None], zip(range(rounds - 1), turns, strict=False)):
        basis = torch.linalg.qr(centred.T @ (centred @ basis) + 1e-6 * basis)[0]
    return basis


class _Gaussian(NamedTuple):
    """mean (R,), eigenvectors (R, R) of its covariance in columns, variances (R,) along them."""

    mean: Tensor
    eigenvectors: Tensor
    variances: Tensor


def _covariance(z: Tensor) -> Tensor:
    centred = z - z.mean(0)
    return centred.T @ centred / max(1, len(z))


def _eigen(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvectors in columns, and eigenvalues."""
    values, vectors = torch.linalg.eigh(covariance.double())
    return vectors.float(), values.clamp(min=0).float()


def _scaled_eigen(covariance: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """`_eigen` of a covariance (R, R) whose coordinates are multiplied by scales (R,)."""
    return _eigen(covariance * scales[:, None] * scales)


def _covariance_within(z: Tensor, cluster: Tensor, pooled: Tensor) -> Tensor:
    """(R, R) covariance of z (N, R) around the means of their clusters (N,), of all clusters together; that of all of z, `pooled`, if
    each cluster has but one row."""
    counts = torch.bincount(cluster)  # (K,)
    degrees_of_freedom = len(z) - int((counts > 0).sum())
    if degrees_of_freedom < 1:
        return pooled
    means = torch.zeros(len(counts), z.shape[1]).index_add_(0, cluster, z) / counts.clamp(min=1)[:, None]
    offsets = z - means[cluster]
    return offsets.T @ offsets / degrees_of_freedom


def _fit_gaussian(z: Tensor, pooled: Tensor, within: Tensor, all_coordinates: Tensor, scales: Tensor) -> _Gaussian:
    """The Gaussian of one cluster, its covariance shrunk towards the pooled one if examples are few.

    Args:
        z: (n, R) coordinates of the cluster.
        pooled: (R, R) covariance of all data.
        within: (R, R) covariance within all clusters, which a cluster of one example takes: alone it would not vary.
        all_coordinates: (N, R) coordinates of all data, whose mean an empty cluster takes.
        scales: (R,) factors of the deviations.
    """
    if len(z) == 0:
        return _Gaussian(all_coordinates.mean(0), *_scaled_eigen(pooled, scales))
    if len(z) == 1:
        return _Gaussian(z[0], *_scaled_eigen(within, scales))
    covariance = _covariance(z)
    # A covariance of R dimensions needs more than R examples; the pooled one counts as R / 4 of them, chosen
    pseudo_examples = len(pooled) / 4
    prior = pooled * (covariance.trace() / pooled.trace().clamp(min=TINY))
    shrunk = (covariance * len(z) + prior * pseudo_examples) / (len(z) + pseudo_examples)
    return _Gaussian(z.mean(0), *_scaled_eigen(shrunk, scales))


def cluster_by_class(
    z: Tensor, labels: Tensor | None, num_clusters: int, classes: int, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The cluster of each row of z (N, R), and the class of each cluster (num_clusters,), which has rows of that class alone;
    ANY_CLASS without labels."""
    cluster = torch.zeros(len(z), dtype=torch.long)
    if labels is None or classes == 0:
        return kmeans(z, num_clusters, rng) if num_clusters else cluster, torch.full((num_clusters,), ANY_CLASS)
    cluster_class = torch.arange(num_clusters) % classes
    for label in range(classes):
        clusters = torch.nonzero(cluster_class == label).flatten()
        rows = torch.nonzero(labels == label).flatten()
        if len(rows):
            cluster[rows] = clusters[kmeans(z[rows], len(clusters), rng)]
    return cluster, cluster_class


def kmeans(z: Tensor, num_clusters: int, rng: torch.Generator) -> Tensor:
    """(N,) cluster of each row of z (N, R): Lloyd's algorithm from k-means++ seeds."""
    centres = z[torch.randint(len(z), (1,), generator=rng)]
    while len(centres) < min(num_clusters, len(z)):
        distance = torch.cdist(z, centres).amin(1).square() + TINY
        centres = torch.cat([centres, z[torch.multinomial(distance, 1, generator=rng)]])
    for _ in range(LLOYD_STEPS):
        cluster = torch.cdist(z, centres).argmin(1)
        counts = torch.bincount(cluster, minlength=len(centres))[:, None]
        sums = torch.zeros_like(centres).index_add_(0, cluster, z)
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
    return torch.cdist(z, centres).argmin(1)
