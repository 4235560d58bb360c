"""Losses and gradient norms of a training, written for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anew.core.extras import require
from anew.planning.train_config import TrainConfig
from anew.training.loop import Listener
from anew.training.trainer import StepResult

FLUSH_STEPS = 100  # steps between flushes: TensorBoard can show a running training, and writing costs next to nothing


def check_tensorboard(config: TrainConfig) -> None:
    """Raise DataError if TensorBoard is asked for and is not installed. Called before any work is done."""
    if config.tensorboard:
        require("tensorboard", extra="track", purpose="tensorboard=true")


@contextmanager
def tensorboard_listeners(config: TrainConfig, folder: Path, is_main: bool) -> Iterator[list[Listener]]:
    """Within this context, give the callbacks after each step that write for TensorBoard, if any; then close their file.

    Args:
        config: Its `tensorboard` says whether anything is written.
        folder: Folder of the file.
        is_main: Whether this process writes.
    """
    if not config.tensorboard or not is_main:
        yield []
        return
    check_tensorboard(config)
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))

    def write(result: StepResult) -> None:
        scalars = _named("loss", result.losses) | _named("grad_norm", result.grad_norms)
        for name, value in {**scalars, "learning_rate": result.lr_factor}.items():
            writer.add_scalar(f"train/{name}", value, result.step)
        if result.step % FLUSH_STEPS == 0:
            writer.flush()

    try:
        yield [write]
    finally:
        writer.close()


def _named(quantity: str, values: dict[str, float]) -> dict[str, float]:
    """Values by phase under the names that TensorBoard shows; a single phase is not named."""
    if len(values) == 1:
        return {quantity: next(iter(values.values()))}
    return {f"{quantity}_{phase}": value for phase, value in values.items()}
