"""`look` at a run instead of data: its data, model, progress and grades, and the commands that can come next."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from anew.core import files
from anew.core.own_folders import is_run_config
from anew.core.settings import to_json
from anew.core.specs import Tokens
from anew.core.wording import answer_of, discarded_training, plural
from anew.data.find_data import check_present
from anew.errors import MovedDataError, RunError, about, command
from anew.runs import events
from anew.runs.folder import RunFolder
from anew.runs.paths import CONFIG
from anew.runs.record import BegunRun
from anew.runs.report_record import as_record, report_or_none
from anew.workflows.next_step import next_step, next_steps

STATUS = {
    "begun": "stopped before training began",
    "training": "stopped in training",
    "trained": "trained, not measured",
    "finished": "finished",
}


@dataclass(frozen=True, repr=False, kw_only=True)
class RunInspection:
    """Result of `anew.look` on a run.

    Attributes:
        path: The folder or the address, as it was given.
        folder: The folder, or the local copy of the address.
        status: "begun", "training", "trained" or "finished".
        data: Where the training data lay.
        modality: Modality of the data; "" before the plan is made.
        parts: Items (or spans) of train, validation and test.
        labels: Classes, if there are any.
        family: The model family; "" where it is not chosen yet.
        parameters: Number of parameters of the model; 0 before the plan is made.
        shape: Shape of an example: axes of a grid, or a number of tokens.
        request: The request: budget, steps, seed, settings.
        steps: Training steps so far; of the training whose weights are sampled from, as all that follows.
        seconds: Seconds of training so far.
        passes: Passes over the training data, about.
        loss: Mean losses of the last steps, as progress lines have them, by phase.
        discarded_steps, discarded_seconds: Steps of a longer training that did no better, and was not kept; 0 without one.
        processes: Processes that trained when it last went on; 0 where that is not known.
        hosts: Machines that they ran on; 0 where that is not known.
        first_processes: Processes with which the training began; 0 where that is not known.
        report: Contents of report.json; None if nothing was measured.
        commands: Suggested commands, by purpose.
        advice: A clause on what would help where no command does; else "".
        notes: Sentences on what else the user should know.
    """

    path: str
    folder: Path
    status: str
    data: str
    modality: str = ""
    parts: Mapping[str, int] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    family: str = ""
    parameters: int = 0
    shape: tuple[int, ...] = ()
    request: Mapping[str, object]
    steps: int = 0
    seconds: float = 0.0
    passes: float = 0.0
    loss: Mapping[str, float] = field(default_factory=dict)
    discarded_steps: int = 0
    discarded_seconds: float = 0.0
    processes: int = 0
    hosts: int = 0
    first_processes: int = 0
    report: Mapping[str, object] | None = None
    commands: Mapping[str, str]
    advice: str = ""
    notes: tuple[str, ...] = ()

    @property
    def grades(self) -> dict[str, str]:
        """The answers of the report: closeness, variety, novelty."""
        return {} if self.report is None else dict(as_record(self.report).grades)

    def to_json(self) -> dict[str, object]:
        """As JSON values: what `anew look RUN` prints as JSON. It holds the grades of the report, not all of it."""
        return {
            "run": self.path,
            "status": self.status,
            "data": self.data,
            "modality": self.modality,
            "parts": dict(self.parts),
            "labels": list(self.labels),
            "family": self.family,
            "parameters": self.parameters,
            "shape": list(self.shape),
            "request": dict(self.request),
            "steps": self.steps,
            "seconds": self.seconds,
            "passes": self.passes,
            "loss": dict(self.loss),
            "discarded_steps": self.discarded_steps,
            "discarded_seconds": self.discarded_seconds,
            "processes": self.processes,
            "hosts": self.hosts,
            "first_processes": self.first_processes,
            "grades": self.grades,
            "commands": dict(self.commands),
            "advice": self.advice,
            "notes": list(self.notes),
        }

    def facts(self) -> dict[str, str]:
        """Facts for people, one line each, by title."""
        lines = {"run": f"{self.path} ({STATUS[self.status]})", "data": self._data_line()}
        if self.family:
            size = f"up to {self.shape[0]} tokens" if len(self.shape) == 1 else " x ".join(map(str, self.shape))
            is_planned = self.parameters > 0
            lines["model"] = f"{self.family}, {self.parameters:,} parameters, {size}" if is_planned else self.family
        if self.steps:
            figures = [f"{self.steps:,} steps in {self.seconds:,.0f} s"]
            figures += [f"{about(self.passes)} passes over the data"] if self.passes else []
            figures += [f"mean training {name.replace('_', ' of ')} {value:.4f}" for name, value in self.loss.items()]
            lines["so far"] = ", ".join([*figures, *self._processes()])
            if self.discarded_steps:
                lines["so far"] += f" ({discarded_training(self.discarded_steps, self.discarded_seconds)})"
        if self.notes:
            lines["note"] = "; ".join(self.notes)
        return lines

    def _processes(self) -> Iterator[str]:
        """The number of processes that trained it, unless it was always one."""
        if max(self.processes, self.first_processes) > 1:
            began = "" if self.first_processes in (0, self.processes) else f" (begun with {self.first_processes})"
            processes = "1 process" if self.processes == 1 else f"{self.processes:,} processes"
            yield f"by {processes} on {plural(self.hosts, 'machine')}{began}"

    def _data_line(self) -> str:
        amount = ", ".join(f"{name} {count:,}" for name, count in self.parts.items())
        labels = f"; {len(self.labels)} classes" if self.labels else ""
        return f"{self.data}{f' ({self.modality}: {amount}{labels})' if self.modality else ''}"

    def __repr__(self) -> str:
        lines = [f"{title}: {text}" for title, text in self.facts().items()]
        lines += [f"{question}: {answer_of(grade)}" for question, grade in self.grades.items()]
        lines += [f"{purpose}: {text}" for purpose, text in self.commands.items()]
        return "\n  ".join([*lines, *([f"advice: {self.advice}"] if self.advice else [])])

    def _repr_html_(self) -> str:
        """HTML for notebooks."""
        return f"<pre>{html.escape(repr(self))}</pre>"


def is_run(path: Path) -> bool:
    """Whether a folder is a run, finished or not. A folder with a damaged config.json is one if it has an events.jsonl."""
    config = path / CONFIG
    if not config.is_file():
        return False
    try:
        value = files.read_json(config)
    except RunError:
        return (path / events.NAME).is_file()
    return is_run_config(value)


def inspect_run(path: Path) -> RunInspection:
    """Describe a run. Raises RunError if its config.json is damaged or does not fit this version."""
    folder = RunFolder.open(path)
    record, run = folder.read(), folder.address or str(path)
    if isinstance(record, BegunRun):
        request = record.request
        return RunInspection(
            path=run,
            folder=path,
            status=record.status,
            data=request.data,
            modality=request.modality or "",
            family=request.family or "",
            request=to_json(request),
            commands=_commands(run, record.status, None),
            notes=tuple(folder.notes),
        )
    report = report_or_none(path) if record.status == "finished" else None
    plan, spec, last = record.plan, record.spec, events.sampled_step(path)
    first_start, last_start = events.starts(path)
    discarded = events.discarded_step(path)
    examples = float(last.get("examples", 0))
    steps = int(last.get("step", 0))
    return RunInspection(
        path=run,
        folder=path,
        status=record.status,
        request=to_json(record.request),
        modality=record.data.modality,
        data=record.data.path,
        parts=record.data.parts,
        labels=tuple(record.data.labels),
        family=record.described_family,
        parameters=plan.parameters,
        shape=(spec.length,) if isinstance(spec, Tokens) else tuple(spec.shape),
        steps=steps,
        seconds=float(last.get("seconds") or 0.0),
        passes=plan.passes(examples) or 0.0,
        loss=events.recent_losses(path),
        discarded_steps=int(discarded.get("step", 0)),
        discarded_seconds=float(discarded.get("seconds") or 0.0),
        processes=last_start.get("processes", 0),
        hosts=last_start.get("hosts", 0),
        first_processes=first_start.get("processes", 0),
        report=report,
        commands=_commands(run, record.status, report),
        advice=_advice(run, report),
        notes=(*folder.notes, *_note_on_data(record.data.path), *_note_on_age(report, steps)),
    )


def _note_on_data(path: str) -> list[str]:
    """A note if the data of a run cannot be found at its recorded place."""
    try:
        check_present(path)
    except MovedDataError:
        return ["its data cannot be read at that place now; samples need none, other commands its new place as `data`"]
    return []


def _note_on_age(report: Mapping[str, object] | None, steps: int) -> list[str]:
    """A note if the report measured the weights of fewer steps than were trained. It is kept if it says more than a newer one."""
    basis = None if report is None else as_record(report).basis
    if basis is None or basis.steps is None or basis.steps == steps:
        return []
    return [
        f"the answers are those of the weights after {basis.steps:,} steps; newer reports, which say less, are in reports/"
    ]


def _commands(run: str, status: str, report: Mapping[str, object] | None) -> dict[str, str]:
    """The commands that suit the state of a run, by purpose."""
    resume = command("anew", "resume", run)
    if status != "finished":
        return {"finish": resume}
    commands = {"more": command("anew", "sample", run, "--out", "DIR", "-n", "100")}
    if report is None:
        return commands | {"measure": command("anew", "evaluate", run)}
    return commands | {step.purpose: step.text for step in next_steps(run, as_record(report)) if step.is_command}


def _advice(run: str, report: Mapping[str, object] | None) -> str:
    """A clause on what would help after a report where no command does; else ""."""
    step = None if report is None else next_step(run, as_record(report))
    return "" if step is None or step.is_command else step.text
