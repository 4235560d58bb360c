"""The model card: README.md of a run, with the block of metadata that the Hugging Face Hub reads."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anew.core import files
from anew.evaluation.metrics.statistics import Score
from anew.evaluation.reporting import verdict as verdicts
from anew.evaluation.reporting.report import KINDS, number

TASKS = {"text": "text-generation", "image": "unconditional-image-generation"}  # the hub's names; others have none

LIMITS = """\
The model knows nothing but its training data, faults and biases included. The figures say how close samples are to
that data; they are no promise of privacy. No licence has been chosen: before sharing, set `license` above to what the
training data allows."""
KEPT = """
`model.safetensors` holds the training records themselves, unless they were of no use to it (setting `aligned`).
"""


def write_card(
    folder: Path, config: Mapping[str, Any], scores: Sequence[Score], verdict: Mapping[str, str] | None = None
) -> None:
    """Write README.md into a run folder. config: what config.json holds; its data path is kept to the last part."""
    data = config["data"]
    text = card(
        run=folder.name,
        family=str(config["family"]["name"]),
        modality=str(data["modality"]),
        data=Path(str(data.get("path", ""))).name or "data",
        parameters=config.get("plan", {}).get("parameters"),
        scores=scores,
        verdict=verdict,
        holds=bool(config["family"].get("config", {}).get("aligned")),
    )
    files.write_text(folder / "README.md", text)


def card(
    *,
    run: str,
    family: str,
    modality: str,
    data: str,
    parameters: int | None,
    scores: Sequence[Score],
    verdict: Mapping[str, str] | None = None,
    holds: bool = False,
) -> str:
    """The card's text. The licence is `unknown` until the user, who alone knows what the data allows, says it.

    holds: the model keeps its training records as they are."""
    size = "" if parameters is None else f" It has {parameters:,} parameters."
    said = "\n".join(f"- {_plain(s)}" for s in (verdict or verdicts.verdict(scores)).values())
    return f"""---
{metadata(family=family, modality=modality, data=data, run=run, scores=scores)}---

# {_plain(run)}

A {family} model that makes new {KINDS.get(modality, modality)} data, trained from scratch on `{_plain(data)}` with Anew.{size}

{said}

## Use

```python
import anew

model = anew.load("{_quoted(run)}")
samples = model.sample(16)
```

or `anew sample {_quoted(run)} --out samples/`.

## Measured

On data that was held out from training. `floor` is what real data scores against other real data, where that can be
measured: no generator is expected to beat it. `ceiling` is what a naive generator
scores. `report/report.html` shows the same figures with samples.

{_table(scores)}

## Limits

{LIMITS}
{KEPT if holds else ""}"""


def metadata(*, family: str, modality: str, data: str, run: str, scores: Sequence[Score]) -> str:
    """The YAML lines. Strings are written as JSON, which is YAML, so that no name can break the block."""
    lines = ["license: unknown", "library_name: anew"]
    task = TASKS.get(modality)
    if task:
        lines.append(f"pipeline_tag: {task}")
    lines += ["tags:", *(f"- {_yaml(t)}" for t in dict.fromkeys(("anew", family, modality)))]
    measured = [s for s in scores if s.to_json()["value"] is not None and not verdicts.is_naive(s.name)]
    if measured:
        lines += ["model-index:", f"- name: {_yaml(run)}", "  results:", "  - task:"]
        lines.append(f"      type: {task or _yaml(modality)}")
        lines += ["    dataset:", f"      name: {_yaml(data)}", "      type: custom", "      split: test"]
        lines.append("    metrics:")
        for score in measured:
            lines += [f"    - type: {score.name}", f"      name: {_yaml(verdicts.term(score.name)[0])}"]
            lines.append(f"      value: {score.value:.6g}")
    return "\n".join(lines) + "\n"


def _yaml(text: str) -> str:
    """A double-quoted YAML string; what YAML calls unprintable is escaped."""
    quoted = json.dumps(text, ensure_ascii=False)
    return re.sub("[\x7f-\x9f\ud800-\udfff\ufffe\uffff]", lambda c: f"\\u{ord(c[0]):04x}", quoted)


def _table(scores: Sequence[Score]) -> str:
    if not scores:
        return "Nothing was measured."
    rows = ["| score | value | 95% interval | floor | ceiling | better | n |", "|---|---|---|---|---|---|---|"]
    for s in scores:
        between = "" if s.low is None or s.high is None else f"{number(s.low)} to {number(s.high)}"
        ends = ["" if x is None else number(x) for x in (s.floor, s.ceiling)]
        rows.append(f"| {s.name} | {number(s.value)} | {between} | {ends[0]} | {ends[1]} | {s.better} | {s.n:,} |")
    return "\n".join(rows)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return "".join(" " if c in "\r\n" else f"\\{c}" if c in "\\`*_[]<>|#" else c for c in text)


def _quoted(text: str) -> str:
    """A folder's name inside quotes of code."""
    return json.dumps(text, ensure_ascii=False)[1:-1].replace("`", "'")
