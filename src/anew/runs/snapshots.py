"""Earlier weights of a training in its run folder, next to its timelapse: a few sets by step, to sample the model as it was then.

Tensors that training does not change are not in them: they would be the same in all, and may be large. Tensors that were fitted
to the latents of these weights (the prior of a VAE) are.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anew.core import files
from anew.errors import RunError
from anew.runs.tensors import check_header, read_tensors, write_tensors
from anew.runs.timelapse import StepFiles, folder_of

if TYPE_CHECKING:
    from torch import Tensor

# Snapshots of a run, which are the stops of a slider from the beginning to the end; chosen.
MAX_SNAPSHOTS = 6
# Bytes of all snapshots together, unless the weights themselves have more: they must not make a run much larger
MAX_BYTES = 32 * 2**20
# The next one is kept after so many times the seconds of the last: progress goes with the logarithm of time
SPACING = 1.5
WEIGHTS = StepFiles("weights-")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Weights that were kept after a step, and the seconds of training until then."""

    step: int
    seconds: float


def snapshots(run: Path) -> list[Snapshot]:
    """All readable snapshots of a run, by ascending step."""
    readable = []
    for step in WEIGHTS.steps(run):
        with contextlib.suppress(RunError):
            readable.append(Snapshot(step, _seconds(WEIGHTS.path(run, step))))
    return readable


def _seconds(path: Path) -> float:
    """Seconds of training in the header of a file. Raises RunError if it has none."""
    from safetensors import SafetensorError, safe_open

    check_header(path)
    try:
        with safe_open(str(path), framework="numpy") as file:
            seconds = float((file.metadata() or {})["seconds"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise RunError(f"{str(path)!r} does not say when it was written ({files.clause(error)})") from None
    if not 0.0 <= seconds < math.inf:
        raise RunError(f"{str(path)!r} was written after {seconds} seconds")
    return seconds


def keep(run: Path, weights: Mapping[str, Tensor], step: int, seconds: float) -> None:
    """Keep weights in half precision. If there are then too many, remove those whose neighbours are closest to each other on a
    logarithmic scale of time, the oldest first."""
    folder_of(run).mkdir(exist_ok=True)
    halved = {name: _halved(tensor) for name, tensor in weights.items()}
    write_tensors(WEIGHTS.path(run, step), halved, {"seconds": f"{seconds:.3f}"})
    limit = max(MAX_BYTES, sum(tensor.nbytes for tensor in weights.values()))
    max_snapshots = min(MAX_SNAPSHOTS, max(1, limit // max(1, sum(tensor.nbytes for tensor in halved.values()))))
    saved = snapshots(run)
    while len(saved) > max_snapshots:
        WEIGHTS.remove(run, [saved.pop(_most_redundant(saved)).step])


def _halved(tensor: Tensor) -> Tensor:
    """The tensor in 16 bits: float16, which has more digits, or bfloat16 if a value is too large for that."""
    import torch

    if not tensor.is_floating_point() or tensor.element_size() <= 2 or not tensor.numel():
        return tensor.detach().cpu()
    fits = float(tensor.detach().abs().max()) < torch.finfo(torch.float16).max
    return tensor.detach().to(torch.float16 if fits else torch.bfloat16).cpu()


def _most_redundant(saved: list[Snapshot]) -> int:
    """Index of the snapshot whose neighbours are closest to each other; never the first or the last if there are others."""
    times = [math.log(max(snapshot.seconds, 1e-3)) for snapshot in saved]
    inner = range(1, len(saved) - 1)
    return min(inner, key=lambda place: (round(times[place + 1] - times[place - 1], 2), place), default=0)


def read(run: Path, step: int) -> dict[str, Tensor]:
    """The weights of a snapshot. Raises RunError if it is missing or not whole."""
    files.check_folder(folder_of(run))
    path = WEIGHTS.path(run, step)
    if not path.exists():
        steps = ", ".join(f"{number:,}" for number in WEIGHTS.steps(run)) or "none"
        raise RunError(f"the weights of step {step:,} are not kept in this run; kept: {steps}; choose one of these")
    return read_tensors(path)
