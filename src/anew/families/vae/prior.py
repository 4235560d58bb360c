"""The prior of top latents: a mixture of Gaussians, fitted in closed form to those of training items once the networks are
trained.

Where a VAE puts its items is not a normal distribution, and samples from one are where such models fail. A density that is
estimated afterwards takes a second, and its samples are nearly as good as reconstructions (Ghosh et al., arXiv 1903.12436,
section 4).

Legend for shapes: N items, D numbers of a vector, K components of the mixture.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

from anew.core.random import generator
from anew.estimators.gaussian_mixture import ANY_CLASS, fit_mixture, sample_components

# On average: 64 and 128 were worse on three sets of images, 16 no better and nearer to training items (docs/log.md,
# 2026-11-27).
ITEMS_PER_CLUSTER: Final = 20
MOST_CLUSTERS: Final = 400  # what 8,000 items bear: about as many as the prior is fitted to
SMALLEST_VARIANCE: Final = 1e-6  # keeps a density finite where items do not differ; latents are of about unit size


def suggest_num_clusters(items: int, classes: int) -> int:
    """Number of clusters that suits so many items: the same number for each class, and at least one for each."""
    return max(classes, min(MOST_CLUSTERS, items // ITEMS_PER_CLUSTER) // max(1, classes) * max(1, classes))


class MixturePrior(nn.Module):
    """A mixture of Gaussians over vectors; a standard normal distribution until it is fitted. Not trained.

    Its components are the clusters, those of each class apart, and a last one of all vectors, which occurs only where there
    are no clusters.

    Args:
        size: D.
        num_clusters: Clusters, at most; 0: one Gaussian.
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
        """Fit the mixture. Where vectors are few, clusters are fewer, too.

        Args:
            z: (N, D) vectors.
            labels: (N,) their classes; None where there are none.
        """
        num_clusters = min(self.num_clusters, suggest_num_clusters(len(z), self.classes))
        mixture = fit_mixture(
            z.float().cpu()[:, :, None, None],
            labels.cpu() if labels is not None and self.classes else None,
            rank=self.size,
            num_clusters=num_clusters,
            classes=self.classes,
            rng=generator(0, "prior"),
            rotate_residual=False,
        )
        axes = mixture.basis @ mixture.eigenvectors  # (k, D, R)
        covariance = (axes * mixture.variances[:, None]) @ axes.mT + torch.diag(mixture.residual_variance)
        covariance = covariance.double() + SMALLEST_VARIANCE * torch.eye(self.size, dtype=torch.float64)
        # Which of the K components these k are: the last one stays the last.
        place = torch.tensor([*range(num_clusters), self.num_clusters])
        self.means[place] = (mixture.centre + mixture.means @ mixture.basis.T).to(self.means)
        self.factors[place] = torch.linalg.cholesky(covariance).to(self.factors)
        self.component_class[place] = mixture.component_class.to(self.component_class)
        self.weights.zero_()
        self.weights[place] = mixture.weights.to(self.weights)
        if not num_clusters:
            self.weights[-1] = 1.0

    def sample_components(self, uniform: Tensor, labels: Tensor | None) -> Tensor:
        """(n,) components as common as in the data, or as in the class of `labels` (n,), below 0 for any; uniform (n,)."""
        return sample_components(self.weights, self.component_class, uniform, labels)

    def forward(self, component_weights: Tensor, noise: Tensor) -> Tensor:
        """(n, D) vectors from weights of components (n, K), 1 for one of them, and standard normal numbers (n, D)."""
        factors = (component_weights @ self.factors.flatten(1)).view(-1, self.size, self.size)
        return component_weights @ self.means + torch.einsum("nde,ne->nd", factors, noise)

    def log_prob(self, z: Tensor) -> Tensor:
        """(N,) log density of vectors z (N, D), in nats and double precision."""
        occurs = torch.nonzero(self.weights > 0).flatten()
        means, factors = self.means[occurs].double(), self.factors[occurs].double()
        log_weights = self.weights[occurs].double().log() - factors.diagonal(dim1=1, dim2=2).log().sum(1)  # (K,)
        exponents = []
        for mean, factor in zip(means, factors, strict=True):
            white = torch.linalg.solve_triangular(factor, (z - mean).double().T, upper=False)  # (D, N)
            exponents.append(-0.5 * white.square().sum(0))
        constant = 0.5 * self.size * math.log(2 * math.pi)
        return torch.logsumexp(torch.stack(exponents, 1) + log_weights, 1) - constant
