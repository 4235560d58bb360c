"""Verbs that make and load models: train, resume, load."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from anew.api.keywords import names_unknown_arguments
from anew.api.loading import load_in_time, note_loading
from anew.core import arguments, files
from anew.core.activity import COMMAND
from anew.core.durations import parse_duration
from anew.core.exit_codes import STOPPED
from anew.core.processes.launcher import is_first_process, num_processes
from anew.core.reporter import Reporter
from anew.core.stores.addresses import WRITABLE, OutageError, address_of, run_address
from anew.errors import BudgetError, ConfigError, RunError, UserError, command
from anew.planning.request import (
    DEFAULT_BUDGET,
    Settings,
    check_request,
    check_steps,
    default_run,
    make_request,
    resolve_data,
    trains_by_seconds,
    user_file,
)
from anew.runs import lock
from anew.runs.folder import RunFolder, remove_begun
from anew.runs.paths import CONFIG, OWN_FAMILY
from anew.runs.record import BegunRun, Request, RunRecord

if TYPE_CHECKING:
    from anew.core.processes.world import World
    from anew.sampling.model import Model

ADDRESSES_OF_RUNS = tuple(f"{scheme}:/" for scheme in WRITABLE)

Cleanup: TypeAlias = Literal["files", "folder"]


@names_unknown_arguments
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
    """Train a generator on data, sample from it and evaluate it. Everything is written into the run folder.

    Args:
        data: A folder, a file, an address (s3://, https://, ...), or a dataset of the Hugging Face Hub as `owner/name`.
        run: The folder to create. The same call again continues the run in it, or returns it if it is finished; a different one
            raises RunError. None takes runs/NAME-N.
        budget: Wall-clock time for everything: "90s", "10m", "2h", or seconds. Without budget, steps and plan: 10 minutes.
        steps: A number of training steps, instead of a budget. Nothing is timed then, so the same arguments give the same run.
        family: A model family, or a Python file with a family of your own. None chooses one that fits the data.
        modality: The kind of data ("image", "text", ...). None detects it.
        prefer: What to optimise for when choosing the family: "quality" of samples, "speed" of sampling, or "latent" (a space
            to interpolate in).
        seed: Seed of the weights and the training. The split into parts follows from the data alone.
        settings: Settings of the training, the family and the modality, by name.
        plan: A run (a folder or an address) whose plan is replayed step by step.
        reporter: Shows the progress. None shows nothing.
        started: `time.monotonic()` when the budget began. None means now.

    Returns:
        The trained model.

    Raises:
        UserError: An argument or the data cannot be used; the message is one sentence.
        TrainingError: The loss stays non-finite.
        KeyboardInterrupt: Training was interrupted. Its state is saved; `resume` continues it.

    Examples:
        >>> model = anew.train("towns-data", "towns", budget="2m")
        >>> print(model.sample(5))
    """
    started = time.monotonic() if started is None else started
    with several_processes() as world:
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
            from anew.planning.replay import fetch_plan, replay_request

            plan_address = run_address(plan)
            if plan_address is not None:
                fetch_plan(plan_address)
            request = replay_request(request, plan_address or arguments.path("plan", plan))
        elif steps is None and budget is None and not trains_by_seconds(request):
            request = replace(request, budget=parse_duration(DEFAULT_BUDGET))
        path = default_run(data) if run is None else run_place("run", run, ConfigError, whole=True)
        return _train(world, path, request, reporter, started, own_file)


def _train(
    world: World | None,
    path: Path,
    request: Request,
    reporter: Reporter | None,
    started: float,
    own_file: Path | None,
) -> Model:
    """Carry out a request in a new folder, or continue it if it was stopped.

    Args:
        world: The processes that train together, None for a single one.
        path: The run.
        request: The user's request.
        reporter: Who shows the progress.
        started: `time.monotonic()` when the command began.
        own_file: The user's own family, which is copied into the run, so that the run is complete.
    """
    if _on_main(world, lambda: _continues(path, request, own_file)):
        # On another machine the data may lie elsewhere than the run says. An address that this command names is trusted.
        elsewhere = world is not None and not world.is_main and Path(request.data).exists()
        is_address = address_of(request.data) is not None
        continuation = Continuation(request.data if elsewhere or is_address else None)
        return _continue(world, lambda: RunFolder.open(path), continuation, reporter, started)
    # Several processes may each have it elsewhere
    if world is None:
        from anew.data.find_data import check_exists

        check_exists(request.data)
    cleanup: Cleanup = "files" if path.exists() else "folder"
    folder = of_process(world, lambda: _create(path, own_file))
    with folder.locked():
        if own_file is not None:
            files.write(folder.path / OWN_FAMILY, own_file.read_bytes())
        # Written before PyTorch is imported, so that a run that is killed from here on can be resumed.
        folder.write_config(BegunRun(request=request))
        if world is None:
            _load_in_time(folder, None if request.budget is None else started + request.budget, cleanup)
        from anew.workflows.train import new_run

        return new_run(folder, request, reporter, started, cleanup, own_file)


def _load_in_time(folder: RunFolder, ends_at: float | None, cleanup: Cleanup) -> None:
    """Import PyTorch and all that trains.

    Args:
        folder: The run.
        ends_at: `time.monotonic()` at which the command must be over; None without a limit.
        cleanup: What to remove if the import takes longer than the whole budget.

    Raises:
        BudgetError: It does.
    """
    try:
        load_in_time("anew.workflows.train", ends_at)
    except BudgetError:
        remove_begun(folder, with_folder=cleanup == "folder")
        raise


def _continues(path: Path, request: Request, own_file: Path | None) -> bool:
    """Whether the run was begun by the same request, so that the repeated command continues it.

    Raises:
        RunError: It was begun by another request.
    """
    if not (path / CONFIG).exists():
        return False
    earlier = RunFolder.open(path).read().request
    differing = [f.name for f in fields(earlier) if getattr(earlier, f.name) != getattr(request, f.name)]
    kept_file = path / OWN_FAMILY
    if own_file is not None and not differing:
        is_same = kept_file.is_file() and own_file.read_bytes() == kept_file.read_bytes()
        differing = [] if is_same else [f"the file {str(own_file)!r}"]
    if differing:
        raise RunError(
            f"{str(path)!r} already holds a run of another request ({differing[0]} differs); give another folder, "
            f"or continue it with `{command('anew', 'resume', path)}`"
        )
    return True


def _create(path: Path, own_file: Path | None) -> RunFolder:
    """A new run. Files that a command left when it was killed before it wrote config.json are removed."""
    own_names = {OWN_FAMILY} if own_file is not None else set()
    if path.is_dir():
        for leftover in path.iterdir():
            if leftover.name in {lock.NAME, lock.HOLDER, *own_names} or files.is_temporary(leftover.name):
                leftover.unlink()
    return RunFolder.create(path)


# -- many processes -------------------------------------------------------------------------------------------------------


@contextmanager
def several_processes() -> Iterator[World | None]:
    """The world of the processes that torchrun started; None for a single one, which need not import PyTorch yet."""
    if num_processes() == 1:
        yield None
        return
    from anew.core.processes.world import together

    with together() as world:
        yield world


def _on_main(world: World | None, decide: Callable[[], bool]) -> bool:
    """The answer of the main process, on all processes."""
    if world is None:
        return decide()
    return world.broadcast(world.is_main and decide())


def of_process(world: World | None, open_folder: Callable[[], RunFolder]) -> RunFolder:
    """The run folder on the main process; a copy on the others, which may be on other machines."""
    if world is None or world.is_main:
        return open_folder()
    from anew.workflows.run_copy import folder_of_copy

    return folder_of_copy()


@names_unknown_arguments
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
    """Finish a run that was stopped, or train a finished one for longer.

    Args:
        run: The run: a folder or an address.
        budget: Additional time, as in `train`.
        steps: A new total number of steps, instead of a budget.
        data: New location of the data, if it was moved.
        trust_code: Allow running the `family.py` stored in the run. Read it first: it is code.
        reporter: Shows the progress. None shows nothing.
        started: `time.monotonic()` when the budget began. None means now.

    Returns:
        The trained model. If the run is finished and nothing more was asked for, its model is returned as it is; if only its
        report was stopped, it is measured again.

    Raises:
        UserError: An argument or the data cannot be used; the message is one sentence.
        TrainingError: The loss stays non-finite.
        KeyboardInterrupt: Training was interrupted. Its state is saved; `resume` continues it.

    Examples:
        >>> model = anew.resume("towns", budget="2m")
    """
    started = time.monotonic() if started is None else started
    with several_processes() as world:
        if budget is not None and steps is not None:
            raise ConfigError("`budget` and `steps` are mutually exclusive; give one")
        seconds = None if budget is None else parse_duration(budget)
        reporter, trust_code = arguments.reporter(reporter), arguments.switch("trust_code", trust_code)
        place = None if data is None else resolve_data(data)
        continuation = Continuation(place, check_steps(steps), seconds)
        return _continue(world, lambda: open_run(run, whole=True), continuation, reporter, started, trust_code)


@dataclass(frozen=True, slots=True)
class Continuation:
    """Options for training an existing run further.

    Attributes:
        data: New location of its data, as `resolve_data` gives it; None if it has not moved.
        steps: A new total of steps.
        seconds: Additional seconds.
    """

    data: str | None = None
    steps: int | None = None
    seconds: float | None = None


def _continue(
    world: World | None,
    open_folder: Callable[[], RunFolder],
    continuation: Continuation,
    reporter: Reporter | None,
    started: float,
    trust_code: bool = True,
) -> Model:
    """Finish a run, or train it for longer."""
    folder = of_process(world, open_folder)
    if reporter is not None:
        for note in folder.notes:
            reporter.message(note)
    with folder.locked(), _repeatable_after_outage():
        record = folder.read() if world is None else _shared(world, folder)
        if record.status == "begun":
            request = record.request
            if continuation.data is None:
                from anew.data.find_data import check_present

                check_present(request.data)
            else:
                request = replace(request, data=continuation.data)
            if continuation.steps is not None or continuation.seconds is not None:
                request = replace(request, steps=continuation.steps, budget=continuation.seconds)
            return _resume_begun(folder, request, reporter, started, trust_code)
        if world is None:
            load_in_time(
                "anew.workflows.train", None if continuation.seconds is None else started + continuation.seconds
            )
        from anew.workflows.train import continue_run

        return continue_run(
            folder,
            budget=continuation.seconds,
            steps=continuation.steps,
            data=continuation.data,
            reporter=reporter,
            started=started,
            trust_code=trust_code,
        )


@contextmanager
def _repeatable_after_outage() -> Iterator[None]:
    """Give the exit code of a stopped training to a store that fails while a run is continued: its data was read there before, so a
    launcher may repeat the command, which would find a mistake in that of a new run."""
    try:
        yield
    except OutageError as error:
        error.exit_code = STOPPED
        raise


def _shared(world: World, folder: RunFolder) -> BegunRun | RunRecord:
    from anew.workflows.run_copy import share_begun

    return share_begun(world, folder)


def _resume_begun(
    folder: RunFolder, request: Request, reporter: Reporter | None, started: float, trust_code: bool
) -> Model:
    """Start a run again that was stopped before its plan was made."""
    check_request(request)
    from anew.sampling.restore import trusted_family_file
    from anew.workflows.train import new_run

    own_file = trusted_family_file(request.family, folder.path, trust_code)
    return new_run(folder, request, reporter, started, "nothing", own_file)


@names_unknown_arguments
def load(run: str | Path, device: str = "auto", *, trust_code: bool = False) -> Model:
    """Load the model of a run. This needs only the run folder, not the data.

    Args:
        run: The run: a folder or an address.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        trust_code: Allow running the `family.py` stored in the run. Read it first: it is code.

    Returns:
        The model, for `.sample(16)`, `.stream()`, `.score(data)`.

    Raises:
        ConfigError: The device does not exist, or the family is code and `trust_code` is not set.
        RunError: The folder is not a finished run, or is damaged.

    Examples:
        >>> model = anew.load("towns")
        >>> model.sample(20, seed=1, temperature=0.8).save("new-towns")
    """
    return load_for(run, device, trust_code=trust_code)


def load_for(
    run: str | Path,
    device: str = "auto",
    *,
    label: object = None,
    settings: Mapping[str, object] | None = None,
    trust_code: bool,
) -> Model:
    """The model of a run, once it is known to have a class and sampling settings: a refusal need not wait for PyTorch."""
    trust_code, values = arguments.switch("trust_code", trust_code), arguments.settings(settings)
    folder = open_run(run)
    if label is not None or values:
        from anew.sampling.request_checks import check_request as check_request_of_samples

        check_request_of_samples(folder.record(), label, values)
    note_loading("PyTorch and the run")
    from anew.sampling.model import Model

    model = Model(folder, device, trust_code=trust_code)
    COMMAND.begin("working")
    return model


def open_run(run: str | Path, *, whole: bool = False) -> RunFolder:
    """The folder of a run, or the local copy of a run at an address.

    Args:
        run: A folder or an address.
        whole: Whether the checkpoints of an address are needed here too.
    """
    path, address = run_place("run", run, whole=whole), run_address(run)
    if address is not None and not (path / CONFIG).exists():
        raise RunError(f"there is no run at {address!r}; check the address")
    return RunFolder.open(path)


def folder_of_model(value: object) -> Path | None:
    """The run folder of a model; None for anything else."""
    module = sys.modules.get("anew.sampling.model")  # no model can exist before this import
    return value.folder.path if module is not None and isinstance(value, module.Model) else None


def run_place(name: str, run: object, error: type[UserError] = RunError, *, whole: bool = False) -> Path:
    """The folder of a run that need not exist yet; for an address, its local copy, updated from the store.

    Args:
        name: The name of the argument, for errors.
        run: A folder or an address.
        error: Raised if it is neither.
        whole: Whether the checkpoints of an address are needed here too.

    Raises:
        RunError: The store cannot be read.
    """
    address = run_address(run)
    if address is None:
        return arguments.path(name, run, error)
    from anew.runs.mirror import Mirror

    mirror = Mirror(address)
    # Of torchrun's processes, only the first one touches the run
    if is_first_process():
        mirror.fetch(whole=whole)
    return mirror.folder


def device_of(run: str | Path) -> str:
    """The device on which a run should be trained, according to its settings."""
    record = open_run(run, whole=True).read()
    if not isinstance(record, BegunRun):
        return str(record.train.get("device", "auto"))
    settings = record.request.settings
    return str(settings.get("train.device", settings.get("device", "auto")))


def is_begun(run: str | Path) -> bool:
    """Whether a run has begun here, in its folder or in the local copy of its address."""
    address = run_address(run)
    if address is None:
        return (Path(run) / CONFIG).exists()
    from anew.runs.mirror import place_of

    return (place_of(address) / CONFIG).exists()


def is_run_at(data: object) -> bool:
    """Whether the data is the address of a run."""
    if not isinstance(data, str | os.PathLike) or not os.fspath(data).startswith(ADDRESSES_OF_RUNS):
        return False
    address = run_address(data)
    if address is None:
        return False
    from anew.runs.mirror import Mirror

    return Mirror(address).exists()
