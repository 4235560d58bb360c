"""A plan knows how often its data is seen, also when a run is given more."""

from __future__ import annotations

from anew.runs.record import Plan

PLAN = Plan(0, 0, 4, 4, 0.5, 1_000, expected_steps=68, epochs=0.555)


def test_passes_follow_the_examples_that_were_seen() -> None:
    assert PLAN.passes(272) == 0.555 and PLAN.passes(2 * 272) == 2 * 0.555
    assert Plan(0, 0, 4, 4, 0.5, 1_000, epochs=0.5).passes(272) is None  # no number of steps is expected


def test_a_run_that_is_given_more_sees_its_data_more_often() -> None:
    longer = PLAN.extended(680)
    assert (longer.expected_steps, longer.epochs) == (680, 5.55) and longer.passes(2_720) == 5.55
