"""What an evaluation says besides its figures: what it left out, and what it is measuring.

A note has its subject, by which a later measurement replaces it.
"""

from __future__ import annotations

from dataclasses import dataclass

from anew.core.reporter import Reporter, SilentReporter

EXTENT = "the number of samples that were compared"
COPIES = "the copying test"
OUT_OF_TIME = "out of time"


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence of a report.

    Attributes:
        subject: What makes it outdated once it is measured: EXTENT, COPIES or the name of a figure; "" if nothing does.
    """

    sentence: str
    subject: str = ""


def not_measured(measure: str, reason: str, subject: str = "") -> Note:
    """A note on what was not measured. reason: one clause."""
    return Note(f"Not measured: {measure} ({reason}).", subject)


def out_of_time(measure: str, subject: str = "") -> Note:
    """A note on a figure for which there was no time. subject: the figure itself unless another is given."""
    return not_measured(measure, OUT_OF_TIME, subject or measure)


class Announcements:
    """Names what is measured next, and shows how far a long search is.

    Attributes:
        reporter: Receives both.
    """

    def __init__(self, *, in_limited_time: bool) -> None:
        """in_limited_time: whether searches end within seconds, so that they need not be shown."""
        self.reporter: Reporter = SilentReporter()
        self._in_limited_time = in_limited_time
        self._named: set[str] = set()

    def measuring(self, what: str) -> None:
        """Say in passing what is measured next, where it may take seconds."""
        self.reporter.message(f"  {what}")

    def searching(self, task: str, count: int, total: int) -> None:
        """Show that `count` of `total` items are found in a search of the copying test; 0: it begins, and is named once."""
        if self._in_limited_time:
            return
        if count:
            self.reporter.progress(task, count, total)
        elif task not in self._named:
            self._named.add(task)
            self.measuring(task)
