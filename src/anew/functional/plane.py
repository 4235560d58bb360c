"""The plane in which points differ most: a fixed map of items, of latents, or of both side by side."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Plane:
    """The first two principal components of points (n, *shape).

    Attributes:
        centre: (*shape) their mean.
        directions: (2, *shape) orthonormal.
        spread: (2,) standard deviations along them.
        share: Share of the variance that lies in the plane.
    """

    centre: Tensor
    directions: Tensor
    spread: Tensor
    share: float

    @classmethod
    def of(cls, points: Tensor) -> Plane:
        """The plane of points (n, *shape)."""
        rows = points.flatten(1)
        centre = rows.mean(0)
        directions, deviations, share = principal_components(rows - centre, 2)
        shape = points.shape[1:]
        return cls(centre.view(shape), directions.view(2, *shape), deviations.clamp_min(1e-6), share)

    def places(self, points: Tensor) -> Tensor:
        """(n, 2) where points (n, *shape) lie, in deviations from the centre."""
        return self.along(points - self.centre)

    def along(self, offsets: Tensor) -> Tensor:
        """(n, 2) how far differences (n, *shape) lead along the plane, in deviations."""
        return offsets.flatten(1) @ self.directions.flatten(1).T / self.spread

    def points(self, places: Tensor) -> Tensor:
        """(n, *shape) what lies at places (n, 2)."""
        offsets = (places * self.spread) @ self.directions.flatten(1)  # (n, D)
        return self.centre + offsets.view(len(places), *self.centre.shape)


def principal_components(rows: Tensor, count: int) -> tuple[Tensor, Tensor, float]:
    """Principal components of rows (n, D) with mean 0: (count, D) orthonormal directions, 0 where there are fewer, (count,) standard
    deviations along them, and the share of the variance they hold."""
    _, singular, components = torch.linalg.svd(rows, full_matrices=False)
    directions, deviations = rows.new_zeros(count, rows.shape[1]), rows.new_zeros(count)
    num_directions = min(count, len(singular))
    # The sign of a direction is arbitrary: the largest entry is made positive, so that a map looks the same each time.
    largest = components[:num_directions].gather(1, components[:num_directions].abs().argmax(1, keepdim=True))
    directions[:num_directions] = components[:num_directions] * torch.sign(largest)
    deviations[:num_directions] = singular[:num_directions] / max(1, len(rows) - 1) ** 0.5
    share = float(singular[:num_directions].square().sum() / singular.square().sum().clamp_min(1e-12))
    return directions, deviations, share
