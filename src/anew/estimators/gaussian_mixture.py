"""What of a distribution has a closed form: a mixture of Gaussians over principal components, fitted in one pass.

It serves diffusion twice: its posterior mean is the best linear denoiser of a component, which a network need only
correct; and at high noise its noised samples are those of the data, so that sampling may start there. To a GAN it gives
the coarse part of what is made.

Shapes: N examples, D = C H W values of one example, R principal components, K mixture components.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mixture:
    """centre (D,); basis (D, R) orthonormal. What lies outside the basis is turned by the orthonormal colours (C, C), rows
    (H, H) and columns (W, W), and rest (D,) is the variance of each value there.

    means (K, R), axes (K, R, R) and variances (K, R): each component's Gaussian in the basis, axes in columns.
    shares (K,): how often each component occurs; owners (K,): its class, -1 for all classes.
    """

    centre: Tensor
    basis: Tensor
    colours: Tensor
    rows: Tensor
    columns: Tensor
    rest: Tensor
    means: Tensor
    axes: Tensor
    variances: Tensor
    shares: Tensor
    owners: Tensor

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, D) -> coordinates in the basis (N, R), and what is left outside it, turned (N, D)."""
        centred = x - self.centre
        inside = centred @ self.basis  # (N, R)
        return inside, turn(centred - inside @ self.basis.T, self.colours, self.rows, self.columns)

    def _back(self, outside: Tensor) -> Tensor:
        return turn(outside, self.colours.T, self.rows.T, self.columns.T)

    def assign(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """(N,) the component whose mean is nearest, among those of the example's class where a label is given."""
        inside, _ = self.project(x)
        distance = torch.cdist(inside, self.means)  # (N, K)
        distance = distance.masked_fill(self.shares == 0, torch.inf)
        if label is not None:
            distance = distance.masked_fill(self.owners != label[:, None], torch.inf)
        return distance.argmin(1)

    def denoise(self, y: Tensor, level: Tensor, component: Tensor) -> Tensor:
        """(N, D) best linear estimate of x from y = x + level e within each row's component; level (N,)."""
        inside, outside = self.project(y)
        noise = level.square()[:, None]  # (N, 1)
        variances, axes, means = (t[component] for t in (self.variances, self.axes, self.means))
        along = torch.einsum("nr,nrk->nk", inside - means, axes) * (variances / (variances + noise))
        inside = means + torch.einsum("nk,nrk->nr", along, axes)
        outside = outside * (self.rest / (self.rest + noise).clamp(min=1e-12))
        return self.centre + inside @ self.basis.T + self._back(outside)

    def posterior(self, y: Tensor, level: Tensor, component: Tensor) -> tuple[Tensor, Tensor]:
        """`denoise` and `error` (N, 1), for level (N, 1)."""
        one = level.squeeze(1)
        return self.denoise(y, one, component), self.error(one, component)[:, None]

    def spread(self, level: Tensor) -> Tensor:
        """Numbers for each part of an example that has a noise level of its own -> for each value, or what broadcasts to
        that: here an example is one part, (N, 1)."""
        return level

    def error(self, level: Tensor, component: Tensor) -> Tensor:
        """(N,) root mean square error of `denoise` per value: sqrt of the mean posterior variance."""
        noise = level.square()[:, None]
        variances = self.variances[component]
        total = (variances * noise / (variances + noise)).sum(1)
        total = total + (self.rest * noise / (self.rest + noise).clamp(min=1e-12)).sum(1)
        return (total / len(self.centre)).sqrt()

    def sample(self, component: Tensor, inside: Tensor, outside: Tensor) -> Tensor:
        """(N, D) samples of each row's component from standard normal numbers (N, R) and (N, D)."""
        along = inside * self.variances[component].sqrt()
        point = self.means[component] + torch.einsum("nk,nrk->nr", along, self.axes[component])
        return self.centre + point @ self.basis.T + self._back(outside * self.rest.sqrt())

    def colour(self, white: Tensor, level: Tensor, component: Tensor) -> Tensor:
        """(N, D) normal numbers -> data of each row's component with noise of that level () upon it."""
        inside = white @ self.basis  # (N, R)
        outside = turn(white - inside @ self.basis.T, self.colours, self.rows, self.columns)
        along = inside * (self.variances[component] + level.square()).sqrt()
        point = self.means[component] + torch.einsum("nk,nrk->nr", along, self.axes[component])
        return self.centre + point @ self.basis.T + self._back(outside * (self.rest + level.square()).sqrt())

    def whiten(self, y: Tensor, level: Tensor, component: Tensor) -> Tensor:
        """The inverse of `colour`, but for what the scales of `rest` bring into the basis: little where level is high."""
        inside, outside = self.project(y)
        along = torch.einsum("nr,nrk->nk", inside - self.means[component], self.axes[component])
        along = along / (self.variances[component] + level.square()).sqrt()
        return along @ self.basis.T + self._back(outside / (self.rest + level.square()).sqrt())


def turn(x: Tensor, colours: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(N, D) with its three axes multiplied by the matrices."""
    grid = x.view(len(x), len(colours), len(rows), len(columns))
    grid = (rows @ (grid @ columns.T)).flatten(2)  # (N, C, H W)
    return (colours @ grid).flatten(1)


def cosines(size: int) -> Tensor:
    """(size, size) orthonormal discrete cosine transform (type II), one frequency a row."""
    place = torch.arange(size, dtype=torch.float64)
    wave = torch.cos(math.pi / size * (place + 0.5) * place[:, None]) * math.sqrt(2 / size)
    wave[0] /= math.sqrt(2)
    return wave.float()


def empty(shape: tuple[int, ...], rank: int, kinds: int, variance: float) -> Mixture:
    """What `fit` gives for items of shape (C, H, W), with nothing in it."""
    size = math.prod(shape)
    return Mixture(
        centre=torch.zeros(size),
        basis=torch.zeros(size, rank),
        colours=torch.eye(shape[0]),
        rows=torch.eye(shape[1]),
        columns=torch.eye(shape[2]),
        rest=torch.full((size,), variance),
        means=torch.zeros(kinds, rank),
        axes=torch.zeros(kinds, rank, rank),
        variances=torch.zeros(kinds, rank),
        shares=torch.zeros(kinds),
        owners=torch.full((kinds,), -1),
    )


def fit(
    x: Tensor,
    label: Tensor | None,
    rank: int,
    components: int,
    classes: int,
    source: torch.Generator,
    *,
    turned: bool = True,
) -> Mixture:
    """A mixture of x (N, C, H, W): principal components, k-means among them (within each class), a Gaussian a cluster.

    components: number of clusters K - 1, shared out evenly among classes; the last component is all of the data.
    turned: whether what lies outside the components may be turned.
    """
    shape, x = x.shape[1:], x.flatten(1)
    centre = x.mean(0)
    basis = principal(x - centre, rank, source)  # (D, R)
    inside = (x - centre) @ basis
    turns, rest = _rest(x - centre - inside @ basis.T, shape, float((x - centre).square().mean()), turned)
    where, owners = _clusters(inside, label, components, classes, source)
    pooled = _covariance(inside)
    parts = [_gaussian(inside[where == k], pooled, inside) for k in range(components)]
    parts.append((inside.mean(0), *_eigen(pooled)))
    means, axes, variances = (torch.stack(part) for part in zip(*parts, strict=True))
    shares = torch.bincount(where, minlength=components + 1).float() / max(1, len(x))
    return Mixture(centre, basis, *turns, rest, means, axes, variances, shares, owners)


def _rest(
    outside: Tensor, shape: torch.Size, power: float, turned: bool
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """The turn that describes (N, D) with the fewest bits, and the variances (D,) under it.

    Either none, which suits drawings with empty borders, or principal colours and cosines, which suit photographs.
    """
    channels, height, breadth = shape
    plain = (torch.eye(channels), torch.eye(height), torch.eye(breadth))
    if not turned:
        return plain, outside.square().mean(0)
    spread = outside.view(len(outside), channels, -1).transpose(0, 1).flatten(1)  # (C, N H W)
    _, colours = torch.linalg.eigh((spread @ spread.T).double())
    smooth = (colours.T.float().contiguous(), cosines(height), cosines(breadth))
    found = [(turns, turn(outside, *turns).square().mean(0)) for turns in (plain, smooth)]
    floor = 1e-2 * power + 1e-12  # details a tenth of the data's deviation need no description
    return min(found, key=lambda one: float((one[1] + floor).log().sum()))


def principal(centred: Tensor, rank: int, source: torch.Generator) -> Tensor:
    """(D, R) leading principal directions by subspace iteration; directions beyond the data's rank are arbitrary."""
    guess = torch.randn(centred.shape[1], rank, generator=source)
    for _ in range(8):
        guess = torch.linalg.qr(centred.T @ (centred @ guess) + 1e-6 * guess)[0]
    return guess


def _covariance(z: Tensor) -> Tensor:
    centred = z - z.mean(0)
    return centred.T @ centred / max(1, len(z))


def _eigen(covariance: Tensor) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh(covariance.double())
    return vectors.float(), values.clamp(min=0).float()


def _gaussian(z: Tensor, pooled: Tensor, everything: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, axes, variances of one cluster; the covariance is shrunk towards the pooled one where examples are few."""
    if len(z) == 0:
        return everything.mean(0), *_eigen(pooled)
    prior = len(pooled) / 4  # pseudo-examples: a covariance of R dimensions needs more than R examples
    within = pooled * (_covariance(z).trace() / pooled.trace().clamp(min=1e-12))
    return z.mean(0), *_eigen((_covariance(z) * len(z) + within * prior) / (len(z) + prior))


def _clusters(
    z: Tensor, label: Tensor | None, components: int, classes: int, source: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Cluster of each row (N,), and the class that owns each cluster (K,), -1 where labels play no part."""
    owners = torch.full((components + 1,), -1)
    where = torch.zeros(len(z), dtype=torch.long)
    if label is None or classes == 0:
        where = kmeans(z, components, source) if components else where
        return where, owners
    owners[:components] = torch.arange(components) % classes
    for one in range(classes):
        homes = torch.nonzero(owners[:components] == one).flatten()
        rows = torch.nonzero(label == one).flatten()
        if len(rows):
            where[rows] = homes[kmeans(z[rows], len(homes), source)]
    return where, owners


def kmeans(z: Tensor, clusters: int, source: torch.Generator, rounds: int = 25) -> Tensor:
    """(N,) cluster of each row: Lloyd's algorithm from k-means++ seeds."""
    centres = z[torch.randint(len(z), (1,), generator=source)]
    while len(centres) < min(clusters, len(z)):
        distance = torch.cdist(z, centres).amin(1).square() + 1e-12
        centres = torch.cat([centres, z[torch.multinomial(distance, 1, generator=source)]])
    for _ in range(rounds):
        where = torch.cdist(z, centres).argmin(1)
        counts = torch.bincount(where, minlength=len(centres))[:, None]
        sums = torch.zeros_like(centres).index_add_(0, where, z)
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
    return torch.cdist(z, centres).argmin(1)
