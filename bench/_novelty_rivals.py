"""What others use to find copying, on the same inputs: Meehan's test, the DCR share of SDMetrics, AuthPct.

Distances are Anew's own (of images: of features, where such methods are used).

Only the first is a test. So that false alarms and power can be counted, the share of DCR alarms by a one-sided binomial
test, as its users do; AuthPct by a two-proportion test against that of held-out items. Each alarms at p <= 0.01.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

from anew.core.arrays import Integers
from anew.evaluation.memorization.copying_test import Distance

LEVEL = 0.01
CELLS = 10  # cells of Meehan's test
LEAST = 20  # samples and held-out items that a cell needs


@dataclass(frozen=True)
class Rivals:
    """meehan: Z of the test (negative: copying); dcr: score of SDMetrics' DCROverfittingProtection; authentic: AuthPct."""

    meehan: float
    dcr: float
    authentic: float
    alarms: dict[str, bool]


def rivals(distance: Distance, train: int, held_out: int, samples: int, rng: np.random.Generator) -> Rivals:
    """Items of the distance are train, held-out, samples, in this order."""
    ours = np.arange(train)
    theirs = np.arange(train, train + held_out)
    generated = np.arange(train + held_out, train + held_out + samples)
    near, to_train = distance.nearest(generated, ours)
    to_held = distance.nearest(generated, theirs)[1]
    held_near, held_to_train = distance.nearest(theirs, ours)
    own = distance.nearest(ours, ours)[1]

    z = meehan(to_train, held_to_train, cells(distance, ours, near, held_near, rng))
    # DCROverfittingProtection: twice the share of samples that are not closer to training than to held-out items.
    closer = float((to_train < to_held).mean())
    ties = int((to_train == to_held).sum())
    score = min(2.0 * (1.0 - closer), 1.0)
    wins = int((to_train < to_held).sum())
    expected = train / (train + held_out)
    binomial = binomtest(wins, max(samples - ties, 1), expected, alternative="greater").pvalue

    # Alaa et al. 2022: a sample is authentic if it is farther from its training item than that is from any other.
    authentic, usual = float((to_train > own[near]).mean()), float((held_to_train > own[held_near]).mean())
    pooled = (authentic * samples + usual * held_out) / (samples + held_out)
    spread = np.sqrt(max(pooled * (1.0 - pooled), 1e-12) * (1.0 / samples + 1.0 / held_out))
    alarms = {
        "meehan": bool(z < norm.ppf(LEVEL)),
        "dcr": bool(binomial <= LEVEL),
        "authpct": bool((authentic - usual) / spread < norm.ppf(LEVEL)),
    }
    return Rivals(z, score, authentic, alarms)


def cells(
    distance: Distance,
    train: NDArray[np.intp],
    near: Integers,
    held_near: Integers,
    rng: np.random.Generator,
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Cells of samples and of held-out items, and the share of train in each: those of random training items as centres,
    through the training item that is nearest. Any distance has them; k-means needs vectors."""
    centres = np.sort(rng.choice(train, CELLS, replace=False))
    remaining = np.setdiff1d(train, centres)
    cell = np.arange(len(train))
    cell[remaining] = distance.nearest(remaining, centres)[0]
    place = np.searchsorted(centres, np.where(np.isin(cell, centres), cell, centres[0]))
    return place[near], place[held_near], np.bincount(place, minlength=CELLS) / len(train)


def meehan(
    samples: NDArray[np.float64],
    held_out: NDArray[np.float64],
    partition: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]],
) -> float:
    """C_T (Meehan, Chaudhuri, Dasgupta 2020): Mann-Whitney's Z of distances to train, samples against held-out, in each
    cell that has enough of both, averaged with the cells' shares of train."""
    sample_cell, held_cell, share = partition
    total = weight = 0.0
    for cell in range(CELLS):
        a, b = samples[sample_cell == cell], held_out[held_cell == cell]
        if len(a) < LEAST or len(b) < LEAST:
            continue
        total += share[cell] * z_score(a, b)
        weight += share[cell]
    return total / weight if weight else z_score(samples, held_out)


def z_score(samples: NDArray[np.float64], held_out: NDArray[np.float64]) -> float:
    """Standardised count of pairs in which the sample is farther than the held-out item."""
    m, n = len(samples), len(held_out)
    ordered = np.sort(held_out)
    wins = np.searchsorted(ordered, samples) + np.searchsorted(ordered, samples, side="right")
    return float((wins.sum() / 2.0 - m * n / 2.0) / np.sqrt(m * n * (m + n + 1) / 12.0))
