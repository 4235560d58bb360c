"""State common to everything that one command trains, its codec included."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from anew.core.machine.loop_compiler import LoopCompiler
from anew.core.processes.world import World
from anew.core.reporter import Reporter
from anew.data.dataset import Dataset
from anew.data.latent_dataset import LatentDataset
from anew.families.base import Family
from anew.planning.train_config import TrainConfig
from anew.runs.record import Request

TrainingData: TypeAlias = Dataset | LatentDataset  # data as a family sees it: items, or what a codec makes of them
DataT = TypeVar("DataT", bound=TrainingData, covariant=True)


@dataclass(frozen=True, slots=True)
class RunContext:
    """State common to everything that one command trains, its codec included.

    Attributes:
        reporter: Shows the progress.
        started: `time.monotonic()` when the command began; the budget counts from there.
        world: The processes that train together.
        user_family: The class that the name `family.py` stands for, if the user brought a family.
        slowdown: How many times longer than on idle cores work takes now, at least 1.
        reserved: Seconds of the budget that are kept for other trainings.
        report_extra: Seconds that the report gets beyond its usual slice of the budget, since it answers more then.
        loop_compiler: Compiles loops beside the training.
        loops_ready: Whether loops that a training would use are compiled; else it does without them.
    """

    reporter: Reporter
    started: float
    world: World
    user_family: type[Family] | None = None
    slowdown: float = 1.0
    reserved: float = 0.0
    report_extra: float = 0.0
    loop_compiler: LoopCompiler = field(default_factory=LoopCompiler)
    loops_ready: bool = True

    def elapsed(self) -> float:
        """Seconds since the command began."""
        return time.monotonic() - self.started


@dataclass(frozen=True)
class TrainingTask(Generic[DataT]):
    """What a training is planned from, besides its family.

    Attributes:
        request: The user's request, or that of a codec stage.
        train_config: Settings of the training.
        context: Reporter, clock and processes.
        data: The data as the family sees it.
    """

    request: Request
    train_config: TrainConfig
    context: RunContext
    data: DataT
