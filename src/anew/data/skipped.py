"""Skipped items. All are counted; of each reason the first files are kept, one line for a file however many records it has."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from anew.data.types import DatasetSummary, SkippedItem

MAX_KEPT = 20  # reasons, files of each, and lines in total: more than anybody reads, and little to keep in a run
MAX_LISTED = 5  # skipped items in a list that people read
MAX_NAMED = 3  # skipped items in a sentence
MIN_ABRIDGED = 80  # characters of a reason that is not said twice: shorter ones are read at a glance; chosen


class SkippedItems:
    """Counts what was skipped. Thread-safe: shards are encoded in the background."""

    def __init__(self) -> None:
        self.count = 0
        self._by_reason: dict[str, dict[str, _Repeats]] = {}  # reason -> name of the file -> line
        self._lock = threading.Lock()

    def add(self, items: Iterable[SkippedItem]) -> None:
        """Count these."""
        with self._lock:
            for item in items:
                self.count += 1
                if item.reason not in self._by_reason and len(self._by_reason) >= MAX_KEPT:
                    continue
                lines = self._by_reason.setdefault(item.reason, {})
                name = item.group or item.name
                if name in lines:
                    lines[name].count += 1
                elif len(lines) < MAX_KEPT:
                    lines[name] = _Repeats(item)

    @property
    def first(self) -> list[SkippedItem]:
        """One for each file and reason: the first file of every reason, then the second of every reason, and so on."""
        with self._lock:
            rows = itertools.zip_longest(*(lines.values() for lines in self._by_reason.values()))
            return [line.summary() for row in rows for line in row if line is not None][:MAX_KEPT]

    def write_to(self, summary: DatasetSummary) -> None:
        """Put the count and the first items into the summary."""
        summary.skipped_items = self.first
        summary.skipped = self.count

    def sentence(self) -> str:
        """`: NAME: REASON; ...` of some, for an error; "" if nothing was skipped."""
        return f": {name_reasons(self.first)}" if self.first else ""


@dataclass(slots=True)
class _Repeats:
    """Skipped records of one file with one reason: the first record, and their number."""

    first: SkippedItem
    count: int = field(default=1)

    def summary(self) -> SkippedItem:
        item = self.first
        if self.count == 1:
            return item
        if item.group is None:
            return SkippedItem(item.name, f"{item.reason} ({self.count:,} times)", count=self.count)
        location = item.name.removeprefix(item.group)
        example = f", one{location}" if location else ""
        is_row = location.startswith(("#", "@"))
        stretches, example = ("rows", f", such as {location}") if is_row else ("stretches", example)
        return SkippedItem(item.group, f"{item.reason} ({self.count:,} {stretches}{example})", count=self.count)


def describe_skipped(summary: DatasetSummary) -> list[str]:
    """Lines about skipped items for people, the first few by name."""
    if not summary.skipped:
        return []
    items = summary.skipped_items[:MAX_LISTED]
    lines = [f"skipped {line}" for line in lines_of((item.name, item.reason) for item in items)]
    named = sum(item.count for item in summary.skipped_items[:MAX_LISTED])
    return lines if summary.skipped == named else [*lines, f"skipped in all: {summary.skipped}"]


def lines_of(items: Iterable[tuple[str, str]]) -> Iterator[str]:
    """`NAME: REASON` of each of some (name, reason).

    Of a long reason that differs from the one before only by what it says in brackets at its end, these alone follow "likewise":
    five tables without a text would take a page.
    """
    before = ""
    for name, reason in items:
        clause, bracket, details = reason.partition(" (")
        is_repeated = clause == before and len(clause) >= MIN_ABRIDGED and reason.endswith(")")
        yield f"{name}: likewise{bracket}{details}" if is_repeated else f"{name}: {reason}"
        before = clause


def name_reasons(items: Sequence[SkippedItem]) -> str:
    """`NAME: REASON; ...` of the first item of each reason, at most MAX_NAMED, and whether there are other items."""
    first_of_reason = {item.reason: item for item in reversed(items)}
    examples = [item for item in items if first_of_reason[item.reason] is item][:MAX_NAMED]
    sentence = "; ".join(lines_of((item.name, item.reason) for item in examples))
    more = {item.name for item in items} - {item.name for item in examples}
    return f"{sentence}; and others" if more else sentence
