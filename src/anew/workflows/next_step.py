"""The next step after a report: what would answer its open questions, or make the samples better."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from anew.core.wording import QUESTIONS
from anew.errors import command
from anew.runs.report_record import ReportRecord


@dataclass(frozen=True, slots=True)
class NextStep:
    """A suggestion.

    Attributes:
        purpose: What it is for, one word.
        text: A command, or a sentence where no command helps.
        is_command: Which of the two it is.
    """

    purpose: str
    text: str
    is_command: bool = True


def next_step(run: Path | str, report: ReportRecord) -> NextStep:
    """The step that helps most. run: the folder or the address of the run."""
    grades = [report.grades.get(question) for question in QUESTIONS]
    if report.copies is not None and grades[2] == "poor":
        advice = "copies come with many passes over few items: give more data, or a shorter budget"
        return NextStep("fewer", advice, is_command=False)
    evaluate = command("anew", "evaluate", run)
    if grades[0] == "good":
        return NextStep("confirm", evaluate)
    if None in grades or "not_settled" in grades:
        return NextStep("answers", evaluate)  # it takes the time that they need
    if "closeness" in report.samples_needed:  # more training would not tell
        n = report.samples_needed["closeness"]
        if n:
            return NextStep("answers", command("anew", "evaluate", run, "-n", str(n)))
        advice = "a yes to Close? takes more data: too few items are held out"
        if _lacked_time(report):
            return NextStep("answers", f"{evaluate} can settle New?; {advice}", is_command=False)
        return NextStep("answers", advice, is_command=False)
    return NextStep("better", command("anew", "resume", run, "--budget", "10m"))


def _lacked_time(report: ReportRecord) -> bool:
    """Whether the copying test was cut short by the time limit of a training run, which `evaluate` does not have."""
    copies = report.copies
    return (
        copies is not None
        and report.grades.get("novelty") == "fair"
        and (copies.shortened or copies.limited_by == "time")
    )
