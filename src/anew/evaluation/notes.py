"""Notes of an evaluation on what it left out, and announcements of what it is measuring.

A note has its subject, by which a later measurement replaces it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from anew.core.reporter import Reporter, SilentReporter
from anew.core.wording import duration, listed
from anew.evaluation.measure import BOTH, Questions, Unmeasured

NUM_COMPARED = "the number of samples that were compared"
COPIES = "the copying test"
OUT_OF_TIME = "out of time"
LONG_SEARCH = 60.0  # seconds of a search of the copying test that are announced; chosen
# A search is shown again if it has at least this many times the items of those that were shown before; chosen
MIN_SEARCH_GROWTH = 2.0
FURTHER_FIGURES = "further figures"  # stands for those whose names are not known yet


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence of a report.

    Attributes:
        subject: The measurement that replaces it: NUM_COMPARED, COPIES or the name of a figure; "" if none does.
        is_out_of_time: Whether it is on a figure for which there was no time.
    """

    sentence: str
    subject: str = ""
    is_out_of_time: bool = False


def not_measured(measure: str, reason: str, subject: str) -> Note:
    """A note on what was not measured. reason: one clause."""
    return Note(f"Not measured: {measure} ({reason}).", subject)


def out_of_time(measure: str) -> Note:
    """A note on a figure for which there was no time; the figure is its subject."""
    return replace(not_measured(measure, OUT_OF_TIME, measure), is_out_of_time=True)


def joined(notes: Sequence[Note]) -> list[Note]:
    """The notes, with one for all figures for which there was no time in the place of the first."""
    late = [note for note in notes if note.is_out_of_time]
    if len(late) < 2:
        return list(notes)
    names = listed([note.subject for note in late])
    together = Note(f"Not measured ({OUT_OF_TIME}): {names}.", is_out_of_time=True)
    return [together if note is late[0] else note for note in notes if note is late[0] or not note.is_out_of_time]


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
        self._begun = 0.0  # when the search began
        self._first: tuple[float, int] | None = None  # when its first items were found, and how many
        self._is_announced = False
        self._largest: dict[str, int] = {}  # items of the largest search that was shown
        self._is_shown = False

    def measuring(self, figures: str) -> None:
        """Say in passing which figures are measured next, where it may take seconds."""
        self.reporter.message(f"  {figures}")

    def searching(self, task: str, count: int, total: int) -> None:
        """Show that `count` of `total` items are found in a search of the copying test; 0: it begins, and is named once.

        The first long search is announced with the time that it takes, as soon as its pace is known. One that is not long, nor much
        larger than an earlier one of this task, is not shown: a memorization test searches the same items several times.
        """
        if self._in_limited_time:
            return
        if count:
            self._announce(task, count, total)
            if self._is_shown:
                self.reporter.progress(task, count, total)
            return
        self._begun, self._first = time.monotonic(), None
        self._is_shown = total >= MIN_SEARCH_GROWTH * self._largest.get(task, 0)
        if self._is_shown:
            self._largest[task] = total
        if task not in self._named:
            self._named.add(task)
            self.measuring(task)

    def _announce(self, task: str, count: int, total: int) -> None:
        """Say how long a search takes, by the pace after its first items: before these, loops may have been compiled."""
        now = time.monotonic()
        if self._first is None:
            self._first = now, count
        begin, num_first = self._first
        seconds_left = (now - begin) * (total - count) / max(count - num_first, 1)
        seconds = now - self._begun + seconds_left
        if seconds < LONG_SEARCH:
            return
        self._is_shown = True
        if seconds_left and not self._is_announced:
            self._is_announced = True
            about = duration(60.0 * round(seconds / 60.0))
            self.reporter.message(f"  {task} of {total:,} takes about {about}; a smaller `n`, or a budget, takes less")


class MeasuringRecord:
    """The scores of an evaluation, and notes on what was not measured and why.

    Attributes:
        notes: What was not measured and why; complete once `scores` has ended.
        named_unmeasured: Names of metrics that were not measured for lack of time, or because of Ctrl-C, and the questions that they
            help to answer.
        has_further: Whether further ones follow, whose names are not known yet.
        measured: Names of the metrics of `metrics_in_time` that were measured.
        lacking_samples: Names of those that more samples would have let it measure.
        further_questions: The questions that further ones help to answer.
    """

    further_questions: Questions = BOTH

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self.measured, self.lacking_samples = set[str](), set[str]()
        self.forget_unmeasured()

    def note_out_of_time(self, measure: str, questions: Questions) -> None:
        """Record a metric that was not measured for lack of time: no question that it helps to answer gets a yes without it."""
        self.named_unmeasured[measure] = questions
        self.notes.append(out_of_time(measure))

    def note_not_measured(self, measure: str, reason: str, subject: str = "", *, lacks_samples: bool = False) -> None:
        """Record what was not measured, for the report's notes; see `Note`.

        lacks_samples: Whether it is a metric of `metrics_in_time` that more samples would let it measure: no question that it helps to
            answer gets a yes without it, as if there had been no time.
        """
        if lacks_samples:
            self.lacking_samples.add(measure)
            subject = measure
        self.notes.append(not_measured(measure, reason, subject))

    def forget_unmeasured(self) -> None:
        """Begin the record of what was not measured anew: all of it is still to come."""
        self.named_unmeasured: dict[str, Questions] = {}
        self.has_further = True

    @property
    def unmeasured(self) -> Unmeasured:
        """Names of what was not measured, and the questions that it helps to answer; complete once `scores` has ended or was stopped."""
        return self.named_unmeasured | ({FURTHER_FIGURES: self.further_questions} if self.has_further else {})
