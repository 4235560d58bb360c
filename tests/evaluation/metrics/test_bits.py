"""Bits per unit: the gap to training items, and the bits of a network without its counts."""

from __future__ import annotations

import pytest

from anew.evaluation.metrics.bits import gap_score

PARTS = {"test": [(30.0, 10.0), (60.0, 20.0)], "train": [(28.0, 10.0), (57.0, 20.0)]}


@pytest.mark.parametrize(
    ("has_counts", "values"),
    [(False, {"bits_gap": 5 / 30}), (True, {"bits_per_character_network": 3.0, "bits_gap": 5 / 30})],
)
def test_the_gap_also_tells_the_bits_of_the_network_alone(has_counts: bool, values: dict[str, float]) -> None:
    scores = list(gap_score(PARTS.__getitem__, "character", "texts", 0, has_counts))
    assert {score.spec.name: score.value for score in scores} == pytest.approx(values)
