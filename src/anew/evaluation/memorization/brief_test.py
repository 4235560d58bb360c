"""How a brief memorization test keeps within its time: it searches for fewer samples, and fewer real items pose as samples."""

from __future__ import annotations

import time
from collections.abc import Callable

from anew.evaluation.memorization.planting import planted_copies

# Real items that pose as samples in the match test: enough to detect 1% of copies, for any number of samples.
MAX_STAND_INS = 1_200
STAND_INS_PER_SAMPLE = 2  # limit of stand-ins in a brief test, where they would take more time than the samples
SEARCHES = 2  # searches for each sample or control: for its nearest item, and for that item's own nearest
SAMPLES_PER_CHECK = 64  # samples that are searched for before the clock is checked again; chosen
SEARCH_SHARE = 0.8  # searches take this share of the time that is left; planted copies then reuse their results


def stand_ins(num_samples: int) -> int:
    """How many real items pose as samples in a brief memorization test, if there are as many."""
    return min(MAX_STAND_INS, STAND_INS_PER_SAMPLE * num_samples)


def samples_in_time(
    search: Callable[[slice], None], num_samples: int, num_controls: int, seconds: float, num_kinds: int
) -> int:
    """Search for samples, some at a time, as long as there is time for more of them and all other searches.

    Args:
        search: Searches for some of the samples.
        num_samples: Number of samples.
        num_controls: Number of controls, which does not depend on the number of samples; 0 without controls.
        seconds: Time for the whole memorization test.
        num_kinds: Number of kinds of planted copies.

    Returns:
        The number of samples that were searched for.
    """
    begin, searched = time.monotonic(), 0
    while searched < num_samples:
        rows = slice(searched, min(searched + SAMPLES_PER_CHECK, num_samples))
        search(rows)
        searched, following = rows.stop, min(rows.stop + SAMPLES_PER_CHECK, num_samples)
        num_planted = num_kinds * planted_copies(following) if num_controls else 0
        num_other_searches = stand_ins(following) + SEARCHES * (num_controls + num_planted)
        pace = (time.monotonic() - begin) / (SEARCHES * searched)
        if pace * (SEARCHES * following + num_other_searches) > SEARCH_SHARE * seconds:
            break
    return searched
