"""Beginnings and ends of records."""

from __future__ import annotations

import numpy as np
import pytest

from anew.evaluation.metrics.records.beginnings_and_ends import record_end_scores
from anew.evaluation.metrics.records.record_sets import RecordSets

RESIDUES = list("ACDEFGHIKLMNPQRSTVWY")


def proteins(n: int, seed: int) -> list[str]:
    """Sequences of which nearly all begin with M, and half end with KK."""
    rng = np.random.default_rng(seed)
    ends = rng.random((n, 2))
    return [
        ("M" if first < 0.95 else "") + "".join(rng.choice(RESIDUES, 40)) + ("KK" if last < 0.5 else "")
        for first, last in ends
    ]


def value(samples: list[str]) -> float:
    train = proteins(900, 1)
    (score,) = record_end_scores(RecordSets(samples, proteins(300, 2), train[:300], train, 0))
    assert score.real_baseline == pytest.approx(0.5, abs=0.08)
    return score.value


def test_beginnings_and_ends_are_told_from_real_ones() -> None:
    real = proteins(300, 3)
    assert value(real) == pytest.approx(0.5, abs=0.1)
    assert value([record.removeprefix("M") for record in real]) > 0.9
    assert value([record + record[-1] for record in real if record.endswith("KK")] + ["MA"] * 50) > 0.7
    assert value(["M"] * 60) > 0.9  # shorter than the places that are compared


def test_rows_of_fields_and_few_records_have_no_ends() -> None:
    real = proteins(300, 3)
    assert not list(record_end_scores(RecordSets(real[:40], real[40:80], real[80:120], real, 0)))
    rows = [f"{i},{i % 7},{record}" for i, record in enumerate(real)]
    assert not list(record_end_scores(RecordSets(rows[:100], rows[100:200], rows[200:], rows, 0)))
