"""The verb that makes a sample once more: again. Also what several processes do together with a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from anew.api.keywords import names_unknown_arguments
from anew.api.training import folder_of_model, load, load_for, of_process, open_run, several_processes
from anew.core import arguments
from anew.core.reporter import Reporter
from anew.core.settings import SettingValue, check_int
from anew.errors import ConfigError
from anew.runs.paths import CONFIG

if TYPE_CHECKING:
    from anew.core.processes.world import World
    from anew.sampling.model import Model
    from anew.sampling.origins import RepeatedSamples
    from anew.sampling.sample_writer import SampleWriter
    from anew.sampling.samples import Samples

RUNS = "runs"  # the folder where trainings write, unless another is given


@contextmanager
def loaded_together(
    run: str | Path,
    trust_code: bool,
    n: int = 1,
    label: str | None = None,
    settings: Mapping[str, SettingValue] | None = None,
    *,
    request: Mapping[str, object],
) -> Iterator[tuple[Model, World | None]]:
    """The model of a run on each of torchrun's processes, with the world that they form (None for a single process). Only the
    first process reads the run, which need not be on a shared disk.

    Args:
        run: The run: a folder or an address.
        trust_code: As in `load`.
        n: How many samples will be drawn, checked before the model is loaded.
        label: Their class, checked then too.
        settings: Their settings.
        request: What all processes must have been given alike, as JSON values: otherwise they would wait for each other.
    """
    if n < 1:
        raise ConfigError(f"n={n} is out of range; give 1 or more", "n")
    with several_processes() as world:
        if world is None:
            yield load_for(run, label=label, settings=settings, trust_code=trust_code), None
            return
        from anew.sampling.model import Model
        from anew.workflows.agreement import check_same_arguments
        from anew.workflows.run_copy import share_record, share_trained

        check_same_arguments(world, request)
        folder, world = of_process(world, lambda: open_run(run)), world.on("auto")
        share_record(world, folder)
        loaded = Model(folder, str(world.device), trust_code=trust_code) if world.is_main else None
        share_trained(world, folder, None if loaded is None else loaded.family.state_dict())
        yield loaded or Model(folder, str(world.device), trust_code=trust_code), world


def sample_together(
    model: Model,
    world: World | None,
    n: int,
    draw: Callable[..., Iterator[Samples]],
    *,
    share: tuple[int, int] | None,
    reporter: Reporter | None,
) -> Iterator[Samples]:
    """Draw samples shared by all processes of a world; each must call this with the same arguments, and iterate to the end.

    Args:
        model: As `loaded_together` gives it.
        world: The processes; None for a single one.
        n: How many samples.
        draw: `model.sample_batches` with all other arguments.
        share: For a single process.
        reporter: Shows the progress.

    Yields:
        The samples in order, a batch at a time. The first of several processes gets all of them, the others none.
    """
    if world is None:
        yield from draw(n, share=share, reporter=reporter)
        return
    if share is not None:
        raise ConfigError("torchrun already divides the samples; leave out `share`, or start one command per share")
    from anew.sampling.drawing import joined
    from anew.sampling.together import draw_batches_together, whole_batches

    def draw_batch(size: int, first: int) -> Samples:
        return joined(draw(size, first_index=first), model.item_modality)

    yield from draw_batches_together(world, model, whole_batches(check_int("n", n, 1)), draw_batch, reporter)


def check_files(run: str | Path | Model, file_format: str | None, scale: int) -> None:
    """Raise ConfigError, without PyTorch, if samples of a run have no files of this format, or no pixels to enlarge.

    Args:
        run: The run: a folder or an address, or its model.
        file_format: As of `Samples.in_format`; None for the usual one.
        scale: As of `Samples.enlarged`.
    """
    from anew.sampling import request_checks

    folder = folder_of_model(run)
    record = open_run(cast("str | Path", run) if folder is None else folder).record()
    request_checks.check_files(record, file_format, scale)


def repeated_samples(run: str | Path) -> RepeatedSamples:
    """A count of samples of a run that lie in its folder, in samples/, since they have the same seed and settings."""
    from anew.sampling.origins import RepeatedSamples

    return RepeatedSamples(Path(run) / "samples")


def sample_writer(folder: Path, planned: int, *, has_sheets: bool) -> SampleWriter:
    """What writes samples into a folder in parts; see `SampleWriter`."""
    from anew.sampling.sample_writer import SampleWriter

    return SampleWriter(folder, planned, has_sheets=has_sheets)


@names_unknown_arguments
def again(
    file: str | Path, run: str | Path | None = None, *, device: str = "auto", trust_code: bool = False
) -> Samples:
    """Regenerate a sample from its file, which says how it was made. For text, the `.origins.json` next to it does.

    Args:
        file: A file that `sample` or a training run wrote.
        run: The run: a folder or an address. None looks for the run that the file names: in the folders above the file, in
            `runs/`, and here.
        device: As in `load`. On another device sums are rounded differently, so the last bits may differ.
        trust_code: As in `load`.

    Returns:
        The sample, or all samples of the file. The whole batch of each sample is redrawn, which takes as long as drawing the batch.

    Raises:
        ConfigError: The file does not say where it comes from, or the run has other weights now.

    Examples:
        >>> anew.again("new-towns/0007.txt", "towns").save("again")
    """
    path = arguments.path("file", file)
    from anew.sampling.origins import one_run, origins_in

    origins = origins_in(path)
    name = one_run(origins, path)
    folder = _run_of(path, name) if run is None else arguments.path("run", run)
    model = load(folder, device, trust_code=trust_code)
    if any(origin.weights != model.identity[1] for origin in origins):
        raise ConfigError(
            f"{str(path)!r} was made by the run {name!r} with weights that {str(folder)!r} does not have: it is another run, or was "
            "trained further since; give the run with these weights, or draw new samples"
        )
    return model.again(origins)


def _run_of(path: Path, name: str) -> Path:
    """The folder of the run with this name, in the places where runs usually lie."""
    for folder in _places(path, name):
        if folder.name == name and (folder / CONFIG).is_file():
            return folder
    raise ConfigError(f"{str(path)!r} was made by the run {name!r}, which is not found from here; give `run`")


def _places(path: Path, name: str) -> Iterator[Path]:
    yield from path.resolve().parents
    if Path(name).name == name != "..":
        yield Path(RUNS, name)
        yield Path(name)
