from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from anew.core.version import REPORT_FORMAT
from anew.errors import RunError
from anew.runs.report_record import read_record, read_report, report_or_none

SCORE = {
    "name": "coverage",
    "title": "Coverage",
    "value": 0.5,
    "real_baseline": None,
    "n": 100,
    "source": "100 samples",
}
COPIES = {"detected": False, "p": 0.5, "share": 0.0, "low": 0.0, "high": 0.0, "detection_limit": None, "method": "words", "samples": 100,
          "pairs": [], "distance": "pixels", "train": 300, "held_out": 100, "verdict": "No copies were found."}  # fmt: skip
REPORT = {
    "scores": [SCORE],
    "copies": COPIES,
    "verdict": {"novelty": "New."},
    "grades": {"novelty": "good"},
    "figures": {},
    "notes": [],
}


def written(run: Path, value: object) -> Path:
    (run / "report").mkdir()
    (run / "report" / "report.json").write_text(json.dumps(value))
    return run


def test_what_was_written_is_read_as_it_is(tmp_path: Path) -> None:
    later = REPORT | {"of a later version": 1}
    assert read_report(written(tmp_path, later)) == later


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"scores": 5}, "scores"),
        ({"scores": [SCORE | {"value": "x"}]}, "scores.0.value"),
        ({"scores": [[]]}, "scores.0"),
        ({"copies": COPIES | {"samples": "many"}}, "copies.samples"),
        ({"copies": COPIES | {"p": 2.0}}, "copies.p"),
        ({"copies": COPIES | {"detected": 1}}, "copies.detected"),
        ({"copies": {}}, "copies.detected is missing"),
        ({"copies": COPIES | {"picture": {"ranks": 3}}}, "copies.picture"),
        ({"verdict": {"novelty": 3}}, "verdict.novelty"),
        ({"grades": []}, "grades"),
        ({"notes": "none"}, "notes"),
        ({"basis": {"answers": True}}, "basis"),
    ],
)
def test_a_field_that_does_not_fit_is_named(tmp_path: Path, change: dict[str, Any], place: str) -> None:
    run = written(tmp_path, REPORT | change)
    with pytest.raises(RunError, match=r"report\.json.*" + place.replace(".", r"\.")):
        read_report(run)
    assert report_or_none(run) is None


@pytest.mark.parametrize("value", [None, 5, [], "report", {}])
def test_what_is_not_a_report_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(RunError, match=r"report\.json.*run `anew evaluate"):
        read_report(written(tmp_path, value))


def test_a_missing_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        read_report(tmp_path)
    assert report_or_none(tmp_path) is None


def test_a_report_of_an_older_version_has_the_present_names(tmp_path: Path) -> None:
    copies = {name: value for name, value in COPIES.items() if name != "detected"} | {"found": True}
    copies |= {"controls": [{"kind": "exact", "rate": 0.01, "caught": 1.0}]}
    record = read_record(written(tmp_path, REPORT | {"format": 1, "copies": copies}))
    assert record.copies is not None and record.copies.detected and record.copies.controls[0].variant == "exact"
    copies_json = read_report(tmp_path)["copies"]
    assert isinstance(copies_json, dict) and "found" not in copies_json and copies_json["detected"] is True
    assert read_report(tmp_path)["format"] == REPORT_FORMAT  # format 1 has the older names
    (tmp_path / "second").mkdir()
    assert read_report(written(tmp_path / "second", REPORT | {"format": 1, "copies": None}))["format"] == 1
