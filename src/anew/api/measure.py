"""Verbs that look at data, or at a run: look, score, nearest, walk, evaluate."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from anew.api.keywords import names_unknown_arguments
from anew.api.loading import load_in_time, note_loading
from anew.api.sampling import loaded_together
from anew.api.training import folder_of_model, is_run_at, load, load_for, open_run
from anew.core import arguments
from anew.core.durations import parse_duration
from anew.core.processes.launcher import is_first_process, num_processes
from anew.core.reporter import Reporter, SilentReporter
from anew.core.settings import check_int
from anew.data.types import DecodedItem
from anew.errors import ConfigError, DataError, shorten
from anew.planning.request import MAX_MEASURED, Settings, default_report, may_exist
from anew.runs import report_record
from anew.workflows.requirements import check_requirements as check_requirements
from anew.workflows.requirements import parse_requirements as parse_requirements

if TYPE_CHECKING:
    from anew.runs.folder import RunFolder
    from anew.sampling.interpolation import Walk
    from anew.sampling.latents import GivenItem
    from anew.sampling.model import Model
    from anew.sampling.scores import Scores
    from anew.workflows.evaluate import EvaluationReport
    from anew.workflows.inspect import Inspection
    from anew.workflows.inspect_run import RunInspection
    from anew.workflows.nearest import NearestItems


@names_unknown_arguments
def look(
    data: str | Path,
    *,
    modality: str | None = None,
    prefer: str = "quality",
    budget: str | float | None = None,
    seed: int = 0,
    settings: Settings | None = None,
    reporter: Reporter | None = None,
) -> Inspection | RunInspection:
    """Describe data, recommend a model family, and estimate what budgets can train; or describe a run.

    Args:
        data: A folder, a file, an address, or a dataset of the Hugging Face Hub as `owner/name`; or the folder of a run.
            For a run, no other argument is used, and `modality`, `budget` and `settings` are refused.
        modality: The kind of data ("image", "text", ...). None detects it.
        prefer: What to optimise for when choosing the family: "quality" of samples, "speed" of sampling, or "latent" (a space
            to interpolate in).
        budget: A time like "90s", "10m", "2h", or seconds, to estimate what it can train, and at which size of images or clips.
            None estimates several budgets, with the sizes for 10 minutes.
        seed: Seed of the choice of items that are looked at.
        settings: Settings of the modality, by name.
        reporter: Shows what is being done with data. None shows nothing.

    Returns:
        A description of the data or the run; `to_json()` gives it as JSON.

    Raises:
        UserError: The data or an argument cannot be used.
        RunError: The run was edited or is damaged.

    Examples:
        >>> data = anew.look("towns-data")
        >>> print(data.items, data.family, data.reason)
    """
    path = open_run(data).path if is_run_at(data) else arguments.path("data", data, DataError)
    arguments.choice("prefer", prefer, arguments.PREFERENCES)
    modality = arguments.optional_text("modality", modality)
    seconds = None if budget is None else parse_duration(budget)
    seed, values, reporter = check_int("seed", seed), arguments.settings(settings), arguments.reporter(reporter)
    check_place(path)
    from anew.workflows.inspect_run import inspect_run, is_run

    if is_run(path):
        for_data = {"modality": modality, "budget": budget, "settings": values or None}
        name = next((name for name, value in for_data.items() if value is not None), None)
        if name is not None:
            raise ConfigError(f"{str(path)!r} is a run, and `{name}` is for data; leave it out")
        return inspect_run(path)
    if values:
        from anew.planning.request import check_data_settings

        check_data_settings(values, modality)
    if reporter is not None:
        reporter.message("  loading PyTorch")
    from anew.workflows.inspect import inspect_data

    return inspect_data(
        str(path), modality=modality, prefer=prefer, budget=seconds, seed=seed, settings=values, reporter=reporter
    )


def check_scored(run: str | Path, data: str | Path, settings: Settings | None) -> None:
    """Refuse a mistyped path, and settings that are not about reading data like that of a run, before PyTorch is imported.

    Args:
        run: The run: a folder or an address.
        data, settings: As in `score`.
    """
    from anew.sampling.request_checks import reading_settings

    check_place(data)
    if values := arguments.settings(settings):
        reading_settings(values, open_run(run).record().data.modality)


def check_place(data: str | Path) -> None:
    """Refuse a mistyped path before PyTorch is imported, which takes seconds.

    Args:
        data: A folder, a file, an address or a hub name.

    Raises:
        DataError: There is nothing of this name.
    """
    from anew.data.find_data import check_exists

    check_exists(arguments.path("data", data, DataError))


@names_unknown_arguments
def score(
    run: str | Path,
    data: str | Path | Sequence[DecodedItem | bytes],
    *,
    label: str | int | None = None,
    limit: float | None = None,
    per_item: bool = False,
    settings: Settings | None = None,
    trust_code: bool = False,
    reporter: Reporter | None = None,
) -> Scores:
    """Measure how likely other data is under a model: log-likelihood, and bits per character (residue, dimension).

    Each document, line, sequence or row of a table is scored by itself.

    Args:
        run: The run: a folder or an address.
        data: A folder, a file, an address or a hub name with the same kind of data as the run; or a list of texts or of arrays. A
            string always names a place; a single text is a list, `["The river."]`.
        label: The class of all items of a list; None: it is not known. Items of a path have the labels that are found there.
        limit: About how many units (characters, residues, dimensions) to score, spread evenly over the data. None scores all.
        per_item: Whether to keep the score of each record in `items`. For a list of items they are always kept.
        settings: How the files are read, by name: `text_column` of texts, `image_column` and `label_column` of images, `header`
            of tables, `encoding` of texts and code. Without them, the columns of the run are read where the data has them.
        trust_code: As in `load`.
        reporter: Shows the progress. None shows nothing.

    Returns:
        The figures of all data together, of each of its `files`, and of its `items` if they were kept; `bound` ("exact" or "an
        upper bound"); the number of items that were `skipped`; and `notes` that say which and why.

    Raises:
        ConfigError: The run has no likelihood or no such class, or a setting is not about reading.
        DataError: The path or address does not exist, or holds nothing to score.

    Examples:
        >>> scores = anew.score("towns", ["Port Novo", "Xqzzt"])
        >>> print([item.bits_per_unit for item in scores.items])
    """
    if isinstance(data, str | os.PathLike):
        check_scored(run, data, settings)
    model = load(run, trust_code=trust_code)
    return model.score(data, label=label, limit=limit, per_item=per_item, settings=settings, reporter=reporter)


def new_picture_file(path: str | Path) -> Path:
    """The PNG file of `nearest`, in a folder if that is given; it does not exist yet, and its folder is made. Raises ConfigError."""
    from anew.workflows.nearest import new_picture

    return new_picture(path)


@names_unknown_arguments
def nearest(
    run: str | Path,
    items: str | Path | Sequence[DecodedItem | bytes] | None = None,
    n: int = 100,
    *,
    data: str | Path | None = None,
    reporter: Reporter | None = None,
) -> NearestItems:
    """Find the training item nearest to each of some items, to see by eye whether they are copies.

    Args:
        run: The run: a folder or an address.
        items: A folder or a file with the same kind of data as the run; or a list of texts or of arrays, such as
            `model.sample(4)`. A string always names a place; a single text is a list, `["The river."]`. None takes the samples
            in the folder of the run.
        n: Most items of a place; of more, so many are drawn at random.
        data: The new location of the run's data, if it was moved.
        reporter: Shows the progress. None shows nothing.

    Returns:
        For each of `items`: its `name`, the place of the `nearest` training item, their `distance`, and that in words (`caption`).
        Distances are those of the report: of pixels, spectrograms, edits, or characters in a row in common; `explanation` says
        how to read them. `save("nearest.png")`, or `save` with a folder, draws images, sounds and clips next to their nearest ones.

    Raises:
        UserError: An argument or the data cannot be used; the message is one sentence.

    Examples:
        >>> pair = anew.nearest("towns", ["Port Novo"]).items[0]
        >>> print(pair.text, pair.nearest_text, pair.caption)
    """
    n, reporter = check_int("n", n, 1, MAX_MEASURED), arguments.reporter(reporter) or SilentReporter()
    data_path = arguments.optional_path("data", data, DataError)
    queries: str | Sequence[object] | None
    if items is None:
        queries = None
    elif isinstance(items, str | os.PathLike):
        queries = str(arguments.path("items", items, DataError))
        if not may_exist(Path(queries)):
            raise DataError(
                f"`items` {queries!r} does not exist; give a folder or a file (from Python, also a list of texts)"
            )
    elif isinstance(items, bytes) or not isinstance(items, Sequence):
        raise ConfigError(f"`items` must be a path or a list of items (got {shorten(items)})")
    else:
        queries = items
        empty = next((i for i, item in enumerate(items, 1) if isinstance(item, str) and not item.strip()), None)
        if empty is not None:
            raise ConfigError(f"`items` cannot be compared: item {empty}: it is empty; leave it out")
    folder = open_run(run)
    note_loading("PyTorch and the run")
    from anew.workflows.nearest import nearest_of_run

    return nearest_of_run(folder, queries, n, None if data_path is None else str(data_path), reporter)


@names_unknown_arguments
def walk(
    run: str | Path,
    n: int = 60,
    *,
    stops: int = 5,
    seed: int = 0,
    label: str | int | None = None,
    ends: tuple[GivenItem, GivenItem] | None = None,
    settings: Settings | None = None,
    trust_code: bool = False,
) -> Walk:
    """Interpolate between samples: `anew.walk(run).save("walk/")`.

    Args:
        run: The run: a folder or an address.
        n: Number of frames.
        stops: Number of samples that the path passes through.
        seed: Seed of the samples.
        label: A class to stay in.
        ends: Two items to interpolate between instead, as paths, bytes of files, or uint8 arrays.
        settings: Settings of sampling, by name.
        trust_code: As in `load`.

    Returns:
        The frames in order. `save` writes them, a strip of all of them, and an animation.

    Raises:
        ConfigError: The family has no continuous space, or an argument cannot be used.

    Examples:
        >>> anew.walk("digits", stops=4).save("digits-walk")
    """
    from anew.sampling.request_checks import check_walk, frame_count

    seed, values = check_int("seed", seed), arguments.settings(settings)
    folder = open_run(run)
    check_walk(folder.record())  # before the number of frames, which matters only where there is a walk
    frame_count(n, 2 if ends else stops)
    model = load_for(folder.path, label=label, settings=values, trust_code=trust_code)
    sampling = arguments.keywords(settings, model.walk)
    return model.walk(n, stops=stops, seed=seed, label=label, ends=ends, **sampling)


@names_unknown_arguments
def evaluate(
    run: str | Path | Model | None = None,
    n: int = 2000,
    *,
    samples: str | Path | None = None,
    data: str | Path | None = None,
    held_out: str | Path | None = None,
    features: str | Path | None = None,
    modality: str | None = None,
    out: str | Path | None = None,
    budget: str | float | None = None,
    seed: int = 0,
    settings: Settings | None = None,
    trust_code: bool = False,
    reporter: Reporter | None = None,
    started: float | None = None,
) -> EvaluationReport:
    """Measure how close samples are to the data, how varied and how new. Writes a report.

    Give `run`, or `samples` that another tool made, with `data`. For a run, its `report/` is written. With both, `samples` are
    compared with the data of the run, divided as there. Under torchrun all processes draw the samples of a run; the first one
    measures and returns the report, the others return an empty one.

    Args:
        run: The folder of a run, or a model, whose run is measured.
        n: How many samples.
        samples: A folder or file of samples that another tool made; with `run`, also samples of it that you chose or changed.
        data: The real data to compare `samples` with; for a run, the new location of its data, if it was moved.
        held_out: Items of the same source that the generator of `samples` was not trained on. None takes the validation and test
            parts of `data`, if there are any.
        features: A safetensors file with `samples`, `held_out` and `train` (n, d), used instead of built-in features.
        modality: The kind of data of `samples` and `data`. None detects it.
        out: The folder for the report. None takes runs/NAME-report-N for `samples`, and the run for a run; with a folder, the
            run's own report, samples and README.md stay as they are.
        budget: Wall-clock time for everything: "90s", "10m", or seconds. Fewer samples are drawn and measured if it ends first.
            None takes the time that n samples need.
        seed: Seed of the samples and of the measurements.
        settings: How the files of `data` are read, by name: `text_column` of texts, `image_column` and `label_column` of images,
            `header` of tables, `encoding` of texts and code, and `layout` of texts and proteins. They are checked before the data
            is read. They hold for `samples` and `held_out` too, whose columns are read where they have them.
        trust_code: As in `load`.
        reporter: Shows the progress. None shows nothing.
        started: `time.monotonic()` when the budget began. None means now.

    Returns:
        The report: `scores` (`report["frechet_distance"].value`), `copies`, `verdict`, `grades` and `notes`; `to_json()` gives
        the contents of report.json. `report/` of a run holds the report that says most about its weights; the other one is
        kept in `reports/`. If the new report is in `report/`, the run's samples and README.md are those of this report.

    Raises:
        UserError: An argument or the data cannot be used; the message is one sentence.

    Examples:
        >>> report = anew.evaluate("towns", n=2000)
        >>> print(report.verdict, report["bits_per_character"].value)
    """
    place = _place_of(run)
    if run is None and samples is None:
        raise ConfigError("give `run`, or `samples` with `data` for samples of another tool")
    if samples is not None and num_processes() > 1:
        raise ConfigError("samples made elsewhere are measured by one process; start the command without torchrun")
    options = _EvaluationOptions(
        n=check_int("n", n, 1, MAX_MEASURED),
        seed=check_int("seed", seed),
        ends_at=_end_of(budget, started),
        reporter=arguments.reporter(reporter) or SilentReporter(),
        data=arguments.optional_path("data", data, DataError),
        features=arguments.optional_path("features", features),
        out=None if out is None else arguments.new_path("out", out),
    )
    values, modality = arguments.settings(settings), arguments.optional_text("modality", modality)
    trust_code = arguments.switch("trust_code", trust_code)
    held_out_path = arguments.optional_path("held_out", held_out)
    if place is not None:
        _check_none_is_given({"held_out": held_out, "modality": modality, "settings": values or None})
        if samples is None:
            return _evaluate_run(place, options, trust_code)
    return _evaluate_samples(arguments.path("samples", samples), place, held_out_path, modality, values, options)


@dataclass(frozen=True, kw_only=True)
class _EvaluationOptions:
    """Arguments of `evaluate` that a run and samples of another tool share, checked. `ends_at` is on the clock `time.monotonic`."""

    n: int
    seed: int
    ends_at: float | None
    reporter: Reporter
    data: Path | None
    features: Path | None
    out: Path | None


def _end_of(budget: str | float | None, started: float | None) -> float | None:
    """`time.monotonic()` at which a budget that began then, or begins now, is over; None without a budget."""
    if budget is None:
        return None
    if num_processes() > 1:
        raise ConfigError(
            "a `budget` limits an evaluation by one process; leave it out, or start the command without torchrun"
        )
    return parse_duration(budget) + (time.monotonic() if started is None else started)


def _place_of(run: str | Path | Model | None) -> str | Path | None:
    """The folder or address of a run, which may be given as a model."""
    folder = folder_of_model(run)
    return folder if folder is not None else cast("str | Path | None", run)


def _evaluate_run(run: str | Path, options: _EvaluationOptions, trust_code: bool) -> EvaluationReport:
    load_in_time("anew.workflows.evaluate", options.ends_at)
    from anew.core.machine.threads import SlowdownMeter
    from anew.workflows.evaluate import EvaluationRequest, evaluate_run, help_to_evaluate
    from anew.workflows.evaluate_samples import read_features
    from anew.workflows.timing.time_limit import TimeLimit

    request = EvaluationRequest(
        n=options.n,
        seed=options.seed,
        data=None if options.data is None else str(options.data),
        features=None if options.features is None else read_features(str(options.features)),
        out=options.out,
    )
    reporter, meter = options.reporter, SlowdownMeter()
    reporter.message("  loading the run")
    with (
        _lock_of(run, reporter, is_written=request.out is None),
        loaded_together(run, trust_code, request={"n": request.n, "seed": request.seed}) as (model, world),
    ):
        if world is not None and not world.is_main:
            return help_to_evaluate(world, model, request)
        if options.ends_at is not None:
            request = replace(request, limit=TimeLimit.until(options.ends_at, "the run was loaded", meter))
        return evaluate_run(model, request, reporter=reporter, world=world)


def _evaluate_samples(
    samples: Path,
    run: str | Path | None,
    held_out: Path | None,
    modality: str | None,
    reading: Mapping[str, object],
    options: _EvaluationOptions,
) -> EvaluationReport:
    if options.data is None and run is None:
        raise ConfigError("`samples` needs `data`, the real data to compare them with, or a run")
    _check_exists({"samples": samples, "data": options.data, "held_out": held_out})
    folder = None if run is None else _opened(run, options.reporter)
    from anew.sampling.request_checks import check_reading_settings

    check_reading_settings(reading, modality)
    load_in_time("anew.workflows.evaluate_samples", options.ends_at)
    from anew.workflows.evaluate_samples import ForeignSamples, evaluate_samples, read_features

    compared = ForeignSamples(
        str(samples),
        *(None if path is None else str(path) for path in (options.data, held_out)),
        run=folder,
        n=options.n,
        seed=options.seed,
        modality=modality,
        reading=reading,
    )
    return evaluate_samples(
        compared,
        options.out or default_report(samples),
        features=None if options.features is None else read_features(str(options.features)),
        reporter=options.reporter,
        ends_at=options.ends_at,
    )


def _check_none_is_given(for_samples: Mapping[str, object]) -> None:
    name = next((name for name, value in for_samples.items() if value is not None), None)
    if name is not None:
        raise ConfigError(f"`{name}` is for samples made elsewhere; a run keeps its own settings and held-out items")


def _check_exists(paths: Mapping[str, Path | None]) -> None:
    missing = next((name for name, path in paths.items() if path is not None and not may_exist(path)), None)
    if missing is not None:
        raise DataError(f"`{missing}` {str(paths[missing])!r} does not exist; give a folder, a file or an address")


def _lock_of(run: str | Path, reporter: Reporter, is_written: bool) -> AbstractContextManager[None]:
    """The lock of a run that is written to, which only the first process takes. Notes on its folder go to the reporter first."""
    if not is_first_process():
        return nullcontext()
    folder = _opened(run, reporter)
    return folder.locked() if is_written else nullcontext()


def _opened(run: str | Path, reporter: Reporter) -> RunFolder:
    """The folder of a run; notes on it go to the reporter."""
    folder = open_run(run)
    for note in folder.notes:
        reporter.message(note)
    return folder


def read_report(run: str | Path) -> dict[str, object]:
    """Read report/report.json of a finished run.

    Raises:
        RunError: It is missing or damaged.
    """
    return dict(report_record.read_report(open_run(run).path))
