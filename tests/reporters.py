"""A reporter that tests ask what was said."""

from __future__ import annotations

from anew.core.reporter import SilentReporter


class Lines(SilentReporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)
