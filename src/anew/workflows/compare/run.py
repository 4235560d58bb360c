"""`compare`: train several families with the same data, split, seed and budget, or take existing runs, and compare them."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from anew.core import files
from anew.core.machine.threads import measure_slowdown, use_threads
from anew.core.own_folders import COMPARISON_MARK
from anew.core.processes.world import World
from anew.core.provenance import Provenance, versions
from anew.core.reporter import Reporter, SilentReporter
from anew.core.specs import Grid
from anew.core.wording import BARELY_TRAINED, duration, listed, plural
from anew.data.dataset import Dataset
from anew.data.types import DataBudget, DecodedItem
from anew.errors import BudgetError, ConfigError, RunError, UserError
from anew.evaluation.reporting import comparison
from anew.evaluation.reporting.comparison import ComparisonReport
from anew.evaluation.reporting.ranking import CopyingSummary, RunResult, leave_out_uncommon
from anew.planning.benchmark import measure_candidates
from anew.planning.budget import check_budget, longest_training
from anew.planning.context import RunContext
from anew.planning.family_choice import FamilyChoice, UnsupportedDataError, choose_family, train_config_of
from anew.planning.planner import scale_of
from anew.runs.events import last_step
from anew.runs.folder import RunFolder
from anew.runs.record import Request, RunRecord
from anew.runs.report_record import record_or_none
from anew.runs.weights import weights_digest
from anew.sampling.model import Model
from anew.workflows.compare.comparable import comparable, differing_settings
from anew.workflows.compare.measure import MIN_REAL, TEXT_SECONDS, draw, measure
from anew.workflows.compare.subprocesses import SETTINGS_ARE_COMPARED, ComparedRun, log_of, parse_families, train_all
from anew.workflows.item_inputs import held_out_size, item_inputs
from anew.workflows.open_data import open_for_families
from anew.workflows.timing.sample_counts import SampleCounts

# Share of BARELY_TRAINED: if all families are forecast fewer steps, nothing is trained. Not 1, as the load may ease; chosen
RANKABLE_SHARE = 0.5
# Largest share of the time for reading and training that reading may take. With more, a training failed, as it read more slowly than had
# been measured before it; chosen
READING_SHARE = 0.5
# Share of the reading here that the first training repeats. It decodes the files again, since it chooses sizes within its own budget, but
# encodes nothing: it took 16 s instead of 35 for 555 photographs. Sounds and clips were not measured
SECOND_READING_SHARE = 0.5
MIN_RANKED = 2  # runs that a ranking needs
MAX_SAMPLES = 1_000  # samples of each run, where no number is given; chosen
MEASURING_SECONDS = 0.8  # timing a family takes so long, as in `look`
REQUEST = COMPARISON_MARK  # the file with the request, by which the same command continues a comparison


__all__ = ["ComparisonReport", "compare_families"]


def compare_families(
    out: Path,
    request: Request | None,
    families: Sequence[str],
    runs: Sequence[str | Path],
    *,
    n: int | None,
    trust_code: bool,
    reporter: Reporter | None,
    seeds: int,
) -> ComparisonReport:
    """Run the comparison of a request: train some families, or take finished runs; see `anew.compare`."""
    reporter = reporter or SilentReporter()
    use_threads()
    failed: dict[str, str] = {}
    if request is None:
        entries = _finished_runs(runs)
    else:
        entries = parse_families(families, out, seeds, request.seed)
        if request.budget is not None:
            check_budget(request.budget)
        reporter.message("  reading the data, and timing each family")
        try:
            warning = _check_families([entry for entry in entries if entry.seed_offset == 0], request)
        except UnsupportedDataError as refusal:
            raise _with_alternatives(refusal) from None
        _reserve_folder(out, _saved_request(request, entries))
        if request.budget is not None:
            reporter.message(training_time(len(entries), request.budget))
        if warning:
            reporter.message(warning)
        reporter.message("  training")
        failed = train_all(entries, request, reporter.message)
        if len(failed) == len(entries) and not any(e.folder.exists() for e in entries):
            _release_folder(out, entries)
        _require_one(failed, entries)
        steps = {e.name: int(last_step(e.folder).get("step") or 0) for e in entries if e.name not in failed}
        if sentence := no_ranking(steps, failed):
            reporter.message(sentence)
    return Comparison(out, request, entries, failed, n, trust_code, reporter).measured()


def training_time(count: int, budget: float) -> str:
    """A sentence on how long the trainings take, and that comparing them takes longer."""
    return f"training takes at most {duration(count * budget)}; comparing comes after that, which no budget limits"


def _finished_runs(runs: Sequence[str | Path]) -> list[ComparedRun]:
    """Finished runs, each named by its folder, with as many parent folders as tell the names apart."""
    paths = [Path(run).resolve() for run in runs]
    if len(paths) < 2:
        raise ConfigError("`runs` names a single run; give two or more")
    if repeated := [path for path in paths if paths.count(path) > 1]:
        raise ConfigError(f"`runs` names {str(repeated[0])!r} more than once; give each run once")
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):  # ends, as the whole paths differ
        depth += 1
    return [ComparedRun("/".join(p.parts[-depth:]), Path(run)) for p, run in zip(paths, runs, strict=True)]


def _saved_request(request: Request | None, entries: Sequence[ComparedRun]) -> dict[str, object]:
    """The contents of request.json: all that distinguishes one comparison from another."""
    if request is None:
        return {"runs": [str(entry.folder.resolve()) for entry in entries]}
    values = {name: value for name, value in asdict(request).items() if name not in ("plan_from", "fit_seconds")}
    return values | {"families": [entry.name for entry in entries]}


def _reserve_folder(out: Path, request: Mapping[str, object]) -> None:
    """Make the folder, or check that it holds the same comparison. Raises ConfigError if it holds anything else."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not (out / REQUEST).is_file():
            raise ConfigError(f"`out` {str(out)!r} exists and is not a comparison; give another folder")
        earlier = files.read_json(out / REQUEST)
        if not isinstance(earlier, dict):
            raise ConfigError(f"`out` {str(out)!r} holds a {REQUEST} that describes no comparison; give another folder")
        if ("runs" in earlier) != ("runs" in request):
            raise ConfigError(f"`out` {str(out)!r} holds another comparison; give another folder")
        for key in {**earlier, **request}:
            was, now = earlier.get(key), request.get(key)
            if was != now:
                raise ConfigError(
                    f"`out` {str(out)!r} holds another comparison ({key} was {was}, now {now}); give another"
                )
        return
    files.make_folder(out)
    files.write_json(out / REQUEST, dict(request))


def _release_folder(out: Path, entries: Sequence[ComparedRun]) -> None:
    """Remove what was written into the folder, since nothing could be begun, so that a corrected request can use it."""
    for path in (out / REQUEST, *(log_of(e) for e in entries)):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        out.rmdir()


def _with_alternatives(refusal: UnsupportedDataError) -> ConfigError:
    """The refusal of a family, or, if the data has a single one, of families at all."""
    if len(refusal.able_families) != 1:
        return refusal
    family = refusal.able_families[0]
    return ConfigError(
        f"only one family, {family!r}, takes {refusal.described}, so there are none to compare. {SETTINGS_ARE_COMPARED}"
    )


def _check_families(entries: Sequence[ComparedRun], request: Request) -> str:
    """Raise ConfigError, before anything is trained, if a family cannot learn the data, or BudgetError if the budget is hopeless.

    Returns:
        A sentence on the families that the budget will hardly train, so that they are in no ranking; "" if there are none.
    """
    begin = time.monotonic()
    device = World().on(train_config_of(request).device).device.type
    # The same budget of data as in the trainings, so that they reuse what is read here
    size = DataBudget(request.budget, 0, 0, torch.get_num_threads(), device)
    data = open_for_families(request, size, [entry.family for entry in entries])
    try:
        data.fit(size)
        plural_name = data.modality.traits.plural
        choices = {
            entry.requested_family: choose_family(data.spec, entry.family, description=plural_name) for entry in entries
        }
        if request.budget is None:
            return ""
        reading = time.monotonic() - begin
        if data.modality.native:
            reading *= SECOND_READING_SHARE
        if not any(entry.folder.exists() for entry in entries):
            check_reading(request.budget, reading, measure_slowdown())
        steps = {name: steps_within(data, choice, request.budget, reading) for name, choice in choices.items()}
        if is_hopeless(steps) and not any(entry.folder.exists() for entry in entries):
            raise BudgetError(too_short(request.budget, steps))
        return too_short(request.budget, steps)
    finally:
        data.close()


def check_reading(budget: float, reading: float, slowdown: float) -> None:
    """Refuse a budget most of which reading the data would take.

    Args:
        budget: Seconds of each training.
        reading: Seconds of each that reading takes.
        slowdown: How many times longer than on idle cores work takes.

    Raises:
        BudgetError: Reading takes more than READING_SHARE of the time that is left for reading and training.
    """
    if reading <= READING_SHARE * longest_training(budget, slowdown):
        return
    needed = budget
    while reading > READING_SHARE * longest_training(needed, slowdown):
        needed += 1.0
    raise BudgetError(
        f"reading the data takes each training {reading:.0f} s at the present load, which leaves too little of {duration(budget)} to "
        f"train; give at least {math.ceil(needed)}s for each"
    )


def steps_within(data: Dataset, choice: FamilyChoice, budget: float, reading: float) -> int:
    """About how many training steps the smallest model of a family makes within a budget, at the present load.

    Args:
        data: The data, read.
        budget: Seconds of the whole training.
        reading: Seconds of it that reading the data takes.
    """
    context = RunContext(SilentReporter(), 0.0, World(), slowdown=measure_slowdown())
    scale = scale_of(data, context, budget, 0)
    smallest = measure_candidates(
        choice.family_class, data.spec, scale, {}, data, context.world, seconds=MEASURING_SECONDS
    )[0]
    return int(max(longest_training(budget, context.slowdown) - reading, 0.0) / smallest.step_s)


def too_short(budget: float, steps: Mapping[str, int]) -> str:
    """A sentence on the families that make fewer than BARELY_TRAINED steps within a budget (s); "" if there are none."""
    families = [f"{name} (about {plural(count, 'step')})" for name, count in steps.items() if count < BARELY_TRAINED]
    if not families:
        return ""
    nothing = ", so nothing will be ranked" if len(steps) - len(families) < MIN_RANKED else ""
    return (
        f"{duration(budget)} for each is too short to rank {listed(families)} at the present load: runs of fewer than {BARELY_TRAINED} "
        f"steps are in no ranking{nothing}; give a longer budget"
    )


def is_hopeless(steps: Mapping[str, int]) -> bool:
    """Whether all families would make so few steps that none can be ranked, even if the forecast is far too low."""
    return all(count < RANKABLE_SHARE * BARELY_TRAINED for count in steps.values())


def no_ranking(steps: Mapping[str, int], failed: Collection[str]) -> str:
    """A sentence if nothing will be ranked, since at most one run was trained for long enough; else "".

    steps: of each run that was trained, by its name; failed: names of the others."""
    hardly_trained = [
        f"{name} was hardly trained ({plural(count, 'step')})"
        for name, count in steps.items()
        if count < BARELY_TRAINED
    ]
    if len(steps) - len(hardly_trained) >= MIN_RANKED or not steps:
        return ""
    reasons = [f"{name} failed" for name in failed]
    return f"nothing will be ranked: {listed([*reasons, *hardly_trained])}; Ctrl-C stops here, and the runs stay"


def _require_one(failed: Mapping[str, str], entries: Sequence[ComparedRun]) -> None:
    """Raise RunError if no family is left to measure."""
    if len(failed) == len(entries):
        reasons = set(failed.values())
        by_family = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        raise RunError(f"no family could be trained: {reasons.pop() if len(reasons) == 1 else by_family}")


def _copies(folder: Path) -> CopyingSummary | None:
    """The result of the copying test in the report of a run; None without a readable report or test."""
    report = record_or_none(folder)
    copies = None if report is None else report.copies
    if copies is None:
        return None
    return CopyingSummary(copies.detected, copies.p, copies.share, copies.limit, copies.samples, copies.verdict)


def _fewer_samples(data: Dataset, n: int) -> list[str]:
    """A sentence on why fewer than n samples are compared, or nothing."""
    counts = SampleCounts.of(data)
    num_compared = counts.of_comparison(n)
    if num_compared >= n:
        return []
    reason = (
        "a sample of text is compared in many pieces" if counts.is_text else f"{counts.held_out:,} items are held out"
    )
    return [f"At most {num_compared:,} samples of each run are compared, not {n:,}, since {reason}."]


def _left_out(figures: Sequence[str]) -> list[str]:
    """A sentence on the figures for which time was up for some run, or nothing."""
    if not figures:
        return []
    return [
        f"The figures of a run of text may take {duration(TEXT_SECONDS)}. That was too short for some, which are left out for all runs: "
        f"{listed(figures)}. `anew evaluate RUN` measures them."
    ]


@dataclass(frozen=True)
class Comparison:
    """Runs that are compared.

    Attributes:
        out: The folder of the comparison.
        request: The request of its trainings; None for finished runs.
        entries: The runs.
        failed: Why runs failed, by name.
        n: Number of samples of each; None: as many as the slowest draws in time.
        trust_code, reporter: As in `anew.compare`.
    """

    out: Path
    request: Request | None
    entries: Sequence[ComparedRun]
    failed: Mapping[str, str]
    n: int | None
    trust_code: bool
    reporter: Reporter

    def measured(self) -> ComparisonReport:
        """Measure the runs that did not fail and write compare.json and compare.html."""
        begin, request = time.monotonic(), self.request
        self.reporter.message("  sampling and measuring")
        records = comparable(
            {e.name: RunFolder.open(e.folder).read() for e in self.entries if e.name not in self.failed}
        )
        first = next(iter(records))
        folder = next(e.folder for e in self.entries if e.name == first)
        # The same data is divided the same way whatever the seed, so no run was trained on what another is scored on.
        data = Dataset.reopen(records[first].data, folder, None if request is None else request.data)
        try:
            if request is None:
                _reserve_folder(self.out, _saved_request(request, self.entries))
            results = self._results(records, data)
            _require_one({result.name: result.failed for result in results if result.failed}, self.entries)
            report = self._written(results, records, data)
        finally:
            data.close()
        self.reporter.message(f"compared in {time.monotonic() - begin:.0f} s")
        return report

    def _results(self, records: Mapping[str, RunRecord], data: Dataset) -> list[RunResult]:
        """Sample and measure all runs, at the same number of samples for each."""
        seed = next(iter(records.values())).data.seed
        results, models, max_samples = [], {}, SampleCounts.of(data).of_comparison(self.n or MAX_SAMPLES)
        for entry in self.entries:
            family = records[entry.name].family.name if entry.name in records else entry.family
            result = RunResult(
                entry.name, family, os.path.relpath(entry.folder, self.out), failed=self.failed.get(entry.name, "")
            )
            result.repeated_family = entry.requested_family if entry.repeated else ""
            results.append(result)
            if result.failed:
                continue
            result.copies, result.training_seed = _copies(entry.folder), records[entry.name].plan.seed
            result.weights = weights_digest(entry.folder)
            self.reporter.message(f"{result.name}: sampling")
            try:
                models[result.name] = Model(RunFolder.open(entry.folder), trust_code=self.trust_code)
                draw(models[result.name], result, max_samples, seed, in_time=self.n is None)
            except UserError as error:
                result.failed = str(error)
        common = min((len(result.samples) for result in results if not result.failed), default=0)
        for result in results:
            if not result.failed:
                if len(result.samples) == common < max_samples:
                    result.notes.append(
                        f"{common:,} samples of each run instead of {max_samples:,}: this run samples too slowly for more."
                    )
                self.reporter.message(f"{result.name}: measuring {common:,} samples")
                result.samples = result.samples[:common]
                measure(models.pop(result.name), result, data, seed)
        return results

    def _written(self, results: list[RunResult], records: Mapping[str, RunRecord], data: Dataset) -> ComparisonReport:
        """Write compare.json and compare.html."""
        about_data = next(iter(records.values())).data
        budget = None if self.request is None else self.request.budget
        notes = [f"{result.name} failed: {result.failed}" for result in results if result.failed]
        notes += [f"{r.name} cannot interpolate: {r.no_interpolation}" for r in results if r.no_interpolation]
        notes += [f"{result.name}: {note}" for result in results for note in result.notes]
        notes += _fewer_samples(data, self.n or MAX_SAMPLES)
        measured = [result for result in results if not result.failed]
        notes += _left_out(leave_out_uncommon(measured))
        n = len(measured[0].samples)
        provenance = Provenance.now(about_data.seed, data.fingerprint)
        about = {
            "data": Path(about_data.path).name,
            "modality": data.modality.name,
            "fingerprint": data.fingerprint,
            "parts": dict(about_data.parts),
            "budget": budget,
            "seed": about_data.seed,
            "n": n,
            "provenance": asdict(provenance),
            "environment": {**versions(), "threads": torch.get_num_threads()},
        }
        differences = differing_settings({result.name: records[result.name] for result in measured})
        report = ComparisonReport(self.out, tuple(results), about, tuple(notes), provenance, differences)
        real = _shown_real_items(data, measured[0].samples, about_data.seed)
        if isinstance(data.spec, Grid):
            real = list(data.modality.pictures(real))
            for result in measured:
                result.samples = list(data.modality.pictures(result.samples))
        time_each = f" for {budget:,.10g} s each" if budget else ""
        page = comparison.page(
            report,
            title=Path(about_data.path).name,
            subtitle=f"Trained on the same items{time_each}, and compared with the same {held_out_size(data):,} held-out items; "
            f"{n:,} samples each.{f' {report.failure}' if report.failure else ''}",
            real=real,
        )
        files.write_json(self.out / "compare.json", report.to_json())
        files.write_text(self.out / "compare.html", page)
        return report


def _shown_real_items(data: Dataset, samples: list[DecodedItem], seed: int) -> list[DecodedItem]:
    """The held-out items that the page shows beside these samples: where they begin documents, beginnings as long as they are."""
    beginnings = item_inputs(data, samples, seed).beginnings
    return data.items("test", MIN_REAL, seed) if beginnings is None else list(beginnings("test", MIN_REAL))
