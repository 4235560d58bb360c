"""Contents of a checkpoint, in memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict

if TYPE_CHECKING:
    from torch import Tensor


class CheckpointMeta(TypedDict):
    """The numbers of a checkpoint, as meta.json holds them; `anew.runs.checkpoint.Meta` checks them on reading.

    Attributes:
        overcome_at: Step from which the last non-finite loss counts as overcome, and the factor is 1 again.
        num_restores: How many times in a row the training went back because of a non-finite loss.
        early_decay: Progress at which the learning rate began to fall earlier than planned, None if it did not.
        updates: Updates of each optimizer.
        spent: Seconds of training so far.
        length: Seconds of the whole training, if it was made longer than its plan says.
        validation: (step, loss) of each validation.
    """

    step: int
    examples: int
    lr_scale: float
    overcome_at: NotRequired[int]
    num_restores: NotRequired[int]
    early_decay: float | None
    updates: dict[str, int]
    spent: NotRequired[float]
    length: NotRequired[float]
    validation: NotRequired[Sequence[tuple[int, float]]]


class Checkpoint(TypedDict):
    """The state of a training.

    Attributes:
        tensors: By name: "weights/...", "average/...", "optimizer/...", "best/...".
        meta: Its numbers.
        buffers: Names of the tensors that seldom change, if any.
        shards: If each process reads its part, the folder with the tensors; `tensors` is empty then.
    """

    tensors: dict[str, Tensor]
    meta: CheckpointMeta
    buffers: NotRequired[Collection[str]]
    shards: NotRequired[Path]
