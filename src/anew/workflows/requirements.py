"""Requirements on a report for automatic checks: parse conditions, check them, write a badge and a JUnit file."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from anew.core import files
from anew.errors import ConfigError, did_you_mean, shorten
from anew.evaluation.figure_titles import TITLES
from anew.evaluation.memorization.copy_verdict import copy_verdict
from anew.evaluation.memorization.thresholds import ALPHA

if TYPE_CHECKING:
    from anew.evaluation.reporting.report import EvaluationReport

COPIES = "copies"
BADGE, JUNIT = "badge.svg", "junit.xml"
ADVICE = "give conditions like copies,coverage<0.8"
SIGNS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(<=|>=|<|>)\s*(\S+)\s*")
LETTER = 6.6  # about the width of a letter of a badge in pixels, in its font of 11 pixels


@dataclass(frozen=True, slots=True)
class Requirement:
    """A condition on which a check fails.

    Attributes:
        text: The condition as it was given.
        name: Name of a score, or "copies".
        sign: One of SIGNS, by which the score is compared; "" for copies.
        bound: The value that the score is compared with.
    """

    text: str
    name: str
    sign: str = ""
    bound: float = 0.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Whether a check passed.

    Attributes:
        requirement: The condition that was checked.
        passed: True if the condition was checked and does not hold. A score that was not measured has not passed, nor has a
            copying test that could not have noticed copies.
        sentence: The result in words.
    """

    requirement: Requirement
    passed: bool
    sentence: str


def parse_requirements(text: str) -> list[Requirement]:
    """Parse conditions with commas between, as in "copies,coverage<0.8".

    Raises:
        ConfigError: One is not a condition, or no report has such a score.
    """
    requirements = [_parsed(part.strip()) for part in text.split(",")]
    for requirement in requirements:
        if requirement.name != COPIES and not _is_figure(requirement.name):
            what = f"`fail_on` {shorten(requirement.text)}: no figure is called {requirement.name!r}"
            raise ConfigError(f"{what}{_hint(requirement.name)}")
    return requirements


def _is_figure(name: str) -> bool:
    """Whether a report can hold a figure of this name, which may be the bits of a named part of a mixed model."""
    bits = [known for known in TITLES if known.startswith("bits_per_")]
    return name in TITLES or any(name.startswith(f"{known}_") for known in bits)


def _hint(name: str) -> str:
    """The figure that has this title in reports, or a similar name; else where the names are."""
    titled = next((known for known, title in TITLES.items() if title.lower() == name.lower()), None)
    hint = did_you_mean(name, TITLES) if titled is None else f"; did you mean {titled!r}?"
    return hint if hint.endswith("?") else "; `scores` in report/report.json of a run has the names of its figures"


def _parsed(part: str) -> Requirement:
    if part == COPIES:
        return Requirement(part, COPIES)
    match = _CONDITION.fullmatch(part)
    if match is not None and match[1] == COPIES:
        raise ConfigError(
            f"`fail_on` {shorten(part)} has a bound, but {COPIES} is a yes or a no; give {COPIES}, or bound copied_share"
        )
    try:
        bound = float(match[3]) if match else math.nan
    except ValueError:
        bound = math.nan
    if match is None or not math.isfinite(bound):
        raise ConfigError(f"`fail_on` {shorten(part)} is not a condition; {ADVICE}")
    return Requirement(part, match[1], match[2], bound)


def check_requirements(report: EvaluationReport, requirements: Sequence[Requirement]) -> list[CheckResult]:
    """Check each requirement. Writes the badge and the JUnit file next to the report.

    Args:
        report: The report to check.
        requirements: The conditions, as from `parse_requirements`.
    """
    outcomes = [_outcome(report, requirement) for requirement in requirements]
    if report.folder is not None:
        files.write_text(report.folder / BADGE, badge(outcomes))
        files.write_text(report.folder / JUNIT, junit(report.run, outcomes))
    return outcomes


def _outcome(report: EvaluationReport, requirement: Requirement) -> CheckResult:
    if requirement.name == COPIES:
        return _copies_outcome(report, requirement)
    values = {score.name: score.value for score in report.scores}
    value = values.get(requirement.name, math.nan)
    if not math.isfinite(value):
        return CheckResult(requirement, passed=False, sentence=f"{requirement.name} was not measured")
    fails = SIGNS[requirement.sign](value, requirement.bound)
    return CheckResult(requirement, passed=not fails, sentence=f"{requirement.name} is {value:.4g}")


def _copies_outcome(report: EvaluationReport, requirement: Requirement) -> CheckResult:
    copies = report.copies
    if copies is None:
        return CheckResult(requirement, passed=False, sentence="copies were not checked for")
    repeats_surely = copies.identical_p is not None and copies.identical_p <= ALPHA
    if not copies.detected and (report.grades.get("novelty") == "poor" or repeats_surely):
        return CheckResult(requirement, passed=False, sentence=report.figures["novelty"])
    if copies.detected or not copies.has_power:
        return CheckResult(requirement, passed=False, sentence=f"{copy_verdict(copies).clause} (p = {copies.p:.2g})")
    return CheckResult(requirement, passed=True, sentence=f"no copies were found (p = {copies.p:.2g})")


def badge(outcomes: Sequence[CheckResult]) -> str:
    """An SVG badge that says how many checks passed, or which failed."""
    failed = [outcome.requirement.name for outcome in outcomes if not outcome.passed]
    left, right = "anew", f"failed: {', '.join(failed)}" if failed else f"{len(outcomes)} passed"
    colour = "#b3261e" if failed else "#2e7d32"
    widths = [round(LETTER * len(text) + 12) for text in (left, right)]
    total = sum(widths)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total}" height="20" role="img" '
        f'aria-label="{left}: {escape(right)}">'
        f'<clipPath id="r"><rect width="{total}" height="20" rx="3"/></clipPath><g clip-path="url(#r)">'
        f'<rect width="{widths[0]}" height="20" fill="#444"/>'
        f'<rect x="{widths[0]}" width="{widths[1]}" height="20" fill="{colour}"/></g>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="{widths[0] / 2}" y="14">{left}</text>'
        f'<text x="{widths[0] + widths[1] / 2}" y="14">{escape(right)}</text></g></svg>\n'
    )


def junit(run: str, outcomes: Sequence[CheckResult]) -> str:
    """JUnit XML, which build servers read, with one test case for each condition."""
    failures = sum(not outcome.passed for outcome in outcomes)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines.append(f'<testsuite name="anew evaluate" tests="{len(outcomes)}" failures="{failures}" errors="0">')
    for outcome in outcomes:
        case = f'  <testcase classname="{_attribute(run)}" name="not {_attribute(outcome.requirement.text)}"'
        sentence = _attribute(outcome.sentence)
        if outcome.passed:
            lines.append(f"{case}><system-out>{sentence}</system-out></testcase>")
        else:
            lines.append(f'{case}><failure message="{sentence}"/></testcase>')
    return "\n".join([*lines, "</testsuite>", ""])


def _attribute(text: str) -> str:
    """Escape a text for XML, and replace characters that XML cannot hold."""
    return escape("".join(c if c.isprintable() else "\ufffd" for c in text))
