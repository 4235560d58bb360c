"""Whether the stereo of sounds can be heard: many files have two channels that only a codec made different.

Legend for shapes: n clips, N samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anew.core.wording import percent
from anew.data.formats.sound.audio import Samples

# Stereo is learned if its side, half the difference of the channels, has at least so many decibels of their mean, in at least such a
# share of the clips. In 839 voices of 15 speakers it was mostly what a codec had left, at -44 (docs/log.md, 2026-11-30).
MIN_SIDE_DB, MIN_STEREO_SHARE = -30.0, 0.5
# The same for signals, which nobody hears: two of them count as different sooner; chosen
MIN_SIGNAL_SIDE_DB, MIN_SIGNAL_STEREO_SHARE = -43.0, 0.05
# A channel with less power counts as this, so that nothing is divided by zero.
SILENT_POWER = 1e-12


def needs_two_channels(waves: Sequence[Samples], is_signal: bool, use: str) -> tuple[bool, str]:
    """Whether clips, (N, 2) each, are worth two channels, and a sentence on what was found.

    Args:
        is_signal: Whether they are slow signals.
        use: Use of the clips, see `DataBudget.use`.
    """
    min_side_db = MIN_SIGNAL_SIDE_DB if is_signal else MIN_SIDE_DB
    share = float((side_levels(waves) >= min_side_db).mean())
    observation = (
        f"The channels differ by {min_side_db:.0f} dB of their mean or more in {percent(share)} of the clips sampled"
    )
    if share >= (MIN_SIGNAL_STEREO_SHARE if is_signal else MIN_STEREO_SHARE):
        return True, f"{observation}: both are {use} (channels=mono mixes them)."
    observation = f"{observation}, too few for stereo" if share else "Both channels of the clips sampled are alike"
    return False, f"{observation}: mono sound is {use} (channels=stereo keeps two)."


def side_levels(waves: Sequence[Samples]) -> NDArray[np.float64]:
    """(n,) decibels of the side of clips (N, 2) each, half the difference of their channels, in relation to their mean."""
    powers = [[float(np.square(wave @ signs).mean()) for signs in ((0.5, -0.5), (0.5, 0.5))] for wave in waves]
    side, middle = np.asarray(powers).T  # (n,) each
    return np.asarray(10.0 * np.log10((side + SILENT_POWER) / (middle + SILENT_POWER)))
