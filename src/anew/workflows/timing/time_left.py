"""Measurements for which a report had no time, made in the time that is left once its page is written.

The page has to be written before the budget is over, whatever that takes on busy cores. So much time is kept for it, and
most of it is left in the end (docs/log.md, 2026-11-28). It is spent in batches of more and more samples; each batch begins only if the time
of the one before says that it will end in time.
"""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from anew.core.deadline import can_stop
from anew.core.reporter import Reporter
from anew.core.specs import Tokens
from anew.core.wording import listed
from anew.data.types import DecodedItem
from anew.evaluation.base import Evaluation
from anew.evaluation.inputs import MIN_ITEMS, Clock, Labels
from anew.evaluation.items_in_time import WITHIN_TIME, compared_sentence
from anew.evaluation.measure import Unmeasured, without
from anew.evaluation.memorization.result import CopyTestResult
from anew.evaluation.memorization.thresholds import PLANTED_RATES
from anew.evaluation.metrics.feature_sets import MAX_ITEMS_WITHOUT_SAVING
from anew.evaluation.notes import COPIES, FURTHER_FIGURES, NUM_COMPARED, Note
from anew.evaluation.reporting.content import SamplePair
from anew.evaluation.reporting.measurements import Measurements
from anew.evaluation.reporting.supply import Supply
from anew.evaluation.score import Score
from anew.workflows.timing.measuring import SCORES_SHARE, look_for_copies, measure_scores, notes_on_copies

FIRST_BATCH = 32  # samples of the first batch: more than any figure needs; chosen
MIN_SAMPLE_GROWTH = 1.5  # a further batch has at least this many times the samples of the one before; chosen
FEWER = "figures of fewer samples"  # subject of the note on them
# Seconds on an idle core that the first batch takes at least: measured 0.3 to 0.5 s for sequences and names, 0.7 for small images. One
# without features: 0.1 s for these.
MIN_TOKENS, MIN_GRIDS, MIN_PLAIN = 0.5, 1.0, 0.2


@dataclass(frozen=True)
class Supplement:
    """Measurements that replace earlier ones.

    Attributes:
        evaluation: The evaluation with notes on what is still left out.
        measurements: What was measured in the end.
        closest_pairs: Closest pairs of a new copying test; None if there is none.
    """

    evaluation: Evaluation[DecodedItem]
    measurements: Measurements
    closest_pairs: list[SamplePair] | None


def measure_in_time_left(
    evaluation: Evaluation[DecodedItem],
    measurements: Measurements,
    stop_at: float,
    slowdown: float,
    reporter: Reporter,
    *,
    has_further_samples: bool = False,
) -> Supplement | None:
    """Measure what the answers lack, as far as there is time; None if they lack nothing or nothing was added.

    Args:
        evaluation: The evaluation that was cut short.
        measurements: What it measured.
        stop_at: `time.monotonic()` at which measuring is stopped, wherever it is.
        slowdown: How many times longer than on idle cores work takes.
        reporter: Receives the progress.
        has_further_samples: Whether samples were drawn after the copying test.
    """
    left = stop_at - time.monotonic()
    may_lack_scores = evaluation.inputs.features is None and not measurements.too_few
    is_few = (
        bool(measurements.supply.left_out)
        and MIN_SAMPLE_GROWTH * _measured(measurements.supply) <= MAX_ITEMS_WITHOUT_SAVING
    )
    lacks_scores = may_lack_scores and (bool(measurements.unmeasured) or is_few)
    lacks_copies = evaluation.item_type is not None and (
        measurements.copies is None
        or measurements.copies.limited_by == "time"
        or has_further_samples
        or evaluation.may_compare_thoroughly
    )
    if not (lacks_scores or lacks_copies) or left < MIN_PLAIN * slowdown or not can_stop():
        return None
    reporter.message(f"measuring what is missing in the remaining {left:.0f} s")
    supplemented, notes, pairs = measurements, list(evaluation.notes), None
    if lacks_scores:
        share = SCORES_SHARE if lacks_copies else 1.0
        supplemented, notes = _with_scores(evaluation, measurements, stop_at - (1.0 - share) * left, slowdown, reporter)
    if lacks_copies:
        batch, further = _batch(evaluation, len(evaluation.inputs.samples), stop_at), Measurements()
        batch.continue_tests(evaluation)
        look_for_copies(batch, further, reporter, stop_at)
        # The same number of items may be compared in another way that shows more
        if further.copies is not None and _says_more(further.copies, measurements.copies):
            supplemented, pairs = _with_copies(supplemented, further.copies), batch.closest_pairs
            notes = [note for note in notes if note.subject != COPIES] + batch.notes
    if supplemented is measurements:
        return None
    evaluation = copy.copy(evaluation)
    evaluation.notes = notes
    return Supplement(evaluation, supplemented, pairs)


def least_seconds(evaluation: Evaluation[DecodedItem]) -> float:
    """Seconds on an idle core that the figures of a few samples take at least."""
    return MIN_TOKENS if isinstance(evaluation.inputs.spec, Tokens) else MIN_GRIDS


class MissingSamples(NamedTuple):
    """Samples that a report lacks.

    Attributes:
        worthwhile: The number of samples from which on the report says more.
        measuring_s: Seconds that are kept for measuring them.
    """

    worthwhile: int
    measuring_s: float


def missing_samples(
    measurements: Measurements,
    n: int,
    least: int,
    shortest: float,
    *,
    required: int = MIN_ITEMS,
    is_complete: bool = False,
) -> MissingSamples | None:
    """The samples that a report of n samples lacks; None if it lacks none, or something else first.

    It lacks samples if they are fewer than any figure needs, fewer than answers usually need (`least`), or too few for the
    copying test to notice the lowest rate of copies. The last holds whether copies were found or not: testing again only where
    none were found would double the rate of false alarms.

    Args:
        measurements: What was measured of them.
        n, least: See above.
        shortest: Seconds that measuring them takes at least.
        required: The number of samples that any figure needs.
        is_complete: Whether all that can be measured of these samples was; otherwise what is missing is measured first.
    """
    if not can_stop():
        return None
    further = math.ceil(MIN_SAMPLE_GROWTH * n)
    if n < required:
        return MissingSamples(required, shortest)  # nothing says how long measuring fewer takes
    # Half of the time is the same for any number of samples
    scoring = max((1.0 + MIN_SAMPLE_GROWTH) / 2.0 * measurements.score_seconds, shortest)
    is_open = measurements.unmeasured or measurements.too_few or measurements.supply.left_out
    if is_open and not is_complete:
        return None
    if n < least:
        return MissingSamples(further, scoring)
    copies = measurements.copies
    if copies is None or copies.limited_by or copies.shortened or copies.exact_limit == PLANTED_RATES[0]:
        return None
    if copies.is_coarse and copies.needs_confirmation:
        return None  # a full comparison says more than further samples
    # The test may compare several passages of each sample of text, so its number is converted to samples
    needed = math.ceil(copies.needed(PLANTED_RATES[-1])[1] * n / max(copies.samples, 1))
    is_blind = not copies.detected and copies.limit is None and not copies.is_among_relatives and needed > n
    worthwhile, measuring, supply = (
        needed if is_blind else further,
        2.0 * measurements.copies_seconds,
        measurements.supply,
    )
    # Figures compare further samples with further held-out items, and an answer that lacks that is not settled
    if supply.held_out is not None and supply.compared < supply.held_out:
        measuring += max((1.0 + worthwhile / n) / 2.0 * measurements.score_seconds, shortest)
    return MissingSamples(worthwhile, measuring)


def with_samples(
    evaluation: Evaluation[DecodedItem],
    measurements: Measurements,
    samples: list[DecodedItem],
    labels: Labels | None,
) -> tuple[Evaluation[DecodedItem], Measurements]:
    """The evaluation of all samples, and the measurements, which have left out those that were drawn after them.

    Args:
        evaluation: Evaluation of the first samples.
        labels: The classes of all samples and of real items; None if the run has no classes.
    """
    extended = copy.copy(evaluation)
    extended.inputs = replace(evaluation.inputs, samples=samples, labels=labels)
    supply = measurements.supply
    available = min(int(len(samples) / supply.samples_per_item), supply.held_out or sys.maxsize)
    left_out = max(available - supply.compared, 0)
    too_few = measurements.too_few if available < MIN_ITEMS else ""
    supply = replace(supply, compared=available, left_out=left_out)
    return extended, replace(measurements, too_few=too_few, supply=supply)


def _says_more(copies: CopyTestResult, earlier: CopyTestResult | None) -> bool:
    """Whether a test, of more samples or in another way, replaces an earlier one.

    A coarse one misses some of the copies that a full one finds, and its alarm may be none.
    """
    if earlier is None:
        return True
    is_coarser = copies.is_coarse and not earlier.is_coarse
    if is_coarser and (earlier.detected or copies.needs_confirmation):
        return False
    return _compared(copies) >= _compared(earlier) and not _notices_less(copies, earlier)


def _notices_less(copies: CopyTestResult, earlier: CopyTestResult) -> bool:
    """Whether a test of more samples notices fewer copies, as where a generator reaches held-out items by itself; neither found any.

    What the earlier one says of its samples holds.
    """
    if copies.detected or earlier.detected or earlier.limit is None or earlier.limited_by:
        return False
    return copies.limit is None or copies.limit > earlier.limit


def _compared(copies: CopyTestResult) -> int:
    """The number of pairs of a sample and a training item that were compared."""
    return copies.samples * copies.train


def _batch(evaluation: Evaluation[DecodedItem], n: int, stop_at: float) -> Evaluation[DecodedItem]:
    """An evaluation of the first n samples of another one, without the likelihood, which no answer depends on."""
    seconds = stop_at - time.monotonic()
    inputs = replace(evaluation.inputs, samples=evaluation.inputs.samples[:n], seconds=seconds, bits=None)
    return type(evaluation)(inputs)


def _plain(
    evaluation: Evaluation[DecodedItem], measurements: Measurements, n: int, stop_at: float
) -> Evaluation[DecodedItem]:
    """The evaluation that measures what needs no features: the same, which goes on, or else one of the first n samples."""
    if evaluation.measured and not measurements.supply.left_out:
        # Reading texts and repeating known measurements left no time for the missing ones
        further = copy.copy(evaluation)
        further.clock = further.total_clock = Clock(stop_at - time.monotonic())
        further.notes, further.measured, further.lacking_samples = [], set(evaluation.measured), set()
        further.forget_unmeasured()
        return further
    return _batch(evaluation, n, stop_at)


def _with_scores(
    evaluation: Evaluation[DecodedItem], measurements: Measurements, stop_at: float, slowdown: float, reporter: Reporter
) -> tuple[Measurements, list[Note]]:
    """The measurements with scores of batches, and notes on what was skipped. For the arguments see `measure_in_time_left`."""
    num_all, notes = min(len(evaluation.inputs.samples), MAX_ITEMS_WITHOUT_SAVING), list(evaluation.notes)
    measured: set[str] = set()
    if measurements.unmeasured and not (evaluation.measured and evaluation.has_further):
        plain, further = _plain(evaluation, measurements, num_all, stop_at), Measurements()
        measure_scores(plain.scores_without_features(), further, reporter, stop_at - time.monotonic())
        measured |= plain.measured
        measurements = _with_further(measurements, further.scores, measured)
        reasons = [note for note in plain.notes if not note.is_out_of_time and note not in notes]
        notes = [note for note in notes if note.subject not in {reason.subject for reason in reasons} - {""}] + reasons
    is_complete = not (measurements.unmeasured or measurements.supply.left_out)
    needed = least_seconds(evaluation) * slowdown if measurements.unmeasured else measurements.score_seconds
    n = _first_batch(measurements, num_all)
    while (left := stop_at - time.monotonic()) >= needed and not is_complete:
        batch, further = _batch(evaluation, n, stop_at), Measurements()
        is_measured = measure_scores(batch.answer_scores(), further, reporter, left)
        measured |= batch.measured
        measurements = _with_further(measurements, further.scores, measured)
        # Items are counted as compared with the first figure of features
        if is_measured or (batch.sets and _measured(batch.sets.supply) > _measured(measurements.supply)):
            supply = _supply(measurements.supply, batch.sets.supply, len(evaluation.inputs.samples) / n)
            missing = without(batch.unmeasured, batch.measured)
            late = without(_never_measured(measurements, missing), measured)
            fewer = without(missing, late)
            notes = _with_fewer(_notes(evaluation, batch, supply), fewer)
            measurements = replace(measurements, supply=replace(supply, partly=_questions(fewer)))
            measurements = replace(measurements, unmeasured=late) if is_measured else measurements
        spent = left - (stop_at - time.monotonic())
        following = _affordable(n, spent, left - spent, num_all)
        if not is_measured or n == num_all or following < min(MIN_SAMPLE_GROWTH * n, num_all):
            break
        n, needed = following, spent
    return measurements, [note for note in notes if note.subject not in measured]


def _never_measured(earlier: Measurements, late: Unmeasured) -> Unmeasured:
    """Of what a batch had no time for, what was not measured on fewer samples before, either."""
    if FURTHER_FIGURES in earlier.unmeasured or _measured(earlier.supply) < MIN_ITEMS:
        return late
    return {name: questions for name, questions in late.items() if name in earlier.unmeasured}


def _questions(unmeasured: Unmeasured) -> tuple[str, ...]:
    """The questions that some figures help to answer, each once."""
    return tuple(dict.fromkeys(question for questions in unmeasured.values() for question in questions))


def _with_fewer(notes: list[Note], names: Iterable[str]) -> list[Note]:
    """The notes with one that names figures for which a batch had no time, but which were measured on fewer samples before."""
    fewer = [name for name in names if name != FURTHER_FIGURES]
    notes = [note for note in notes if note.subject != FEWER and not (note.is_out_of_time and note.subject in fewer)]
    sentence = f"Measured on fewer samples than other figures, for lack of time: {listed(fewer)}."
    return [*notes, Note(sentence, FEWER)] if fewer else notes


def _with_further(measurements: Measurements, scores: list[Score], measured: set[str]) -> Measurements:
    """The measurements with further scores, without the names of what was measured."""
    unmeasured = without(measurements.unmeasured, measured)
    if not scores and unmeasured == measurements.unmeasured:
        return measurements
    return replace(measurements, scores=_latest(measurements.scores, scores), unmeasured=unmeasured)


def _first_batch(measurements: Measurements, num_all: int) -> int:
    """How many samples the first batch has: more than were measured, or few of which everything can be measured."""
    n = FIRST_BATCH
    if not measurements.unmeasured:
        n = max(n, math.ceil(MIN_SAMPLE_GROWTH * _measured(measurements.supply)))
    return num_all if num_all < MIN_SAMPLE_GROWTH * n else n


def _measured(supply: Supply) -> float:
    """The number of samples that were measured."""
    return (supply.compared - supply.left_out) * supply.samples_per_item


def _supply(earlier: Supply, batch: Supply, ratio: float) -> Supply:
    """The supply of all samples, of which a batch was measured.

    Args:
        earlier: Supply of the earlier measurements; nothing compared if time was up at once.
        ratio: How many times the samples of the batch there are.
    """
    available = earlier.compared or min(int(batch.compared * ratio), batch.held_out or sys.maxsize)
    measured = max(batch.compared - batch.left_out, earlier.compared - earlier.left_out)
    return replace(batch, compared=available, left_out=max(available - measured, 0))


def _affordable(n: int, spent: float, left: float, num_all: int) -> int:
    """How many samples the next batch has, if n took `spent` seconds, half of them whatever n was, and `left` are left."""
    return int(min(num_all, n * max(2.0 * left / max(spent, 1e-3) - 1.0, 0.0)))


def _latest(earlier: list[Score], later: list[Score]) -> list[Score]:
    """Scores by name: of two with one name the one of more samples, else the later one."""
    scores = {score.name: score for score in earlier}
    for score in later:
        if score.name not in scores or (score.n or 0) >= (scores[score.name].n or 0):
            scores[score.name] = score
    return list(scores.values())


def _notes(evaluation: Evaluation[DecodedItem], batch: Evaluation[DecodedItem], supply: Supply) -> list[Note]:
    """Notes on what both skipped, without what the batch measured. supply: that of all samples."""
    outdated = {*evaluation.unmeasured} - {*batch.unmeasured}
    if evaluation.sets.supply.left_out:
        outdated.add(NUM_COMPARED)
    outdated |= {note.subject for note in batch.notes} - {"", NUM_COMPARED}  # there may be another reason by now
    notes = [note for note in evaluation.notes if note.subject not in outdated]
    if supply.left_out:
        n = supply.compared - supply.left_out
        notes.insert(0, Note(compared_sentence(n, supply.compared, evaluation.counted, WITHIN_TIME), NUM_COMPARED))
    return [*notes, *(note for note in batch.notes if note.subject != NUM_COMPARED and note not in notes)]


def _with_copies(measurements: Measurements, copies: CopyTestResult) -> Measurements:
    """The measurements with another copying test."""
    names = {score.name for score in copies.scores()}
    return replace(
        measurements,
        copies=copies,
        scores=[*(score for score in measurements.scores if score.name not in names), *copies.scores()],
        notes=[*(note for note in measurements.notes if note.subject != COPIES), *notes_on_copies(copies)],
    )
