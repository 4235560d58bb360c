"""Results of commands in the few lines that people read: the data, the end of a run, settings, figures."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from anew.api import as_record, next_steps
from anew.cli.terminal import Span
from anew.core.wording import QUESTIONS, answer_of, plural
from anew.errors import command

if TYPE_CHECKING:
    from anew import Scores
    from anew.api import Inspection, NearestItems, ReportRecord, RunInspection, SettingInfo

Line = list[Span]
SETTINGS_WIDTH = 80  # columns that the list of settings is wrapped to, those of an ordinary terminal
SHOWN_BEFORE = 10  # characters of it before the first difference to its nearest one
SHOWN_PASSAGE = 100  # characters of a passage that two long texts have in common: about a line
SHOWN_TEXT = 40  # characters of a text that is shown next to its name: two of them fit a line
STYLES = {"good": "bold green", "poor": "bold red", "not_measured": "dim"}  # grades; all others are in OPEN_STYLE
OPEN_STYLE = "bold yellow"


# ---- look ----


def describe(inspection: Inspection) -> list[Line]:
    """`anew look`: what the data is, which model fits and why, then details."""
    lines: list[Line] = [
        [("data:   ", "bold"), (f"{inspection.amount} ({inspection.path})", "")],
        [("model:  ", "bold"), (inspection.family, "bold cyan")],
        [("because ", "bold"), (inspection.reason or "requested", "")],
        [],
    ]
    return lines + [[(text, "")] for text in _details(inspection)]


def describe_run(run: RunInspection) -> list[Line]:
    """`anew look RUN`: the run, its answers, and possible next steps."""
    facts = run.facts()
    width = max(map(len, facts)) + 2
    lines: list[Line] = [[(f"{title + ':':<{width}}", "bold"), (text, "")] for title, text in facts.items()]
    if run.report is not None:
        report = as_record(run.report)
        address = None if run.path == str(run.folder) else run.path
        return [*lines, [], *closing(report), [], *places(run.folder, report, address)]
    return [*lines, [], *([(f"{purpose:<9}", "bold"), (text, "")] for purpose, text in run.commands.items())]


def _details(inspection: Inspection) -> Iterator[str]:
    yield from inspection.details()
    for preference, alternative in inspection.alternatives.items():
        yield f"with --prefer {preference}: {alternative.family} ({alternative.reason})"
    if inspection.budgets:
        yield "estimates of what a budget can train, at the present load:"
    for estimate in inspection.budgets:
        yield f"  {estimate.duration:>6}: {estimate.training}"


# ---- the end of a run ----


def closing(report: ReportRecord) -> list[Line]:
    """The three answers of a report, each with the figure that carries it, and what more training would bring, if that is known."""
    width = max(map(len, QUESTIONS.values())) + 2
    grades = [report.grades[question] for question in QUESTIONS]
    column = max(len(answer_of(grade)) for grade in grades) + 2
    lines: list[Line] = []
    for (question, title), grade in zip(QUESTIONS.items(), grades, strict=True):
        figure = report.figures.get(question, "")
        answer = f"{answer_of(grade):<{column}}" if figure else answer_of(grade)
        lines.append([(f"{title:<{width}}", ""), (answer, STYLES.get(grade, OPEN_STYLE)), (figure, "")])
    outlook = report.verdict.get("outlook")
    if outlook and report.grades["novelty"] != "poor":  # where samples are copies, more passes make more of them
        lines.append([(f"{'More training?':<{width}}", ""), (outlook, "")])
    return lines


def places(folder: Path, report: ReportRecord, address: str | None = None) -> list[Line]:
    """Where the files of a finished run are, and commands to try next. address: where it is kept besides."""
    run = address or folder
    samples = next(iter(sorted((folder / "samples").glob("final.*"))), folder / "samples")
    rows = [("samples", str(samples)), ("report", str(folder / "report" / "report.html"))]
    if address is not None:
        rows.append(("kept at", address))
    # With the usual seed, 0, the first ones would be those that lie in the run
    sample = command("anew", "sample", run, "--out", "DIR", "-n", "100", "--seed", "1")
    rows += [("more", sample), *((step.purpose, step.text) for step in next_steps(run, report))]
    return [[(f"{title:<9}", "bold"), (text, "")] for title, text in rows]


def after_evaluation(run: str, report: ReportRecord) -> list[Line]:
    """What to try after `anew evaluate`; nothing where that would be the same command once more."""
    steps = [step for step in next_steps(run, report) if step.text != command("anew", "evaluate", run)]
    return [[(f"{step.purpose:<9}", "bold"), (step.text, "")] for step in steps]


def score_table(report: ReportRecord) -> list[Line]:
    """All scores compared with what real data gets in the samples' place."""
    scores = report.scores
    width = max((len(score.name) for score in scores), default=0)
    lines: list[Line] = [[(f"{'figure':<{width}}  {'value':>10}  {'real data':>10}", "bold")]] if scores else []
    for score in scores:
        numbers = "  ".join(f"{_number(number):>10}" for number in (score.value, score.real_baseline))
        lines.append([(f"{score.name:<{width}}  {numbers}", "")])
    return lines


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


# ---- score ----


def _with_text(name: str, text: str | None) -> str:
    """The name of an item, with its text, of which only the beginning is shown if it is long; none of several lines."""
    if text is None or "\n" in text:
        return name
    return f"{name} {text if len(text) <= SHOWN_TEXT else text[: SHOWN_TEXT - 4] + ' ...'}"


def _from_difference(text: str | None, nearest_text: str | None) -> tuple[str | None, str | None]:
    """Two texts; long ones that begin alike are cut shortly before their first difference."""
    if text is None or nearest_text is None or max(len(text), len(nearest_text)) <= SHOWN_TEXT:
        return text, nearest_text
    differing = (place for place, pair in enumerate(zip(text, nearest_text, strict=False)) if pair[0] != pair[1])
    start = next(differing, min(len(text), len(nearest_text))) - SHOWN_BEFORE
    if start <= 0 or text == nearest_text:
        return text, nearest_text
    return f"... {text[start:]}", f"... {nearest_text[start:]}"


def nearest_lines(nearest: NearestItems) -> list[Line]:
    """`anew nearest`: a row for each item, and how to read the distances."""
    cells = []
    for item in nearest.items:
        text, nearest_text = _from_difference(item.text, item.nearest_text)
        cells.append((_with_text(item.name, text), _with_text(item.nearest or "nothing", nearest_text)))
    width, place_width = (max(map(len, column)) for column in zip(*cells, strict=True))
    rows: list[Line] = []
    for (name, place), item in zip(cells, nearest.items, strict=True):
        style = "bold red" if item.close else ""
        rows.append([(f"{name:<{width}}  {place:<{place_width}}  ", ""), (item.caption, style)])
        if item.passage is not None:
            shown = item.passage if len(item.passage) <= SHOWN_PASSAGE else f"{item.passage[: SHOWN_PASSAGE - 4]} ..."
            rows.append([(f"    {shown!r}", "dim")])
    skipped: list[Line] = [[(note, "")] for note in nearest.notes]
    return [*rows, *skipped, [], *([(line, "dim")] for line in textwrap.wrap(nearest.explanation, SETTINGS_WIDTH))]


def score_lines(scores: Scores) -> list[Line]:
    """The result of `anew score`: a line for each of several files, then the figures of all of them."""
    unit = scores.unit
    lines: list[Line] = []
    if scores.skipped:
        num_scored = sum(file.records for file in scores.files)
        lines.append([(f"{num_scored:,} of {plural(num_scored + scores.skipped, 'item')} could be scored", "bold")])
    if len(scores.files) > 1:
        width = max(len(file.file) for file in scores.files)
        lines.append(
            [(f"{'file':<{width}}  {'bits per ' + unit:>20}  {unit + 's':>12}  {'log-likelihood':>16}", "bold")]
        )
        for file in scores.files:
            figures = f"{file.bits_per_unit:>20.4f}  {file.units:>12,.0f}  {file.log_likelihood:>16,.1f}"
            lines.append([(f"{file.file:<{width}}  {figures}", "")])
        lines.append([])
    figures_of_all = list(_score_figures(scores))
    width = max(len(name) for name, _ in figures_of_all)
    lines += [[(f"{name:<{width}}  ", "bold"), (figure, "")] for name, figure in figures_of_all]
    return [*lines, *([(note, "")] for note in scores.notes)]


def _score_figures(scores: Scores) -> Iterator[tuple[str, str]]:
    """The figures of all the data, each with its name."""
    upper, lower = ("", "") if scores.bound == "exact" else (" (an upper bound)", " (a lower bound)")
    yield f"bits per {scores.unit}", f"{scores.bits_per_unit:.4f}{upper}"
    for part, bits_per_unit in scores.bits_per_unit_by_part.items():
        without = ", without what was counted in the training data" if part == "network" else ""
        yield f"by the {part} alone", f"{bits_per_unit:.4f}{without}"
    yield f"{scores.unit}s", f"{scores.units:,.0f}"
    yield "bits", f"{scores.bits:,.1f}{upper}"
    yield "log-likelihood", f"{scores.log_likelihood:,.1f} nats{lower}"


# ---- settings ----


def setting_lines(groups: Mapping[str, str], settings: Sequence[SettingInfo]) -> list[Line]:
    """Settings under the titles of their groups and owners, two lines each. groups: title by name."""
    lines: list[Line] = []
    group = owner = ""
    for setting in settings:
        if setting.group != group:
            lines += [[], [(groups[setting.group], "bold")]] if lines else [[(groups[setting.group], "bold")]]
            group, owner = setting.group, ""
        if setting.owner != owner and setting.group != "training":
            lines.append([(f"  {setting.owner}", "bold cyan")])
        owner = setting.owner
        unit = f" {setting.unit}" if setting.unit else ""
        name, values = f"    {setting.name}={setting.default_text}", f"({setting.values}{unit})"
        if len(name) + 2 + len(values) <= SETTINGS_WIDTH:
            lines.append([(name, "bold"), (f"  {values}", "dim")])
        else:
            lines.append([(name, "bold")])
            lines += [[(f"      {row}", "dim")] for row in textwrap.wrap(values, SETTINGS_WIDTH - 6)]
        lines += [[(f"      {row}", "")] for row in textwrap.wrap(setting.meaning, SETTINGS_WIDTH - 6)]
    return lines
