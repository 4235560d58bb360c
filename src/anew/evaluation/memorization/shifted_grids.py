"""Distance of spectrograms at the shift in time at which they differ least.

At each shift, only the frames that both clips have are compared; the energy of what is cut off is added: the squared
difference is divided by the share of the energy that is left of one, and of the other. Each shift is thus one matrix product.

Legend for shapes: n items, q queries, p items of the pool, k candidates, M bands, T frames.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from anew.core.arrays import Integers
from anew.evaluation.memorization.copying_test import Array, Distance, Indices
from anew.evaluation.memorization.search import POOL, QUERIES

# In frames, either way: an eighth of a clip of 64 frames.
MAX_SHIFT = 8
# The frames that both have must hold this share of the energy of either: silent ends are alike in all clips; chosen.
MIN_SHARE = 0.5
CANDIDATES = 4  # nearest by products, which round, that are compared exactly; chosen
FAR = 1e9  # square of the distance of what cannot be compared


class ShiftedGridDistance(Distance):
    """Root mean squared difference at the best of 2 MAX_SHIFT + 1 shifts."""

    name = "shifted spectrogram"
    at_once = QUERIES

    def __init__(self, grids: Tensor, groups: Integers) -> None:
        """grids: (n, M, T) of at least 0, where 0 is silence; groups: (n,) of any integers."""
        self._grids = grids
        energies = grids.square().sum(dim=1).cumsum(dim=1)  # (n, T)
        self._energies = torch.nn.functional.pad(energies, (1, 0))  # (n, T + 1)
        self.set_groups(groups)

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        item, distance = np.full(len(queries), -1, dtype=np.intp), np.full(len(queries), np.inf)
        if not len(pool):
            return item, distance
        for start in range(0, len(queries), QUERIES):
            rows = slice(start, start + QUERIES)
            squares = self._squares(queries[rows], pool, range(-MAX_SHIFT, MAX_SHIFT + 1))
            squares[torch.from_numpy(self._are_related(queries[rows], pool))] = torch.inf
            least, column = squares.topk(min(CANDIDATES, len(pool)), largest=False)  # (q, k)
            exact = self._exact_squares(queries[rows], pool[column.numpy()])
            exact[least == torch.inf] = torch.inf
            best = exact.argmin(dim=1, keepdim=True)
            value = exact.gather(1, best)[:, 0].numpy()
            nearest = pool[column.gather(1, best)[:, 0].numpy()]
            item[rows], distance[rows] = np.where(value < np.inf, nearest, -1), self._root(value)
        return item, distance

    def within(self, queries: Indices, pool: Indices, without: Indices) -> Array:
        distance = np.full(len(queries), np.inf)
        for start in range(0, len(queries), QUERIES):
            rows = slice(start, start + QUERIES)
            squares = self._squares(queries[rows], pool, range(1))
            are_related = self._are_related(queries[rows], pool) | self._are_related(without[rows], pool)
            squares[torch.from_numpy(are_related)] = torch.inf
            # Products round, and an upper bound must not be too small
            rounding = 1e-5 * self._energies[torch.from_numpy(queries[rows]), -1]
            distance[rows] = self._root((squares.amin(dim=1) + rounding).numpy())
        return distance

    def _are_related(self, queries: Indices, pool: Indices) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """(q, p) whether an item of the pool is in the group of a query."""
        return np.asarray(self._group[queries][:, None] == self._group[pool][None])

    def _root(self, squares: Array) -> Array:
        return np.asarray(np.sqrt(np.maximum(squares, 0.0) / self._grids[0].numel()), dtype=np.float64)

    def _squares(self, queries: Indices, pool: Indices, shifts: range) -> Tensor:
        """(q, p) the least squared difference at any of the shifts, up to rounding."""
        parts = []
        for start in range(0, len(pool), POOL):
            items = torch.from_numpy(pool[start : start + POOL].astype(np.intp, copy=False))
            least = torch.full((len(queries), len(items)), FAR)
            for shift in shifts:
                frames, rest, share = self._part(torch.from_numpy(queries), -shift)
                own, own_rest, own_share = self._part(items, shift)
                left = torch.cat([-2.0 * frames / share, rest / share, 1.0 / share], 1)  # (q, M t + 2)
                right = torch.cat([own / own_share, 1.0 / own_share, own_rest / own_share], 1)  # (p, M t + 2)
                least = torch.minimum(least, left @ right.T)
            parts.append(least)
        return torch.cat(parts, 1)

    def _exact_squares(self, queries: Indices, items: Indices) -> Tensor:
        """(q, k) the least squared difference at any shift. items: (q, k)."""
        rows, others = torch.from_numpy(np.repeat(queries, items.shape[1])), torch.from_numpy(items.ravel())
        least = torch.full((len(rows),), FAR)
        for shift in range(-MAX_SHIFT, MAX_SHIFT + 1):
            (frames, rest, share), (own, own_rest, own_share) = self._part(rows, -shift), self._part(others, shift)
            square = (frames - own).square().sum(dim=1) / (share * own_share)[:, 0]  # (q k,)
            is_comparable = torch.maximum(rest, own_rest)[:, 0] < FAR
            least = torch.where(is_comparable, torch.minimum(least, square), least)
        return least.view(items.shape)

    def _part(self, items: Tensor, shift: int) -> tuple[Tensor, Tensor, Tensor]:
        """Frames from `shift` on or, if it is below 0, up to it: their values (m, M t), energy, and share of the whole energy, (m, 1).

        The energy is FAR where the share is too small.
        """
        first, last = max(shift, 0), self._grids.shape[2] + min(shift, 0)
        energies = self._energies[items]  # (m, T + 1)
        energy = (energies[:, last] - energies[:, first])[:, None]
        share = energy / energies[:, -1:].clamp_min(1e-12)
        energy = torch.where(share < MIN_SHARE, FAR, energy)
        return self._grids[items, :, first:last].flatten(1), energy, share.clamp_min(MIN_SHARE)
