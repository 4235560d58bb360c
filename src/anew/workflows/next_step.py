"""The next step after a report: what would answer its open questions, or make the samples better."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from anew.core.wording import BARELY_TRAINED, QUESTIONS
from anew.data.modality import load_modality
from anew.errors import command
from anew.evaluation.memorization.thresholds import MIN_RELATIVE_LOWER_END
from anew.runs.report_record import CopiesRecord, ReportRecord

# Passes over the data above which they may explain copies. Chosen: up to four passes over text are nearly as good as new text
# (Muennighoff et al. 2023, arXiv 2305.16264).
MANY_PASSES = 4.0
# Factor of the number of samples among which copies that chance may explain are looked for once more; chosen
CONFIRMING = 3


@dataclass(frozen=True, slots=True)
class NextStep:
    """A suggestion.

    Attributes:
        purpose: Its purpose, one word.
        text: A command, or a sentence where no command helps.
        is_command: Which of the two it is.
    """

    purpose: str
    text: str
    is_command: bool = True


def next_step(run: Path | str, report: ReportRecord) -> NextStep:
    """The step that helps most. run: the folder or the address of the run."""
    grades = [report.grades[question] for question in QUESTIONS]
    evaluate = command("anew", "evaluate", run)
    if report.copies is not None and grades[2] == "poor":
        return _against_copies(report, report.copies, evaluate)
    may_copy = report.copies is not None and report.copies.detected and not report.copies.only_leans
    if report.copies is not None and may_copy and report.basis is not None:
        number = [] if report.copies.is_coarse else ["-n", str(CONFIRMING * report.basis.samples)]
        return NextStep("confirm", command("anew", "evaluate", run, *number))
    if _is_hardly_trained(report) and grades[0] != "good":
        return NextStep(
            "better", command("anew", "resume", run, "--budget", "10m")
        )  # what it cannot yet do needs no report
    if "not_measured" in grades or "not_settled" in grades:
        return NextStep("answers", evaluate)  # it takes the time that they need
    is_close, is_open = grades[0] == "good", report.samples_needed.get("closeness") is not None
    settling = settling_step(run, report)
    if settling is not None and (is_close or is_open):  # more training would not tell
        return settling
    if is_close:
        return NextStep("confirm", evaluate)
    if is_open:
        if _lacked_time(report):
            return NextStep("answers", evaluate)  # New? can be settled
        return NextStep("open", "more data is needed for a yes to Close?", is_command=False)
    if report.has_flattened:
        # Only one family learns text; early reports do not say what the data is
        is_text = report.modality is not None and load_modality(report.modality).traits.is_text
        changes = "more data" if is_text else "more data or another family"
        return NextStep("better", f"{changes}; more time alone may bring little", is_command=False)
    return NextStep("better", command("anew", "resume", run, "--budget", "10m"))


def settling_step(run: Path | str, report: ReportRecord) -> NextStep | None:
    """A report of as many samples as the open questions need; None if there are none that more samples would answer."""
    settling = (n or 0 for question, n in report.samples_needed.items() if question not in report.needs_data)
    n = max(settling, default=0)  # one report settles all
    return NextStep("answers", command("anew", "evaluate", run, "-n", str(n))) if n else None


def next_steps(run: Path | str, report: ReportRecord) -> list[NextStep]:
    """The step that helps most and, where that makes the samples better, the one that answers what is open."""
    first, settling = next_step(run, report), settling_step(run, report)
    if _is_hardly_trained(report):
        return [first]
    if settling is None and _lacked_time(report):
        settling = NextStep("answers", command("anew", "evaluate", run))
    return [first, settling] if settling is not None and first.purpose in ("better", "open") else [first]


def _against_copies(report: ReportRecord, copies: CopiesRecord, evaluate: str) -> NextStep:
    """Steps that make copies rarer or, where their number is not known, that measure it."""
    if copies.low is not None and copies.low < MIN_RELATIVE_LOWER_END * copies.share:
        if copies.limited_by == "time":
            return NextStep("answers", evaluate)
        return NextStep("check", "the report shows the closest pairs", is_command=False)
    passes = None if report.basis is None else report.basis.passes
    text = "more data makes copies rarer"
    if passes is not None and passes > MANY_PASSES:
        text = f"copies come with many passes over few items (about {passes:,.0f} here): give more data, or a shorter budget"
    # The text is recited, in passages that are too short for the copying test
    elif passes is not None and not copies.detected:
        text = (
            f"after so few passes over the data ({passes:.2g}) copies come from the counts that are mixed with the network; "
            "train again with ngrams=false and contexts=false, which leave them out"
        )
    elif passes is not None:
        text = f"{text}; a shorter budget does not ({passes:.2g} passes over the data were made)"
    return NextStep("fewer", text, is_command=False)


def _is_hardly_trained(report: ReportRecord) -> bool:
    """Whether the model had so few steps that a report says little about it."""
    steps = None if report.basis is None else report.basis.steps
    return steps is not None and steps < BARELY_TRAINED


def _lacked_time(report: ReportRecord) -> bool:
    """Whether the copying test was cut short by the time limit of a training run, which `evaluate` does not have."""
    copies = report.copies
    return (
        copies is not None
        and report.grades.get("novelty") in ("fair", "too_few")
        and (copies.shortened or copies.limited_by == "time")
    )
