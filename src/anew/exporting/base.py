"""Interface of export targets. An export is written completely, or not at all."""

from __future__ import annotations

import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from anew.core import files, registry
from anew.core.activity import progress_lines
from anew.errors import RunError
from anew.exporting.traits import check_new, traits_of
from anew.sampling.model import Model


@dataclass(frozen=True, slots=True)
class Export:
    """Result of an export.

    Attributes:
        target: Name of the target.
        folder: The folder of the files; the file itself where the target is a single file.
        files: Their paths, sorted.
        notes: Sentences for the user on what the export leaves out.
        address: Where it was pushed to; None if it was not.
    """

    target: str
    folder: Path
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    address: str | None = None

    def to_json(self) -> dict[str, object]:
        """JSON values."""
        return {
            "target": self.target,
            "folder": str(self.folder),
            "files": [str(path) for path in self.files],
            "notes": list(self.notes),
            **({} if self.address is None else {"address": self.address}),
        }


class Target(ABC):
    """A format that a run is exported to. `traits.py` has the facts that are needed before it is imported.

    Attributes:
        name: Name of the target, that of its file.
        stage: A clause on the work of `write`, for lines of progress; "" where it takes no time.
    """

    name: ClassVar[str]
    stage: str = ""

    @classmethod
    def push(cls, folder: Path, repository: str) -> str:
        """Upload a folder that was written. Returns its address; RunError if the upload fails."""
        raise NotImplementedError

    @abstractmethod
    def write(self, model: Model, folder: Path, number_type: str) -> list[str]:
        """Write all files.

        Args:
            folder: A new, empty folder.
            number_type: One of those of `traits_of`.

        Returns:
            Sentences for the user on what the export leaves out.

        Raises:
            ConfigError: The run cannot be exported to this target (one sentence).
        """


@contextmanager
def new_folder(out: Path, suffix: str | None) -> Iterator[Path]:
    """A temporary folder next to `out`, which is renamed to `out` at the end, or removed after an error. If there is a suffix, `out` is a
    file: the only file in the folder, renamed.

    Raises:
        ConfigError: `out` holds something.
        RunError: It cannot be written.
    """
    check_new(out, suffix)
    out = out.absolute()
    temporary = out.with_name(files.temporary_name(out.name))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
    except OSError as error:
        raise RunError(f"`out` {str(out)!r} cannot be written ({files.clause(error)}); give another folder") from None
    try:
        yield temporary
        check_new(out, suffix)
        if out.is_dir():
            out.rmdir()  # an empty one is in the way of a rename on some systems
        written = [temporary] if suffix is None else list(temporary.iterdir())
        assert len(written) == 1, f"a target with a suffix writes one file (got {[path.name for path in written]})"
        written[0].rename(out)
        files.sync_folder(out.parent)
    except OSError as error:
        raise RunError(
            f"cannot write {str(out)!r} ({files.clause(error)}); free some space or give another folder"
        ) from error
    except RunError as error:
        path_inside = re.escape(str(temporary)) + ("" if suffix is None else r"[^']*")
        raise RunError(re.sub(path_inside, lambda _: str(out), str(error))) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def export_model(model: Model, target: type[Target], out: Path, number_type: str) -> Export:
    """Write a run as `target` into the new folder or file `out`."""
    writer = target()

    def describe() -> str:
        return f"writing {out.name}{': ' if writer.stage else ''}{writer.stage}"

    suffix = traits_of(target.name).suffix
    with new_folder(out, suffix) as folder, progress_lines(describe):
        notes = writer.write(model, folder, number_type)
    paths = (out,) if suffix else tuple(sorted(path for path in out.rglob("*") if path.is_file()))
    return Export(target.name, out, paths, tuple(notes))


def load_target(name: str) -> type[Target]:
    """The export target of this name; ConfigError, which suggests the nearest name, if there is none."""
    target = registry.load("exporting", name)
    assert issubclass(target, Target)
    return target
