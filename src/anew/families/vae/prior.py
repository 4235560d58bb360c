"""The prior of top latents: a mixture of Gaussians, fitted in closed form to those of training items after the networks are
trained.

The latents of a VAE's items are not normally distributed, so that such models fail with samples from a normal distribution. A
density that is estimated afterwards takes a second, and its samples are nearly as good as reconstructions (Ghosh et al., arXiv
1903.12436, section 4).

Legend for shapes: N items, D numbers of a vector, K components of the mixture.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from anew.core.random import generator
from anew.estimators.gaussian_mixture import ANY_CLASS, cluster_by_class, sample_components
from anew.families._sizes import suggest_num_clusters

MAX_CLUSTERS: Final = 256  # enough for 8,192 items, about as many as the prior is fitted to
# Vectors for which the covariance within all clusters counts in that of each cluster, as a multiple of the size of a vector.
# With half as many, samples of digits were nearer to training items than to held-out ones, as copies are, and no nearer to
# the data (docs/log.md, 2026-11-27).
PSEUDO_ITEMS: Final = 1.0
MIN_VARIANCE: Final = 1e-6  # keeps a density finite if items do not differ; latents are of about unit size


class Clusters(NamedTuple):
    """Statistics of clusters, from which Gaussians are made.

    Attributes:
        counts: (k,) number of vectors of each cluster.
        means: (k, D) mean of each cluster.
        scatters: (k, D, D) sums of the outer products of deviations from the means.
        within: (D, D) covariance around the means, of all clusters together; shrunk towards equal variances in all
            directions, since few vectors do not vary in all of them.
    """

    counts: Tensor
    means: Tensor
    scatters: Tensor
    within: Tensor

    def factors(self, pseudo_items: float) -> Tensor:
        """(k, D, D) Cholesky factors of each cluster's covariance, shrunk towards that within all clusters, so that a cluster of
        one vector is as wide as others are.

        Args:
            pseudo_items: How many vectors the common covariance counts for.
        """
        count = (self.counts - 1.0).clamp(min=0.0) + pseudo_items
        covariance = (self.scatters + pseudo_items * self.within) / count[:, None, None]
        factors: Tensor = torch.linalg.cholesky(covariance + MIN_VARIANCE * torch.eye(len(self.within)).double())
        return factors


def clusters_of(z: Tensor, cluster: Tensor, num_clusters: int) -> Clusters:
    """The clusters of vectors z (N, D), given the cluster (N,) of each."""
    counts = torch.bincount(cluster, minlength=num_clusters).double()
    means = torch.zeros(num_clusters, z.shape[1]).double().index_add_(0, cluster, z) / counts.clamp(min=1.0)[:, None]
    around = z - means[cluster]
    scatters = torch.stack([rows.T @ rows for rows in (around[cluster == k] for k in range(num_clusters))])
    freedom = len(z) - int((counts > 0).sum())
    if freedom < 1:  # each vector is a cluster of its own, so that nothing is known of the covariance within
        around, freedom = z - z.mean(0), len(z)
    size = z.shape[1]
    variance = z.var(0, correction=0).mean()  # mean variance of a coordinate
    within = (around.T @ around + size * variance * torch.eye(size).double()) / (freedom + size)
    return Clusters(counts, means, scatters, within)


def log_densities(z: Tensor, weights: Tensor, means: Tensor, factors: Tensor) -> Tensor:
    """(N,) log density, in nats, of vectors z (N, D) under a mixture of weights (K,), means (K, D) and Cholesky factors (K, D,
    D); all in double precision."""
    occurs = torch.nonzero(weights > 0).flatten()
    log_weights = weights.log() - factors.diagonal(dim1=1, dim2=2).log().sum(1)  # (K,)
    exponents = []
    for k in occurs:
        white = torch.linalg.solve_triangular(factors[k], (z - means[k]).T, upper=False)  # (D, N)
        exponents.append(log_weights[k] - 0.5 * white.square().sum(0))
    return torch.logsumexp(torch.stack(exponents, 1), 1) - 0.5 * z.shape[1] * math.log(2 * math.pi)


class MixturePrior(nn.Module):
    """A mixture of Gaussians over vectors; a standard normal distribution until it is fitted. Not trained.

    Its components are the clusters, which each class has of its own, and a last one of all vectors, which is drawn only if there
    are no clusters.

    Args:
        num_clusters: Most clusters; 0: one Gaussian.
        classes: Number of classes, 0 without labels.
    """

    means: Tensor  # (K, D)
    factors: Tensor  # (K, D, D) Cholesky factors of the covariances
    weights: Tensor  # (K,) how often each component occurs
    component_class: Tensor  # (K,) class of each component; ANY_CLASS for all

    def __init__(self, size: int, num_clusters: int, classes: int) -> None:
        super().__init__()
        self.size, self.num_clusters, self.classes = size, num_clusters, classes
        weights = torch.zeros(num_clusters + 1)
        weights[-1] = 1.0
        self.register_buffer("means", torch.zeros(num_clusters + 1, size))
        self.register_buffer("factors", torch.eye(size).repeat(num_clusters + 1, 1, 1))
        self.register_buffer("weights", weights)
        self.register_buffer("component_class", torch.full((num_clusters + 1,), ANY_CLASS))

    def fit(self, z: Tensor, labels: Tensor | None) -> None:
        """Fit the mixture to vectors z (N, D) in random order, with fewer clusters if they are few. labels: (N,) classes; None without."""
        z = z.cpu().double()
        labels = labels.cpu() if labels is not None and self.classes and self.num_clusters else None
        classes = self.classes if labels is not None else 0
        num_clusters = min(self.num_clusters, suggest_num_clusters(len(z), classes, MAX_CLUSTERS))
        pseudo_items = PSEUDO_ITEMS * self.size
        rng = generator(0, "prior")
        cluster, component_class = cluster_by_class(z.float(), labels, max(1, num_clusters), classes, rng)
        fitted = clusters_of(z, cluster, max(1, num_clusters))
        everything = clusters_of(z, torch.zeros_like(cluster), 1)
        self.weights.zero_()
        if num_clusters:
            self.means[:num_clusters] = fitted.means.to(self.means)
            self.factors[:num_clusters] = fitted.factors(pseudo_items).to(self.factors)
            self.weights[:num_clusters] = (fitted.counts / len(z)).to(self.weights)
            self.component_class[:num_clusters] = component_class.to(self.component_class)
        else:
            self.weights[-1] = 1.0
        self.means[-1] = everything.means[0].to(self.means)
        self.factors[-1] = everything.factors(pseudo_items)[0].to(self.factors)

    def sample_components(self, uniform: Tensor, labels: Tensor | None) -> Tensor:
        """(n,) components drawn by their frequency in the data, or in the class of `labels` (n,) (below 0: any); uniform: (n,)."""
        return sample_components(self.weights, self.component_class, uniform, labels)

    def forward(self, component_weights: Tensor, noise: Tensor) -> Tensor:
        """(n, D) vectors from weights of components (n, K), 1 for one of them, and standard normal numbers (n, D)."""
        factors = (component_weights @ self.factors.flatten(1)).view(-1, self.size, self.size)
        return component_weights @ self.means + torch.einsum("nde,ne->nd", factors, noise)

    def log_prob(self, z: Tensor) -> Tensor:
        """(N,) log density of vectors z (N, D), in nats and double precision, on the CPU: not every device has it."""
        tensors = (tensor.cpu().double() for tensor in (z, self.weights, self.means, self.factors))
        return log_densities(*tensors)
