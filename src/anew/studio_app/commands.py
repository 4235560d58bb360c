"""Commands that pages ask for: checked, and added to the queue as a user would type them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from anew.core import arguments, files
from anew.core.durations import as_duration, parse_duration
from anew.core.own_folders import COMPARISON_MARK
from anew.data.reading_settings import WITHOUT_RUN
from anew.errors import ConfigError, RunError
from anew.planning.request import make_request, trains_by_seconds
from anew.runs import lock
from anew.runs.record import Request, RunRecord
from anew.server.errors import ApiError
from anew.studio_app import run_summary
from anew.studio_app.job_bodies import TrainBody
from anew.studio_app.jobs import Job
from anew.studio_app.studio import Studio
from anew.workflows.compare.comparable import comparable

RUNS = "runs"  # folder of new runs below the start folder
# A folder of a comparison has the first file from its beginning on, and a folder of a report on samples the second
COMPARISON_FILES = (COMPARISON_MARK, "report.json")
MAX_COMPARED = 20  # runs of a comparison, each of which is measured; chosen


def train(studio: Studio, body: TrainBody) -> Job:
    """Add a training run to the queue.

    Raises:
        UserError: An argument is invalid.
        ApiError: The data is outside of the start folder.
    """
    path = studio.folder.path(body.data)
    if not path.exists():
        raise ConfigError(f"{body.data!r} does not exist; choose other data")
    _check_no_code(body.family)
    request = make_request(path, **body.model_dump(exclude={"data"}))
    from anew.planning.budget import check_budget  # PyTorch: only now is it needed

    if request.budget is not None and not trains_by_seconds(request):
        check_budget(request.budget)
    words = _options_of(replace(request, settings=body.settings), body.budget)
    stem = arguments.stem(path) or "data"
    return add_with_folder(studio, "train", stem, lambda run: ["train", str(path), "--run", run, *words])


def add_with_folder(studio: Studio, verb: str, stem: str, words: Callable[[str], Sequence[str]]) -> Job:
    """Add a command to the queue that writes a new folder below runs/.

    Args:
        verb: See `Job`.
        stem: Beginning of the folder's name, which a number follows.
        words: Returns the arguments of the command for the name of its folder.
    """
    with studio.jobs.changing():  # else two requests at once would get the same folder
        folder = _new_folder(studio, stem)
        return studio.jobs.append(verb, folder, words(folder))


def _new_folder(studio: Studio, stem: str) -> str:
    """The name of a folder below runs/ that neither exists nor is the output of a command of the queue; inside `changing`."""
    outputs = {job.run for job in studio.jobs.all()}
    number = 1
    while (name := f"{RUNS}/{stem}-{number}") in outputs or (studio.folder.root / name).exists():
        number += 1
    return name


def train_again(studio: Studio, name: str, seed: int) -> Job:
    """Add the same training run with another seed to the queue.

    Raises:
        UserError: Its family is code, it replays a plan, or its data is missing or must not be read.
    """
    from anew.data.find_data import check_present  # PyTorch: only now is it needed

    run = studio.run(name)
    record = studio_record(run)
    request = record.request
    for family in (request.family, record.family.name):
        _check_no_code(family)
    if request.plan_from is not None:
        raise ConfigError("this run replays the plan of another one, and with it the seed; train again from that run")
    check_present(request.data)
    budget = None if request.budget is None else as_duration(request.budget)
    words = ["train", _as_positional(request.data), *_options_of(replace(request, seed=seed), budget)]
    stem = arguments.stem(Path(request.data)) or "data"
    return add_with_folder(studio, "train", stem, lambda folder: [*words, "--run", folder])


def _options_of(request: Request, budget: str | None) -> list[str]:
    """The options of `anew train` for a request. budget: that of the request, as text."""
    words = ["--seed", str(request.seed), "--prefer", request.prefer]
    options = {"budget": budget, "steps": request.steps, "family": request.family, "modality": request.modality}
    words += [f"--{name}={value}" for name, value in options.items() if value is not None]
    return words + [f"--set={name}={text}" for name, text in request.settings.items()]


def _check_no_code(family: str | None) -> None:
    """Raise ConfigError for a family that is Python code: a run or an uploaded file may come from somebody else."""
    if family is not None and family.endswith(".py"):
        raise ConfigError(
            "the family is Python code, which the Studio does not run; check it, then use `anew train --family FILE.py` in a terminal"
        )


def check_no_own_code(run: Path) -> None:
    """Raise ConfigError for a run whose family is Python code in its folder."""
    if run_summary.has_own_code(run_summary.read_record(run)):
        raise ConfigError(run_summary.refused_code(run))


def _as_positional(data: str) -> str:
    """The data of a run's record, as an argument that cannot be taken for an option."""
    return os.path.join(os.curdir, data) if data.startswith("-") else data


def studio_record(run: Path) -> RunRecord:
    """The record of a run that has a plan.

    Raises:
        ApiError: The run has none.
    """
    record = run_summary.read_record(run)
    if isinstance(record, RunRecord):
        return record
    raise ApiError(400, record if isinstance(record, str) else "this run was stopped before its plan was made")


def resume(studio: Studio, name: str, budget: str | None) -> Job:
    """Add the rest of a run to the queue, or with a budget more training of it."""
    run = studio.run(name)
    check_no_own_code(run)
    words = ["resume", str(run)]
    if budget is not None:
        from anew.planning.budget import check_budget  # PyTorch: only now is it needed

        seconds = parse_duration(budget)
        check_budget(seconds)
        words += ["--budget", as_duration(seconds)]
    return append_if_idle(studio, "resume", name, words)


def stop(studio: Studio, name: str) -> None:
    """Remove the newest command of a run from the queue, or ask it to save and stop."""
    with studio.jobs.changing():  # nobody starts it meanwhile
        job = studio.job_of(name)
        if job is not None and job.state == "queued":
            studio.jobs.delete(job)
            return
    if job is None or not studio.jobs.stop(job):
        raise ApiError(
            400,
            "the Studio did not start this run, or it has ended; stop it with Ctrl-C in the terminal where it was started",
        )


def discard(studio: Studio, name: str) -> None:
    """Delete a run and the commands of the queue that wrote it."""
    with studio.jobs.changing():  # no command for it is added or started meanwhile
        path = studio.folder.path(name)
        if path.exists():
            check_idle(studio, name, studio.run(name))
        hidden = _hide_folder(studio, name, path)
    if hidden is not None:
        _remove(name, hidden)


def compare(studio: Studio, names: Sequence[str]) -> Job:
    """Add a comparison of finished runs to the queue.

    Raises:
        ConfigError: Their number is out of range, or the family of one is code.
        RunError: They cannot be compared.
    """
    if not 2 <= len(set(names)) <= MAX_COMPARED:
        raise ConfigError(f"`runs` must name 2 to {MAX_COMPARED} runs (got {len(set(names))})")
    runs = {name: studio.run(name) for name in names}
    for run in runs.values():
        check_no_own_code(run)
    comparable({name: studio_record(run) for name, run in runs.items()})
    paths = list(map(str, runs.values()))
    return add_with_folder(studio, "compare", "compare", lambda out: ["compare", "--out", out, "--runs", *paths])


def repeat_comparison(studio: Studio, name: str) -> Job:
    """Add a comparison, or a report on samples, that was stopped or failed to the queue again.

    Raises:
        ApiError: There is none of this name, it is running, or it is finished.
    """
    with studio.jobs.changing():
        job = _ended_comparison(studio, name)
        if studio.comparison(name)["state"] == "finished":
            raise ApiError(400, "it is finished; discard it, or start another")
        studio.jobs.delete(job)
        return studio.jobs.append(job.verb, name, job.words)


def discard_comparison(studio: Studio, name: str) -> None:
    """Delete a comparison, or a report on samples, and the commands of the queue that made it. The runs stay.

    Raises:
        ApiError: There is none of this name, or it is running.
    """
    with studio.jobs.changing():
        _ended_comparison(studio, name)
        path = studio.folder.path(name)
        is_comparison = any((path / written).is_file() for written in COMPARISON_FILES)
        # Unless it is a comparison, somebody has made a folder there since
        hidden = _hide_folder(studio, name, path if is_comparison else None)
    if hidden is not None:
        _remove(name, hidden)


def _hide_folder(studio: Studio, name: str, path: Path | None) -> Path | None:
    """Give a folder that is to be deleted a hidden name, under which no page shows it when a part is gone, and delete the commands
    of the queue that wrote it; inside `changing`. path: None for the commands alone. Returns the folder's new path, if it exists."""
    hidden = None
    if path is not None and path.exists():
        hidden = path.with_name(files.temporary_name(path.name))
        try:
            path.rename(hidden)
        except OSError as error:
            raise RunError(
                f"{str(path)!r} cannot be deleted ({files.clause(error)}); make its folder writable, or delete it yourself"
            ) from None
    for job in studio.jobs.all():
        if job.run == name and job.state != "running":
            studio.jobs.delete(job)
    return hidden


def _remove(name: str, hidden: Path) -> None:
    """Delete a folder that `_hide_folder` has hidden. Raises RunError, with its path, where a part stays: no page shows it."""
    try:
        shutil.rmtree(hidden)
    except OSError as error:
        raise RunError(
            f"{name!r} is discarded, but a part of it cannot be deleted ({files.clause(error)}); delete {str(hidden)!r} yourself"
        ) from None


def _ended_comparison(studio: Studio, name: str) -> Job:
    job = studio.comparing_job(name)
    if job.state == "queued" or job.is_alive:
        raise ApiError(400, "it is running, or waits in the queue; stop it first")
    return job


def append_if_idle(studio: Studio, verb: str, name: str, words: Sequence[str]) -> Job:
    """Add a command to the queue that writes a run.

    Args:
        verb: See `Job`.
        name: Name of the run.
        words: Arguments of the command.

    Raises:
        ApiError: A command is running on the run, or queued for it, or it was deleted.
    """
    with studio.jobs.changing():
        check_idle(studio, name, studio.run(name))
        return studio.jobs.append(verb, name, words)


def check_idle(studio: Studio, name: str, run: Path) -> None:
    """Check that no command writes a run, or will.

    Raises:
        ApiError: A command is running on it, or queued for it.
    """
    job = studio.job_of(name)
    if lock.is_held(run) or (job is not None and (job.state == "queued" or job.is_alive)):
        raise ApiError(400, "a command is running on this run, or queued for it; stop it first")


def evaluate(studio: Studio, name: str, n: int, data: str | None) -> Job:
    """Add another measuring of a finished run to the queue.

    Args:
        name: Name of the run.
        n: Number of samples to draw, at least 1.
        data: Name of a file or folder below the start folder where the run's data lies now; None if it was not moved.

    Raises:
        UserError: The run is not finished, its family is code, or its data is missing.
        ApiError: The run is not one, a command works on it, or the data is outside of the start folder.
    """
    run = studio.run(name)
    check_no_own_code(run)
    record = studio_record(run)
    if record.status != "finished":
        raise ConfigError("this run is not finished; resume it, which measures it too")
    words = ["evaluate", str(run), "-n", str(n)]
    if data is None:
        _check_data(record)
    else:
        words.append(f"--data={_existing(studio, data)}")
    return append_if_idle(studio, "evaluate", name, words)


def evaluate_samples(studio: Studio, name: str, samples: str, held_out: str | None, n: int) -> Job:
    """Add the measuring of samples of another tool, against the data of a run, to the queue.

    Args:
        name: Name of the run.
        samples: Name of a file or folder below the start folder.
        held_out: Name of one with items that the other tool was not trained on; None without any.
        n: Largest number of samples that are measured, at least 1.

    Raises:
        UserError: The samples or the data are missing.
        ApiError: The run is not one, or a name is outside of the start folder.
    """
    record = studio_record(studio.run(name))
    path = _existing(studio, samples)
    _check_data(record)
    sets = ["evaluate", f"--samples={path}", f"--data={record.data.path}"]
    words = ["-n", str(n), f"--modality={record.data.modality}"]
    if held_out is not None:
        words.append(f"--held-out={_existing(studio, held_out)}")
    words += [f"--set={key}={text}" for key, text in _reading_settings(record)]
    stem = f"{arguments.stem(path) or 'samples'}-report"
    return add_with_folder(studio, "evaluate_samples", stem, lambda out: [*sets, "--out", out, *words])


def _check_data(record: RunRecord) -> None:
    """Raise DataError if the data of a run is missing, or must not be read from where the run says that it is."""
    from anew.data.find_data import check_present  # PyTorch: only now is it needed

    check_present(record.data.path)


def _existing(studio: Studio, name: str) -> Path:
    """The path of a name that the user chose; ConfigError if nothing is there."""
    path = studio.folder.path(name)
    if not path.exists():
        raise ConfigError(f"{name!r} does not exist; give the name of a file or folder below the start folder")
    return path


def _reading_settings(record: RunRecord) -> Iterator[tuple[str, str]]:
    """The settings of a run's request that say how its data is read, as texts."""
    for key, text in record.request.settings.items():
        owner, _, name = key.rpartition(".")
        if name in WITHOUT_RUN and owner in ("", record.data.modality):
            yield key, str(text)
