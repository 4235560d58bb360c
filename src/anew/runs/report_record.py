"""report.json of a run, checked before use. A value that does not fit raises a RunError that names the file and the field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ConfigDict, Field, ValidationError, field_validator

from anew.core import files
from anew.core.files import JsonObject, JsonValue
from anew.core.schema import Flag, Real, Record, Share, Text, Whole, described
from anew.core.version import REPORT_FORMAT
from anew.core.wording import QUESTIONS
from anew.errors import RunError, command

REPORT = "report"  # the folder of a run in which it lies


class _ExtensibleRecord(Record):
    """A part of a report. Later versions may add fields, which are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ScoreRecord(_ExtensibleRecord):
    name: Text
    title: Text = ""
    value: Real | None = None
    low: Real | None = None
    high: Real | None = None
    real_baseline: Real | None = None
    naive_baseline: Real | None = None
    n: Whole = 0
    counts_from: Whole = 0  # not 0: it was measured on fewer items than say something


class ControlRecord(_ExtensibleRecord):
    variant: Text
    rate: Share
    caught: Share


class PictureRecord(_ExtensibleRecord):
    ranks: list[Whole]
    shares: list[Real]
    line: list[Real]
    expected: Real
    planted: list[Real] | None = None
    planted_rate: Real | None = None
    tested: Whole | None = None  # unknown in reports of older versions


class NearRecord(_ExtensibleRecord):
    samples: Share
    real: Share
    bound: Share | None = None


class CopiesRecord(_ExtensibleRecord):
    detected: Flag
    p: Share
    share: Share
    low: Share | None = None  # unknown in reports of older versions
    verdict: Text
    method: Text
    distance: Text
    samples: Whole
    identical: Whole | None = 0
    train: Whole
    held_out: Whole
    detection_limit: Share | None = None
    exact_limit: Share | None = None
    near: NearRecord | None = None  # unknown in reports of older versions
    shortened: Flag = False
    is_coarse: Flag = False  # unknown in reports of older versions, as is the next
    only_leans: Flag = False
    limited_by: Text = ""
    reference_p: Share | None = None
    control_p: Share | None = None
    controls: list[ControlRecord] = Field(default_factory=list)
    picture: PictureRecord | None = None

    @property
    def limit(self) -> float | None:
        """The largest share of copies that may have been missed; None if that is not known."""
        bound = None if self.near is None else self.near.bound
        return bound if self.detection_limit is None else self.detection_limit


class BasisRecord(_ExtensibleRecord):
    answers: Whole
    measured: Whole
    samples: Whole
    weights: Text
    time: Text
    is_stopped: Flag = False  # unknown in reports of older versions
    passes: Real | None = None  # the same
    steps: Whole | None = None  # the same


class ReportRecord(_ExtensibleRecord):
    """The fields of report.json that Anew reads."""

    scores: list[ScoreRecord]
    copies: CopiesRecord | None = None
    verdict: dict[Text, Text] = Field(default_factory=dict)
    grades: dict[Text, Text] = Field(default_factory=dict, validate_default=True)
    figures: dict[Text, Text] = Field(default_factory=dict)
    samples_needed: dict[Text, Whole | None] = Field(default_factory=dict)
    needs_data: list[Text] = Field(default_factory=list)
    notes: list[Text] = Field(default_factory=list)
    basis: BasisRecord | None = None
    has_flattened: Flag | None = None  # unknown in reports of older versions
    modality: Text | None = None

    @property
    def informative_scores(self) -> list[ScoreRecord]:
        """The scores that were measured on enough items to say something."""
        return [score for score in self.scores if not score.counts_from]

    @field_validator("grades")
    @classmethod
    def _complete(cls, grades: dict[str, str]) -> dict[str, str]:
        """Reports of older versions left out what was not measured."""
        return dict.fromkeys(QUESTIONS, "not_measured") | grades


def as_record(report: Mapping[str, object]) -> ReportRecord:
    """The record of a report that was already checked, or was made in this process."""
    return ReportRecord.model_validate(report)


def read_record(run: Path) -> ReportRecord:
    """The record of the report.json in a run folder.

    Raises:
        RunError: It is missing, damaged, or does not fit.
    """
    return _read(run)[1]


def record_or_none(run: Path) -> ReportRecord | None:
    """As `read_record`, but None if there is no readable report."""
    try:
        return read_record(run)
    except RunError:
        return None


def is_stopped(run: Path) -> bool:
    """Whether a signal ended the sampling or the measuring of a run's report."""
    report = record_or_none(run)
    return report is not None and report.basis is not None and report.basis.is_stopped


def read_report(run: Path) -> JsonObject:
    """The whole report.json of a run folder, with the fields of `ReportRecord` checked; raises as `read_record`."""
    return _read(run)[0]


def _with_present_names(report: JsonValue) -> JsonValue:
    """A report with the present names of fields that reports of older versions call otherwise, and then with the present format."""
    copies = report.get("copies") if isinstance(report, dict) else None
    if not isinstance(report, dict) or not isinstance(copies, dict):
        return report
    copies = {"detected" if name == "found" else name: value for name, value in copies.items()}
    if isinstance(controls := copies.get("controls"), list):
        copies["controls"] = [
            {"variant" if name == "kind" else name: value for name, value in control.items()}
            if isinstance(control, dict)
            else control
            for control in controls
        ]
    return report if copies == report["copies"] else {**report, "format": REPORT_FORMAT, "copies": copies}


def _read(run: Path) -> tuple[JsonObject, ReportRecord]:
    path = run / REPORT / "report.json"
    value = _with_present_names(files.read_json(path))
    try:
        record = ReportRecord.model_validate(value)
    except (ValidationError, RecursionError) as error:
        reason = described(error) if isinstance(error, ValidationError) else "it is nested too deep"
        advice = command("anew", "evaluate", run)
        raise RunError(f"{str(path)!r} was edited or is damaged: {reason}; run `{advice}`") from None
    assert isinstance(value, dict)
    return value, record


def report_or_none(run: Path) -> JsonObject | None:
    """As `read_report`, but None if there is no readable report."""
    try:
        return read_report(run)
    except RunError:
        return None
