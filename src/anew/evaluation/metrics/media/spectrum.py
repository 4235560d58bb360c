"""Distance of mean spectra: of images by spatial frequency, of sound by pitch, of motion by speed.

Legend for shapes: n items, m items of another set, b bands.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from anew.core.arrays import Numbers
from anew.evaluation.metrics.item_classifiers import few_numbers_spec
from anew.evaluation.score import MetricSpec, Tolerance, difference_tolerance

SPECTRUM_DISTANCE = MetricSpec(
    "spectrum_distance",
    "Spectrum",
    "How much the balance of coarse and fine detail differs from real data, in decibels (0 = the same).",
    order=17,
    unit="dB",
    tolerance=difference_tolerance(0.7, 2.5, "the balance of fine and coarse detail"),
)
SPECTRUM_AUC = few_numbers_spec(
    "spectrum_auc",
    "Amounts of detail",
    "how much coarse and fine detail there is",
    "its amounts of coarse and fine detail",
    order=18,
)
FINE_DETAIL = MetricSpec(
    "fine_detail",
    "Fine detail",
    "Power at high spatial frequencies as a multiple of real images (1 = as much; less: blurrier; more: rougher).",
    better="closer to real",
    order=16,
    award="Fine detail closest to real",
    format="ratio",
)
SMALL_LOUDNESS_DB = 3.0  # deviation of loudness that is hardly noticed among different sounds; chosen
COARSE_BANDS = 8  # bands, with as many copies of the loudness, which would else be one number among many
MIN_POWER = 1e-9  # an item without any power in a band must not make the difference infinite


def sound_spectrum() -> MetricSpec:
    """SPECTRUM_DISTANCE in the words of sound."""
    tolerance = Tolerance(
        "closeness",
        0.7,
        2.5,
        "low and high tones differ by {value:.1f} dB (real data: {real:.1f} dB)",
        agreement="low and high tones agree within {value:.1f} dB (real data: {real:.1f} dB)",
        # The levels of a band differ by 7 to 15 dB from sound to sound, so that real sounds are refused in any usual number; what
        # they agree in, the classifier says with more certainty (docs/log.md: "Amounts of low and high tones")
        least_to_pass=sys.maxsize,
    )
    meaning = "How much low and high tones differ from real data, in decibels (0 = the same)."
    return replace(SPECTRUM_DISTANCE, meaning=meaning, tolerance=tolerance)


def sound_spectrum_auc() -> MetricSpec:
    """SPECTRUM_AUC in the words of sound."""
    return few_numbers_spec(
        SPECTRUM_AUC.name,
        "Amounts of low and high tones",
        "how much of each tone there is, low to high, and which of them are in loud sounds,",
        "its amounts of low and high tones",
        least_to_pass=250,
        order=SPECTRUM_AUC.order,
    )


def coarse_levels_and_loudness(levels: Numbers, loudness: Numbers, seed: int) -> Numbers:
    """(n, 2 c) the levels of c coarse bands, and c times the loudness, which says which tones are in loud sounds.

    Loudness is counted from the mean of all items, and blurred by SMALL_LOUDNESS_DB: how loud items are on the whole is a figure of its
    own, which allows for a few decibels.

    Args:
        levels: (n, b) level of each band of each item, in decibels.
        loudness: (n,) in decibels.
        seed: Seed of the blur.
    """
    coarse = np.stack([band.mean(axis=1) for band in np.array_split(levels, COARSE_BANDS, axis=1)], axis=1)
    blur = np.random.default_rng(seed).normal(0.0, SMALL_LOUDNESS_DB, len(loudness))
    relative = loudness - loudness.mean() + blur
    return np.concatenate([coarse, np.repeat(relative[:, None], coarse.shape[1], axis=1)], axis=1)


def spectrum_distance(a: Numbers, b: Numbers) -> float:
    """Mean absolute difference in decibels of the mean power of a (n, b) and b (m, b)."""
    ratio = (a.mean(axis=0) + MIN_POWER) / (b.mean(axis=0) + MIN_POWER)  # (b,)
    return float(np.abs(10.0 * np.log10(ratio)).mean())


def balance_distance(a: Numbers, b: Numbers) -> float:
    """Root mean square difference of the mean levels in decibels of a (n, b) and b (m, b), around its mean over bands.

    The mean itself, how much contrast there is, varies so much from image to image that hundreds of them say little of it
    (docs/log.md, 2026-11-29).
    """
    difference = a.mean(axis=0) - b.mean(axis=0)  # (b,)
    return float(difference.std())


def level_distance(a: Numbers, b: Numbers) -> float:
    """Mean absolute difference of the mean levels in decibels of a (n, b) and b (m, b).

    Means of power would say what the few items are like that are loudest in a band (docs/log.md, 2026-11-29).
    """
    return float(np.abs(a.mean(axis=0) - b.mean(axis=0)).mean())
