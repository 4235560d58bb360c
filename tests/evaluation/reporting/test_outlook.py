"""A run that is still learning says what more time would bring; one that is not promises nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anew.evaluation.reporting.outlook import outlook


def checks(power: float, n: int = 12) -> list[dict[str, Any]]:
    return [{"event": "validation", "step": 100 * (i + 1) - 1, "loss": 4.0 * (i + 1.0) ** power} for i in range(n)]


def test_a_power_law_is_followed() -> None:
    forecast = outlook(checks(-0.2), None)
    assert forecast is not None and forecast.measured_on == "validation"
    assert forecast.now == pytest.approx(4.0 * 12**-0.2) and forecast.later == pytest.approx(4.0 * 120**-0.2)
    assert "10 times the training is likely to bring its loss from 2.43 to about 1.54 at best" in forecast.sentence()


def test_what_no_longer_falls_promises_nothing() -> None:
    flat, rising = outlook(checks(0.0), None), outlook(checks(0.1), None)
    assert flat is not None and "unlikely to help: the loss stays near 4.00" in flat.sentence()
    assert rising is not None and rising.later == rising.now


def test_training_losses_stand_in_where_no_item_was_seen_twice() -> None:
    rng = np.random.default_rng(0)
    steps = [{"event": "step", "step": i, "loss": 5.0 * (i + 1.0) ** -0.15 * rng.uniform(0.9, 1.1)} for i in range(400)]
    forecast = outlook(steps, 0.4)
    assert forecast is not None and forecast.measured_on == "training"
    assert forecast.later / forecast.now == pytest.approx(10**-0.15, rel=0.1)
    assert outlook(steps, 3.0) is None and outlook(steps, None) is None and outlook(steps[:20], 0.1) is None
    assert outlook([{"event": "step", "step": i, "loss": -1.0} for i in range(400)], 0.4) is None
    assert outlook([{"event": "step", "step": i, "loss_d": 1.0} for i in range(400)], 0.4) is None
