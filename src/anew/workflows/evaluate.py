"""`evaluate`: sample a run, measure the samples, test them for copies of training items, and write the report."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from anew.core.deadline import TimeIsUp, hard_stop
from anew.core.machine.threads import CrowdingMeter, use_threads
from anew.core.processes.shared_work import SharedWork
from anew.core.processes.world import World
from anew.core.reporter import Reporter, SilentReporter
from anew.core.specs import Batch, Tokens
from anew.core.wording import duration, plural
from anew.data.dataset import Dataset
from anew.data.skipped import describe_skipped
from anew.data.types import DecodedItem
from anew.errors import UserError
from anew.evaluation.base import Evaluation, load_evaluation
from anew.evaluation.inputs import EvaluationInputs, Labels
from anew.evaluation.metrics.bits import BitsAndUnits
from anew.evaluation.metrics.feature_sets import FeatureSets
from anew.evaluation.notes import Note
from anew.evaluation.reporting.content import ReportContent, SamplePair
from anew.evaluation.reporting.report import EvaluationReport
from anew.evaluation.score import Division
from anew.families.base import Family
from anew.planning.budget import MIN_CROWDING
from anew.planning.pilots import describe_pilots
from anew.runs import events as events_file
from anew.runs.events import Events
from anew.runs.report_record import REPORT
from anew.sampling.model import Model
from anew.sampling.samples import Samples
from anew.workflows.audit_pools import audit_pool
from anew.workflows.evaluated_together import draw_and_share
from anew.workflows.item_inputs import held_out_size, item_inputs, label_readers
from anew.workflows.run_report import Measurements, save_samples, warnings, write_run_report
from anew.workflows.timing.measuring import advise_longer, all_notes, measure_all
from anew.workflows.timing.pace import FIRST_CHUNK, GROWTH, MAX_CHUNK, Pace
from anew.workflows.timing.sample_counts import SampleTargets, is_running_text, sample_targets
from anew.workflows.timing.sampling_shares import GRADED_SHARE, MIN_GRADED_SHARE, REQUIRED_SHARE, next_chunk
from anew.workflows.timing.time_left import least_seconds, measure_in_time_left, missing_samples, with_samples
from anew.workflows.timing.time_limit import TimeLimit

__all__ = ["EvaluationReport", "evaluate_run"]

# Time for the rest of the evaluation once sampling was stopped: the user who pressed Ctrl-C is waiting; chosen.
STOPPED_SECONDS = 20.0
TIMED_UNITS = 8_000  # units that are scored to learn how long the whole part would take: a small part of it; chosen
# Times that the page took, for writing it again: rather too much, as cores may be more crowded; chosen.
REWRITING = 1.5
# Seconds on an idle core from the last report to the end of the process: measured .05 to .2 s with ten busy processes.
ENDING_SECONDS = 0.15
SAVED_RECORDS = 36  # samples that a run of short texts or sequences keeps as files: as many as of images
NUM_SHOWN_IF_LATE = 12  # samples that a report shows if there was no time for more; chosen
# A chunk is given up after this many times the longest sampling time, which is within what measuring can spare.
HARD_STOP_FACTOR = 1.3
LONG_SAMPLING = 20.0  # seconds of sampling that are announced where nothing limits the time; chosen


def num_saved_samples(model: Model) -> int:
    """How many samples a run keeps as files: fewer passages of long text than records."""
    is_record = isinstance(model.item_spec, Tokens) and not is_running_text(model.item_spec)
    return SAVED_RECORDS if is_record else model.modality.traits.num_saved_samples


def evaluate_run(
    model: Model,
    n: int,
    *,
    seed: int = 0,
    data: str | None = None,
    limit: TimeLimit | None,
    reporter: Reporter | None = None,
    opened: Dataset | None = None,
    features: FeatureSets | None = None,
    world: World | None = None,
    pace: Pace | None = None,
    out: Path | None = None,
) -> EvaluationReport:
    """Sample a model, measure the samples, and write samples/ and report/ of its run.

    Args:
        model: The run to measure.
        n: Number of samples; fewer are drawn if the time ends first.
        seed: Seed of the samples and of all that is drawn.
        data: Where the run's data lies now, if it was moved.
        limit: Time of the evaluation, which has begun; None for no limit.
        reporter: Receives the progress.
        opened: The run's data, if it is open already.
        features: The user's own features, in place of those computed here.
        world: Processes that draw and measure the samples together; the others call `help_to_evaluate`. There is no time limit
            then.
        pace: How fast samples were drawn before; None if that is not known.
        out: A folder for the report outside the run, whose files stay as they are; None for one in the run.
    """
    use_threads()
    begin = time.monotonic()
    reporter = reporter or SilentReporter()
    record, folder = model.record, model.folder.path
    if opened is None:
        reporter.message("  reading the data")
    with contextlib.ExitStack() as stack:
        dataset = opened or stack.enter_context(contextlib.closing(Dataset.reopen(record.data, folder, data)))
        targets, measured_pace = sample_targets(dataset), Pace(pace)
        is_crowded = limit is not None and limit.crowding >= MIN_CROWDING
        targets = targets.on_crowded_cores() if is_crowded else targets
        if limit is not None and limit.is_short:
            targets = targets.in_short_report(is_crowded)
        left: float | None = None
        work = SharedWork()
        if world is None:
            # Reading the data may have taken a part of the time
            left = None if limit is None else limit.remaining()
            first_chunk = _first_chunk(limit, pace, isinstance(model.item_spec, Tokens))
            samples, notes, stopped = _sampled(model, n, targets, seed, left, reporter, first_chunk, measured_pace)
        else:
            samples, shared = draw_and_share(world, model, n, seed, reporter)
            work, notes, stopped = shared or work, [], False
        remaining = None if limit is None else limit.remaining()
        remaining = STOPPED_SECONDS if stopped and remaining is None else remaining
        evaluation = load_evaluation(record.data.modality)(
            evaluation_inputs(model, dataset, list(samples), remaining, seed, features, work)
        )
        crowding = 1.0 if limit is None else limit.crowding
        measurements = measure_all(evaluation, reporter, None if limit is None else limit.stop_at, crowding)
        work.close()
        measurements.is_sampling_stopped = stopped
        if opened is None and limit is not None and left is not None:
            advise_longer(measurements, left, crowding)
        sampling = Sampling(model, n, targets, seed, measured_pace, samples, notes)
        report = _write(sampling, dataset, evaluation, measurements, reporter, limit, out)
        if out is not None:
            return report
        with contextlib.closing(Events(folder / events_file.NAME)) as events:
            events.write("report", seconds=round(time.monotonic() - begin, 3))
        return report


def help_to_evaluate(
    world: World, model: Model, n: int, seed: int, data: str | None, features: FeatureSets | None
) -> None:
    """The part of other processes than the first one in `evaluate_run`, which has the same arguments: they draw samples and, if all
    processes can read the data, measure the same figures, so that what takes long is shared."""
    use_threads()
    record, refusal = model.record, ""
    with contextlib.ExitStack() as stack:
        try:
            dataset = stack.enter_context(contextlib.closing(Dataset.reopen(record.data, model.folder.path, data)))
        except UserError as error:
            refusal = str(error)
        samples, work = draw_and_share(world, model, n, seed, SilentReporter(), refusal)
        if work is None:
            return
        inputs = evaluation_inputs(model, dataset, list(samples), None, seed, features, work)
        measure_all(load_evaluation(record.data.modality)(inputs), SilentReporter())


@dataclass
class Sampling:
    """The samples of a report, and how more of them are drawn.

    Attributes:
        model, n, seed: See `evaluate_run`.
        targets: Numbers of samples to reach.
        pace: How long chunks took.
        samples: The samples so far.
        notes: Sentences on the sampling.
    """

    model: Model
    n: int
    targets: SampleTargets
    seed: int
    pace: Pace
    samples: Samples
    notes: list[str]

    def extend(self, worthwhile: int, seconds: float, reporter: Reporter) -> bool:
        """Draw further samples if `seconds` give as many in all as are worthwhile. Returns whether they did."""
        drawn = len(self.samples)
        required = self.targets.required
        share = REQUIRED_SHARE if drawn < required else GRADED_SHARE
        if worthwhile > self.n or drawn + self.pace.affordable(share * seconds) < worthwhile:
            return False
        first = required - drawn if drawn < required else max(1, self.pace.affordable(share * seconds / 2.0))
        targets = self.targets._replace(least=max(self.targets.least, worthwhile), few_first=False, most=sys.maxsize)
        self.samples, self.notes, is_stopped = _sampled(
            self.model, self.n, targets, self.seed, seconds, reporter, first, self.pace, self.samples
        )
        return not is_stopped and len(self.samples) >= worthwhile


def _write(
    sampling: Sampling,
    data: Dataset,
    evaluation: Evaluation[DecodedItem],
    measurements: Measurements,
    reporter: Reporter,
    limit: TimeLimit | None,
    out: Path | None,
) -> EvaluationReport:
    """Write the report and, if time for more samples or measurements is left then, write it again with them.

    Args:
        sampling, data, evaluation, measurements, reporter: What the report is on.
        limit, out: See `evaluate_run`.
    """
    model, record, folder = sampling.model, sampling.model.record, sampling.model.folder.path
    tried = [text for text in [describe_pilots(record.plan.pilots)] if text]
    data_notes = [*data.scan.notes, *describe_skipped(data.scan)]
    run_notes = [*tried, *warnings(folder), *data_notes, *model.family.remarks()]
    reporter.message("  drawing the report")
    content = report_content(evaluation, None if limit is None else limit.page_at)
    content = replace(content, form=data.modality.form())

    def write(
        measured: Measurements, skipped: list[Note], replaced: EvaluationReport | None = None
    ) -> EvaluationReport:
        made_notes = [Note(sentence) for sentence in (*run_notes, *sampling.notes)]
        measured = replace(measured, notes=[*made_notes, *all_notes(measured, skipped)])
        n = len(sampling.samples)
        report = write_run_report(folder, record, measured, content, n, reporter, replaced, out, sampling.seed)
        if out is None and report.folder == folder / REPORT:
            save_samples(sampling.samples.head(num_saved_samples(model)), folder / "samples")
        return report

    meter, begin = CrowdingMeter(), time.monotonic()
    report = write(measurements, evaluation.notes)
    writing = time.monotonic() - begin
    if limit is None or limit.ends_at is None or measurements.is_stopped:
        return report
    crowding = meter.read()
    until = limit.ends_at - REWRITING * writing - ENDING_SECONDS * crowding
    shortest, required, is_complete = crowding * least_seconds(evaluation), sampling.targets.required, False
    while True:
        n = len(sampling.samples)
        least = max(sampling.targets.least, *report.samples_needed.values(), 0)
        missing = missing_samples(measurements, n, least, shortest, required=required, is_complete=is_complete)
        is_extended = missing is not None and sampling.extend(
            missing.worthwhile, until - time.monotonic() - missing.measuring_s, reporter
        )
        if is_extended:
            labels = _labels(model, data, len(sampling.samples), sampling.seed)
            evaluation, measurements = with_samples(evaluation, measurements, list(sampling.samples), labels)
        elif is_complete:
            return report
        supplement = measure_in_time_left(
            evaluation, measurements, until, crowding, reporter, has_further_samples=is_extended
        )
        is_complete = True
        if supplement is not None:
            evaluation, measurements = supplement.evaluation, supplement.measurements
            if supplement.closest_pairs is not None:
                content = replace(content, closest_pairs=supplement.closest_pairs)
            report = write(measurements, evaluation.notes, report)
        elif is_extended:
            return report


def report_content(evaluation: Evaluation[DecodedItem], stop_at: float | None = None) -> ReportContent:
    """The items that the report shows; without nearest training items if the search is not over at `stop_at`."""
    try:
        with hard_stop(None if stop_at is None else stop_at - time.monotonic()):
            return evaluation.report_content()
    except TimeIsUp:
        pairs = [
            SamplePair(evaluation.report_item(sample), None) for sample in evaluation.inputs.samples[:NUM_SHOWN_IF_LATE]
        ]
        return ReportContent(pairs=pairs, explanation="The nearest training items were not searched for: time was up.")


def _sampled(
    model: Model,
    n: int,
    targets: SampleTargets,
    seed: int,
    seconds: float | None,
    reporter: Reporter,
    first_chunk: int = FIRST_CHUNK,
    pace: Pace | None = None,
    samples: Samples | None = None,
) -> tuple[Samples, list[str], bool]:
    """Draw up to n samples, a chunk at a time.

    Args:
        model, n, seed, reporter: See `evaluate_run`.
        targets: Numbers of samples to reach.
        seconds: Time of which sampling has its shares; None for no limit.
        first_chunk: Size of the first chunk.
        pace: How fast samples were drawn before; it learns from these.
        samples: Those that were drawn before, of the n.

    Returns:
        The samples; a note if there are fewer than n; whether sampling was stopped by a signal (raised as KeyboardInterrupt if
        there are too few samples for metrics).
    """
    begin = time.monotonic()
    pace, samples = pace or Pace(), samples or Samples([], [], model.item_modality)
    stopped, is_late, is_announced, was_known = False, False, False, pace.is_known
    chunk = min(first_chunk, n - len(samples))
    num_announced = n if seconds is None else min(n, targets.least)  # more are drawn only as far as there is time
    reporter.progress("sampling", min(len(samples), num_announced), num_announced)
    while chunk >= 1:
        chunk_begin = time.monotonic()
        share = MIN_GRADED_SHARE if len(samples) < targets.required else GRADED_SHARE
        latest = None if seconds is None or not samples else HARD_STOP_FACTOR * share * seconds
        try:
            with hard_stop(None if latest is None else begin + latest - time.monotonic()):
                more = model.sample(chunk, seed=seed, first_index=len(samples))
        except TimeIsUp:
            is_late = True
            break
        except KeyboardInterrupt:
            if len(samples) < targets.required:
                raise
            stopped = True
            break
        samples += more
        if len(samples) - chunk < num_announced:
            reporter.progress("sampling", min(len(samples), num_announced), num_announced)
        pace.add(chunk, time.monotonic() - chunk_begin)
        # Chunks of two sizes tell what each sample takes
        if seconds is None and not is_announced and len(samples) > chunk:
            is_announced = _announce(time.monotonic() - begin + pace.seconds(n - len(samples)), n, reporter)
        most = max(GROWTH * chunk, targets.required) if was_known else GROWTH * chunk
        max_chunk = min(MAX_CHUNK, most, n - len(samples))
        chunk = max_chunk
        if seconds is not None:
            chunk = next_chunk(pace, targets, len(samples), seconds, time.monotonic() - begin, max_chunk)
    if len(samples) > num_announced:
        reporter.message(f"{plural(len(samples) - num_announced, 'further sample')}, as there was time")
    reason = "for lack of time" if is_late else targets.reason(len(samples))
    if stopped:
        spent_on = f"; measuring them may take {STOPPED_SECONDS:.0f} s then" if seconds is None else ""
        reason = f"because it was stopped{spent_on}"
    # As the progress says it
    wanted = f"the {num_announced:,} that answers usually need" if len(samples) < num_announced < n else f"{n:,}"
    notes = [] if len(samples) >= n else [f"{plural(len(samples), 'sample')} instead of {wanted}, {reason}."]
    return samples, notes, stopped


def _announce(seconds: float, n: int, reporter: Reporter) -> bool:
    """Say what drawing n samples takes, if it is long. Returns True: it is known now."""
    if seconds >= LONG_SAMPLING:
        about = duration(float(f"{seconds:.1g}") if seconds < 60 else 60 * round(seconds / 60))
        reporter.message(
            f"drawing {n:,} samples takes about {about}, and measuring them comes on top; a budget limits both"
        )
    return True


def _first_chunk(limit: TimeLimit | None, pace: Pace | None, are_tokens: bool) -> int:
    """The number of samples that are drawn whatever it takes: fewer where they may take too long for the report.

    are_tokens: Whether they are drawn token by token, which takes nearly as long for one of them as for FIRST_CHUNK.
    """
    if limit is None:
        return FIRST_CHUNK
    if limit.crowding >= MIN_CROWDING and not are_tokens:
        return 1
    return FIRST_CHUNK if pace is None else max(1, min(FIRST_CHUNK, pace.affordable(GRADED_SHARE * limit.usable)))


def evaluation_inputs(
    model: Model,
    data: Dataset,
    samples: list[DecodedItem],
    seconds: float | None,
    seed: int,
    features: FeatureSets | None = None,
    work: SharedWork | None = None,
) -> EvaluationInputs[DecodedItem]:
    """The inputs of an evaluation of these samples of a model."""
    text = isinstance(model.item_spec, Tokens)
    has_bits = text or (type(model.family).bits is not Family.bits and model.codec is None)
    clusters = text and "test_clusters" in data.scan.parts
    return replace(
        item_inputs(data, samples, seed),
        bits=(lambda allowed: _bits_in_time(model, data, allowed, "test")) if has_bits else None,
        seconds=seconds,
        features=features,
        gradient_bits=(lambda part, units: gradient_bits(model, data.scoring(part, limit=units))) if has_bits else None,
        has_counts=model.family.has_counts,
        # A report that measures again in the time left needs the same pool
        pool=lru_cache(maxsize=1)(lambda n: audit_pool(data, n, seed)),
        labels=_labels(model, data, len(samples), seed),
        cluster_bits=(lambda allowed: _bits_in_time(model, data, allowed, "test_clusters")) if clusters else None,
        cluster_text=(lambda limit: data.text("test_clusters", limit)) if clusters else None,
        near_duplicate_groups=data.near_duplicate_groups,
        n_held_out=held_out_size(data),
        division=division_of(data),
        work=work or SharedWork(),
    )


def division_of(data: Dataset) -> Division:
    """How the items of a run's data were divided."""
    _, is_drawn_one_by_one = data.held_out()
    if "test" not in data.own_held_out_parts:
        return Division.GIVEN
    return Division.ITEMS if is_drawn_one_by_one and not is_running_text(data.spec) else Division.FILES


def _labels(model: Model, data: Dataset, n: int, seed: int) -> Labels | None:
    """The classes of the first n samples of this seed and of real items; None if the run has no classes."""
    requested, readers = model.sample_labels(n, seed), label_readers(data, seed)
    return None if requested is None or readers is None else Labels(*readers, samples=requested.numpy())


def _bits_in_time(model: Model, data: Dataset, allowed: float | None, part: str) -> list[BitsAndUnits]:
    """(bits, units) of a part, or of as much of it as the time allows.

    What is scored is spread evenly over the part, since its beginning may be easier than the rest.
    """
    if allowed is None:
        return model.bits(data.scoring(part))
    begin = time.monotonic()
    probe = model.bits(data.scoring(part, limit=TIMED_UNITS))
    seconds = time.monotonic() - begin
    max_units = 0.7 * (allowed - seconds) / max(seconds, 1e-6) * sum(units for _, units in probe)
    return probe if max_units <= TIMED_UNITS else model.bits(data.scoring(part, limit=max_units), allowed - seconds)


def gradient_bits(model: Model, batches: Iterator[Batch]) -> list[BitsAndUnits]:
    """(bits, units) of each example under what was learned by gradients.

    In a mixture with counts this is the network alone: the counts have read the training items letter by letter.
    """
    return model.bits(batches, part="network")
