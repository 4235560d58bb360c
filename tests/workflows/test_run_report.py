"""report/ holds the best-founded report of the present weights; no report is lost."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from anew.evaluation.reporting.measurements import Measurements
from anew.evaluation.reporting.report import EvaluationReport
from anew.workflows.run_report import _place, basis_of
from reporters import Lines


def write(run: Path, measured: int, text: str, answers: int = 3, aside: Path | None = None) -> tuple[Path, list[str]]:
    """A report as an evaluation writes it; where it went, and what was said. aside: where it was before it was completed."""
    messages = Lines()
    report = EvaluationReport.of(Measurements(), run="run", family="gan", modality="image")
    basis = replace(basis_of(run, report, 1000, False, None), answers=answers, measured=measured)
    out, _ = _place(run, basis, None if aside is None else replace(report, folder=aside), messages)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps({"text": text, "scores": [], "basis": asdict(basis)}))
    return out, messages.lines


def text_of(report: Path) -> str:
    return str(json.loads((report / "report.json").read_text())["text"])


def test_a_smaller_report_of_the_same_weights_does_not_take_the_place_of_a_larger_one(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"one")
    assert write(tmp_path, 100, "large") == (tmp_path / "report", [])
    out, texts = write(tmp_path, 40, "small")
    assert out.parent == tmp_path / "reports" and text_of(out) == "small"
    assert "stays as it is, since it says more about these weights; this report is in" in texts[0]
    assert text_of(tmp_path / "report") == "large"


def test_a_report_that_was_put_aside_takes_its_place_once_it_says_more(tmp_path: Path) -> None:
    """A report of 3,776 samples that said partly was put aside for good when its first 270 were written; a yes by 789 stayed."""
    (tmp_path / "model.safetensors").write_bytes(b"one")
    write(tmp_path, 100, "earlier")
    aside, _ = write(tmp_path, 40, "begun")
    assert write(tmp_path, 60, "continued", aside=aside) == (aside, [])
    out, texts = write(tmp_path, 200, "complete", aside=aside)
    assert out == tmp_path / "report" and text_of(out) == "complete" and "is kept in" in texts[0]
    assert [text_of(path) for path in (tmp_path / "reports").iterdir()] == ["earlier"]
    assert write(tmp_path, 300, "larger", aside=out) == (out, [])


def test_answers_go_before_numbers(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"one")
    write(tmp_path, 145, "no answer", answers=0)
    assert write(tmp_path, 90, "three answers")[0] == tmp_path / "report"
    assert write(tmp_path, 1000, "one answer", answers=1)[0].parent == tmp_path / "reports"


@pytest.mark.parametrize(("samples", "weights"), [(100, b"one"), (200, b"one"), (5, b"two")])
def test_as_many_samples_or_new_weights_take_its_place_and_it_is_kept(
    samples: int, weights: bytes, tmp_path: Path
) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"one")
    write(tmp_path, 100, "first")
    (tmp_path / "model.safetensors").write_bytes(weights)
    out, texts = write(tmp_path, samples, "second")
    assert out == tmp_path / "report" and text_of(out) == "second"
    assert "the earlier report is kept in" in texts[0]
    assert [text_of(path) for path in (tmp_path / "reports").iterdir()] == ["first"]


def test_reports_of_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"one")
    for number in range(4):
        write(tmp_path, 10, str(number))
    assert sorted(text_of(path) for path in (tmp_path / "reports").iterdir()) == ["0", "1", "2"]


@pytest.mark.parametrize(
    "damaged",
    ["{", "[]", '{"basis": 5}', '{"basis": {"samples": "x", "weights": 1, "time": "never"}}', '{"basis": null}'],
)
def test_a_report_that_does_not_say_what_it_rests_on_is_replaced(damaged: str, tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.json").write_text(damaged)
    out, texts = write(tmp_path, 10, "new")
    assert out == tmp_path / "report" and text_of(out) == "new" and not texts


def write_trained(run: Path, weights: bytes, passes: float | None, answers: int) -> tuple[Path, list[str]]:
    """A report on weights after so many passes over the data; where it went, and what was said."""
    messages = Lines()
    (run / "model.safetensors").write_bytes(weights)
    report = EvaluationReport.of(Measurements(), run="run", family="gan", modality="image")
    basis = replace(basis_of(run, report, 100, False, passes), answers=answers)
    out, _ = _place(run, basis, None, messages)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps({"scores": [], "basis": asdict(basis)}))
    return out, messages.lines


def test_a_report_that_says_less_of_weights_trained_for_hardly_longer_does_not_take_its_place(tmp_path: Path) -> None:
    write_trained(tmp_path, b"one", passes=40.0, answers=3)
    out, texts = write_trained(tmp_path, b"two", passes=42.0, answers=1)
    assert out.parent == tmp_path / "reports"
    assert "since it says more about weights that were trained for nearly as long" in texts[0]
    # Data that is read again may give a few examples less
    assert write_trained(tmp_path, b"again", passes=39.99, answers=1)[0].parent == tmp_path / "reports"
    assert write_trained(tmp_path, b"three", passes=42.0, answers=3)[0] == tmp_path / "report"
    assert write_trained(tmp_path, b"four", passes=60.0, answers=1)[0] == tmp_path / "report"


@pytest.mark.parametrize(("before", "after"), [(None, 42.0), (40.0, None), (40.0, 20.0)])
def test_weights_whose_training_cannot_be_compared_take_its_place(
    before: float | None, after: float | None, tmp_path: Path
) -> None:
    write_trained(tmp_path, b"one", before, answers=3)
    assert write_trained(tmp_path, b"two", after, answers=1)[0] == tmp_path / "report"


def test_a_sampling_that_was_stopped_is_no_reason_for_what_was_not_measured() -> None:
    stopped = Measurements(is_sampling_stopped=True)
    assert stopped.is_stopped and stopped.ended_by == ""
    assert replace(stopped, is_out_of_time=True).ended_by == "time was up before it was measured"
    assert replace(stopped, is_measuring_stopped=True).ended_by == "the evaluation was stopped before it was measured"
