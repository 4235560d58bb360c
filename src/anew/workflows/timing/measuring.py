"""Scores and the copying test of an evaluation, one after the other, up to where the clock or a signal stops them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

from anew.core.deadline import TimeIsUp, hard_stop
from anew.core.reporter import Reporter
from anew.core.wording import plural
from anew.data.types import DecodedItem
from anew.evaluation.base import Evaluation
from anew.evaluation.memorization.result import CopyTestResult
from anew.evaluation.notes import COPIES, Note, joined, not_measured, out_of_time
from anew.evaluation.reporting.measurements import Measurements
from anew.evaluation.score import Group, Score
from anew.workflows.timing.time_limit import TimeLimit

# Share of the measuring time for scores. The rest is for the copying test, so that a report of 60 s answers all three
# questions; chosen.
SCORES_SHARE = 0.65
# Seconds on an idle core in which figures of features are sure to be reached: measured 0.7 for small images and 5 for clips. If there are
# fewer, what needs no features comes first, for at most this share of the time; chosen.
FEATURE_SECONDS, PLAIN_SHARE = 5.0, 0.4
# Seconds on an idle core in which no figure of features is reached, not even of small images: what needs no features gets all of them
LEAST_FEATURE_SECONDS = 0.7
# Share of the time of a short report for all but sampling.
SCORING_SHARE = 0.5
TIME_WAS_UP = "Time was up before everything was measured; `evaluate` without a budget takes the time it needs."
COPIES_MISSING = out_of_time(COPIES)
FURTHER_LIKELIHOODS = "further likelihoods, for comparison"
STOPPED = "stopped"
LONGER_BUDGET = "a longer budget"  # subject of the advice


def measure_all(
    evaluation: Evaluation[DecodedItem], reporter: Reporter, time_limit: TimeLimit | None = None
) -> Measurements:
    """Compute all scores and the copying test, and report each as it is ready.

    If it is stopped, by a signal or by the clock, what was measured so far is returned.

    Args:
        evaluation: Computes the scores; it plans by its own clock.
        reporter: Receives the progress.
        time_limit: Time of the evaluation; None for no limit.
    """
    stop_at, slowdown = (None, 1.0) if time_limit is None else (time_limit.stop_at, time_limit.slowdown)
    measurements, evaluation.announcements.reporter = Measurements(), reporter
    reporter.message(f"measuring {plural(len(evaluation.inputs.samples), 'sample')} against the data")
    try:
        begin = time.monotonic()
        limit = None if stop_at is None else SCORES_SHARE * (stop_at - begin)
        is_short = limit is not None and limit < FEATURE_SECONDS * slowdown and evaluation.inputs.features is None
        if limit is not None and is_short:
            share = 1.0 if limit < LEAST_FEATURE_SECONDS * slowdown else PLAIN_SHARE
            measure_scores(evaluation.scores_without_features(), measurements, reporter, share * limit)
            evaluation.forget_unmeasured()  # what is missing is tried again after the features
            limit -= time.monotonic() - begin
        in_time = measure_scores(_timed(evaluation.answer_scores(), measurements, begin), measurements, reporter, limit)
        if is_short:
            evaluation.notes[:] = dict.fromkeys(evaluation.notes)  # a figure that was tried twice is named once
        begin = time.monotonic()
        in_time = look_for_copies(evaluation, measurements, reporter, stop_at) and in_time
        measurements.copies_seconds = time.monotonic() - begin
        limit = None if stop_at is None else stop_at - time.monotonic()
        if not measure_scores(evaluation.further_scores(), measurements, reporter, limit):
            in_time = False
            evaluation.notes += [out_of_time(FURTHER_LIKELIHOODS)] if evaluation.has_further_scores else []
        measurements.is_out_of_time = not in_time
    except KeyboardInterrupt:
        measurements.is_measuring_stopped = True
        measurements.notes.append(Note("Stopped before the end: what is missing here was not measured."))
        if measurements.copies is None:
            measurements.notes.append(not_measured(COPIES, STOPPED, COPIES))
        reporter.message("stopped; the report holds what was measured so far")
    measurements.too_few, measurements.supply = evaluation.sets.too_few, evaluation.sets.supply
    measurements.unmeasured = evaluation.unmeasured
    if measurements.copies is not None:
        measurements.scores += measurements.copies.scores()
        measurements.notes += notes_on_copies(measurements.copies)
    return measurements


def all_notes(measurements: Measurements, notes: Sequence[Note]) -> list[Note]:
    """The notes of a report: with the names of what was cut off while it was measured, and whether more time would help.

    Args:
        measurements: What was measured in the end.
        notes: Notes on what an evaluation left out.
    """
    notes = [*notes, *measurements.notes]
    # The rest was measured in the time that was left, so nobody needs the advice.
    if not measurements.unmeasured:
        notes = [note for note in notes if note.subject != LONGER_BUDGET]
    subjects = {note.subject for note in notes}
    cut_off = [name for name in measurements.unmeasured if name not in subjects]
    if measurements.is_measuring_stopped:
        return [*notes, *(not_measured(name, STOPPED, name) for name in cut_off)]
    if not measurements.is_out_of_time:
        return notes
    notes += map(out_of_time, cut_off)
    is_cut_short = measurements.copies is not None and measurements.copies.limited_by == "time"
    is_missing = is_cut_short or any(note.is_out_of_time for note in notes)
    return [*joined(notes), *([Note(TIME_WAS_UP)] if is_missing else [])]


def notes_on_copies(copies: CopyTestResult) -> list[Note]:
    """The part that a copying test left out."""
    return [Note(sentence, COPIES) for sentence in copies.notes]


def advise_longer(measurements: Measurements, seconds: float, slowdown: float) -> None:
    """Add a note on how much longer a budget would do, if time was up before figures of features were measured.

    Args:
        measurements: What was measured.
        seconds: Seconds that sampling and measuring had.
        slowdown: How many times longer than on idle cores work takes.
    """
    needed = FEATURE_SECONDS * slowdown / SCORES_SHARE / SCORING_SHARE
    if measurements.is_out_of_time and measurements.unmeasured and needed > seconds:
        more = 10 * math.ceil((needed - seconds) / 10)
        sentence = f"A budget that is about {more} s longer would do at the present load."
        measurements.notes.append(Note(sentence, LONGER_BUDGET))


def measure_scores(
    scores: Iterator[Score], measurements: Measurements, reporter: Reporter, seconds: float | None
) -> bool:
    """Add scores until the seconds are spent; None for no limit. Returns whether all were computed in time."""
    try:
        with hard_stop(seconds):
            for score in scores:
                measurements.scores.append(score)
                real = "" if score.real_baseline is None else f" (real data: {score.real_baseline:.4g})"
                reporter.message(f"  {score.name}: {score.shown_value:.4g}{real}")
    except TimeIsUp:
        return False
    return True


def _timed(scores: Iterator[Score], measurements: Measurements, begin: float) -> Iterator[Score]:
    """The scores, with the time of all from `begin` on that are measured again where there are further samples: no likelihoods."""
    for score in scores:
        if score.spec.group is not Group.PREDICTION:
            measurements.score_seconds = time.monotonic() - begin
        yield score


def look_for_copies(
    evaluation: Evaluation[DecodedItem], measurements: Measurements, reporter: Reporter, stop_at: float | None
) -> bool:
    """Add the result of the largest copying test for which there is time. Returns whether all tests ended in time."""
    message = "looking for copies of training items"
    # Without a limit it may take minutes, so that this is more than a detail
    reporter.message(message if stop_at is None else f"  {message}")
    try:
        with hard_stop(None if stop_at is None else stop_at - time.monotonic()):
            for copies in evaluation.copy_tests():
                measurements.copies = copies
    except TimeIsUp:
        if measurements.copies is None:
            measurements.notes.append(COPIES_MISSING)
        return False
    return True
