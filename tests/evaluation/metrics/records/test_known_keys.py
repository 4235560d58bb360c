"""Codes that exist already, in records that are new."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

from anew.evaluation.measure import NOVELTY
from anew.evaluation.memorization.result import CopyTestResult
from anew.evaluation.metrics.records.known_keys import key_scores
from anew.evaluation.reporting.verdict import Verdict
from anew.functional.intervals import clopper_pearson


def records(numbers: range, name: str) -> list[str]:
    return [f"{number * 7_919 % 0xFFFFF:05x} {name} {number % 17}" for number in numbers]


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
    assert verdict.sentences()["novelty"].startswith(f"{sentence}, where it hardly ever repeats. No copies found")
    (few,) = key_scores(records(range(4_990, 5_190), "Chip"), held_out, known, known)
    assert few.value == 0.0 and Verdict([few], nothing).grades["novelty"] != "poor"
    assert "field 1" not in Verdict([few], nothing).figures["novelty"]


def test_records_without_keys_have_no_score() -> None:
    names = [f"{'abc'[i % 3]} name {i}" for i in range(300)]
    assert (
        list(key_scores(names[:50], names[50:100], [f"{n} x" * (i % 4 + 1) for i, n in enumerate(names)], names)) == []
    )


NOTHING_FOUND = CopyTestResult(False, 0.5, 0.0, 0.0, 0.02, "scan", [], "edits", 200, 1_000, 200, 1_000)


def test_numbers_of_rows_have_no_score() -> None:
    """Of rows numbered 0 to 2,999 every new one has a number that is there, and 89% of the samples had a known key."""
    rows = [f"{i},{i % 7},{'ab'[i % 2]}" for i in range(3_000) if i % 10]
    held_out = [f"{i},{i % 7},{'ab'[i % 2]}" for i in range(0, 3_000, 10)]
    samples = [f"{i},{(i + 3) % 7},{'ab'[i % 2]}" for i in range(0, 3_000, 7)]
    assert list(key_scores(samples, held_out, rows, rows)) == []
    assert list(key_scores(samples, held_out, rows[::5], rows)) == [], "keys are sought in some of many records"


def test_samples_are_at_best_partly_new_where_their_keys_were_not_measured() -> None:
    unmeasured = {"values that never repeat": NOVELTY}
    assert Verdict([], NOTHING_FOUND).grades["novelty"] == "good"
    verdict = Verdict([], NOTHING_FOUND, unmeasured)
    assert verdict.grades["novelty"] == "fair"
    clause = verdict.figures["novelty"]
    assert clause.startswith("at best partly: no copies found") and "not measured: values that never repeat" in clause
    assert "Not measured: values that never repeat; the notes say why." in verdict.sentences()["novelty"]
    assert Verdict([], NOTHING_FOUND, {"the spectrum": ("closeness",)}).grades["novelty"] == "good"


def test_days_have_no_score() -> None:
    """A perfect model of the days of a table was at best partly new: 90% of its samples had known ones."""
    days = [date(2020, 1, 1) + timedelta(days=i) for i in range(1_200)]
    rows = [f"{day:%d.%m.%Y};{day.toordinal() * 7 % 90};{'ab'[day.day % 2]}" for day in days]
    held_out, known = rows[::10], [row for i, row in enumerate(rows) if i % 10]
    assert list(key_scores(rows[::4], held_out, known, known)) == []


def test_the_field_is_shown_that_is_known_more_often_than_in_held_out_records() -> None:
    """Names that repeat among all training records, but not among the few by which keys were found, hid codes that were copied."""
    rng = Random(0)
    pool = [f"{rng.getrandbits(40):x}" for _ in range(20_000)]
    rows = [f"{rng.choice(pool)};{rng.getrandbits(40):x};{i % 3}" for i in range(20_500)]
    held_out, training = rows[:500], rows[500:]
    samples = [f"{rng.choice(pool)};{rng.getrandbits(40):x};0" for _ in range(500)]
    samples[:150] = [f"{rng.choice(pool)};{row.split(';')[1]};0" for row in training[:150]]
    (score,) = key_scores(samples, held_out, training[:300], training)
    assert (score.note, score.value, score.real_baseline) == ("field 2", 0.3, 0.0)


def test_the_interval_holds_for_all_key_fields_together() -> None:
    def of(numbers: range) -> list[str]:
        return [f"{i * 7_919 % 1_000_003};{i * 104_729 % 1_000_033};{i % 3}" for i in numbers]

    known, samples = of(range(1_000)), of(range(990, 1_090))
    (score,) = key_scores(samples, of(range(2_000, 2_200)), known, known)
    assert score.value == 0.1 and (score.low, score.high) == clopper_pearson(10, 100, 0.025)
    assert score.real_high == clopper_pearson(0, 200, 0.025)[1]
