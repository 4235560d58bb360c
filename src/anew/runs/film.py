"""The film of a training in its run folder: small frames by step, and a scene that all frames share. Needs no PyTorch."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from anew.core import files
from anew.errors import RunError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDER = "film"
FORMAT = "2"  # of frames and scenes; the page refuses others (`static/film_data.js`)
SCENE = "scene.safetensors"  # what all frames share
# Most frames of a run; of more, every second one is removed. So many take a few MB, and nobody steps through more; chosen.
MAX_FRAMES = 120
MAX_FRAME_BYTES = 100_000  # more than any frame of Anew has; a stranger's may be of any size
MAX_SCENE_BYTES = 4_000_000  # the same for the scene, which holds the real items
_FRAME = re.compile(r"frame-(\d{8,15})\.safetensors")


def frame_name(step: int) -> str:
    """File name of the frame after so many steps."""
    return f"frame-{step:08d}.safetensors"


def frames(run: Path) -> list[int]:
    """The steps of all frames of a run, ascending; none without a film."""
    try:
        names = [path.name for path in (run / FOLDER).iterdir()]
    except OSError:
        return []
    return sorted(int(match[1]) for match in map(_FRAME.fullmatch, names) if match)


def serialized(arrays: Mapping[str, NDArray[np.generic]], facts: Mapping[str, object]) -> bytes:
    """safetensors with facts as JSON in its header, under the name "facts", and FORMAT under "format"."""
    from safetensors.numpy import save  # imported here: the list of runs is shown without NumPy

    ordered = {name: arrays[name].copy() for name in sorted(arrays)}  # contiguous
    return save(ordered, {"facts": json.dumps(facts), "format": FORMAT})


def write(run: Path, name: str, data: bytes) -> None:
    """Write one file of the film, atomically. At most MAX_FRAMES frames stay."""
    (run / FOLDER).mkdir(exist_ok=True)
    files.write(run / FOLDER / name, data)
    steps = frames(run)
    if len(steps) > MAX_FRAMES:
        for step in steps[1:-1:2]:
            _remove(run, step)


def forget_after(run: Path, step: int) -> None:
    """Remove the frames of later steps, since these steps are taken again."""
    for later in frames(run):
        if later > step:
            _remove(run, later)


def _remove(run: Path, step: int) -> None:
    with contextlib.suppress(OSError):
        (run / FOLDER / frame_name(step)).unlink()


def read(run: Path, step: int | None) -> bytes:
    """The frame of a step, or the scene.

    Raises:
        RunError: The frame is missing, is too large, or is not an ordinary file.
    """
    folder = run / FOLDER
    files.check_folder(folder)
    name = SCENE if step is None else frame_name(step)
    if not (folder / name).exists():
        raise RunError(f"there is no {name} in the film of this run")
    return files.read(folder / name, MAX_SCENE_BYTES if step is None else MAX_FRAME_BYTES)


def scene_facts(run: Path) -> dict[str, object]:
    """The facts of the scene, without its arrays; empty without a readable film."""
    try:
        data = read(run, None)
        size = int.from_bytes(data[:8], "little")
        facts = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["facts"])
    except (RunError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}
