"""How many samples a report draws in its time: shares of it that sampling may take, by what the samples so far are enough for."""

from __future__ import annotations

from anew.workflows.timing.pace import Pace
from anew.workflows.timing.sample_counts import SampleTargets

# Share of the time for sampling; the rest is for measuring and the copying test; chosen.
TARGET_SHARE = 0.3
# Share for sampling once there are samples for all that can be compared: more only make intervals narrower, and in a report
# of a minute the copying test needs the time; chosen.
EXTRA_SHARE = 0.15
# Share for sampling until there are enough samples for the answers: the copying test needs the rest; chosen.
GRADED_SHARE = 0.5
# Share for sampling until there are as many as a figure needs: with fewer, two answers of three stay open whatever is left; chosen.
MIN_GRADED_SHARE = 0.65
# The same if that gives all that a figure needs; chosen: what is left measures 20 samples
REQUIRED_SHARE = 0.8


def next_chunk(pace: Pace, targets: SampleTargets, n: int, seconds: float, spent: float, max_chunk: int) -> int:
    """The size of the next chunk: samples for which there is time, up to the next target.

    Beyond the targets, only samples within EXTRA_SHARE of the time are drawn, and none in a short report, whose figures need the
    time; if few are measured first, so few beyond those that any figure needs.

    Args:
        pace: How long chunks take.
        targets: Numbers of samples to reach.
        n: Samples so far.
        seconds: Time of the whole evaluation.
        spent: Seconds of it that the samples so far took.
        max_chunk: Largest chunk that is allowed.
    """
    max_chunk = min(max_chunk, targets.most - n)
    chunk = min(max_chunk, pace.affordable(EXTRA_SHARE * seconds - spent))
    shares = {} if targets.few_first else {targets.ample: TARGET_SHARE, targets.least: GRADED_SHARE}
    shares |= {min(targets.required, targets.least): MIN_GRADED_SHARE}
    missing = targets.required - n
    if 0 < missing <= min(max_chunk, pace.affordable(REQUIRED_SHARE * seconds - spent)):
        return max(chunk, missing)
    for target, share in shares.items():
        if chunk < target - n:
            chunk = max(chunk, min(max_chunk, target - n, pace.affordable(share * seconds - spent)))
    return chunk
