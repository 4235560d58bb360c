"""The timelapse of a training in its run folder: small frames by step, and a scene that all frames share. Needs no PyTorch."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from anew.core import files
from anew.errors import RunError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDER = "timelapse"
EARLIER_FOLDER = "film"  # its name in runs from before 0.2
FORMAT = "2"  # version of frames and scenes; the page refuses others (`static/timelapse_data.js`)
SCENE = "scene.safetensors"  # what all frames share
# Most frames of a run; of more, every second one is removed. So many take a few MB, and nobody steps through more; chosen.
MAX_FRAMES = 120
MAX_FRAME_BYTES = 100_000  # more than any frame of Anew has; a stranger's may be of any size
MAX_SCENE_BYTES = 4_000_000  # the same for the scene, which holds the real items


def folder_of(run: Path) -> Path:
    """The folder of a run's timelapse, which need not exist."""
    earlier = run / EARLIER_FOLDER
    return earlier if earlier.exists() and not (run / FOLDER).exists() else run / FOLDER


class StepFiles(NamedTuple):
    """Files in the timelapse's folder of a run, one for each of some steps.

    Attributes:
        prefix: The beginning of their names.
    """

    prefix: str

    def path(self, run: Path, step: int) -> Path:
        """The file after `step` steps."""
        return folder_of(run) / f"{self.prefix}{step:08d}.safetensors"

    def steps(self, run: Path) -> list[int]:
        """All steps that have a file, ascending; none without a folder, or with a link that leads out of the run."""
        try:
            files.check_folder(folder_of(run))
            names = [path.name for path in folder_of(run).iterdir()]
        except (OSError, RunError):
            return []
        pattern = re.compile(rf"{self.prefix}(\d{{8,15}})\.safetensors")
        return sorted(int(match[1]) for match in map(pattern.fullmatch, names) if match)

    def remove(self, run: Path, steps: Iterable[int]) -> None:
        """Remove the files of these steps, as far as that is possible."""
        for step in steps:
            with contextlib.suppress(OSError):
                self.path(run, step).unlink()

    def remove_after(self, run: Path, step: int) -> None:
        """Remove the files of later steps, since these steps are taken again."""
        self.remove(run, [later for later in self.steps(run) if later > step])


FRAMES = StepFiles("frame-")


def serialized(arrays: Mapping[str, NDArray[np.generic]], facts: Mapping[str, object]) -> bytes:
    """safetensors with facts as JSON in its header, under the name "facts", and FORMAT under "format"."""
    from safetensors.numpy import save  # imported here: the list of runs is shown without NumPy

    ordered = {name: arrays[name].copy() for name in sorted(arrays)}  # contiguous
    return save(ordered, {"facts": json.dumps(facts), "format": FORMAT})


def write(run: Path, name: str, data: bytes) -> None:
    """Write one file of the timelapse, atomically. At most MAX_FRAMES frames stay."""
    folder_of(run).mkdir(exist_ok=True)
    files.write(folder_of(run) / name, data)
    steps = FRAMES.steps(run)
    if len(steps) > MAX_FRAMES:
        FRAMES.remove(run, steps[1:-1:2])


def read(run: Path, step: int | None) -> bytes:
    """The frame of a step, or the scene.

    Raises:
        RunError: The frame is missing, is too large, or is not an ordinary file.
    """
    files.check_folder(folder_of(run))
    path = folder_of(run) / SCENE if step is None else FRAMES.path(run, step)
    if not path.exists():
        raise RunError(f"there is no {path.name} in the timelapse of this run")
    return files.read(path, MAX_SCENE_BYTES if step is None else MAX_FRAME_BYTES)


def scene_facts(run: Path) -> dict[str, object]:
    """The facts of the scene, without its arrays; empty without a readable timelapse."""
    try:
        data = read(run, None)
        size = int.from_bytes(data[:8], "little")
        facts = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["facts"])
    except (RunError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}
