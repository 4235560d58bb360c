"""Distance of spectrograms at the shift in time at which they differ least.

At each shift, only the frames that both clips have are compared, up to the end of the one that is silent first: what is delayed in files
of one length loses its end. The energy of what is cut off is added: the squared difference is divided by the share of the energy that
is left of one, and of the other. Each shift is thus one matrix product.

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
MIN_UNSMEARED = 0.7  # share of the energy that must be left where the smeared end of a clip is left out; chosen
CANDIDATES = 4  # nearest by products, which round, that are compared exactly; chosen
FAR = 1e9  # square of the distance of what cannot be compared


class ShiftedGridDistance(Distance):
    """Root mean squared difference at the best of 2 MAX_SHIFT + 1 shifts."""

    name = "shifted spectrogram"
    at_once = QUERIES

    def __init__(self, grids: Tensor, groups: Integers, smeared: int = 0) -> None:
        """
        Args:
            grids: (n, M, T) of at least 0, where 0 is silence.
            groups: (n,) of any integers.
            smeared: Frames before the last that is not silent which hold a part of the silence after it.
        """
        self._grids = grids = _without_smeared_ends(grids, smeared)
        energies = grids.square().sum(dim=1).cumsum(dim=1)  # (n, T)
        self._energies = torch.nn.functional.pad(energies, (1, 0))  # (n, T + 1)
        self._ends = _ends(grids)
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
        rows, parts = torch.from_numpy(queries.astype(np.intp, copy=False)), []
        for start in range(0, len(pool), POOL):
            items = torch.from_numpy(pool[start : start + POOL].astype(np.intp, copy=False))
            least = torch.full((len(rows), len(items)), FAR)
            for shift in shifts:
                (first, last), (own_first, own_last) = self._span(-shift), self._span(shift)
                energy, share = self._energy(rows, first, (self._ends[items] - shift).clamp(first, last))
                own_energy, own_share = self._energy(
                    items, own_first, (self._ends[rows] + shift).clamp(own_first, own_last)
                )
                frames, own = self._grids[rows, :, first:last], self._grids[items, :, own_first:own_last]
                product = frames.flatten(1) @ own.flatten(1).T
                square = _scaled(energy + own_energy.T - 2.0 * product, share, own_share.T)
                least = torch.minimum(least, square)
            parts.append(least)
        return torch.cat(parts, 1)

    def _exact_squares(self, queries: Indices, items: Indices) -> Tensor:
        """(q, k) the least squared difference at any shift. items: (q, k)."""
        rows, others = torch.from_numpy(np.repeat(queries, items.shape[1])), torch.from_numpy(items.ravel())
        frame = torch.arange(self._grids.shape[2])
        least = torch.full((len(rows),), FAR)
        for shift in range(-MAX_SHIFT, MAX_SHIFT + 1):
            (first, last), (own_first, own_last) = self._span(-shift), self._span(shift)
            stop, own_stop = self._ends[others] - shift, self._ends[rows] + shift  # (q k,)
            frames = self._grids[rows, :, first:last] * (frame[first:last] < stop[:, None])[:, None]
            own = self._grids[others, :, own_first:own_last] * (frame[own_first:own_last] < own_stop[:, None])[:, None]
            shares = (
                part.square().sum(dim=(1, 2)) / self._energies[index, -1].clamp_min(1e-12)
                for part, index in ((frames, rows), (own, others))
            )
            square = _scaled((frames - own).square().sum(dim=(1, 2)), *shares)  # (q k,)
            least = torch.minimum(least, square)
        return least.view(items.shape)

    def _span(self, shift: int) -> tuple[int, int]:
        """The frames from `shift` on or, if it is below 0, up to it."""
        return max(shift, 0), self._grids.shape[2] + min(shift, 0)

    def _energy(self, items: Tensor, first: int, stops: Tensor) -> tuple[Tensor, Tensor]:
        """(m, s) energies of items (m,) from frame `first` to each of some others (s,), and as shares of the whole."""
        energies = self._energies[items]  # (m, T + 1)
        energy = energies[:, stops] - energies[:, first, None]
        return energy, energy / energies[:, -1:].clamp_min(1e-12)


def _ends(grids: Tensor) -> Tensor:
    """(n,) frames up to the last that is not silent."""
    return (torch.arange(1, grids.shape[2] + 1) * (grids.amax(dim=1) > 0.0)).amax(dim=1)


def _without_smeared_ends(grids: Tensor, smeared: int) -> Tensor:
    """Grids (n, M, T) with silence in place of the last `smeared` frames that are not silent, unless these hold much of the energy."""
    is_before = torch.arange(grids.shape[2]) < (_ends(grids) - smeared)[:, None]  # (n, T)
    energy = grids.square().sum(dim=1)  # (n, T)
    is_kept = (energy * is_before).sum(dim=1) < MIN_UNSMEARED * energy.sum(dim=1)
    return torch.where((is_before | is_kept[:, None])[:, None], grids, 0.0)


def _scaled(squares: Tensor, share: Tensor, own_share: Tensor) -> Tensor:
    """Squared differences by the shares of the energy that both have left; FAR where one is too small."""
    is_comparable = torch.minimum(share, own_share) >= MIN_SHARE
    return torch.where(is_comparable, squares / (share * own_share), FAR)
