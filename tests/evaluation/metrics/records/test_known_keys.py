"""Codes that exist already, in records that are new."""

from __future__ import annotations

from anew.evaluation.memorization.result import CopyTestResult
from anew.evaluation.metrics.records.known_keys import key_scores
from anew.evaluation.reporting.verdict import Verdict


def records(codes: range, name: str) -> list[str]:
    return [f"{code:05x} {name} {code % 17}" for code in codes]


def test_samples_with_known_codes_are_at_best_partly_new() -> None:
    """60% of the samples of a list of devices had the code of another device, and the answer was yes."""
    known, held_out = records(range(1_000), "Chip"), records(range(2_000, 2_200), "Chip")
    samples = records(range(900, 1_020), "Controller") + records(range(5_000, 5_080), "Controller")
    (score,) = key_scores(samples, held_out, known, known)
    assert (score.value, score.real_baseline, score.n, score.note) == (0.5, 0.0, 200, "field 1")
    nothing = CopyTestResult(False, 0.5, 0.0, 0.0, 0.02, "scan", [], "edits", 200, 1_000, 200, 1_000)
    verdict = Verdict([score], nothing)
    assert verdict.grades["novelty"] == "fair"
    sentence = "50% of the samples have a value of field 1 that the data has already (held-out records: 0%)"
    assert verdict.figures["novelty"].startswith(f"{sentence}; no copies found")
    assert verdict.sentences()["novelty"].startswith(f"{sentence}, where it hardly ever repeats. No copying found")
    (few,) = key_scores(records(range(4_990, 5_190), "Chip"), held_out, known, known)
    assert few.value == 0.0 and Verdict([few], nothing).grades["novelty"] != "poor"
    assert "field 1" not in Verdict([few], nothing).figures["novelty"]


def test_records_without_keys_have_no_score() -> None:
    names = [f"{'abc'[i % 3]} name {i}" for i in range(300)]
    assert (
        list(key_scores(names[:50], names[50:100], [f"{n} x" * (i % 4 + 1) for i, n in enumerate(names)], names)) == []
    )
