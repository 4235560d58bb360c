"""Contents of a checkpoint, in memory."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

if TYPE_CHECKING:
    from torch import Tensor


class Checkpoint(TypedDict):
    """The state of a training.

    Attributes:
        tensors: By name: "weights/...", "average/...", "optimizer/...", "best/...".
        meta: JSON values, as in `anew.runs.checkpoint.Meta`.
        buffers: Names of the tensors that seldom change, if any.
        shards: The folder that the tensors are in, where each process reads its part: `tensors` is empty then.
    """

    tensors: dict[str, Tensor]
    meta: dict[str, Any]
    buffers: NotRequired[Collection[str]]
    shards: NotRequired[Path]
