"""What a terminal shows: a progress bar with rate, loss and time left, plain lines elsewhere, and `look` in words."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, TextIO

from anew.cli.terminal import lines, write
from anew.core.reporter import FinishedStep
from anew.errors import printable


class ProgressLine:
    """Reporter for a terminal (a bar that rewrites itself) or a log (a plain line about every tenth of the way)."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.live = self.stream.isatty()
        self.steps = 0
        self._shown = 0.0
        self._line_progress = -1.0
        self._part = 0
        self._of = ""  # what the bar shows, where it is not steps
        self._marks: list[tuple[float, int]] = []
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_bar()

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def message(self, text: str) -> None:
        text = plain(text)
        if self._bar is not None and text.startswith("  "):
            self._end_bar()
        if self._bar is not None:
            self._bar.console.print(lines(text), highlight=False, markup=False)
        else:
            write(text, self.stream)

    def step(self, result: FinishedStep, seconds_left: float | None) -> None:
        self.steps += 1
        now = time.monotonic()
        if self._marks and result.examples < self._marks[-1][1]:  # another training has begun, as after that of a codec
            self._marks, self._line_progress = [], -1.0
        self._marks = [*self._marks[-50:], (now, result.examples)]
        if self.live:
            if now - self._shown > 0.2:
                self._shown = now
                self._update(result, seconds_left)
        elif result.progress >= self._line_progress + 0.1 or now - self._shown > 60:
            self._line_progress, self._shown = result.progress, now
            write(self._sentence(result, seconds_left), self.stream)

    def progress(self, task: str, done: int, total: int) -> None:
        """A bar of something that takes a while; a plain line about every tenth of the way elsewhere."""
        if self.live:
            self._bar_of(task, done, total)
        elif done >= total or done - self._part >= total / 10:
            self._part = done
            write(f"{task}: {done:,} of {total:,}", self.stream)
        if done >= total:
            self._part, self._of = 0, ""
            self._end_bar()

    def _bar_of(self, what: str, done: int, of: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        if self._of != what:
            self._end_bar()
            self._of = what
        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(file=self.stream), transient=True)
            self._task = self._bar.add_task(what, total=of)
            self._bar.start()
        self._bar.update(self._task, completed=done)

    def _sentence(self, stepped: Any, left: float | None) -> str:
        losses = " ".join(f"{name} {value:.4f}" for name, value in stepped.losses.items()).replace("main ", "loss ")
        (t0, e0), (t1, e1) = self._marks[0], self._marks[-1]
        rate = f", {(e1 - e0) / (t1 - t0):,.0f} examples/s" if t1 > t0 else ""
        time_left = "" if left is None else f", {left:.0f} s left"
        return f"step {stepped.step:,} ({stepped.progress:.0%}): {losses}{rate}{time_left}"

    def _update(self, stepped: Any, left: float | None) -> None:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, Progress, TextColumn

        if self._bar is None:
            self._bar = Progress(
                BarColumn(), TextColumn("{task.description}"), console=Console(file=self.stream), transient=False
            )
            self._task = self._bar.add_task("", total=1.0)
            self._bar.start()
        self._bar.update(
            self._task, completed=stepped.progress, description=escape(printable(self._sentence(stepped, left)))
        )


def describe(found: dict[str, Any]) -> str:
    """`anew look` in a few lines."""
    size = found["bytes"]
    amount = f"{size / 1e9:.2f} GB" if size > 1e9 else f"{size / 1e6:.2f} MB" if size > 1e5 else f"{size:,} bytes"
    items = f"{found['items']:,} {found['noun']}{'s' * (found['items'] != 1)}"
    lines = [f"{found['path']}: {items}, {amount}"]
    if found["labels"]:
        shown = ", ".join(found["labels"][:8]) + (", ..." if len(found["labels"]) > 8 else "")
        lines.append(f"labels: {len(found['labels'])} ({shown})")
    if found["parts"]:
        lines.append("parts: " + ", ".join(f"{name} {count:,}" for name, count in found["parts"].items()))
    lines += found["notes"]
    if found["other"]:
        lines.append("not taken: " + ", ".join(f"{count:,} {name}" for name, count in found["other"].items()))
    if found["refused"]:
        lines.append(f"refused: {found['refused']:,}")
        lines += [f"  {r['name']}: {r['reason']}" for r in found["refusals"][:5]]
    lines.append(f"family: {found['family']} ({found['why']})" if found["why"] else f"family: {found['family']}")
    for preference, other in found["instead"].items():
        lines.append(f"  --prefer {preference}: {other['family']} ({other['why']})")
    for b in found["budgets"]:
        lines.append(
            f"  {_words(b['seconds'])}: {b['parameters']:,} parameters, about {b['steps']:,} steps, {b['epochs']:g} passes over the data"
        )
    return "\n".join(map(printable, lines))


def plain(text: str) -> str:
    """What may be printed of lines of text."""
    return "\n".join(map(printable, text.split("\n")))


def _words(seconds: float) -> str:
    return f"{seconds / 3600:g} h" if seconds >= 3600 else f"{seconds / 60:g} min"
