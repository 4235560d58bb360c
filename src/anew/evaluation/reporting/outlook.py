"""Extrapolation of a run's loss curve: what more training would bring.

Losses of generators fall about as a power of the training time (Hestness et al. 2017, arXiv 1712.00409; Kaplan et al. 2020, arXiv
2001.08361). So a line is fitted by least squares to the logarithm of the loss over that of the time, in the last three quarters
of the time. Since it ignores the floor that every loss has, it says what can be expected at best.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anew.evaluation.reporting.history import finite

FACTOR = 10  # the loss is extrapolated to this multiple of the training so far, the next budget that a user tries
LEAST_CHECKS = 5  # least points of a curve to fit a line to; chosen
LEAST_STEPS = 30  # least training steps if the training loss takes the place of the validation loss; chosen
BINS = 20  # a noisy training loss is averaged to so many points
SKIPPED_SHARE = 0.25  # of the time, which is left out: the loss falls faster in the beginning
LEAST_GAIN = 0.03  # of the loss; below this, the sentence promises nothing


@dataclass(frozen=True, slots=True)
class Outlook:
    """Expected benefit of FACTOR times the training.

    Attributes:
        now: The loss at the end of the fitted curve.
        later: The extrapolated loss.
        measured_on: Data on which the loss is measured: "validation" or "training".
    """

    now: float
    later: float
    measured_on: str

    @property
    def is_learning(self) -> bool:
        """Whether more training promises a lower loss."""
        return self.later <= (1.0 - LEAST_GAIN) * self.now

    def sentence(self) -> str:
        """The outlook as a sentence for the report."""
        basis = f"extrapolated from its {self.measured_on} loss, a straight line in logarithms"
        if not self.is_learning:
            return f"More time alone is unlikely to help: the loss stays near {self.now:.2f} ({basis})."
        return (
            f"The model is still learning: {FACTOR} times the training is likely to bring its loss from {self.now:.2f} to about "
            f"{self.later:.2f} at best ({basis})."
        )


def outlook(history: Iterable[Mapping[str, object]], epochs: float | None) -> Outlook | None:
    """The outlook of a run from its events; None if its curve says nothing.

    Args:
        history: Events "validation" (step, loss) and "step" (step, loss, perhaps seconds), in order.
        epochs: Passes over the data. Up to one, the training loss is that of unseen items, so it can replace validation.
    """
    curves = _curves(history, ("validation", "step"))
    checks, points = curves["validation"], curves["step"]
    if len(checks) >= LEAST_CHECKS:
        return _extrapolate(checks, "validation")
    if len(points) < LEAST_STEPS or epochs is None or epochs > 1.0:
        return None
    binned = [np.mean(part, axis=0) for part in np.array_split(np.array(points), BINS)]
    return _extrapolate([(float(step), float(loss)) for step, loss in binned], "training")


def _curves(
    history: Iterable[Mapping[str, object]], event_types: Sequence[str]
) -> dict[str, list[tuple[float, float]]]:
    """(steps done, loss) of events with a positive loss, by type of event."""
    curves: dict[str, list[tuple[float, float]]] = {event_type: [] for event_type in event_types}
    for event in history:
        step, loss = finite(event, "step"), finite(event, "loss")
        points = curves.get(str(event.get("event")))
        if points is not None and step is not None and loss is not None and loss > 0.0:
            points.append((step + 1.0, loss))
    return curves


def _extrapolate(points: Sequence[tuple[float, float]], measured_on: str) -> Outlook | None:
    """Extrapolate points (steps done, loss) by a line in logarithms. Returns None if there are too few."""
    last = points[-1][0]
    fitted = np.log(np.array([point for point in points if point[0] >= SKIPPED_SHARE * last]))
    if len(fitted) < LEAST_CHECKS or fitted[-1, 0] - fitted[0, 0] < 0.5:
        return None
    slope, offset = np.polyfit(fitted[:, 0], fitted[:, 1], 1)
    now = float(np.exp(slope * math.log(last) + offset))
    return Outlook(now, now * float(FACTOR ** min(slope, 0.0)), measured_on)
