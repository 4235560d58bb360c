"""How many items there is time to measure."""

from __future__ import annotations

from anew.evaluation.items_in_time import WITHIN_TIME, reason_for_fewer


def test_it_is_said_why_fewer_samples_are_measured_than_there_are() -> None:
    """A report had "40 of 936 samples" next to "40 of 120 samples" without saying what the 120 are."""
    assert reason_for_fewer(60, 60, 150, "held-out images") == "as many as there are held-out images"
    assert reason_for_fewer(40, 936, 936, "held-out clips") == WITHIN_TIME
    assert reason_for_fewer(40, 120, 936, "held-out clips") == (
        f"{WITHIN_TIME} (120 could be compared, as many as there are held-out clips)"
    )
