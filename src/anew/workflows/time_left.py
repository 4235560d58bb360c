"""What a report lacks for want of time, measured in the time that is left once its page is written.

The page has to be written before the budget is over, whatever that takes on crowded cores. So much time is kept for it, and
most of it is left in the end (docs/log.md, 2026-11-28). It is spent in pieces of more and more samples, each of which begins
only if the one before says that it will end in time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from anew.core.deadline import can_stop
from anew.core.reporter import Reporter
from anew.data.types import DecodedItem
from anew.evaluation.base import OUT_OF_TIME, Evaluation, scores_without_features
from anew.evaluation.metrics.feature_sets import QUICK
from anew.evaluation.reporting.content import SamplePair
from anew.evaluation.score import Score
from anew.workflows.measuring import COPIES_MISSING, SCORES_SHARE, look_for_copies, measure_scores
from anew.workflows.run_report import Measurements

FIRST_PIECE = 32  # samples of the first piece: more than any figure needs; chosen
WORTHWHILE = 1.5  # a further piece has at least this many times the samples of the one before; chosen
# Seconds on an idle core that the first piece takes at least, and one without features: measured .7 and .1 s for small images.
LEAST_PIECE, LEAST_PLAIN = 1.0, 0.2


@dataclass(frozen=True)
class Supplement:
    """Measurements that replace earlier ones. closest_pairs: those of a new copying test; None if there is none."""

    measurements: Measurements
    skipped: list[str]
    closest_pairs: list[SamplePair] | None


def measure_in_time_left(
    evaluation: Evaluation[DecodedItem],
    measurements: Measurements,
    stop_at: float,
    crowding: float,
    reporter: Reporter,
) -> Supplement | None:
    """Measure what the answers lack, as far as there is time; None if they lack nothing or nothing was added.

    Args:
        evaluation: The evaluation that was cut short.
        measurements: What it measured.
        stop_at: `time.monotonic()` at which measuring is stopped, wherever it is.
        crowding: How many times longer than on idle cores work takes.
        reporter: Receives the progress.
    """
    left = stop_at - time.monotonic()
    lacks_scores = bool(measurements.unmeasured) and evaluation.inputs.features is None and not measurements.too_few
    lacks_copies = measurements.copies is None and evaluation.item_type is not None
    if not (lacks_scores or lacks_copies) or left < LEAST_PLAIN * crowding or not can_stop():
        return None
    reporter.message(f"measuring what is missing in the {left:.0f} s that are left")
    supplemented, skipped, pairs = measurements, list(evaluation.skipped), None
    if lacks_scores:
        share = SCORES_SHARE if lacks_copies else 1.0
        supplemented, skipped = _with_scores(
            evaluation, measurements, stop_at - (1.0 - share) * left, crowding, reporter
        )
    if lacks_copies:
        piece, further = _piece(evaluation, len(evaluation.inputs.samples), stop_at), Measurements()
        look_for_copies(piece, further, reporter, stop_at)
        if further.copies is not None:
            supplemented, pairs = _with_copies(supplemented, further), piece.closest_pairs
            skipped += piece.skipped
    if supplemented is measurements:
        return None
    return Supplement(supplemented, skipped, pairs)


def _piece(evaluation: Evaluation[DecodedItem], n: int, stop_at: float) -> Evaluation[DecodedItem]:
    """An evaluation of the first n samples of another one, without the likelihood, which no answer depends on."""
    seconds = stop_at - time.monotonic()
    inputs = replace(evaluation.inputs, samples=evaluation.inputs.samples[:n], seconds=seconds, bits=None)
    return type(evaluation)(inputs)


def _with_scores(
    evaluation: Evaluation[DecodedItem], measurements: Measurements, stop_at: float, crowding: float, reporter: Reporter
) -> tuple[Measurements, list[str]]:
    """The measurements with scores of pieces, and sentences on what was skipped. For the arguments see `measure_in_time_left`."""
    n_all, skipped = min(len(evaluation.inputs.samples), QUICK), list(evaluation.skipped)
    plain, further = _piece(evaluation, n_all, stop_at), Measurements()
    measure_scores(scores_without_features(plain), further, reporter, stop_at - time.monotonic())
    if further.scores:
        scores = _latest(measurements.scores, further.scores)
        measurements = replace(measurements, scores=scores, supply=plain.supply)
    n = n_all if n_all < WORTHWHILE * FIRST_PIECE else FIRST_PIECE
    needed = LEAST_PIECE * crowding
    while (left := stop_at - time.monotonic()) >= needed:
        piece, further = _piece(evaluation, n, stop_at), Measurements()
        is_whole = measure_scores(piece.answer_scores(), further, reporter, left)
        if further.scores:
            scores = _latest(measurements.scores, further.scores)
            measurements = replace(measurements, scores=scores, supply=piece.supply)
        if is_whole:
            skipped = _skipped(evaluation, piece)
            measurements = replace(measurements, unmeasured=piece.unmeasured)
        spent = left - (stop_at - time.monotonic())
        following = _affordable(n, spent, left - spent, n_all)
        if not is_whole or n == n_all or following < min(WORTHWHILE * n, n_all):
            break
        n, needed = following, spent
    return measurements, skipped


def _affordable(n: int, spent: float, left: float, n_all: int) -> int:
    """How many samples the next piece has, if n took `spent` seconds, half of them whatever n was, and `left` are left."""
    return int(min(n_all, n * max(2.0 * left / max(spent, 1e-3) - 1.0, 0.0)))


def _latest(earlier: list[Score], later: list[Score]) -> list[Score]:
    """Scores by name: of two with one name the one of more samples, else the later one."""
    scores = {score.name: score for score in earlier}
    for score in later:
        if score.name not in scores or (score.n or 0) >= (scores[score.name].n or 0):
            scores[score.name] = score
    return list(scores.values())


def _skipped(evaluation: Evaluation[DecodedItem], piece: Evaluation[DecodedItem]) -> list[str]:
    """Sentences on what both skipped, without those on what the piece measured."""
    measured = {f"Not measured: {name} ({OUT_OF_TIME})." for name in {*evaluation.unmeasured} - {*piece.unmeasured}}
    kept = [text for text in evaluation.skipped if text not in measured]
    return [*kept, *(text for text in piece.skipped if text not in kept)]


def _with_copies(measurements: Measurements, further: Measurements) -> Measurements:
    """The measurements with the copying test of further ones."""
    assert further.copies is not None
    notes = [note for note in measurements.notes if note != COPIES_MISSING]
    return replace(
        measurements,
        copies=further.copies,
        scores=_latest(measurements.scores, list(further.copies.scores())),
        notes=[*notes, *further.copies.notes],
    )
