"""Verbs that make and load models: train, resume, load."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from anew.core import arguments, files
from anew.core.durations import parse_duration
from anew.core.registry import load_user_family
from anew.core.reporter import Reporter
from anew.errors import ConfigError, DataError, RunError
from anew.planning.folder_names import default_report as default_report
from anew.planning.folder_names import default_run as default_run
from anew.planning.request import (
    DEFAULT_BUDGET,
    Settings,
    check_request,
    check_steps,
    make_request,
    resolve_data,
    trains_by_seconds,
    user_file,
)
from anew.runs.folder import RunFolder
from anew.runs.paths import OWN_FAMILY
from anew.runs.record import Begun, Request

if TYPE_CHECKING:
    from anew.sampling.model import Model


def train(
    data: str | Path,
    run: str | Path | None = None,
    *,
    budget: str | float | None = None,
    steps: int | None = None,
    family: str | Path | None = None,
    modality: str | None = None,
    prefer: str = "quality",
    seed: int = 0,
    settings: Settings | None = None,
    plan: str | Path | None = None,
    reporter: Reporter | None = None,
    started: float | None = None,
) -> Model:
    """Train a generator of new items on data; the run folder holds everything.

    Args:
        data: A folder, a file, an address (s3://, https://, ...), or a data set of the Hugging Face hub as `owner/name`.
        run: The folder to make. None takes runs/NAME-N.
        budget: Wall-clock time for all of it: "90s", "10m", "2h", or seconds. Without budget, steps and plan: 10 minutes.
        steps: A number of training steps instead: nothing is measured, and the same arguments give the same run.
        family: A model family, or a Python file with one of your own. None chooses by the data.
        modality: What the data holds ("image", "text", ...). None finds out.
        prefer: What decides between families where none is given: "quality" of samples, "speed" of sampling, or "latent"
            (a space to interpolate in).
        seed: Of the split, the weights and the training.
        settings: Settings of the training, the family and the modality, by name.
        plan: A run whose plan is replayed step by step.
        reporter: Who shows the progress. None shows nothing.
        started: `time.monotonic()` when the budget began. None is now.

    Returns:
        The trained model.

    Raises:
        UserError: Something given cannot be used, in one sentence.
        TrainingError: The loss stays non-finite.
        KeyboardInterrupt: Training was interrupted. Its state is saved; `resume` goes on.
    """
    started = time.monotonic() if started is None else started
    request = make_request(
        data,
        budget=budget,
        steps=steps,
        family=family,
        modality=modality,
        prefer=prefer,
        seed=seed,
        settings=settings,
    )
    reporter = arguments.reporter(reporter)
    own_file = user_file(None if family is None else os.fspath(family))
    if plan is not None:
        from anew.planning.replay import replay_request

        request = replay_request(request, arguments.path("plan", plan))
    elif steps is None and budget is None and not trains_by_seconds(request):
        request = replace(request, budget=parse_duration(DEFAULT_BUDGET))
    folder = default_run(data) if run is None else arguments.path("run", run)
    cleanup: Literal["files", "folder"] = "files" if folder.exists() else "folder"
    if _is_main_process():
        RunFolder.create(folder)
    return _train_new(RunFolder(folder), request, reporter, started, cleanup, own_file)


def _train_new(
    folder: RunFolder,
    request: Request,
    reporter: Reporter | None,
    started: float,
    cleanup: Literal["files", "folder"],
    own_file: Path | None,
) -> Model:
    """Train in a new folder. own_file: the user's family, which is copied into the run: it needs nothing else then."""
    with folder.locked():
        if _is_main_process():
            if own_file is not None:
                files.write(folder.path / OWN_FAMILY, own_file.read_bytes())
            # Written before PyTorch is imported: a kill from here on can be resumed.
            folder.write_config(Begun(request=request))
        from anew.workflows.train import new_run

        return new_run(
            folder,
            request,
            reporter,
            started,
            cleanup,
            lambda: None if own_file is None else load_user_family(own_file),
        )


def _is_main_process() -> bool:
    """Whether this process writes for all that torchrun began."""
    return os.environ.get("RANK", "0") == "0"


def resume(
    run: str | Path,
    *,
    budget: str | float | None = None,
    steps: int | None = None,
    data: str | Path | None = None,
    trust_code: bool = False,
    reporter: Reporter | None = None,
    started: float | None = None,
) -> Model:
    """Finish a run that was stopped, or give it more.

    Args:
        run: The folder of the run.
        budget: Additional time, as in `train`.
        steps: A new total of steps instead.
        data: New location of the data, if it has moved.
        trust_code: Allow running the `family.py` stored in the run. Look at it first: it is code.
        reporter: Who shows the progress. None shows nothing.
        started: `time.monotonic()` when the budget began. None is now.

    Returns:
        The trained model. A finished run without more to do is returned as it is.

    Raises:
        UserError: Something given cannot be used, in one sentence.
        TrainingError: The loss stays non-finite.
        KeyboardInterrupt: Training was interrupted. Its state is saved; `resume` goes on.
    """
    started = time.monotonic() if started is None else started
    if budget is not None and steps is not None:
        raise ConfigError("both `budget` and `steps` were given; give one of them")
    steps = check_steps(steps)
    seconds = None if budget is None else parse_duration(budget)
    reporter, trust_code = arguments.reporter(reporter), arguments.switch("trust_code", trust_code)
    path = arguments.optional_path("data", data, DataError)
    folder = open_run(run)
    with folder.locked():
        record = folder.read()
        if record.status == "begun":
            request = record.request
            if data is not None:
                request = replace(request, data=resolve_data(data))
            if steps is not None or seconds is not None:
                request = replace(request, steps=steps, budget=seconds)
            return _resume_begun(folder, request, reporter, started, trust_code)
        from anew.workflows.train import continue_run

        new_path = None if path is None else str(path)
        return continue_run(folder, seconds, steps, new_path, reporter, started, trust_code)


def _resume_begun(
    folder: RunFolder, request: Request, reporter: Reporter | None, started: float, trust_code: bool
) -> Model:
    """Begin a run again that was stopped before its plan was made."""
    check_request(request)
    from anew.data.dataset import check_there
    from anew.sampling.restore import own_family_class
    from anew.workflows.train import new_run

    check_there(request.data)
    user_family = own_family_class(request.family, folder.path, trust_code)
    return new_run(folder, request, reporter, started, "nothing", lambda: user_family)


def load(run: str | Path, device: str = "auto", *, trust_code: bool = False) -> Model:
    """Load the model of a run. Needs the run folder alone, not the data.

    Args:
        run: The folder of the run.
        device: "auto", "cpu", "cuda" or "cuda:N".
        trust_code: Allow running the `family.py` stored in the run. Look at it first: it is code.

    Returns:
        The model: `.sample(16)`, `.stream()`, `.score(data)`.

    Raises:
        RunError: The folder is not a finished run, or is damaged.
    """
    from anew.sampling.model import Model

    return Model(open_run(run), device, trust_code=arguments.switch("trust_code", trust_code))


def open_run(run: str | Path) -> RunFolder:
    return RunFolder.open(arguments.path("run", run, RunError))
