"""Whether more training would help, by a run's loss curve.

Losses of generators fall about as a power of the training time, down to a floor (Hestness et al. 2017, arXiv 1712.00409). One curve
does not show its floor: a power law that ignores it promised losses below the entropy of the data, and a learning rate that falls
to the end hides where a curve bends (docs/log.md, 2026-11-28). So the outlook says how the loss fell, and promises no number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.reporting.charts import finite

MIN_CHECKS = 5  # least validation losses that make a curve; chosen
MIN_STEPS = 60  # least training steps if the training loss takes the place of the validation loss; chosen
WINDOW = 0.125  # a noisy training loss is averaged over this share of the time
# Standard errors by which averages of the training loss must differ from no fall, and from one that matters
MIN_Z = 2.0
MIN_FALL = 0.01  # a loss that falls by a smaller share in the second half of the training has flattened; chosen
# Share of the fall in the second half that lies in its second half, below which the loss has flattened by then; chosen. It is 0.4 of a
# power law, and more where the learning rate falls to the end.
MIN_LATE_SHARE = 0.15
# Passes up to which no validation steers a training, and its own loss says as much: few items were seen twice; chosen
MAX_PASSES = 1.5
BEND = 1.5  # a loss levels off if it fell by this many times its present fall in the quarter before; chosen


@dataclass(frozen=True, slots=True)
class Outlook:
    """How the loss of a run fell towards the end of its training.

    Attributes:
        now: The loss at the end.
        half: The loss after half of the training.
        quarter: The loss after a quarter; None if it is not known.
        measured_on: Data on which the loss is measured: "validation" or "training".
        passes: Passes over the data; None if they are not known.
        first: The loss at the beginning of the curve; None if it is not known.
        late: The loss after three quarters; None if it is not known, or too noisy.
        lowest: The lowest loss of the curve; None if the loss is too noisy.
        lowest_at: When it was, as a share of the training.
        is_discarded: Whether the curve is that of a longer training that did no better, so that its weights were not kept.
    """

    now: float
    half: float
    quarter: float | None
    measured_on: str
    passes: float | None = None
    first: float | None = None
    late: float | None = None
    lowest: float | None = None
    lowest_at: float = 1.0
    is_discarded: bool = False

    @property
    def fall(self) -> float:
        """The share of the loss that went in the second half of the training."""
        return 1.0 - self.now / self.half

    @property
    def is_learning(self) -> bool:
        """Whether the loss still falls."""
        return self.fall >= MIN_FALL and not (self._ends_flat or self._has_risen or self.is_discarded)

    @property
    def _has_risen(self) -> bool:
        """Whether the loss was lower before the end, by a share that matters; the weights of then are kept."""
        return self.lowest is not None and self.now / self.lowest - 1.0 >= MIN_FALL

    @property
    def _ends_flat(self) -> bool:
        """Whether the loss hardly fell in the last quarter of the training."""
        return self.late is not None and 1.0 - self.now / self.late < MIN_LATE_SHARE * self.fall

    @property
    def has_flattened(self) -> bool:
        """Whether the loss fell at first and does not any more, or rises."""
        has_fallen = self.first is None or 1.0 - self.now / self.first >= MIN_FALL
        return self.fall <= -MIN_FALL or self._has_risen or self.is_discarded or (not self.is_learning and has_fallen)

    def sentence(self) -> str:
        """The outlook as a sentence for the report."""
        if self.is_discarded:
            return "A longer training did no better, so more time alone may bring little."
        if self._has_risen:
            return (
                f"More time alone is unlikely to help: the {self.measured_on} loss was lowest, {self.lowest:.2f}, after "
                f"{self.lowest_at:.0%} of the training, and rose to {self.now:.2f} by its end."
            )
        if self.fall <= -MIN_FALL:
            return (
                f"More time alone is unlikely to help: the {self.measured_on} loss rose by {-self.fall:.0%} in the second half of "
                f"the training, to {self.now:.2f}."
            )
        if not self.is_learning and not self.has_flattened:  # losses of diffusion begin near their floor
            return (
                f"The {self.measured_on} loss hardly changed in the whole training ({self.first:.2f} at first, {self.now:.2f} at the "
                "end), so it does not show whether more time would help."
            )
        if not self.is_learning:
            part = "last quarter" if self.fall >= MIN_FALL else "second half"
            return (
                f"The {self.measured_on} loss has flattened at {self.now:.2f}: it hardly fell in the {part} of the training, "
                "so more time alone may bring little."
            )
        fact = (
            f"its {self.measured_on} loss fell by {self.fall:.0%} in the second half of the training, to {self.now:.2f}"
        )
        before = None if self.quarter is None else 1.0 - self.half / self.quarter
        if before is None or before <= BEND * self.fall:
            return (
                f"The model is still learning: {fact}. More training is likely to help; the curve cannot show how much."
            )
        return (
            f"The model is still learning: {fact}, after {before:.0%} in the quarter before. More training is likely to help, but "
            "less and less."
        )


def outlook(history: Iterable[Mapping[str, object]], epochs: float | None) -> Outlook | None:
    """The outlook of a run from its events; None if its curve says nothing.

    Args:
        history: Events "validation" (step, loss) and "step" (step, loss, perhaps seconds), in order.
        epochs: Passes over the data. Up to MAX_PASSES, the training loss can replace that of validation.
    """
    curves = _curves(history, ("validation", "step"))
    checks, points = (np.array(curves[name], dtype=np.float64).reshape(-1, 2) for name in ("validation", "step"))
    if len(checks) >= MIN_CHECKS:
        return _of_checks(checks, epochs)
    if len(points) < MIN_STEPS or epochs is None or epochs > MAX_PASSES:
        return None
    return _of_steps(points, epochs)


def _curves(
    history: Iterable[Mapping[str, object]], event_types: Sequence[str]
) -> dict[str, list[tuple[float, float]]]:
    """(finished steps, loss) of events with a positive loss, by type of event; of steps that a resumed run repeats, the last."""
    curves: dict[str, dict[float, float]] = {event_type: {} for event_type in event_types}
    for event in history:
        step, loss = finite(event, "step"), finite(event, "loss")
        points = curves.get(str(event.get("event")))
        if points is not None and step is not None and loss is not None and step > 0.0 and loss > 0.0:
            points[step] = loss
    return {event_type: sorted(points.items()) for event_type, points in curves.items()}


def _of_checks(checks: NDArray[np.float64], passes: float | None) -> Outlook | None:
    """The outlook of validation losses (n, 2) at steps; None if they begin after half of the training."""
    steps, losses = checks.T
    last = steps[-1]
    times = np.array([0.25, 0.5, 0.75]) * last
    quarter, half, late = np.exp(np.interp(np.log(times), np.log(steps), np.log(losses)))
    if steps[0] > last / 2.0:
        return None
    known_quarter = float(quarter) if steps[0] <= last / 4.0 else None
    now, first = float(losses[-1]), float(losses[0])
    lowest, lowest_at = float(losses.min()), float(steps[losses.argmin()] / last)
    return Outlook(now, float(half), known_quarter, "validation", passes, first, float(late), lowest, lowest_at)


def _of_steps(points: NDArray[np.float64], passes: float) -> Outlook | None:
    """The outlook of noisy training losses (n, 2) of steps; None if they vary too much to tell whether they fall."""
    steps, losses = points.T
    windows = [
        losses[(steps > (1.0 - WINDOW) * end) & (steps <= end)] for end in steps[-1] * np.array([1.0, 0.5, 0.25])
    ]
    if any(len(window) < 2 for window in windows):
        return None
    now, half, quarter = (float(window.mean()) for window in windows)
    error = math.hypot(*(float(window.std(ddof=1)) / math.sqrt(len(window)) for window in windows[:2])) / half
    if abs(1.0 - now / half - MIN_FALL) < MIN_Z * error:
        return None
    first = float(losses[steps <= WINDOW * steps[-1]].mean())
    return Outlook(now, half, quarter, "training", passes, first)
