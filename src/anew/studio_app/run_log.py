"""Follows events.jsonl of a run while it grows: only new lines are read."""

from __future__ import annotations

import itertools
import os
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from anew.core import files
from anew.core.reporter import RATE_STEPS
from anew.errors import RunError
from anew.runs import events

PIECE = 2**20  # bytes that are read at a time
MAX_POINTS = 2**19  # points of a curve in memory; longer ones are thinned
MAX_CURVES = 64  # a log of somebody else may have any number of names (docs/log.md, 2026-11-27)
MAX_WARNINGS = 1000  # that are kept, the last ones
# Fields of a step without a curve
FIELDS_WITHOUT_CURVE = ("event", "time", "step", "progress", "examples", "seconds", "phase")
# The smoothed curve averages over this part of all steps, a fortieth, so its shape is the same at any length; chosen.
SMOOTHED_SHARE = 40


@dataclass(slots=True)
class Curve:
    """Values by step, in the order of the log."""

    steps: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def add(self, step: int, value: float) -> None:
        """Append a point."""
        if len(self.steps) >= MAX_POINTS:
            steps, values = self.thinned(MAX_POINTS // 2)
            self.steps, self.values = array("q", steps), array("d", values)
        self.steps.append(step)
        self.values.append(value)

    def drop_after(self, step: int) -> None:
        """Remove the points after a step."""
        while self.steps and self.steps[-1] > step:
            self.steps.pop()
            self.values.pop()

    def thinned(self, max_points: int) -> tuple[list[int], list[float]]:
        """About `max_points` of the points at most: the smallest and the largest of every stretch, and the last."""
        count = len(self.steps)
        if count <= max_points:
            return list(self.steps), list(self.values)
        values = np.frombuffer(self.values, np.float64)
        edges = np.linspace(0, count, max(2, max_points // 2) + 1).astype(int)
        chosen = {0, count - 1}
        for start, end in itertools.pairwise(edges):
            part = values[start:end]
            chosen |= {int(start + part.argmin()), int(start + part.argmax())}
        indices = sorted(chosen)
        return [self.steps[index] for index in indices], [self.values[index] for index in indices]

    def smoothed(self, max_points: int) -> tuple[list[int], list[float]]:
        """About `max_points` points, at most, of the bias-corrected exponential moving average over a fortieth of the steps."""
        decay = 1.0 - 1.0 / max(1.0, len(self.values) / SMOOTHED_SHARE)
        average, weight = 0.0, 0.0
        averages = array("d")
        for value in self.values:
            average = decay * average + (1.0 - decay) * value
            weight = decay * weight + (1.0 - decay)
            averages.append(average / weight)
        count = len(averages)
        indices = sorted({*range(0, count, max(1, count // max_points)), *([count - 1] if count else [])})
        return [self.steps[index] for index in indices], [averages[index] for index in indices]


class RunLog:
    """The events of a training run so far.

    Args:
        path: Path of events.jsonl.

    Attributes:
        curves: Curves by name: numbers of the steps, and "validation".
        seconds: Seconds of training, by step.
        last: The last step event; empty before the first.
        kept_step: The step whose weights are sampled from, if the training is over and it is not the last.
        warnings: Step and text of each warning.
        is_damaged: Whether there are lines that are not events.
        stages: Names of all events so far, such as "report".
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reset()

    def _reset(self) -> None:
        self._inode, self._offset, self._incomplete = 0, 0, b""
        self.curves: dict[str, Curve] = {}
        self.seconds = Curve()
        self.last = events.Event()
        self.kept_step: int | None = None
        self.warnings: list[tuple[int, str]] = []
        self.stages: set[str] = set()
        self.is_damaged = False
        self._recent: list[tuple[float, int]] = []  # (seconds of training, examples)

    def refresh(self) -> None:
        """Read the new lines, or evenly spaced pieces if there are very many. A file that was replaced, as by a resumed run, is read
        again from the start."""
        try:
            files.check_regular(self.path, events.MAX_LOG_BYTES)
            with open(self.path, "rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._offset:
                    self._reset()
                    self._inode = status.st_ino
                self._read_from_offset(file, status.st_size)
        except (RunError, OSError):  # nothing was logged yet, or the run was deleted
            if self._inode:
                self._reset()

    def _read_from_offset(self, file: BinaryIO, size: int) -> None:
        if size - self._offset > events.MAX_SHOWN_BYTES:
            for piece in events.pieces(file, self._offset, size, events.MAX_SHOWN_BYTES):
                self._incomplete = b""  # part of a line, whose other part is skipped
                self._add_piece(piece)
            self._offset = size
        file.seek(self._offset)
        while piece := file.read(PIECE):
            self._add_piece(piece)

    def _add_piece(self, piece: bytes) -> None:
        self._offset += len(piece)
        *lines, self._incomplete = (self._incomplete + piece).split(b"\n")
        # Longer than any event: the rest of the line is not one either
        if len(self._incomplete) > events.MAX_LINE_BYTES:
            self._incomplete = self._incomplete[:1]
        for line in lines:
            self._add_line(line)

    def _add_line(self, line: bytes) -> None:
        event = events.parse(line) if line.strip() else None
        if event is None:
            self.is_damaged |= bool(line.strip())
            return
        if len(self.stages) < MAX_CURVES:
            self.stages.add(event["event"])
        if event["event"] == "step":
            self._add_step(event)
        elif event["event"] == "validation" and event["loss"] is not None:
            self._add_point("validation", event["step"], event["loss"])
        elif event["event"] == "kept":
            self.kept_step = event["step"]
        elif event["event"] == "warning":
            self._add_warning(event["step"], event["text"])
        elif event["event"] == "non_finite":
            back_to = event["back_to"]
            self._add_warning(event["step"], f"the loss was not finite; went back to step {back_to:,}")
            for curve in (*self.curves.values(), self.seconds):
                curve.drop_after(back_to)

    def _add_step(self, event: events.Event) -> None:
        self.last, self.kept_step = event, None
        step = event["step"]
        for name, value in event.items():
            if name not in FIELDS_WITHOUT_CURVE and isinstance(value, int | float):
                self._add_point(name, step, value)
        seconds = event.get("seconds")
        if isinstance(seconds, int | float):
            self.seconds.add(step, float(seconds))
            self._recent.append((float(seconds), int(event.get("examples", 0))))
            del self._recent[:-RATE_STEPS]

    def _add_point(self, name: str, step: int, value: float) -> None:
        if name in self.curves or len(self.curves) < MAX_CURVES:
            self.curves.setdefault(name, Curve()).add(step, float(value))

    def _add_warning(self, step: int, text: str) -> None:
        self.warnings.append((step, text))
        del self.warnings[:-MAX_WARNINGS]

    @property
    def examples_per_second(self) -> float | None:
        """Training rate over the last steps; None before there are two."""
        if len(self._recent) < 2:
            return None
        (first_time, first), (last_time, last) = self._recent[0], self._recent[-1]
        return (last - first) / (last_time - first_time) if last_time > first_time and last >= first else None
