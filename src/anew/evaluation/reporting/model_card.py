"""The model card: README.md of a run, with the block of metadata that the Hugging Face Hub reads."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from anew.core import files
from anew.core.specs import Spec, Tokens
from anew.core.wording import QUESTIONS
from anew.errors import command, printable
from anew.evaluation.memorization.result import COPIED_SHARE
from anew.evaluation.reporting.page import format_number
from anew.evaluation.reporting.report import NOUNS, EvaluationReport

TASKS = {"text": "text-generation", "image": "unconditional-image-generation"}  # the hub's names of tasks, by modality
CARD_QUESTIONS = QUESTIONS | {
    "closeness": "Close to the data?"
}  # not "your data", since readers of the card did not train the model

LIMITS = """\
The model has learned from its training data alone, with its faults and biases. No licence has been chosen: before sharing, set
`license` above to one that the training data allows."""
PRIVACY = "The figures say how close the samples are to that data; they do not guarantee privacy."
KEEPS_RECORDS = """
`model.safetensors` contains the training records themselves if they improved the predictions (setting `aligned`).
"""
KEEPS_TEXT = """
`model.safetensors` contains the training text itself, as tokens (of long texts a part), since it is counted (settings `ngrams` and
`contexts`).
"""


def describe_kept_data(config: Mapping[str, object], spec: Spec) -> str:
    """A sentence on what a model contains of its training data, "" if that is nothing. config: settings of its family."""
    if config.get("aligned"):
        return KEEPS_RECORDS
    is_running_text = isinstance(spec, Tokens) and spec.packed
    return KEEPS_TEXT if is_running_text and (config.get("ngrams") or config.get("contexts")) else ""


class HubScore(Protocol):
    """The part of a score that the hub shows."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def value(self) -> float | None: ...
    @property
    def real_baseline(self) -> float | None: ...
    @property
    def naive_baseline(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def n(self) -> int: ...


def write_card(
    folder: Path,
    report: EvaluationReport,
    *,
    data_path: str,
    parameters: int,
    kept_data: str,
    tried: str,
) -> None:
    """Write README.md into a run folder.

    Args:
        folder: The run.
        report: The report of the run.
        data_path: Where the data lay; the card names only the last part of the path.
        parameters: Number of parameters of the model.
        kept_data: What the model contains of its training data; see `describe_kept_data`.
        tried: Sentences on the families that were tried before this one was taken, if any.
    """
    data = Path(data_path).name or "data"
    text = card(report, data=data, parameters=parameters, kept_data=kept_data, tried=tried)
    files.write_text(folder / "README.md", text)


def card(report: EvaluationReport, *, data: str, parameters: int | None, kept_data: str = "", tried: str = "") -> str:
    """The card's text. The licence is `unknown`: only the user knows what the data allows.

    Args:
        report: The report of the run.
        data: Name of the data.
        parameters: Number of parameters of the model; None if that is not known.
        kept_data: What the model contains of its training data; see `describe_kept_data`.
        tried: Sentences on the families that were tried before, if any.
    """
    size = "" if parameters is None else f" It has {parameters:,} parameters."
    answers = "\n".join(answer_lines(report.verdict))
    new_items = f"new {NOUNS.get(report.modality, f'{report.modality} data')}"
    scores = [s for s in report.scores if s.spec.role == "metric" and not report.has_too_few_items(s)]
    head = metadata("anew", report.family, report.modality, model=report.run, data=data, scores=scores)
    return f"""{head}
# {escape(report.run)}

A {report.family} model that makes {new_items}, trained from scratch on `{escape(data)}` with Anew.{size}
{_paragraph(tried)}
{answers}

## Use

```python
import anew

model = anew.load("{_quote(report.run)}")
samples = model.sample(16)
```

or {code_span(command("anew", "sample", report.run, "--out", "samples/"))}.

## Figures

On data that was held out from training. *Real data*: training items scored as if they were samples; a generator is not
expected to do better. *Naive*: a generator that knows next to nothing. `report/report.html` shows the same
figures with samples.

{_table(report)}

## Limits

{LIMITS}
{PRIVACY}
{kept_data}"""


def answer_lines(verdict: Mapping[str, str]) -> list[str]:
    """The sentences of a report's verdict as Markdown list items, each after the question that it answers."""
    questions = {name: f"**{question}** " for name, question in CARD_QUESTIONS.items()}
    return [f"- {questions.get(name, '')}{escape(answer)}" for name, answer in verdict.items()]


def _paragraph(text: str) -> str:
    """A text as a paragraph of its own; "" if it is empty."""
    return f"\n{escape(text)}\n" if text else ""


def metadata(library: str, family: str, modality: str, *, model: str, data: str, scores: Sequence[HubScore]) -> str:
    """The YAML block of a card. Strings are written as JSON, which is valid YAML, so that no name can break the block.

    Args:
        library: The library that loads the model.
        family, modality: Names for tags and the task.
        model: Name of the model.
        data: Name of the data.
        scores: Scores of the model; those without a finite value are left out.
    """
    task = TASKS.get(modality)
    lines = ["license: unknown", f"library_name: {yaml_string(library)}"]
    lines += [f"pipeline_tag: {task}"] if task else []
    lines += ["tags:", *(f"- {yaml_string(tag)}" for tag in dict.fromkeys(("anew", family, modality)))]
    measured = [
        (score, score.value)
        for score in scores
        if score.value is not None and math.isfinite(score.value) and not _may_have_missed_copies(score)
    ]
    if measured:
        lines += ["model-index:", f"- name: {yaml_string(model)}", "  results:", "  - task:"]
        lines.append(f"      type: {task or yaml_string(modality)}")
        lines += ["    dataset:", f"      name: {yaml_string(data)}", "      type: custom", "      split: test"]
        lines.append("    metrics:")
    for score, value in measured:
        lines += [f"    - type: {yaml_string(score.name)}", f"      name: {yaml_string(score.title or score.name)}"]
        lines.append(f"      value: {value:.6g}")
        baselines = {"real_baseline": score.real_baseline, "naive_baseline": score.naive_baseline}
        arguments = [f"{name}: {x:.6g}" for name, x in baselines.items() if x is not None and math.isfinite(x)]
        arguments += [f"n: {score.n}"] if score.n else []
        arguments += [f"detection_limit: {score.high:.6g}"] if _found_no_copies(score) else []
        lines += [f"      args: {{{', '.join(arguments)}}}"] if arguments else []
    return "\n".join(["---", *lines, "---", ""])


def _found_no_copies(score: HubScore) -> bool:
    return score.name == COPIED_SHARE.name and score.value == 0.0 and score.high is not None


def _may_have_missed_copies(score: HubScore) -> bool:
    """Whether no copies were found, and it is not known what share of copies would have been noticed."""
    return score.name == COPIED_SHARE.name and score.value == 0.0 and score.high is None


def yaml_string(text: str) -> str:
    """A double-quoted YAML string; characters that YAML does not allow are escaped."""
    quoted = json.dumps(text, ensure_ascii=False)
    return re.sub("[\x7f-\x9f\ud800-\udfff\ufffe\uffff]", lambda c: f"\\u{ord(c[0]):04x}", quoted)


def _table(report: EvaluationReport) -> str:
    scores = [
        score for score in report.scores if not (report.has_too_few_items(score) or _may_have_missed_copies(score))
    ]
    if not scores:
        return "Nothing was measured."
    rows = ["| figure | value | 95% interval | real data | naive | better | n |", "|---|---|---|---|---|---|---|"]
    for score in scores:
        ends = score.shown_interval
        interval = "" if ends is None else f"{format_number(ends[0])} to {format_number(ends[1])}"
        real, naive = (
            "" if value is None else format_number(value) for value in (score.shown_baseline, score.naive_baseline)
        )
        cells = [
            escape(score.spec.title),
            format_number(score.shown_value),
            interval,
            real,
            naive,
            score.better,
            f"{score.n:,}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def escape(text: str) -> str:
    """Escape a text so that Markdown shows it as it is."""
    return "".join(" " if c in "\r\n" else f"\\{c}" if c in "\\`*_[]<>|#" else c for c in text)


def code_span(text: str) -> str:
    """A text on one line as Markdown code, between more backticks than it has in a row."""
    text = printable(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{text}{fence}" if fence == "`" else f"{fence} {text} {fence}"


def _quote(text: str) -> str:
    """A folder's name as it is written between quotes in code."""
    return json.dumps(text, ensure_ascii=False)[1:-1].replace("`", "'")
