"""What is shown to the user while an evaluation measures."""

from __future__ import annotations

from anew.core.reporter import Reporter, SilentReporter


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
