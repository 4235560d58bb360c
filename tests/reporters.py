"""A reporter that tests ask what was said."""

from __future__ import annotations

from anew.core.reporter import SilentReporter


class Lines(SilentReporter):
    """Keeps its messages, and its progress as (task, count, total)."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.parts: list[tuple[str, int, int]] = []

    def message(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, task: str, count: int, total: int) -> None:
        self.parts.append((task, count, total))
