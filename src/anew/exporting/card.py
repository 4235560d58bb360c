"""README.md of an export: what it is, how to use it, what it leaves out, and the figures that were measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from anew.evaluation.reporting.model_card import LIMITS, answer_lines, escape, metadata
from anew.evaluation.reporting.page import format_number
from anew.families.base import num_parameters
from anew.runs import report_record
from anew.runs.report_record import REPORT, ReportRecord, ScoreRecord
from anew.sampling.model import Model

MUCH_WORSE = 1.05  # so many times the bits of the run are worth a warning; chosen
WHOLE_RUN = "Measured on samples of the whole run, of which this export leaves out a part; see below."
SAMPLER_USE = """\
```sh
pip install numpy onnxruntime
python sample.py -n 16 --seed 0 --out samples
```

`sample.py` is a short NumPy program; `sampler.json` holds the steps and their numbers. From Python: `Sampler("FOLDER").sample(16)`."""


def read_report(model: Model) -> ReportRecord | None:
    """The report of the run; None if the run was not evaluated."""
    folder = model.folder.path
    return report_record.read_record(folder) if (folder / REPORT / "report.json").exists() else None


def _bits(model: Model, report: ReportRecord | None) -> tuple[float | None, float | None]:
    """Bits per unit of held-out data under the whole run, and under its network alone; None where that was not measured."""
    scores = {score.name: score.value for score in ([] if report is None else report.scores)}
    name = f"bits_per_{model.item_modality.unit}"
    return scores.get(name), scores.get(f"{name}_network")


def card_head(model: Model, library: str, scores: Sequence[ScoreRecord]) -> str:
    """The YAML block of the card and its title. scores: those that hold for this export."""
    name, modality = run_name(model), model.item_modality.name
    block = metadata(library, model.family_name, modality, model=name, data=data_name(model), scores=scores)
    return f"{block}\n# {escape(name)}\n"


def data_name(model: Model) -> str:
    """The name of the file or folder of the data."""
    return Path(model.record.data.path).name or "data"


def run_name(model: Model) -> str:
    """The name of the run's folder."""
    return model.folder.path.resolve().name


def language_model_card(
    model: Model, library: str, use: str, notes: Sequence[str], left_out: Sequence[str], context: int
) -> str:
    """The card of an export as a stock language model.

    Args:
        library: The library that loads the export.
        use: How to load it, a block of Markdown.
        notes: Sentences on differences from the run.
        left_out: Parts of the run besides its network that its samples come from.
        context: Number of tokens that the network sees at once.
    """
    report = read_report(model)
    unit = model.item_modality.unit
    bits, network = _bits(model, report)
    network = network if left_out else bits
    scores = [] if network is None else [ScoreRecord(name=f"bits_per_{unit}", title=f"Bits per {unit}", value=network)]
    data = escape(data_name(model))
    lines = [
        card_head(model, library, scores),
        f"The network of a {model.family_name} trained from scratch on `{data}` with Anew, as a stock `Qwen3ForCausalLM`.",
        f"It has {num_parameters(model.family):,} parameters and was trained on contexts of "
        f"{context} tokens; it sees no further back.\n",
        f"## Use\n\n{use}\n",
        "## How well it predicts\n",
        _bits_table(unit, bits, network),
        "## What differs from the run\n",
        *([f"- {note}" for note in notes] or ["Nothing: the run consists of this network and tokenizer."]),
        f"\n## Limits\n\n{LIMITS}\n",
    ]
    return "\n".join(lines)


def cost_of_leaving_out(model: Model, report: ReportRecord | None, left_out: Sequence[str]) -> str:
    """The cost of leaving out the rest of the run, in one or two sentences; "" if the network is all of it."""
    if not left_out:
        return ""
    unit = model.item_modality.unit
    bits, network = _bits(model, report)
    head = "This export holds only the run's network, without the statistics of the training data that the run also samples from"
    if bits is None or network is None:
        return f"{head}. What this costs was not measured."
    return (
        f"{head}. Bits per {unit} of data that it was not trained on, where fewer are better: {format_number(network)} by the "
        f"network, {format_number(bits)} by the whole run."
    )


def notes_on_parts(model: Model, left_out: Sequence[str]) -> list[str]:
    """Sentences for the user on what an export leaves out of the run, and first what that costs, if it was measured."""
    unit, report = model.item_modality.unit, read_report(model)
    bits, network = _bits(model, report)
    parts = [f"Left out: {clause}." for clause in left_out]
    if not parts or bits is None or network is None:
        return parts
    figures = f"{format_number(network)} bits per {unit} of held-out data instead of {format_number(bits)}"
    if network > MUCH_WORSE * bits:
        return [f"This export predicts much worse than the run, so expect worse samples: {figures}.", *parts]
    return [f"This export predicts about as well as the run: {figures}.", *parts]


def sampler_card(model: Model, graphs: Sequence[str], left_out: Sequence[str]) -> str:
    """The card of an ONNX export with its own sampler. left_out: what the run samples from besides its networks."""
    report = read_report(model)
    scores = [] if report is None or left_out else report.informative_scores
    cost = cost_of_leaving_out(model, report, left_out)
    data, graph_names = escape(data_name(model)), ", ".join(f"`{name}.onnx`" for name in graphs)
    lines = [
        card_head(model, "onnx", scores),
        f"A {model.family_name} trained from scratch on `{data}` with Anew, as ONNX: {graph_names}. They take batches of any size.\n",
        f"## Use\n\n{SAMPLER_USE}\n",
        "## How good the samples are\n",
        *([f"{WHOLE_RUN}\n"] if cost else []),
        *measured_lines(report),
        "\n## What differs from the run\n",
        *([f"- {cost}"] if cost else []),
        *(f"- Left out: {clause}." for clause in left_out),
        "- Random numbers: the same seed gives other samples than in Anew.",
        f"\n## Limits\n\n{LIMITS}\n",
    ]
    return "\n".join(lines)


def measured_lines(report: ReportRecord | None) -> list[str]:
    """The answers and figures of the run's report, with baselines."""
    if report is None:
        return ["The run was not evaluated; `anew evaluate` does it."]
    answers = answer_lines(report.verdict)
    rows = ["", "| of the run | value | real data | naive |", "|---|---|---|---|"]
    for score in report.informative_scores:
        rows.append(f"| {escape(score.title or score.name)} | {' | '.join(figure_cells(score))} |")
    return [*answers, *(rows if report.scores else [])]


def figure_cells(score: ScoreRecord) -> list[str]:
    """A score and its baselines as text; "" for what was not measured."""
    figures = (score.value, score.real_baseline, score.naive_baseline)
    return ["" if figure is None else format_number(figure) for figure in figures]


def _bits_table(unit: str, bits: float | None, network: float | None) -> str:
    if bits is None:
        return f"Bits per {unit} of held-out data were not measured; `anew evaluate` on the run measures them.\n"
    export = "not measured; `anew evaluate` on the run measures it" if network is None else format_number(network)
    return (
        f"| on held-out data, exact | bits per {unit} |\n|---|---|\n"
        f"| the run, as `anew sample` draws from it | {format_number(bits)} |\n"
        f"| this export | {export} |\n"
    )


def json_text(value: object) -> str:
    """Indented JSON, with all characters as they are."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
