"""How long the sound of whole files is, and the silence at their ends, which is cut off where they are read as clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anew.core import isolation
from anew.data.formats.sound import audio
from anew.data.formats.sound.audio_clips import Shape, cuts
from anew.data.types import Item


def file_extents(items: Sequence[Item], shape: Shape) -> NDArray[np.float64]:
    """(n, 3) seconds of silence before and after the sound of whole files, and of the sound between them.

    Files that cannot be read, or that are so long that they are cut into clips of this shape, are left out.
    """
    answers = isolation.each(_WholeFiles(shape).extent, items)
    extents = [extent for extent in answers if not isinstance(extent, ValueError)]
    return np.array(extents, dtype=np.float64).reshape(-1, 3)


@dataclass(frozen=True, slots=True)
class _WholeFiles:
    """Decodes files that are not cut into clips of a shape, in a process of their own."""

    shape: Shape
    native: bool = True

    def extent(self, item: Item) -> tuple[float, float, float]:
        """The row of `file_extents` of a file. Raises ValueError (one clause)."""
        header = audio.read_header(item.file)
        if cuts(header.frames, header.rate, self.shape, 0, 1) is not None:
            raise ValueError("it is cut into clips")
        x, rate = audio.read(item.file, 0, header.frames, self.shape.channels)
        start, stop = audio.audible_bounds(x, rate)
        return start / rate, (len(x) - stop) / rate, (stop - start) / rate
