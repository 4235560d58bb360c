"""Measuring that pages ask for, added to the queue as a user would type it: a run anew, or samples of another tool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from anew.core import arguments
from anew.data.reading_settings import WITHOUT_RUN
from anew.errors import ConfigError
from anew.runs.record import RunRecord
from anew.studio_app import commands
from anew.studio_app.jobs import Job
from anew.studio_app.studio import Studio


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
    commands.check_no_own_code(run)
    record = commands.studio_record(run)
    if record.status != "finished":
        raise ConfigError("this run is not finished; resume it, which measures it too")
    words = ["evaluate", str(run), "-n", str(n)]
    if data is None:
        _check_data(record)
    else:
        words.append(f"--data={_existing(studio, data)}")
    return commands.add_to_idle(studio, "evaluate", name, words)


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
    record = commands.studio_record(studio.run(name))
    path = _existing(studio, samples)
    _check_data(record)
    sets = ["evaluate", f"--samples={path}", f"--data={record.data.path}"]
    words = ["-n", str(n), f"--modality={record.data.modality}"]
    if held_out is not None:
        words.append(f"--held-out={_existing(studio, held_out)}")
    words += [f"--set={key}={text}" for key, text in _reading_settings(record)]
    stem = f"{arguments.stem(path) or 'samples'}-report"
    return commands.add_with_folder(studio, "audit", stem, lambda out: [*sets, "--out", out, *words])


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
