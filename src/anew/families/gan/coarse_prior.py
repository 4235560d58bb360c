"""The coarse part of an item in closed form: a mixture of Gaussians over few principal components of shrunken items.

A generator that starts from it has the tones, places and kinds of the data from its first step on, each as often as the
data has it, and is left to add what is fine.

Legend for shapes: B items, D values of a shrunken item, R principal components, K kinds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from anew.core.random import generator
from anew.core.specs import Batch
from anew.estimators.gaussian_mixture import fit

SIDE = 32  # to about which items are shrunken: few principal components have no finer detail
HELD = 8192  # most items that it is fitted on
ITEMS_A_CLUSTER, MOST_CLUSTERS = 32, 128
RARE = 1e-6  # share of a class that none of the items has which the sketch is fitted on
FARTHEST = 3.0  # deviations at which numbers found for an item are cut


def clusters(items: int, classes: int) -> int:
    """How many components suit so many items: the same number for each class, and at least one."""
    each = max(1, classes)
    return max(classes, min(MOST_CLUSTERS, items // ITEMS_A_CLUSTER) // each * each)


class Sketch(nn.Module):
    """Fitted once and not trained. components: clusters among items, at least one a class; the last kind is all items, and
    occurs only where there are no clusters. shares (K,): how common each kind is; owners (K,): its class, -1 for all."""

    centre: Tensor
    basis: Tensor
    means: Tensor
    axes: Tensor
    shares: Tensor
    owners: Tensor

    def __init__(self, shape: tuple[int, ...], rank: int, components: int, classes: int) -> None:
        super().__init__()
        self.shape, self.classes = shape, classes
        factor = max(1, round(max(shape[1:]) / SIDE))
        self.small = (-(-shape[1] // factor), -(-shape[2] // factor))
        size = shape[0] * math.prod(self.small)
        self.rank, self.kinds = min(rank, size), components + 1
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("basis", torch.zeros(size, self.rank))
        self.register_buffer("means", torch.zeros(self.kinds, self.rank))
        self.register_buffer("axes", torch.zeros(self.kinds, self.rank, self.rank))  # columns as long as the deviations
        self.register_buffer("shares", torch.full((self.kinds,), 1.0 / self.kinds))
        owners = torch.arange(self.kinds) % classes if classes else torch.full((self.kinds,), -1)
        self.register_buffer("owners", owners.index_fill(0, torch.tensor([components]), -1))

    def fit(self, sweep: Iterable[Batch]) -> None:
        small, label = self._held(sweep)
        found = fit(small, label, self.rank, self.kinds - 1, self.classes, generator(0, "sketch"), turned=False)
        for name in ("centre", "basis", "means", "shares", "owners"):
            getattr(self, name).copy_(getattr(found, name))
        self.axes.copy_(found.axes * found.variances.sqrt()[:, None])
        for one in range(self.classes):
            own = torch.nonzero(self.owners == one).flatten()
            if not self.shares[own].any():  # the sketch of all items, under a kind of its own
                self.means[own[0]], self.axes[own[0]], self.shares[own[0]] = self.means[-1], self.axes[-1], RARE

    def _held(self, sweep: Iterable[Batch]) -> tuple[Tensor, Tensor | None]:
        """Shrunken items and their labels: all, or each second, fourth or so of many, as items may come ordered by class."""
        parts: list[tuple[Tensor, Tensor]] = []
        stride, seen, held = 1, 0, 0
        for batch in sweep:
            rows = torch.arange(-seen % stride, len(batch), stride, device=batch.x.device)
            label = torch.zeros(len(batch), dtype=torch.long) if batch.label is None else batch.label
            parts.append((self._shrunken(batch.x[rows]).cpu(), label.cpu()[rows.cpu()]))
            seen, held = seen + len(batch), held + len(rows)
            if held > HELD:
                small, labels = (torch.cat(column)[::2] for column in zip(*parts, strict=True))
                parts, held, stride = [(small, labels)], len(small), 2 * stride
        small, labels = (torch.cat(column) for column in zip(*parts, strict=True))
        return small, labels if self.classes else None

    def _shrunken(self, x: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(x.float(), self.small)

    def _inside(self, x: Tensor) -> Tensor:
        return (self._shrunken(x).flatten(1) - self.centre) @ self.basis

    def kind(self, x: Tensor, label: Tensor | None) -> Tensor:
        """(B,) the kind whose mean is nearest to each of x (B, *shape), of those of its class where labels are given."""
        distance = torch.cdist(self._inside(x), self.means)
        distance = distance.masked_fill(self.shares == 0, torch.inf)
        if label is not None:
            distance = distance.masked_fill(self.owners != label[:, None], torch.inf)
        return distance.argmin(1)

    def choose(self, uniform: Tensor, label: Tensor | None) -> Tensor:
        """(B,) kinds as common as in the data, or as in the class where a label (B,) is 0 or more; uniform (B,) in [0, 1).

        In double precision on the CPU: the same kinds on every machine, and none that never occurs."""
        shares = self.shares.cpu().double().expand(len(uniform), -1)
        if label is not None:
            label = label.cpu()
            foreign = (label >= 0)[:, None] & (self.owners.cpu() != label[:, None])
            shares = shares.masked_fill(foreign, 0.0)
        reached = shares.cumsum(1)
        chosen = (reached <= uniform.cpu().double()[:, None] * reached[:, -1:]).sum(1)
        return chosen.clamp(max=self.kinds - 1).to(self.shares.device)

    def numbers(self, x: Tensor, kind: Tensor) -> Tensor:
        """(B, R) the numbers whose sketch lies nearest to x (B, *shape)."""
        axes = self.axes[kind]
        lengths = axes.square().sum(1).clamp(min=1e-12)  # (B, R) variances
        along = torch.einsum("nr,nrk->nk", self._inside(x) - self.means[kind], axes) / lengths
        return along.clamp(-FARTHEST, FARTHEST)

    def forward(self, z: Tensor, weights: Tensor) -> Tensor:
        """(B, *shape) from normal numbers z, of which the first R count, and weights of the kinds (B, K)."""
        axes = (weights @ self.axes.flatten(1)).view(-1, self.rank, self.rank)
        inside = weights @ self.means + torch.einsum("nk,nrk->nr", z[:, : self.rank], axes)
        small = (self.centre + inside @ self.basis.T).view(-1, self.shape[0], *self.small)
        if self.small == self.shape[1:]:
            return small
        return functional.interpolate(small, self.shape[1:], mode="bilinear", align_corners=False)
