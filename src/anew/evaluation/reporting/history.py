"""Reading of numbers in the events of a training's log; values that are not finite count as missing."""

from __future__ import annotations

import math
from collections.abc import Mapping


def finite(event: Mapping[str, object], name: str) -> float | None:
    """A number of an event; None if it is missing or not finite."""
    value = event.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
