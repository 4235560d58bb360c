"""`evaluate`: sample a run, measure the samples, test them for copies of training items, and write the report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from anew.core.deadline import TimeIsUp, hard_stop
from anew.core.machine.allocator import return_freed_memory
from anew.core.machine.threads import MIN_SLOWDOWN, SlowdownMeter, one_thread_if_busy, use_threads
from anew.core.processes.shared_work import SharedWork
from anew.core.processes.world import World
from anew.core.reporter import Reporter, SilentReporter
from anew.core.specs import Batch, Tokens
from anew.data.dataset import Dataset
from anew.data.skipped import describe_skipped
from anew.data.types import DecodedItem
from anew.errors import UserError
from anew.evaluation.base import Evaluation, load_evaluation
from anew.evaluation.inputs import EvaluationInputs, Labels, RealPool
from anew.evaluation.metrics.bits import BitsAndUnits
from anew.evaluation.metrics.feature_sets import FeatureSets
from anew.evaluation.notes import Note
from anew.evaluation.reporting.content import ReportContent, SamplePair
from anew.evaluation.reporting.measurements import Measurements
from anew.evaluation.reporting.report import EvaluationReport
from anew.families.base import Family
from anew.planning.pilots import describe_pilots
from anew.runs import events as events_file
from anew.runs.events import Events
from anew.runs.report_record import REPORT
from anew.sampling.model import Model
from anew.sampling.samples import Samples
from anew.workflows.evaluated_together import draw_and_share
from anew.workflows.item_inputs import held_out_size, item_inputs, label_readers, part_units
from anew.workflows.real_pools import division_of, real_pool
from anew.workflows.run_report import save_samples, warnings, write_run_report
from anew.workflows.timed_sampling import STOPPED_SECONDS, TimedSampling, first_chunk
from anew.workflows.timing.measuring import advise_longer, all_notes, measure_all
from anew.workflows.timing.pace import Pace
from anew.workflows.timing.sample_counts import SampleTargets, is_running_text, sample_targets
from anew.workflows.timing.time_left import least_seconds, measure_in_time_left, missing_samples, with_samples
from anew.workflows.timing.time_limit import LONG_REPORT, TimeLimit

__all__ = ["EvaluationReport", "EvaluationRequest", "evaluate_run"]
OTHER_PROCESS = "The first process has the report."

TIMED_UNITS = 8_000  # units that are scored to learn how long the whole part would take: a small part of it; chosen
# Without a budget, at most this many characters or residues of held-out records are scored, or this many records if those are more. That
# settles the bits of a model to a few thousandths; all records of a large list took a quarter of an hour (docs/log.md, 2026-12-01)
MAX_SCORED_UNITS, MIN_SCORED_RECORDS = 1_000_000, 5_000
# Times that the page took, for writing it again: rather too much, as cores may be busier; chosen.
REWRITING = 1.5
# Seconds on an idle core from the last report to the end of the process: measured 0.05 to 0.2 s with ten busy processes.
ENDING_SECONDS = 0.15
SAVED_RECORDS = 36  # samples that a run of short texts or sequences keeps as files: as many as of images
NUM_SHOWN_IF_LATE = 12  # samples that a report shows if there was no time for more; chosen


def num_saved_samples(model: Model) -> int:
    """How many samples a run keeps as files: fewer passages of long text than records."""
    is_record = isinstance(model.item_spec, Tokens) and not is_running_text(model.item_spec)
    return SAVED_RECORDS if is_record else model.modality.traits.num_saved_samples


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """What is measured of a run, and where the report goes.

    Attributes:
        n: Number of samples; fewer are drawn if the time ends first.
        most: Up to so many are drawn if time is left once these are measured; no more than n where this is less.
        seed: Seed of the samples and of all that is drawn.
        data: Where the run's data lies now, if it was moved.
        features: The user's own features, in place of those computed here.
        limit: Time of the evaluation, which has begun; None for no limit.
        out: A folder for the report outside the run, whose files stay as they are; None for one in the run.
    """

    n: int
    most: int = 0
    seed: int = 0
    data: str | None = None
    features: FeatureSets | None = None
    limit: TimeLimit | None = None
    out: Path | None = None


def evaluate_run(
    model: Model,
    request: EvaluationRequest,
    *,
    reporter: Reporter | None = None,
    opened: Dataset | None = None,
    pace: Pace | None = None,
    world: World | None = None,
) -> EvaluationReport:
    """Sample a model, measure the samples, and write samples/ and report/ of its run.

    Args:
        model: The run to measure.
        request: What is measured.
        reporter: Receives the progress.
        opened: The run's data, if it is open already.
        pace: How fast samples were drawn before; None if that is not known.
        world: Processes that draw and measure the samples together; the others call `help_to_evaluate`. There is no time limit
            then.
    """
    begin = time.monotonic()
    reporter = reporter or SilentReporter()
    limit, n, seed = request.limit, request.n, request.seed
    record, folder = model.record, model.folder.path
    if opened is None:
        reporter.message("  reading the data")
    else:
        opened.end_training()
    return_freed_memory()  # what steps took
    with contextlib.ExitStack() as stack:
        stack.enter_context(one_thread_if_busy(None if limit is None else limit.slowdown))
        dataset = opened or stack.enter_context(contextlib.closing(Dataset.reopen(record.data, folder, request.data)))
        sampling = TimedSampling(
            model,
            n,
            _targets_in(limit, dataset),
            seed,
            Pace(pace),
            Samples([], [], model.item_modality),
            most=request.most,
        )
        left: float | None = None
        work = SharedWork()
        if world is None:
            # Reading the data may have taken a part of the time
            left = None if limit is None else limit.remaining()
            sampling.draw(left, reporter, first_chunk(limit, pace, isinstance(model.item_spec, Tokens)))
        else:
            sampling.samples, shared = draw_and_share(world, model, n, seed, reporter)
            work = shared or work
        remaining = None if limit is None else limit.remaining()
        remaining = STOPPED_SECONDS if sampling.is_stopped and remaining is None else remaining
        evaluation = load_evaluation(record.data.modality)(
            evaluation_inputs(
                model, dataset, list(sampling.samples), remaining, seed, features=request.features, work=work
            )
        )
        measurements = measure_all(evaluation, reporter, limit)
        work.close()
        measurements.is_sampling_stopped = sampling.is_stopped
        if opened is None and limit is not None and left is not None:
            advise_longer(measurements, left, limit.slowdown)
        report = _RunReport(sampling, dataset, evaluation, measurements, request, reporter).write_in_time()
        if request.out is not None:
            return report
        with contextlib.closing(Events(folder / events_file.NAME)) as events:
            events.write("report", seconds=round(time.monotonic() - begin, 3))
        return report


def _targets_in(limit: TimeLimit | None, data: Dataset) -> SampleTargets:
    """How many samples to reach within a time limit."""
    targets = sample_targets(data)
    if limit is None:
        return targets
    is_busy = limit.slowdown >= MIN_SLOWDOWN
    # How long the figures of text take is known only once they are measured, and there are dozens of them
    has_slow_figures = isinstance(data.base.spec, Tokens) and limit.seconds < LONG_REPORT * limit.slowdown
    targets = targets.with_figures_first() if is_busy or has_slow_figures else targets
    return targets.in_short_report(is_busy) if limit.is_short else targets


def help_to_evaluate(world: World, model: Model, request: EvaluationRequest) -> EvaluationReport:
    """The part of other processes than the first one in `evaluate_run`, which has the same arguments.

    They draw samples and, if all processes can read the data, measure the same figures, so that what takes long is shared.

    Returns:
        A report without figures, which says that the first process has them.
    """
    use_threads()
    record, refusal = model.record, ""
    modality = record.data.modality
    report = EvaluationReport.of(
        Measurements(), run="", family=model.family_name, modality=modality, notes=[OTHER_PROCESS]
    )
    with contextlib.ExitStack() as stack:
        try:
            dataset = stack.enter_context(
                contextlib.closing(Dataset.reopen(record.data, model.folder.path, request.data))
            )
        except UserError as error:
            refusal = str(error)
        samples, work = draw_and_share(world, model, request.n, request.seed, SilentReporter(), refusal)
        if work is None:
            return report
        inputs = evaluation_inputs(
            model, dataset, list(samples), None, request.seed, features=request.features, work=work
        )
        measure_all(load_evaluation(modality)(inputs), SilentReporter())
    return report


class _RunReport:
    """The report of a run, which is written again with what the time that is left then allows.

    Attributes:
        sampling: The samples, of which more may be drawn.
        evaluation, measurements: What was measured of them.
    """

    def __init__(
        self,
        sampling: TimedSampling,
        data: Dataset,
        evaluation: Evaluation[DecodedItem],
        measurements: Measurements,
        request: EvaluationRequest,
        reporter: Reporter,
    ) -> None:
        self.sampling, self.evaluation, self.measurements = sampling, evaluation, measurements
        self._data, self._request, self._reporter = data, request, reporter
        model = sampling.model
        pilots = describe_pilots(model.record.plan.pilots)
        self._run_notes = [
            *([pilots] if pilots else []),
            *warnings(model.folder.path),
            *data.scan.notes,
            *describe_skipped(data.scan),
            *model.family.remarks(),
        ]
        reporter.message("  drawing the report")
        self._content = replace(report_content(evaluation, request.limit), form=data.modality.form())

    def write_in_time(self) -> EvaluationReport:
        """Write the report and, if time for more samples or measurements is left then, write it again with them."""
        meter, begin = SlowdownMeter(), time.monotonic()
        report = self._write()
        writing_s = time.monotonic() - begin
        limit = self._request.limit
        if limit is None or limit.ends_at is None or self.measurements.is_stopped:
            return report
        slowdown = meter.read()
        return self._write_again(report, limit.ends_at - REWRITING * writing_s - ENDING_SECONDS * slowdown, slowdown)

    def _write(self, replaced: EvaluationReport | None = None) -> EvaluationReport:
        sampling, out = self.sampling, self._request.out
        made_notes = [Note(sentence) for sentence in (*self._run_notes, *sampling.notes)]
        notes = [*made_notes, *all_notes(self.measurements, self.evaluation.notes)]
        measured = replace(self.measurements, notes=notes)
        report = write_run_report(
            sampling, measured, self._content, reporter=self._reporter, replaced=replaced, out=out
        )
        folder = sampling.model.folder.path
        if out is None and report.folder == folder / REPORT:
            save_samples(sampling.samples.head(num_saved_samples(sampling.model)), folder / "samples")
        return report

    def _write_again(self, report: EvaluationReport, until: float, slowdown: float) -> EvaluationReport:
        """Draw and measure more, and write again, as long as there is something that the time allows.

        until: `time.monotonic()` at which the last report has to be written.
        """
        shortest, is_complete = slowdown * least_seconds(self.evaluation), False
        while True:
            is_extended = self._draw_missing(report, until, shortest, is_complete)
            if is_complete and not is_extended:
                return report
            supplement = measure_in_time_left(
                self.evaluation,
                self.measurements,
                until,
                slowdown,
                self._reporter,
                has_further_samples=is_extended,
            )
            is_complete = True
            if supplement is not None:
                self.evaluation, self.measurements = supplement.evaluation, supplement.measurements
                if supplement.closest_pairs is not None:
                    self._content = replace(self._content, closest_pairs=supplement.closest_pairs)
                report = self._write(report)
            elif is_extended:
                return report

    def _draw_missing(self, report: EvaluationReport, until: float, shortest: float, is_complete: bool) -> bool:
        """Draw the samples that the answers miss, if there is time for them; whether there are more now.

        Args:
            report: The report so far.
            until: See `_write_again`.
            shortest: Seconds that measuring takes at least.
            is_complete: Whether all that time allows was measured of the present samples.
        """
        sampling = self.sampling
        least = max(sampling.targets.least, *report.samples_needed.values(), 0)
        missing = missing_samples(
            self.measurements,
            len(sampling.samples),
            least,
            shortest,
            required=sampling.targets.required,
            is_complete=is_complete,
        )
        if missing is None:
            return False
        seconds = until - time.monotonic() - missing.measuring_s
        if not sampling.extend(missing.worthwhile, seconds, self._reporter):
            return False
        samples = list(sampling.samples)
        labels = _labels(sampling.model, self._data, len(samples), sampling.seed)
        self.evaluation, self.measurements = with_samples(self.evaluation, self.measurements, samples, labels)
        return True


def report_content(evaluation: Evaluation[DecodedItem], limit: TimeLimit | None) -> ReportContent:
    """The items that the report shows; without nearest training items if the search is not over when the page has to be drawn."""
    try:
        with hard_stop(None if limit is None else limit.page_at - time.monotonic()):
            return evaluation.report_content()
    except TimeIsUp:
        pairs = [
            SamplePair(evaluation.report_item(sample), None) for sample in evaluation.inputs.samples[:NUM_SHOWN_IF_LATE]
        ]
        return ReportContent(pairs=pairs, explanation="The nearest training items were not searched for: time was up.")


def evaluation_inputs(
    model: Model,
    data: Dataset,
    samples: list[DecodedItem],
    seconds: float | None,
    seed: int,
    *,
    features: FeatureSets | None = None,
    work: SharedWork | None = None,
) -> EvaluationInputs[DecodedItem]:
    """The inputs of an evaluation of these samples of a model."""
    text = isinstance(model.item_spec, Tokens)
    has_bits = text or (type(model.family).bits is not Family.bits and model.codec is None)
    clusters = text and "test_clusters" in data.scan.parts

    def read_pool(n: int) -> RealPool[DecodedItem]:
        return real_pool(data, n, seed)

    return replace(
        item_inputs(data, samples, seed),
        bits=(lambda allowed: _bits_in_time(model, data, allowed, "test")) if has_bits else None,
        seconds=seconds,
        features=features,
        test_units=(lambda: part_units(data, "test")) if text else None,
        gradient_bits=(lambda part, units: gradient_bits(model, data.scoring(part, limit=units))) if has_bits else None,
        has_counts=model.family.has_counts,
        # A report that measures again in the time left needs the same pool; without a limit it is used once, and may have a gigabyte
        pool=read_pool if seconds is None else lru_cache(maxsize=1)(read_pool),
        labels=_labels(model, data, len(samples), seed),
        cluster_bits=(lambda allowed: _bits_in_time(model, data, allowed, "test_clusters")) if clusters else None,
        cluster_text=(lambda limit: data.text("test_clusters", limit)) if clusters else None,
        near_duplicate_groups=data.near_duplicate_groups,
        num_held_out=held_out_size(data),
        division=division_of(data),
        work=work or SharedWork(),
    )


def _labels(model: Model, data: Dataset, n: int, seed: int) -> Labels | None:
    """The classes of the first n samples of this seed and of real items; None if the run has no classes."""
    requested, readers = model.sample_labels(n, seed), label_readers(data, seed)
    return None if requested is None or readers is None else Labels(*readers, samples=requested.numpy())


def _bits_in_time(model: Model, data: Dataset, allowed: float | None, part: str) -> list[BitsAndUnits]:
    """(bits, units) of a part, or of as much of it as the time allows.

    The scored items are spread evenly over the part, since its beginning may be easier than the rest.
    """
    if allowed is None:
        return model.bits(data.scoring(part, limit=_units_enough(data, part)))
    begin = time.monotonic()
    probe = model.bits(data.scoring(part, limit=TIMED_UNITS))
    seconds = time.monotonic() - begin
    max_units = 0.7 * (allowed - seconds) / max(seconds, 1e-6) * sum(units for _, units in probe)
    return probe if max_units <= TIMED_UNITS else model.bits(data.scoring(part, limit=max_units), allowed - seconds)


def _units_enough(data: Dataset, part: str) -> float | None:
    """Units of a part of records that say as much as all of it; None for all. Windows of running text need those before them."""
    if not isinstance(data.spec, Tokens) or data.spec.packed:
        return None
    units_each = part_units(data, part) / max(data.part_size(part), 1)
    return max(MAX_SCORED_UNITS, MIN_SCORED_RECORDS * units_each)


def gradient_bits(model: Model, batches: Iterator[Batch]) -> list[BitsAndUnits]:
    """(bits, units) of each example under what was learned by gradients.

    For a mixture with counts this is the network alone: the counts have read the training items letter by letter.
    """
    return model.bits(batches, part="network" if model.family.has_counts else None)
