"""Samples are records that are as probable as held-out ones: improbable ones are accepted so seldom that there are no more of them.

A model that has drawn one rare token is off its track, and draws more of them, so some samples differ from all records in many places.
Drawing known records again adds to it: among variants of one protein, the new ones that a model finds probable are soon used up.

Legend for shapes: n records or samples, K bounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from anew.core.arrays import Bools, Doubles
from anew.core.random import sample_generator
from anew.families.transformer.fitted_buffers import FittedBuffers

# Shares of held-out records below each bound. All below the median are accepted: where samples lack the most probable records, those of
# close relatives, nearly all samples would be drawn again, for hardly any gain (docs/log.md, 2026-12-01)
QUANTILES = (0.5, 0.625, 0.75, 0.875, 0.95)
# How often a sample must have more bits than a held-out record for anything to be fitted. Rows of a table .47, names of places .50,
# molecules .54, proteins of a family and variants of one protein .65 to .68 (docs/log.md, 2026-12-01)
MIN_AUC = 0.55
# It must exceed one half by so many deviations, which chance does once in 40 fits; hardly anything is refused then.
MIN_DEVIATIONS = 2.0
# A record in each bin before any is counted: no ratio is infinite. Chosen
PRIOR = 0.5
INCONSISTENT = "the acceptance of records is inconsistent"


class RecordAcceptance(FittedBuffers):
    """How often samples are accepted, by their bits per token, as buffers. Without them, all are."""

    # "bounds" (K,) are bits per token in rising order, "shares" (K + 1,) how often a sample between two of them is accepted
    dtypes: Mapping[str, torch.dtype] = {"bounds": torch.float64, "shares": torch.float64}

    @property
    def is_fitted(self) -> bool:
        return "shares" in self._buffers

    @property
    def left_out(self) -> tuple[str, ...]:
        return ("the check that draws improbable samples again",) if self.is_fitted else ()

    def fit(self, held_out: Doubles, drawn: Doubles) -> bool:
        """Accept improbable samples more seldom if samples are less probable than held-out records.

        Args:
            held_out, drawn: (n,) bits per token of held-out records and of samples.

        Returns:
            Whether more samples would hardly change it: they are plainly less probable, or plainly not.
        """
        self.drop_buffers(*self.dtypes)
        auc, deviation = _rank_auc(held_out, drawn)
        is_clear = abs(auc - MIN_AUC) > MIN_DEVIATIONS * deviation
        if auc < max(MIN_AUC, 0.5 + MIN_DEVIATIONS * deviation):
            return is_clear
        bounds = np.quantile(held_out, QUANTILES)
        real, sampled = (_shares(values, bounds) for values in (held_out, drawn))
        both = real + sampled
        # The more bits, the more seldom: the ratio of two shares of few records is else mostly noise
        real_share = _falling(real / both, both)
        ratios = real_share / (1.0 - real_share)
        self.set_buffers({"bounds": bounds, "shares": ratios / ratios[0]})
        return is_clear

    def check(self) -> None:
        present = self._buffers.keys() & self.dtypes.keys()
        if not present:
            return
        if len(present) < len(self.dtypes):
            raise ValueError(INCONSISTENT)
        bounds, shares = self.get_buffer("bounds"), self.get_buffer("shares")
        if bounds.ndim != 1 or shares.shape != (len(bounds) + 1,):
            raise ValueError(INCONSISTENT)
        if not bool((bounds.diff() >= 0).all()) or not bool(((shares > 0) & (shares <= 1)).all()):
            raise ValueError(INCONSISTENT)

    def are_refused(self, bits: Doubles, keys: Sequence[tuple[int, int]], attempt: int) -> Bools:
        """(n,) whether samples with these bits per token are drawn again.

        Args:
            keys, attempt: See `TokenSampler`; they determine the random numbers.
        """
        arrays = self.arrays()
        shares = arrays["shares"][np.searchsorted(arrays["bounds"], bits, side="right")]
        generators = [sample_generator(seed, "accept", index, attempt) for seed, index in keys]
        uniforms = np.array([float(torch.rand((), generator=generator)) for generator in generators])
        refused: Bools = uniforms >= shares
        return refused


def _rank_auc(held_out: Doubles, drawn: Doubles) -> tuple[float, float]:
    """How often a sample has more bits than a held-out record, and the standard deviation of that if both are alike."""
    below, equal = (np.searchsorted(np.sort(held_out), drawn, side) for side in ("left", "right"))
    deviation = math.sqrt((len(held_out) + len(drawn) + 1) / (12 * len(held_out) * len(drawn)))
    return float(((below + equal) / 2).mean() / len(held_out)), deviation


def _shares(values: Doubles, bounds: Doubles) -> Doubles:
    """(K + 1,) the share of values below the first bound, between each two, and from the last one on."""
    counts = np.bincount(np.searchsorted(bounds, values, side="right"), minlength=len(bounds) + 1) + PRIOR
    shares: Doubles = counts / counts.sum()
    return shares


def _falling(values: Doubles, weights: Doubles) -> Doubles:
    """The nearest values that never rise, by weighted squares: neighbours that do are replaced by their mean."""
    pools: list[tuple[float, float, int]] = []  # mean, weight, number of values
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        pools.append((value, weight, 1))
        while len(pools) > 1 and pools[-2][0] < pools[-1][0]:
            (a, weight_a, num_a), (b, weight_b, num_b) = pools[-2:]
            total = weight_a + weight_b
            pools[-2:] = [((a * weight_a + b * weight_b) / total, total, num_a + num_b)]
    means, _, counts = zip(*pools, strict=True)
    return np.repeat(np.array(means, dtype=np.float64), counts)
