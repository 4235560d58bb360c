"""How much of a budget the report gets: more than usual where drawing and measuring samples takes longer, by short trials."""

from __future__ import annotations

import math
import time
from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from anew.core.deadline import TimeIsUp, hard_stop
from anew.core.specs import Tokens
from anew.core.wording import are, rounded_up
from anew.data.dataset import Dataset
from anew.data.document_heads import begins_documents
from anew.evaluation.base import METRICS_SHARE, REPORT_SECONDS, load_evaluation
from anew.evaluation.items_in_time import num_affordable_items
from anew.evaluation.memorization.item_types import PASSAGE
from anew.evaluation.reporting.supply import MIN_FOR_GOOD
from anew.evaluation.score import USUALLY_ENOUGH_ITEMS
from anew.planning.budget import MIN_TRAINING, SHORT_OF_TIME, evaluation_slice, is_short_of_time, time_to_train
from anew.runs.state import Checkpoint
from anew.sampling.restore import checkpoint_weights
from anew.workflows.item_inputs import item_inputs
from anew.workflows.job import TrainingJob
from anew.workflows.timing.pace import Pace
from anew.workflows.timing.sample_counts import SampleCounts, held_out_pieces, is_running_text, samples_for_novelty
from anew.workflows.timing.sampling_shares import GRADED_SHARE, TARGET_SHARE
from anew.workflows.timing.sampling_trial import trial_sampling

TRIAL_SHARE, MAX_TRIAL = 0.01, 1.0  # share of the budget, and seconds at most, for each of the two trials; chosen
FEATURE_ITEMS, FEW_FEATURE_ITEMS = 32, 8  # items whose features are timed, and that the embedding is fitted to; chosen
# Share of a budget that the report gets at most, and that of a run that is given more: there is a report already, and a smaller one would
# take its place. Chosen
MAX_REPORT, MAX_LATER_REPORT = 0.25, 0.4
MAX_TAKEN = 0.2  # share of the time to train that the report may take in addition to its usual slice; chosen
# Seconds on an idle core of the figures of text, and share of a report that they have at most: measured 5.1 for 300 proteins; a shorter
# report leaves figures out, not samples. The share is chosen.
TEXT_SECONDS, TEXT_SHARE = 5.0, 0.45
LIST = "layout=list"  # the setting that reads each line of a text as an item
LENGTH_RATIO = 1.15  # ratio of the lengths that are considered; chosen


@dataclass(frozen=True, slots=True)
class ReportCosts:
    """The time that drawing and measuring samples takes on this machine.

    Attributes:
        enough: Number of samples by which closeness and variety can usually be told.
        pace: How fast samples are drawn.
        feature_seconds: Seconds that the features of an item take, which most scores need.
        text_seconds: Seconds that the figures of text take, which need no features; 0 for other data.
        pieces: Pieces of a sample that are compared, see `SampleCounts`.
        for_novelty: Number of samples that the copying test needs, see `samples_for_novelty`; 0 if that is not known, or if a report
            draws fewer however long it takes.
    """

    enough: int
    pace: Pace
    feature_seconds: float
    text_seconds: float = 0.0
    pieces: float = 1.0
    for_novelty: int = 0

    @property
    def fewest(self) -> int:
        """The fewest samples with which Close? and Varied? can be answered with yes."""
        return math.ceil(MIN_FOR_GOOD / self.pieces)

    def num_drawn(self, share: float, seconds: float) -> int:
        """How many samples can be drawn in this share of a report of `seconds`, or in what figures of text leave of it."""
        sampling = share * seconds
        if self.text_seconds:
            sampling = min(sampling, seconds - REPORT_SECONDS - min(self.text_seconds, TEXT_SHARE * seconds))
        return self.pace.samples_within(sampling)

    def num_compared(self, seconds: float) -> int:
        """How many samples a report of `seconds` can draw and measure, at most `enough`."""
        is_fast = self.num_drawn(TARGET_SHARE, seconds) >= self.enough
        share = TARGET_SHARE if is_fast else GRADED_SHARE
        sampling = share * seconds
        measuring = METRICS_SHARE * max(seconds - sampling - REPORT_SECONDS, (seconds - sampling) / 2)
        measured = num_affordable_items(measuring, self.feature_seconds)
        return int(min(self.enough, self.num_drawn(share, seconds), measured))

    def shortfall(self, seconds: float) -> str:
        """What a report of `seconds` draws too few samples for, a sentence; "" if it draws enough."""
        compared, drawn = self.num_compared(seconds), self.num_drawn(GRADED_SHARE, seconds)
        if compared < self.fewest <= self.enough:
            answers, needs, affordable = "Close? and Varied?", f"needs about {self.enough:,}", compared
        elif drawn < self.for_novelty:
            # More where real items have near-twins, fewer where hardly any sample is near to a real item
            answers, needs, affordable = "New?", f"may need about {rounded_up(self.for_novelty):,}", drawn
        else:
            return ""
        return (
            f"a yes to {answers} {needs} samples, and at the present load there is time for about {affordable:,}; if it stays open, give "
            "a longer budget, or run `anew evaluate RUN` afterwards, which has no time limit unless you give it a budget"
        )

    def report_seconds(self, usual: float, most: float) -> float:
        """The seconds that the report gets: the usual ones or, if it answers more then, up to `most`."""
        lengths = [usual]
        while lengths[-1] < most:
            lengths.append(min(LENGTH_RATIO * lengths[-1], most))
        return max(lengths, key=self._num_answers)  # the first of equal ones

    def _num_answers(self, seconds: float) -> int:
        """A number that rises with the answers that a report of `seconds` has samples for."""
        has_novelty = self.num_drawn(GRADED_SHARE, seconds) >= self.for_novelty
        return bisect((self.fewest, self.enough), self.num_compared(seconds)) + has_novelty


def few_held_out(data: Dataset) -> list[str]:
    """A sentence if held-out documents give few pieces to compare, or the user's own held-out items are too few for a yes; of other
    parts that Anew divides, the split says it."""
    if begins_documents(data.base.spec):
        return _few_pieces(data)
    if is_running_text(data.base.spec):
        return _few_passages(data)
    held_out = SampleCounts.of(data).held_out
    if "test" in data.own_held_out_parts or held_out >= MIN_FOR_GOOD:
        return []
    return [
        f"A yes to Close? and Varied? needs at least {MIN_FOR_GOOD} held-out items, usually about {USUALLY_ENOUGH_ITEMS}, and there "
        f"{are(held_out)} {held_out:,}."
    ]


def _few_passages(data: Dataset) -> list[str]:
    """A sentence if the held-out part of a text has too few pieces for a yes."""
    _, num_pieces = held_out_pieces(data)
    if num_pieces >= MIN_FOR_GOOD:
        return []
    # Where lines could be records, the notes say so
    lines = "; or layout=list, if each line is an item" if any(LIST in note for note in data.scan.notes) else ""
    return [
        f"A yes to Close? and Varied? needs at least {MIN_FOR_GOOD} held-out pieces of {PASSAGE} characters, and the held-out text has "
        f"about {num_pieces:,}; more text is needed for a yes{lines}."
    ]


def _few_pieces(data: Dataset) -> list[str]:
    """A sentence if documents, cut to what a sample reaches, give fewer pieces than answers usually need."""
    num_texts, num_pieces = held_out_pieces(data)
    if num_pieces >= USUALLY_ENOUGH_ITEMS:
        return []
    enough = rounded_up(math.ceil(USUALLY_ENOUGH_ITEMS * num_texts / max(num_pieces, 1)))
    return [
        f"A yes to Close? and Varied? usually takes {USUALLY_ENOUGH_ITEMS} held-out pieces of {PASSAGE} characters, and the "
        f"{num_texts:,} held-out texts have about {num_pieces:,}: the answers may be 'too few to tell', whatever the number of samples. "
        f"About {enough:,} held-out texts like these would do."
    ]


def plan_report(job: TrainingJob, checkpoint: Checkpoint | None) -> tuple[TrainingJob, Pace | None]:
    """Give the report more of the budget if it answers more then, and say what it cannot answer; nothing is tried on a hurried
    machine.

    Args:
        job: The training, before its first step; its closed forms are fitted.
        checkpoint: The state to continue from; None at the beginning.

    Returns:
        The training, shorter if the report gets more than its usual time; how fast samples are drawn, None if that was not
        measured.
    """
    budget = job.plan.budget_s
    if budget is None or job.world.size > 1:
        return job, None
    message = job.context.reporter.message
    for sentence in few_held_out(job.data):
        message(sentence)
    left = time_to_train(budget, job.context, MIN_TRAINING)
    if is_short_of_time(budget, left, job.context):
        message(f"{SHORT_OF_TIME}, so the speed of sampling is not measured")
        return job, None
    costs = _measured_costs(job, job.family.state_dict() if checkpoint is None else checkpoint_weights(checkpoint))
    if costs is None:
        return job, None
    usual = evaluation_slice(budget, job.context.slowdown)
    seconds = costs.report_seconds(usual, _most_seconds(job, budget, usual, left))
    if shortfall := costs.shortfall(seconds):
        message(shortfall)
    if seconds > usual:
        message(f"the report gets {seconds:.0f} s of the budget instead of {usual:.0f} s, so that it can answer more")
        job = _with_longer_report(job, seconds - usual, seconds)
    return job, costs.pace


def _most_seconds(job: TrainingJob, budget: float, usual: float, left: float) -> float:
    """The seconds that a report gets at most. usual: those that it gets at least; left: those to train."""
    if job.train_config.train_seconds:  # a training time that was asked for is not cut short
        return usual
    trained = job.previous_training.get("seconds")
    if trained is None or job.plan.train_s is None:
        return min(MAX_REPORT * budget, usual + MAX_TAKEN * left)
    # The training must stay longer than that of the present weights
    gained = max(0.0, job.plan.train_s - float(trained))
    return min(MAX_LATER_REPORT * budget, usual + min(MAX_TAKEN * left, gained / 2.0))


def _measured_costs(job: TrainingJob, weights: Mapping[str, Tensor]) -> ReportCosts | None:
    """The costs by short trials with the weights that the training begins with, closed forms included; None if they were not over."""
    assert job.plan.budget_s is not None
    seconds = min(TRIAL_SHARE * job.plan.budget_s, MAX_TRIAL)
    counts, for_novelty = SampleCounts.of(job.data), samples_for_novelty(job.data)
    if (pace := trial_sampling(job, weights, seconds)) is None:
        return None
    # However many samples there are, a text with few held-out pieces gets no yes
    has_yes = not counts.is_text or held_out_pieces(job.data)[1] >= MIN_FOR_GOOD
    return ReportCosts(
        counts.enough() if has_yes else 0,
        pace,
        trial_features(job.data, job.plan.seed, seconds),
        TEXT_SECONDS * job.context.slowdown if isinstance(job.data.spec, Tokens) else 0.0,
        counts.pieces,
        for_novelty if for_novelty <= job.train_config.evaluate_samples else 0,
    )


def _with_longer_report(job: TrainingJob, extra: float, seconds: float) -> TrainingJob:
    """The training with `extra` seconds fewer, and its config.json that says so. seconds: those of the report."""
    train_s = None if job.plan.train_s is None else max(job.plan.train_s - extra, MIN_TRAINING)
    plan = replace(job.plan, train_s=train_s, evaluate_s=seconds)
    record = job.record.model_copy(update={"plan": plan})
    job = replace(job, record=record, context=replace(job.context, report_extra=extra))
    job.write_status("training")
    return job


def trial_features(data: Dataset, seed: int, seconds: float) -> float:
    """The seconds that the features of an item take; those that are not ready within `seconds` are taken to need that long."""
    items = data.items("train", FEATURE_ITEMS, seed)
    evaluation = load_evaluation(data.base.modality.name)(item_inputs(data, items, seed))
    begin, embedded = time.monotonic(), 0
    try:
        with hard_stop(seconds):
            embed = evaluation.embedder(items[:FEW_FEATURE_ITEMS])  # this loads what features need
            begin = time.monotonic()
            for start in range(0, len(items), FEW_FEATURE_ITEMS):
                embed(items[start : start + FEW_FEATURE_ITEMS])
                embedded = min(start + FEW_FEATURE_ITEMS, len(items))
    except TimeIsUp:
        embedded = max(embedded, min(FEW_FEATURE_ITEMS, len(items)))  # the first ones take that long at least
    return (time.monotonic() - begin) / max(embedded, 1)
