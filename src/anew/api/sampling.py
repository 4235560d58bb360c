"""The verb that makes a sample once more: again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from anew.api.training import load
from anew.core import arguments
from anew.errors import ConfigError
from anew.runs.paths import CONFIG

if TYPE_CHECKING:
    from anew.sampling.samples import Samples

RUNS = "runs"  # where trainings write, if nothing else is said


def again(
    file: str | Path, run: str | Path | None = None, *, device: str = "auto", trust_code: bool = False
) -> Samples:
    """Make a sample once more: its file says what it follows from, or `.origins.json` beside a text.

    Args:
        file: A file that `sample` or a training wrote.
        run: The folder of the run. None looks for the run that the file names: in the folders above the file, in `runs/`, and here.
        device: As in `load`. On another one sums round in another way, and a last bit may differ.
        trust_code: As in `load`.

    Returns:
        The sample, or all samples of the file. The batch in which each was drawn is drawn again, so it may take as long as all of it.

    Raises:
        ConfigError: The file does not say where it comes from, or it is of other weights.
    """
    path = arguments.path("file", file)
    from anew.sampling.origins import one_run, origins_in

    origins = origins_in(path)
    name = one_run(origins, path)
    folder = _run_of(path, name) if run is None else arguments.path("run", run)
    model = load(folder, device, trust_code=trust_code)
    if any(origin.weights != model.identity[1] for origin in origins):
        raise ConfigError(
            f"{str(path)!r} was made by the run {name!r} with other weights than those of {str(folder)!r}; give that run"
        )
    return model.again(origins)


def _run_of(path: Path, name: str) -> Path:
    """The folder of the run of this name, in the places where runs usually lie."""
    for folder in _places(path, name):
        if folder.name == name and (folder / CONFIG).is_file():
            return folder
    raise ConfigError(f"{str(path)!r} was made by the run {name!r}, which is not found from here; give `run`")


def _places(path: Path, name: str) -> Iterator[Path]:
    yield from path.resolve().parents
    if Path(name).name == name:
        yield Path(RUNS, name)
        yield Path(name)
