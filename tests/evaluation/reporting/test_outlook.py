"""A run that is still learning says so, with what is known; no curve makes it promise a number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from anew.evaluation.reporting.outlook import Outlook, outlook


def checks(power: float, n: int = 12, floor: float = 0.0) -> list[dict[str, Any]]:
    return [{"event": "validation", "step": 100 * (i + 1), "loss": floor + 4.0 * (i + 1.0) ** power} for i in range(n)]


def steps(power: float, noise: float, n: int = 400, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    losses = 5.0 * np.arange(1.0, n + 1.0) ** power * rng.uniform(1.0 - noise, 1.0 + noise, n)
    return [{"event": "step", "step": i, "loss": float(loss)} for i, loss in enumerate(losses, 1)]


def of(events: list[dict[str, Any]], epochs: float | None = None) -> Outlook:
    result = outlook(events, epochs)
    assert result is not None
    return result


def test_the_fall_of_the_second_half_is_told() -> None:
    learning = of(checks(-0.2))
    assert learning.is_learning and learning.measured_on == "validation"
    assert learning.fall == pytest.approx(1.0 - 2**-0.2)
    assert "its validation loss fell by 13% in the second half of the training, to 2.43" in learning.sentence()


def test_no_number_is_promised_near_the_floor() -> None:
    """A power law without a floor promised a loss far below it."""
    near, at = of(checks(-1.5, floor=3.0)), of(checks(-3.0, floor=3.0))
    assert (
        near.is_learning and near.quarter is not None and near.sentence().endswith("likely to help, but less and less.")
    )
    assert "fell by 5% in the second half of the training, to 3.10, after 13% in the quarter before" in near.sentence()
    assert not at.is_learning and "has flattened at 3.00" in at.sentence()


def test_a_curve_that_bends_downwards_shows_no_end() -> None:
    """As at the end of a falling learning rate."""
    curve = [{"event": "validation", "step": 10 * i, "loss": 5.0 - 0.2 * i} for i in range(1, 11)]
    assert of(curve).sentence().endswith("More training is likely to help; the curve cannot show how much.")


def test_a_loss_that_fell_only_in_the_third_quarter_has_flattened() -> None:
    """It was called "still learning" for its fall before."""
    losses = [4.0, 3.5, 3.2, 3.1, 3.0, 2.9, 2.85, 2.8, 2.8, 2.8, 2.8, 2.8]
    flat = of([{"event": "validation", "step": 100 * i, "loss": loss} for i, loss in enumerate(losses, 1)])
    assert not flat.is_learning and flat.has_flattened
    assert "has flattened at 2.80: it hardly fell in the last quarter of the training" in flat.sentence()


def test_a_longer_training_that_did_no_better_is_said() -> None:
    """The curve of the weights that were not kept promised much."""
    discarded = replace(of(checks(-0.2)), is_discarded=True)
    assert not discarded.is_learning and discarded.has_flattened
    assert discarded.sentence() == "A longer training did no better, so more time alone may bring little."


def test_what_no_longer_falls_promises_nothing() -> None:
    flat = of(checks(-3.0, floor=3.0))
    assert flat.has_flattened and "has flattened at 3.00" in flat.sentence()
    rising = of(checks(0.1))
    assert (
        not rising.is_learning
        and rising.has_flattened
        and "unlikely to help: the validation loss was lowest, 4.00, after 8% of the training, and rose to 5.13"
        in rising.sentence()
    )


def test_a_loss_that_rose_again_is_told_with_its_lowest() -> None:
    """The outlook quoted the loss at the end, and the weights that were kept had another one."""
    losses = [4.0, 3.8, 3.6, 3.4, 3.3, 3.25, 3.2, 3.22, 3.24, 3.29]
    risen = of([{"event": "validation", "step": 100 * i, "loss": loss} for i, loss in enumerate(losses, 1)])
    assert risen.fall > 0.0 and not risen.is_learning and risen.has_flattened
    assert risen.sentence().endswith("loss was lowest, 3.20, after 70% of the training, and rose to 3.29 by its end.")


def test_a_loss_that_never_fell_has_not_flattened() -> None:
    """A diffusion model that had hardly begun: 1.1097 after 9 steps, 1.1016 after 69."""
    barely = of([{"event": "validation", "step": 10 * i - 1, "loss": 1.111 - 0.0013 * i} for i in range(1, 8)])
    assert not barely.is_learning and not barely.has_flattened
    assert barely.sentence().startswith(
        "The validation loss hardly changed in the whole training (1.11 at first, 1.10 at"
    )
    assert barely.sentence().endswith("so it does not show whether more time would help.")


def test_training_losses_stand_in_where_items_were_seen_once_or_twice() -> None:
    learning = of(steps(-0.15, noise=0.1), 0.4)
    assert learning.measured_on == "training" and learning.fall == pytest.approx(1.0 - 2**-0.15, abs=0.04)
    falling = steps(-0.15, noise=0.1)
    assert of(falling, 1.45).measured_on == "training"
    assert outlook(falling, 3.0) is None and outlook(falling, None) is None and outlook(falling[:20], 0.1) is None
    assert outlook([{"event": "step", "step": i, "loss": -1.0} for i in range(400)], 0.4) is None
    assert outlook([{"event": "step", "step": i, "loss_d": 1.0} for i in range(400)], 0.4) is None


def test_noise_is_no_fall() -> None:
    outlooks = [outlook(steps(0.0, noise=0.3, n=130, seed=seed), 0.4) for seed in range(40)]
    assert sum(result is not None and result.is_learning for result in outlooks) <= 3


def test_steps_that_a_resumed_run_repeats_count_once() -> None:
    early = [{**event, "loss": 0.1} for event in checks(-0.2)[4:7]]
    assert of([*checks(-0.2)[:4], *early, *checks(-0.2)[4:]]) == of(checks(-0.2))


def test_checks_of_the_end_alone_say_nothing() -> None:
    assert outlook(checks(-0.2)[6:], None) is None
