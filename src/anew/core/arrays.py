"""Types of arrays, and functions on them, that several packages use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar, Union

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Numbers: TypeAlias = NDArray[np.number]  # any width: stored rows, decoded pictures, features
Integers: TypeAlias = NDArray[np.integer]  # class numbers, lengths
Ints: TypeAlias = NDArray[np.int64]
Int32s: TypeAlias = NDArray[np.int32]
Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
T = TypeVar("T")
Values: TypeAlias = Union["Tensor", Numbers]  # what a model takes or gives


def as_array(values: Values) -> Numbers:
    """Values as an array; those of a tensor, wherever it lies, as float32."""
    return values if isinstance(values, np.ndarray) else np.asarray(values.detach().float().cpu().numpy())


def bytes_of(tensor: Tensor) -> Tensor:
    """(n,) uint8: the bytes of a tensor on the CPU, in memory that both share if it is contiguous already."""
    import torch  # users of arrays need not load it

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    if flat.stride() != (1,):  # one number, or none, is contiguous with any stride, but has no view as bytes
        flat = flat.clone(memory_format=torch.contiguous_format)
    return flat.view(torch.uint8)


def piece_bounds(starts: Ints, stops: Ints, longest: int) -> tuple[Ints, Ints]:
    """Starts and stops (pieces,) of the pieces of stretches (n,), in order: `longest` each, but for the last of a stretch.

    An empty stretch has none."""
    counts = -(-(stops - starts) // longest)  # (n,)
    owners = np.repeat(np.arange(len(counts)), counts)  # (pieces,)
    numbers = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)  # within a stretch
    firsts = starts[owners] + numbers * longest
    return firsts, np.minimum(firsts + longest, stops[owners])


def spaced_indices(count: int, n: int) -> Ints:
    """Indices of n of `count` entries, evenly spaced from the first to the last; of fewer, of all. Samples of data are taken from
    all over it, since it may be sorted by files, classes or lengths."""
    return np.unique(np.linspace(0, count - 1, max(min(n, count), 0)).round().astype(np.int64))


def evenly_spaced(entries: Sequence[T], n: int) -> list[T]:
    """n of the entries, from the first to the last; all of fewer."""
    return [entries[index] for index in spaced_indices(len(entries), n).tolist()]
