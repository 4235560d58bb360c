"""The coarse part of an item in closed form: a mixture of Gaussians over a few principal components of shrunken items.

A generator that starts from it has the tones, positions and clusters of the data from its first step on, as often as they occur
in the data, and only has to add fine detail, whose channels vary together as those of the data do.

Legend for shapes: B items, C channels, D values of a shrunken item, N differences of neighbours, R principal components, K components
of the mixture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from anew.core.deadline import UNLIMITED_TURNS
from anew.core.random import generator
from anew.core.specs import Batch
from anew.estimators.gaussian_mixture import ANY_CLASS, fit_mixture, nearest_component, sample_components

SMALL_SIDE = 32  # items are shrunken to about this side: few principal components have no finer detail
MAX_ITEMS = 8192  # items to which it is fitted, which bounds the memory and the time of the fit
# Standard deviations at which the latents found for an item are clipped: the generator hardly saw larger ones
MAX_DEVIATIONS = 3.0
MIXED_ITEMS = 1024  # items whose channels are compared: thousands of pixels of each are plenty
MIN_VARIANCE = 1e-3  # least variance of a direction of the channels, as a share of the largest: any detail can still be learned; chosen


def detail_mixing(images: Tensor) -> Tensor:
    """(C, C) matrix by which independent channels come to vary together as differences of neighbours in images (B, C, H, W) do.

    It is the symmetric root of their covariance, scaled so that the variance of all channels together stays the same. Without it, the
    colours of photographs vary as much as their brightness at first, and an image dithers in colour until that is unlearned.
    """
    channels = images.shape[1]
    across, down = images.diff(dim=3), images.diff(dim=2)
    rows = torch.cat([x.transpose(0, 1).reshape(channels, -1) for x in (across, down)], 1).double()  # (C, N)
    variances, directions = torch.linalg.eigh(rows @ rows.T / max(1, rows.shape[1]))
    if not variances[-1] > 0.0:
        return torch.eye(channels)
    variances = variances.clamp(min=MIN_VARIANCE * float(variances[-1]))
    root: Tensor = directions @ torch.diag((variances / variances.mean()).sqrt()) @ directions.T
    return root.float()


class CoarsePrior(nn.Module):
    """A mixture over shrunken items; fitted once and not trained.

    Its components are the clusters, at least one a class, and one component of all items, which is drawn only if there are no
    clusters.

    Args:
        shape: (C, H, W) of an item.
        rank: Largest number of principal components.
        classes: Number of classes, 0 without labels.

    Attributes:
        num_components: K, one more than the clusters.
        mixing: (C, C) how the channels of detail vary together; see `detail_mixing`.
        weights: (K,) how common each component is.
        component_class: (K,) class of each component; ANY_CLASS for all.
    """

    centre: Tensor  # (D,)
    basis: Tensor  # (D, R)
    means: Tensor  # (K, R)
    axes: Tensor  # (K, R, R), columns as long as the deviations
    mixing: Tensor  # (C, C)
    weights: Tensor
    component_class: Tensor

    def __init__(self, shape: tuple[int, ...], rank: int, num_clusters: int, classes: int) -> None:
        super().__init__()
        self.shape, self.classes = shape, classes
        factor = max(1, round(max(shape[1:]) / SMALL_SIDE))
        self.small_sides = (-(-shape[1] // factor), -(-shape[2] // factor))
        size = shape[0] * math.prod(self.small_sides)
        self.rank = min(rank, size)
        self.num_components = num_clusters + 1
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("basis", torch.zeros(size, self.rank))
        self.register_buffer("means", torch.zeros(self.num_components, self.rank))
        self.register_buffer("axes", torch.zeros(self.num_components, self.rank, self.rank))
        self.register_buffer("mixing", torch.eye(shape[0]))
        self.register_buffer("weights", torch.full((self.num_components,), 1.0 / self.num_components))
        by_turns = torch.arange(self.num_components) % max(1, classes)
        component_class = by_turns if classes else torch.full((self.num_components,), ANY_CLASS)
        component_class[num_clusters] = ANY_CLASS
        self.register_buffer("component_class", component_class)

    def fit(self, batches: Iterable[Batch], turns: Iterator[object] = UNLIMITED_TURNS) -> None:
        """Fit the mixture to the items of batches. turns: see `fit_mixture`."""
        small, labels = self._subsample(batches)
        mixture = fit_mixture(
            small,
            labels,
            rank=self.rank,
            num_clusters=self.num_components - 1,
            classes=self.classes,
            rng=generator(0, "sketch"),
            rotate_residual=False,
            turns=turns,
        )
        for name in ("centre", "basis", "means", "weights", "component_class"):
            getattr(self, name).copy_(getattr(mixture, name))
        self.axes.copy_(mixture.eigenvectors * mixture.variances.sqrt()[:, None])
        examples = small[:: -(-len(small) // MIXED_ITEMS)]
        self.mixing.copy_(detail_mixing(examples.view(-1, self.shape[0], *self.small_sides)))

    def leave_channels_alone(self) -> None:
        """Let channels of detail vary alone, as in runs of older versions, whose weights do not have `mixing`."""
        self.register_buffer("mixing", torch.eye(self.shape[0], device=self.means.device), persistent=False)

    def _subsample(self, batches: Iterable[Batch]) -> tuple[Tensor, Tensor | None]:
        """Shrunken items and their labels. Of many, every second, fourth, ... is taken, as items may be ordered by class."""
        items: list[Tensor] = []
        labels: list[Tensor] = []
        stride, num_seen, num_kept = 1, 0, 0
        for batch in batches:
            rows = torch.arange(-num_seen % stride, len(batch), stride, device=batch.x.device)
            label = torch.zeros(len(batch), dtype=torch.long) if batch.labels is None else batch.labels
            items.append(self._shrink(batch.x[rows]).cpu())
            labels.append(label.cpu()[rows.cpu()])
            num_seen += len(batch)
            num_kept += len(rows)
            if num_kept > MAX_ITEMS:
                items, labels = [torch.cat(items)[::2]], [torch.cat(labels)[::2]]
                num_kept, stride = len(items[0]), 2 * stride
        return torch.cat(items), torch.cat(labels) if self.classes else None

    def _shrink(self, x: Tensor) -> Tensor:
        if self.small_sides == self.shape[1:]:
            return x.float()
        return functional.adaptive_avg_pool2d(x.float(), self.small_sides)

    def _project(self, x: Tensor) -> Tensor:
        """(B, R) coordinates of x (B, *shape)."""
        return (self._shrink(x).flatten(1) - self.centre) @ self.basis

    def assign(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """(B,) the component whose mean is nearest to each of x (B, *shape); with labels, among those of its class."""
        return nearest_component(self._project(x), self.means, self.weights, self.component_class, labels)

    def sample_components(self, uniform: Tensor, labels: Tensor | None) -> Tensor:
        """(B,) components drawn by their frequency in the data, or in the class of `labels` (B,) (below 0: any); uniform: (B,)."""
        return sample_components(self.weights, self.component_class, uniform, labels)

    def latents_of(self, x: Tensor, component: Tensor) -> Tensor:
        """(B, R) the latents whose coarse item is nearest to x (B, *shape), given its component (B,)."""
        axes = self.axes[component]
        variances = axes.square().sum(1).clamp(min=1e-12)  # (B, R)
        along = torch.einsum("nr,nrk->nk", self._project(x) - self.means[component], axes) / variances
        return along.clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)

    def forward(self, z: Tensor, component_weights: Tensor) -> Tensor:
        """Coarse items (B, *shape) from normal numbers z, of which the first R are used, and weights of components (B, K)."""
        axes = (component_weights @ self.axes.flatten(1)).view(-1, self.rank, self.rank)
        coordinates = component_weights @ self.means + torch.einsum("nk,nrk->nr", z[:, : self.rank], axes)
        small = (self.centre + coordinates @ self.basis.T).view(-1, self.shape[0], *self.small_sides)
        if self.small_sides == self.shape[1:]:
            return small
        return functional.interpolate(small, self.shape[1:], mode="bilinear", align_corners=False)
