"""Conditions on which a check fails: how they are read, what they say of a report, the badge and the JUnit file."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from anew.errors import ConfigError
from anew.evaluation.reporting.measurements import Measurements
from anew.evaluation.reporting.report import EvaluationReport
from anew.workflows.requirements import CheckResult, check_requirements, parse_requirements
from evaluation.reporting.test_report import copies
from scores import score


def report(folder: Path | None = None, **more: Any) -> EvaluationReport:
    scores = [score("coverage", 0.75), score("recall", float("nan"))]
    report = EvaluationReport.of(
        Measurements(scores=scores), run="<run> & 'more'\x00", family="gan", modality="image", folder=folder
    )
    for name, value in more.items():
        object.__setattr__(report, name, value)
    return report


def outcomes(text: str, **more: Any) -> list[CheckResult]:
    return check_requirements(report(**more), parse_requirements(text))


@pytest.mark.parametrize(
    ("text", "passed"),
    [("coverage<0.8", False), ("coverage<0.75", True), ("coverage<=0.75", False), ("coverage>0.7", False),
     ("coverage >= 0.8", True), ("recall<0.5", False), ("precision<0.5", False), ("copies", False)],
)  # fmt: skip
def test_a_condition(text: str, passed: bool) -> None:
    (outcome,) = outcomes(text)
    assert outcome.passed is passed, outcome.sentence


def test_what_was_not_measured_has_not_passed() -> None:
    sentences = [outcome.sentence for outcome in outcomes("recall<0.5,precision<0.5,copies")]
    assert sentences == [
        "recall was not measured",
        "precision was not measured",
        "copies were not checked for",
    ]


def test_copies() -> None:
    result = copies(detected=True, p=0.001, share=0.2, low=0.12, identical_p=0.001)
    (outcome,) = outcomes("copies", copies=result)
    assert not outcome.passed and "12% of the samples are copies of training items (p" in outcome.sentence
    (outcome,) = outcomes("copies", copies=copies(identical_p=0.02))
    assert outcome.passed and "no copies were found (p = 0.4)" in outcome.sentence
    recited = {"grades": {"novelty": "poor"}, "figures": {"novelty": "97% of the text is word for word"}}
    (outcome,) = outcomes("copies", copies=copies(identical_p=0.02), **recited)
    assert not outcome.passed and outcome.sentence == "97% of the text is word for word"


def test_repeated_training_items_fail_a_check_for_copies() -> None:
    fact = {"figures": {"novelty": "80 of 400 samples are identical to a training item"}, "grades": {"novelty": "fair"}}
    (outcome,) = outcomes("copies", copies=copies(identical_p=1e-9), **fact)
    assert not outcome.passed and outcome.sentence.startswith("80 of 400 samples are identical")


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"samples": 5}, "5 samples compared; at least 20 are needed"),
        ({"method": "reference", "held_out": 0}, "without held-out items the test cannot prove it"),
        ({"control_p": 1e-4}, "the test is not valid"),
        ({"seen_p": 1e-6, "identical": 0, "held_out_identical": 40}, "has probably seen the held-out items"),
        ({"detection_limit": None, "controls": []}, "how few would have been noticed was not measured"),
    ],
)
def test_a_test_that_could_not_notice_copies_has_not_passed(facts: dict[str, Any], sentence: str) -> None:
    """A check for privacy was green after five samples."""
    (outcome,) = outcomes("copies", copies=copies(**facts))
    assert not outcome.passed and sentence in outcome.sentence


@pytest.mark.parametrize("text", ["", ",", "copies,", "copied", "coverage", "coverage<", "coverage<x", "coverage<nan", "coverage<inf",
                                  "coverage=1", "<1", "Coverage<1", "coverage<1<2"])  # fmt: skip
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a condition; give conditions like"):
        parse_requirements(text)


@pytest.mark.parametrize("text", ["copies>0.05", "coverage<0.5,copies<0.1"])
def test_copies_have_no_bound(text: str) -> None:
    with pytest.raises(
        ConfigError, match="has a bound, but copies is a yes or a no; give copies, or bound copied_share"
    ):
        parse_requirements(text)


@pytest.mark.parametrize("text", ["coverag<0.5", "copies,coverage<0.5,coverag<0.5"])
def test_an_unknown_figure_is_refused_before_anything_is_measured(text: str) -> None:
    with pytest.raises(ConfigError, match=r"'.*': no figure is called 'coverag'; did you mean 'coverage'\?"):
        parse_requirements(text)


def test_a_name_like_no_other_is_answered_with_where_they_are() -> None:
    with pytest.raises(
        ConfigError,
        match=r"no figure is called 'zzzzzz'; `scores` in report/report.json of a run has the names of its figures",
    ):
        parse_requirements("zzzzzz<1")


def test_a_figure_is_found_by_its_title_in_reports() -> None:
    with pytest.raises(ConfigError, match=r"no figure is called 'buzzing'; did you mean 'pulse_distance'\?"):
        parse_requirements("buzzing<0.3")


def test_every_kind_of_figure_is_known() -> None:
    names = "frechet_distance sharpness pure_white stereo_width pulse_distance known_words valid_share copied_share novelty_auc"
    bits = "bits_per_character bits_per_residue_uniform bits_per_character_experts bits_gap"
    classifiers = "areas slopes faint_patterns motion_directions motion_speeds"
    silence = "silence_before silence_after"  # figures of whole files
    for name in f"{names} {bits} {classifiers} {silence}".split():
        assert parse_requirements(f"{name}<0.5")[0].name == name


def test_badge_and_junit(tmp_path: Path) -> None:
    outcomes("coverage<0.8,coverage<0.5", folder=tmp_path)
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failed, passed = suite.findall("testcase")
    assert failed.get("name") == "not coverage<0.8" and failed.get("classname") == "<run> & 'more'\ufffd"
    assert failed.find("failure").get("message") == "coverage is 0.75"  # type: ignore[union-attr]
    assert passed.find("failure") is None
    badge = ElementTree.parse(tmp_path / "badge.svg").getroot()
    assert badge.get("aria-label") == "anew: failed: coverage"
    outcomes("coverage<0.5", folder=tmp_path)
    assert "1 passed" in (tmp_path / "badge.svg").read_text()
