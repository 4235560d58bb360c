"""What was refused: all counted; of each reason the first files kept, and of a file with many such records one line."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from anew.data.types import DatasetSummary, SkippedItem

KEPT = 20  # reasons, files of each, and lines in all
SHOWN = 5  # of them in a list that people read
SAID = 3  # in a sentence


class Refusals:
    """Thread-safe: blocks are encoded in the background."""

    def __init__(self) -> None:
        self.count = 0
        self._found: dict[str, dict[str, _Line]] = {}
        self._lock = threading.Lock()

    def add(self, refusals: Iterable[SkippedItem]) -> None:
        """Count these."""
        with self._lock:
            for one in refusals:
                self.count += 1
                if one.reason not in self._found and len(self._found) >= KEPT:
                    continue
                files, name = self._found.setdefault(one.reason, {}), one.group or one.name
                if name in files:
                    files[name].count += 1
                elif len(files) < KEPT:
                    files[name] = _Line(one)

    @property
    def first(self) -> list[SkippedItem]:
        """One for each file and reason: the first file of every reason, then the second of every reason, and so on."""
        with self._lock:
            rows = itertools.zip_longest(*(files.values() for files in self._found.values()))
            return [line.told() for row in rows for line in row if line is not None][:KEPT]

    def into(self, scan: DatasetSummary) -> None:
        """Write into the scan."""
        scan.refusals, scan.refused = self.first, self.count

    def said(self) -> str:
        """`: NAME: REASON; ...` of some, for an error."""
        return f": {named(self.first)}" if self.first else ""


@dataclass(slots=True)
class _Line:
    """What was refused of one file for one reason: the first record, and how many."""

    first: SkippedItem
    count: int = field(default=1)

    def told(self) -> SkippedItem:
        one = self.first
        if one.group is None or self.count == 1:
            return one if self.count == 1 else SkippedItem(one.name, f"{one.reason} ({self.count:,} times)")
        place = one.name.removeprefix(one.group)
        where = f", one{place}" if place else ""
        return SkippedItem(one.group, f"{one.reason} ({self.count:,} stretches{where})")


def skipped(scan: DatasetSummary) -> list[str]:
    """What was refused, the first few by name, as lines for people."""
    lines = [f"skipped {one.name}: {one.reason}" for one in scan.refusals[:SHOWN]]
    return [*lines, f"skipped in all: {scan.refused}"] if scan.refused else []


def named(refusals: Sequence[SkippedItem]) -> str:
    """`NAME: REASON; ...` of some that were refused for different reasons, where there are such."""
    by_reason = {one.reason: one for one in reversed(refusals)}
    some = [one for one in refusals if by_reason[one.reason] is one][:SAID]
    return "; ".join(f"{one.name}: {one.reason}" for one in some) + "; and others" * (len(refusals) > len(some))
