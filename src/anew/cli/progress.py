"""Progress of a long command: a progress bar on a terminal, plain lines in a log."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Mapping
from statistics import fmean
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO, cast

from anew.cli.terminal import Terminal, lines, write
from anew.core.activity import COMMAND, line_seconds, shown
from anew.core.reporter import RATE_STEPS, FinishedStep, loss_steps
from anew.errors import printable

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

REDRAW_S = 0.2  # least time between two states of the bar: more of them would take time from training
ESTIMATE_S = 1.0  # a counted task has to run so long before the time left is estimated: less says too little; chosen
RECENT = 4  # states of a counted task by which its rate is measured: of samples, the first are drawn a few at a time
LOG_SHARE = 0.1  # a plain line is due after a tenth of the way, or once it is time for one


class ProgressLine:
    """A Reporter for people: a bar that redraws itself on a terminal, otherwise a plain line now and then.

    Args:
        stream: Where to print.
        verbose: Also print details, which are the lines that start with two spaces. A terminal shows them in passing.
    """

    def __init__(self, stream: TextIO, *, verbose: bool = False) -> None:
        self.stream = stream
        self.verbose = verbose
        self.live = self.stream.isatty()
        self.steps = 0
        self._times: deque[tuple[float, int]] = deque(maxlen=RATE_STEPS)  # (when, examples so far)
        self._losses: deque[Mapping[str, float]] = deque(maxlen=RATE_STEPS)
        self._counts: deque[tuple[float, int]] = deque(maxlen=RECENT)  # (when, parts so far) of a counted task
        self._counted_task, self._counted_since = "", 0.0
        self._drawn_at = 0.0
        self._logged_progress = -1.0
        self._logged_count = 0
        self._bar: Progress | None = None
        self._shown = contextlib.ExitStack()  # what the bar ends when it is closed
        self._task: Any = None
        self._title = ""

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_bar()

    # ---- what a Reporter has ----

    def message(self, text: str) -> None:
        """Print a sentence; a detail only where requested, and if it takes long."""
        if text.startswith("  "):
            COMMAND.begin(text.strip())
        if text.startswith("  ") and not self.verbose:
            if self.live:
                self._show_detail(text.strip())
            return
        if self._bar is None:
            write(text, self.stream)
        else:
            self._bar.console.print(lines(text), highlight=False, markup=False, soft_wrap=True)

    def step(self, result: FinishedStep, seconds_left: float | None) -> None:
        """Show a finished step, and the seconds until the end of training, None where they are not known."""
        COMMAND.begin(f"training: step {result.step + 1:,}")
        self.steps += 1
        now = time.monotonic()
        if self._times and result.examples < self._times[-1][1]:  # the next training begins, as after that of a codec
            self._times.clear()
            self._losses.clear()
            self._logged_progress = -1.0
        self._times.append((now, result.examples))
        self._losses.append(result.losses)
        if self.live:
            if now - self._drawn_at > REDRAW_S:
                self._drawn_at = now
                self._draw("training", result.progress, 1.0, self._state(result, seconds_left))
        elif result.progress >= self._logged_progress + LOG_SHARE or now - self._drawn_at > line_seconds():
            self._logged_progress, self._drawn_at = result.progress, now
            write(f"step {result.step:,} ({result.progress:.0%}): {self._state(result, seconds_left)}", self.stream)

    def progress(self, task: str, count: int, total: int) -> None:
        """Show that `count` of `total` parts of something are finished."""
        state = f"{count:,} of {total:,}{self._time_left(task, count, total)}"
        COMMAND.begin(f"{task}: {count:,} of {total:,}")
        if self.live:
            self._draw(task, count, total, state)
        elif (
            count >= total
            or count - self._logged_count >= total * LOG_SHARE
            or (count > self._logged_count and self._counts[-1][0] - self._drawn_at > line_seconds())
        ):
            self._logged_count, self._drawn_at = count, self._counts[-1][0]
            write(f"{task}: {state}", self.stream)
        if count >= total:
            self._logged_count = 0
            self._close_bar()

    def _time_left(self, task: str, count: int, total: int) -> str:
        """As in ", 20/s, 1:05 left", by how long the last parts took; "" where they say too little."""
        now = time.monotonic()
        if task != self._counted_task or count < self._counts[-1][1]:
            self._counted_task, self._counted_since = task, now
            self._counts.clear()
            self._logged_count = 0
        self._counts.append((now, count))
        (first_time, first_count), rest = self._counts[0], total - count
        if not rest or count == first_count or now == first_time or now - self._counted_since < ESTIMATE_S:
            return ""
        rate = (count - first_count) / (now - first_time)
        return f", {_rate(rate)}/s, {clock(rest / rate)} left"

    # ---- drawing ----

    def _state(self, result: FinishedStep, seconds_left: float | None) -> str:
        """As in "loss 0.1234, 950 examples/s, 1:05 left". Losses are means of the last steps."""
        recent = list(self._losses)[-loss_steps(result.step) :]
        means = {name: fmean(losses[name] for losses in recent if name in losses) for name in result.losses}
        words = [f"{'loss' if name == 'main' else name} {mean:.4f}" for name, mean in means.items()]
        (first_time, first_examples), (last_time, last_examples) = self._times[0], self._times[-1]
        if last_time > first_time:
            rate = (last_examples - first_examples) / (last_time - first_time)
            words.append(f"{_rate(rate)} examples/s")
        if seconds_left is not None:
            words.append(f"{clock(seconds_left)} left")
        return ", ".join(words)

    def _show_detail(self, text: str) -> None:
        """A detail in passing, which the next one replaces."""
        self._draw("working", None, None, text)

    def _draw(self, title: str, completed: float | None, total: float | None, state: str) -> None:
        if self._title != title:
            self._close_bar()
        if self._bar is None:
            self._title = title
            self._open_bar(title, total)
        if self._bar is not None:
            self._bar.update(self._task, completed=completed, total=total, state=printable(state))

    def _open_bar(self, title: str, total: float | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn
        from rich.table import Column

        columns: list[ProgressColumn] = [
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(show_speed=False),
            TextColumn("{task.fields[state]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
        ]
        self._bar = Progress(*columns, console=Console(file=cast("TextIO", Terminal(self.stream))), transient=True)
        self._task = self._bar.add_task(title, total=total, state="")
        self._bar.start()
        self._shown.enter_context(shown())

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._shown.close()
        self._bar, self._title = None, ""


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def clock(seconds: float) -> str:
    """As in "8 s", "1:05" and "2:30:00"."""
    rounded = round(max(0.0, seconds))
    if rounded < 60:
        return f"{rounded} s"
    hours, minutes = divmod(rounded // 60, 60)
    return f"{hours}:{minutes:02}:{rounded % 60:02}" if hours else f"{minutes}:{rounded % 60:02}"
