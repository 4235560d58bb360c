"""Images in NumPy's files: `.npy`, an array of images, and `.npz`, such arrays together with their labels.

Nothing in them is unpickled. A `.npz` file is a zip archive of `.npy` files: it is unpacked into the cache, so that arrays larger than
memory are read in pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import cast

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from anew.core.files import clause
from anew.core.wording import listed
from anew.data import limits
from anew.data.file_names import folder_of, part_of, suffix_of
from anew.data.formats.by_range import Range
from anew.data.modality import Modality
from anew.data.sources.base import SHARD_ITEMS, Shard
from anew.data.sources.listing import File
from anew.data.sources.zip_copy import unpacked
from anew.data.types import Item, SkippedItem
from anew.errors import DataError

CHANNELS = (1, 3, 4)  # grey, red green blue, and these with alpha
MAX_CLASSES = 10_000  # as many different labels are no classes
# A header is a literal of Python, which may hold anything
_ERRORS = (
    OSError,
    ValueError,
    EOFError,
    SyntaxError,
    TypeError,
    KeyError,
    ArithmeticError,
    RecursionError,
    MemoryError,
    TokenError,
)
_WORD_ENDS = re.compile(r"[-_.:/ ]")
_LABELS = re.compile(r"(^|[^a-z])(labels?|class(es)?|targets?|y)([^a-z]|$)")


@dataclass(slots=True)
class _Array:
    """An array in a file.

    Attributes:
        name: Path of the file; in `.npz` with the key of the array, as in `a.npz:x_train`.
        file: The file.
        place: The `.npy` file that is read.
        shape: Its shape.
        dtype: Type of its values.
        part: "train", "validation" or "test" if names say so.
        labels: (n,) names of the classes of its images; None without classes.
    """

    name: str
    file: File
    place: Path
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    part: str | None = None
    labels: list[str] | None = None

    @property
    def axes(self) -> tuple[int, ...] | None:
        return image_axes(self.shape, self.dtype)

    @property
    def bytes_per_image(self) -> int:
        return int(np.prod(self.shape[1:]))

    @property
    def described(self) -> str:
        """Type and shape: "float32, 100 x 28 x 28"."""
        return f"{self.dtype}, {' x '.join(map(str, self.shape)) or 'one value'}"

    def opened(self) -> NDArray[np.generic]:
        """The values, of which pieces are read as they are needed. Raises ValueError if the file changed."""
        values = open_memmap(self.place, mode="r")
        if (values.shape, values.dtype) != (self.shape, self.dtype):
            raise ValueError("it changed after it was listed")
        return values


class ArrayReader:
    """See `anew.data.sources.base.Reader`. Shards are runs of consecutive images."""

    def __init__(self, files: Sequence[File], root: Path) -> None:
        self.refusals: list[SkippedItem] = []
        self.notes: list[str] = []
        self._root = root
        arrays = [array for file in files for array in self._arrays(file)]
        # Without a training part, such words mean something else
        if any(_part_word(array.name) == "train" for array in arrays):
            for array in arrays:
                array.part = _part_word(array.name)
        self._images = {array.name: array for array in arrays if array.axes is not None}
        others = {array.name: array for array in arrays if array.axes is None}
        for array in self._images.values():
            labels = _labels_of(array, others.values())
            if labels is not None:
                array.labels = [str(value) for value in labels.opened().reshape(-1).tolist()]
                del others[labels.name]
        self._refuse(others.values())
        num_images = sum(array.shape[0] for array in self._images.values())
        num_bytes = sum(array.shape[0] * array.bytes_per_image for array in self._images.values())
        self.counts: Mapping[str, int] = {"image": num_images} if num_images else {}
        self.bytes: Mapping[str, int] = {"image": num_bytes} if num_images else {}
        names = {name for array in self._images.values() for name in array.labels or ()}
        self.labels: tuple[str, ...] | None = tuple(sorted(names))

    def shards(self, modality: str) -> list[Shard]:
        if modality != "image":
            return []
        shards = []
        for name, array in self._images.items():
            for start in range(0, array.shape[0], SHARD_ITEMS):
                count = min(SHARD_ITEMS, array.shape[0] - start)
                where, size = (name, start, count), count * array.bytes_per_image
                shards.append(Shard(f"{name}#{start}+{count}", count, size, where, array.part, array.file.stamp))
        return shards

    def ranges(self, shard: Shard) -> list[Range]:
        return []

    def read(self, shard: Shard) -> Iterator[Item | SkippedItem]:
        name, start, count = cast(tuple[str, int, int], shard.where)
        array = self._images[name]
        axes = array.axes
        assert axes is not None, "an array of images"
        try:
            values = array.opened()
        except _ERRORS as error:
            reason = f"it cannot be read ({clause(error)})"
            yield from (SkippedItem(f"{name}#{index}", reason) for index in range(start, start + count))
            return
        for index in range(start, start + count):
            label = None if array.labels is None else array.labels[index]
            yield Item(f"{name}#{index}", _pixels(values[index].transpose([axis - 1 for axis in axes])), label)

    def _arrays(self, file: File) -> Iterator[_Array]:
        """The arrays of a file; what cannot be read is refused."""
        try:
            places = self._places(file)
        except DataError as error:
            self.refusals.append(SkippedItem(file.path, str(error)))
            return
        for name, place in places:
            try:
                values = open_memmap(place, mode="r")
            except _ERRORS as error:
                is_pickled = "Python objects" in str(error)
                reason = (
                    "objects of Python, which may be programs" if is_pickled else f"no whole array ({clause(error)})"
                )
                self.refusals.append(SkippedItem(name, f"it holds {reason}"))
            else:
                yield _Array(name, file, place, values.shape, values.dtype)

    def _places(self, file: File) -> list[tuple[str, Path]]:
        """(name, `.npy` file) of each array of a file."""
        path = self._root / file.path
        if suffix_of(file.path) == ".npy":
            return [(file.path, path)]
        copy = unpacked(path, file.path)
        self.refusals += copy.refusals
        members = [name for name in copy.listing.files.paths if suffix_of(name) == ".npy"]
        return [(f"{file.path}:{name.removesuffix('.npy')}", copy.place / name) for name in members]

    def _refuse(self, others: Iterable[_Array]) -> None:
        """Name arrays that are not read: alone in their files they are refused, beside images they are in a note."""
        files = {array.file.path for array in self._images.values()}
        beside = []
        for array in others:
            if array.file.path in files:
                beside.append(f"{array.name} ({array.described})")
            else:
                self.refusals.append(SkippedItem(array.name, _fault(array)))
        if beside:
            self.notes.append(f"Arrays that are neither images nor labels of them are not read: {listed(beside)}.")


def image_axes(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> tuple[int, ...] | None:
    """The axes (H, W) or (H, W, C) of the images of an array; None if it is not an array of images.

    Args:
        shape: (n, H, W), (n, H, W, C) or (n, C, H, W) with 1, 3 or 4 channels.
        dtype: uint8 or bool.
    """
    if dtype not in (np.dtype(np.uint8), np.dtype(np.bool_)) or 0 in shape:
        return None
    if len(shape) not in (3, 4) or np.prod(shape[1:]) > limits.IDX_IMAGE_BYTES:
        return None
    if len(shape) == 3:
        # A single image (H, W, 3) is not an array of images with 3 columns
        return None if shape[2] in CHANNELS else (1, 2)
    if shape[3] in CHANNELS:
        return (1, 2, 3)
    return (2, 3, 1) if shape[1] in CHANNELS else None


def _part_word(name: str) -> str | None:
    """The part that a word of a name says: `mnist.npz:x_train`, `kmnist-test-imgs.npz:arr_0`; None without one."""
    parts = (part_of(f"{word}.npy") for word in _WORD_ENDS.split(name))
    return next((part for part in parts if part is not None), None)


def _labels_of(images: _Array, others: Iterable[_Array]) -> _Array | None:
    """The labels of images: the only array of as many values, of the same part, in the same file or else in the same folder. Of
    several, the one whose name says so."""
    folder = folder_of(images.file.path)
    candidates = [
        other
        for other in others
        if folder_of(other.file.path) == folder and other.part == images.part and _holds_labels(other, images.shape[0])
    ]
    candidates = [other for other in candidates if other.file == images.file] or candidates
    candidates = [other for other in candidates if _LABELS.search(other.name[len(folder) :].lower())] or candidates
    return candidates[0] if len(candidates) == 1 else None


def _holds_labels(array: _Array, num_images: int) -> bool:
    """Whether an array is (n,) or (n, 1) labels of so many images: integers or names."""
    is_column = array.shape in ((num_images,), (num_images, 1))
    if array.dtype.kind not in "iuU" or not is_column or num_images * array.dtype.itemsize > limits.IDX_LABELS_BYTES:
        return False
    return len(np.unique(array.opened())) <= MAX_CLASSES


def _pixels(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """(H, W) or (H, W, C) an image, from (H, W) or (H, W, C) uint8 or bool; grey has no channels."""
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    pixels: NDArray[np.uint8] = np.array(image, dtype=np.uint8, order="C")
    return pixels * np.uint8(255) if image.dtype == np.bool_ else pixels


def _fault(array: _Array) -> str:
    """Why an array holds no images, and what to do, as a clause."""
    if array.dtype.kind == "f" and len(array.shape) in (3, 4):
        return f"its values are {array.dtype}; convert them to uint8 from 0 to 255, as images are read"
    return f"it holds {array.described}; images are uint8, n x height x width or n x height x width x 3"


def open_reader(files: Sequence[File], root: Path, modalities: Mapping[str, type[Modality]]) -> ArrayReader:
    """See `anew.data.sources.base.OpenReader`."""
    return ArrayReader(files, root)
