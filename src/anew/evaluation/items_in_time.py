"""How many items there is time to measure."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from anew.core.arrays import Numbers
from anew.data.types import ItemT
from anew.evaluation.inputs import MIN_ITEMS, Clock
from anew.evaluation.metrics.classes import affordable_probe
from anew.evaluation.metrics.feature_sets import MAX_ITEMS_WITHOUT_SAVING

WITHIN_TIME = "as many as there seemed to be time for"  # a plan, which may leave time in the end
SETS = 4  # sets of items: samples, held-out and training items, samples of a naive generator
# Share of the time left for metrics, for features: with half of it, figures that people see first (sharpness, colours) were cut off.
FEATURES_SHARE = 0.2
# Share of the time for metrics in which sets of features are compared, and the seconds that this takes for 1,000 items of each
# set on an idle core, measured; they rise with the square of the items.
FIGURES_SHARE, THOUSAND_SECONDS = 0.3, 1.6
PROBE_SHARE = 0.1  # share of the time for metrics that a probe of classes may take; chosen: it is one metric of many
TRIAL_ITEMS = 16  # items whose features tell how long those of a probe would take


def probe_size(embed: Callable[[Sequence[ItemT]], Numbers], items: Sequence[ItemT], limit: float | None) -> int:
    """How many of some training items there is time for in a probe.

    Args:
        embed: Function from items to features.
        limit: Seconds for all metrics; None for no limit.
    """
    begin, trial = time.monotonic(), items[:TRIAL_ITEMS]
    embed(trial)
    seconds_per_item = (time.monotonic() - begin) / len(trial)
    return affordable_probe(len(items), seconds_per_item, float("inf") if limit is None else PROBE_SHARE * limit)


def num_affordable_items(seconds: float, seconds_per_item: float) -> float:
    """How many items of each set there is time to measure.

    Up to MAX_ITEMS_WITHOUT_SAVING items, features may take half of the time. More items may take only FEATURES_SHARE of it, since other
    metrics of more items take longer, too.

    Args:
        seconds: Seconds that are left for metrics.
        seconds_per_item: Seconds that the features of an item take.
    """
    in_all = seconds / (SETS * seconds_per_item)
    return max(min(0.5 * in_all, MAX_ITEMS_WITHOUT_SAVING), FEATURES_SHARE * in_all)


def affordable_items(n: int, clock: Clock, seconds_per_item: float, slowdown: Callable[[], float]) -> int:
    """How many of n items of each set there is time to embed and compare.

    Args:
        n: The items.
        clock: The time for metrics.
        seconds_per_item: Seconds that the features of an item take.
        slowdown: Measures how many times longer than on idle cores work takes.
    """
    # Shares of what is left: metrics without features may have taken half of the time before
    affordable = num_affordable_items(clock.remaining(), seconds_per_item)
    if clock.limit is not None and n > MAX_ITEMS_WITHOUT_SAVING:
        affordable = min(affordable, comparable_items(clock.limit, slowdown()))
    return n if affordable >= n else max(min(n, 2 * MIN_ITEMS), int(affordable))


def comparable_items(seconds: float, slowdown: float) -> float:
    """How many items of each set can be compared in FIGURES_SHARE of the seconds for metrics; at least MAX_ITEMS_WITHOUT_SAVING.

    Args:
        seconds: Seconds for all metrics.
        slowdown: How many times longer than on idle cores work takes.
    """
    return max(MAX_ITEMS_WITHOUT_SAVING, 1000.0 * math.sqrt(FIGURES_SHARE * seconds / (THOUSAND_SECONDS * slowdown)))


def reason_for_fewer(n: int, available: int, num_samples: int, limit: str) -> str:
    """Why only n of the samples were measured, a clause.

    Args:
        n: Samples that were measured.
        available: Samples that could have been, as there are so many items to compare them with.
        limit: Plural noun of the items of which there are so few.
    """
    if n == available:
        return f"as many as there are {limit}"
    compared = f" ({available:,} could be compared, as many as there are {limit})" if available < num_samples else ""
    return f"{WITHIN_TIME}{compared}"


def compared_sentence(n: int, total: int, counted: str, reason: str) -> str:
    """A sentence that says that only n of all samples were measured, and why; `counted` names one of them."""
    return f"Distances, variety and many other figures were measured on {n:,} of {total:,} {counted}s, {reason}."
