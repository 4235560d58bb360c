"""Sentences on what an evaluation left out, each with its subject, by which a later measurement replaces it."""

from __future__ import annotations

from dataclasses import dataclass

EXTENT = "the number of samples that were compared"
COPIES = "the copying test"
OUT_OF_TIME = "out of time"


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence of a report.

    Attributes:
        sentence: The sentence.
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
