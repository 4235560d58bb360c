"""How the steps of a training were taken, from its log, so that a replay takes them in the same way."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anew.errors import RunError
from anew.runs.events import Event, read


@dataclass
class StepRecord:
    """The steps of a training, 0-based, without those that were taken back after a loss that was not finite.

    Attributes:
        progress: Progress of the training after each step.
        threads: Number of CPU threads by the step from which on it held.
        validated: Numbers of finished steps after which the validation loss was measured.
        restores: (factor of the learning rate, step from which on it is 1 again), by the step that followed after training went back.
    """

    progress: Sequence[float]
    threads: dict[int, int] = field(default_factory=dict)
    validated: set[int] = field(default_factory=set)
    restores: dict[int, tuple[float, int]] = field(default_factory=dict)


def step_record(path: Path) -> StepRecord:
    """The record in an events.jsonl; empty if the file does not exist.

    Raises:
        RunError: A step is missing, so that the training cannot be replayed.
    """
    progress = array("d")  # compact, since a long training has millions of steps
    record = StepRecord(progress)
    lr_scale, overcome_at = 1.0, 0
    for event in read(path):
        if event["event"] == "step":
            index = event["step"] - 1
            if not 0 <= index <= len(progress):
                missing = len(progress) + 1 if index > 0 else 1
                raise RunError(f"{str(path)!r} has no record of step {missing:,}; restore it or give another run")
            progress[index : index + 1] = array("d", [float(event["progress"])])
            lr_scale = 1.0 if event["step"] >= overcome_at else lr_scale
        elif event["event"] == "threads" and event["step"] > 0:
            record.threads[event["step"] - 1] = event["threads"]
        elif event["event"] == "validation":
            record.validated.add(event["step"])
        elif event["event"] == "non_finite":
            back_to = event["back_to"]
            # `TrainingLoop` does the same
            lr_scale, overcome_at = 0.5 * lr_scale, max(overcome_at, 2 * event["step"] - back_to + 1)
            _take_back(record, event)
            record.restores[back_to] = (lr_scale, overcome_at)
            del progress[back_to:]
    return record


def _take_back(record: StepRecord, event: Event) -> None:
    """Remove what belongs to steps after the one to which the training went back."""
    back_to = event["back_to"]
    record.validated = {step for step in record.validated if step <= back_to}
    record.restores = {step: restore for step, restore in record.restores.items() if step < back_to}
    if any(step > back_to for step in record.threads):  # they are not set back with the weights
        last = record.threads[max(record.threads)]
        record.threads = {step: number for step, number in record.threads.items() if step < back_to} | {back_to: last}
