"""The common part of modalities with values on a grid: images, clips and sounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from anew.core.arrays import Integers, Numbers
from anew.core.specs import Batch, Grid
from anew.core.wording import plural
from anew.data.formats.learned_schemas import LearnedGrid
from anew.data.modality import Modality
from anew.data.types import Item

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from torch import Tensor


class GridModality(Modality):
    """A modality whose items are values on a grid.

    Attributes:
        axes: Axes of the grid.
        encoded_by: Keys of `state` that decide what `encode` gives.
        encoding_version: Changes with each release in which `encode` gives other values for the same state.
        notes: After `fit`, which shape was chosen and why.
    """

    unit = "dimension"
    axes: ClassVar[str] = "CHW"
    encoded_by: ClassVar[tuple[str, ...]]
    encoding_version: ClassVar[int] = 1

    def __init__(self, config: DataclassInstance, *, generated: bool = False) -> None:
        super().__init__(config, generated=generated)
        self.notes: list[str] = []

    @property
    def _grid(self) -> Grid:
        return cast(Grid, self.spec)

    def remarks(self) -> list[str]:
        return list(self.notes)

    def _num_classes(self, labels_setting: str, labels: Sequence[str], num_items: int) -> int:
        """Number of classes that condition the generator: all or none, which a note says.

        Args:
            labels_setting: "auto" or "off".
            labels: Names of the classes.
            num_items: Number of items; fewer than two a class are too few.
        """
        if labels_setting == "off" or len(labels) < 2:
            return 0
        if 2 * len(labels) > max(num_items, 1):
            counts = f"{len(labels):,} classes for {plural(num_items, self.noun)}"
            self.notes.append(f"{counts} are too many: labels are not used.")
            return 0
        return len(labels)

    def units(self, item: Item) -> int:
        """Values of the grid, which bits are divided by."""
        return int(np.prod(self._grid.shape))

    def batch(self, rows: Numbers, labels: Integers | None, lengths: Integers | None) -> Batch:
        import torch

        label = None
        if self._grid.classes and labels is not None:
            label = torch.from_numpy(np.asarray(labels).astype(np.int64))  # (B,)
        units = torch.full((len(rows),), float(np.prod(self._grid.shape)))  # (B,)
        return Batch(self._values(rows), label, self._frame_mask(rows), units)

    def _values(self, rows: Numbers) -> Tensor:
        """Stored rows (B, ...) as values (B, *shape); those of 8 bits in [-1, 1]."""
        import torch

        x = np.multiply(rows, np.float32(1 / 127.5), dtype=np.float32)  # (B, *shape)
        x -= np.float32(1.0)
        return torch.from_numpy(x)

    def _frame_mask(self, rows: Numbers) -> Tensor | None:
        """(B, T) which frames of clips are there; None for other items."""
        return None

    def _grid_state(self) -> dict[str, object]:
        """The part of `state` that all grids have."""
        grid = self._grid
        return {"shape": list(grid.shape), "classes": grid.classes, "std": grid.std, "notes": list(self.notes)}

    def encoding_state(self) -> dict[str, object]:
        # Not all of it: sentences differ by the budget, and what `calibrate` learns is for samples
        state = self.state()
        return {"encoding": self.encoding_version} | {key: state[key] for key in self.encoded_by}

    def _restore_grid(self, record: LearnedGrid, brightness_channels: int = 3) -> None:
        grid = Grid(tuple(record.shape), self.axes, record.classes, record.std)
        self.spec = replace(grid, brightness_channels=brightness_channels)
        self.notes = record.notes
