"""Data in the space of a codec: a Grid as a smaller Grid, or as Tokens. The codec is handed in; what people see stays theirs.

`Encoded` is the modality that a generator in that space works with, `EncodedDataset` the data set whose batches are codes.
All codes of an item count: a mask of the plain batch (which frames of a clip are its own) says nothing about them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from anew.core.specs import Batch, Spec, Tokens
from anew.data.dataset import Dataset
from anew.data.modality import Modality, takes_no_prompt

if TYPE_CHECKING:
    from torch import Tensor

ROWS = 64  # items that are encoded at a time: always as many, so that an item's code never depends on its neighbours
KEPT_BYTES = 512 * 2**20  # of codes in memory; what is beyond is encoded again each time


class Coding(Protocol):
    """What is asked of a codec here (`families.family.Codec`)."""

    @property
    def latent(self) -> Spec: ...

    def encode(self, x: Tensor) -> Tensor: ...

    def decode(self, z: Tensor) -> Tensor: ...


def seen(codes: Tensor, spec: Spec) -> Tensor:
    """Codes as a family sees them: a row of Tokens starts with the one that begins it."""
    import torch

    if not isinstance(spec, Tokens):
        return codes
    return torch.cat((codes.new_full((len(codes), 1), spec.special["begin"]), codes), 1)


def encoded_alike(codec: Coding, x: Tensor) -> Tensor:
    """(n, *latent) codes of x (n, *shape), on the CPU: each the same in any company."""
    import torch

    parts = []
    for some in torch.split(x, ROWS):
        short = ROWS - len(some)
        filled = torch.cat((some, some.new_zeros((short, *some.shape[1:])))) if short else some
        found = codec.encode(filled)[: len(some)].cpu()
        parts.append(found.float() if found.is_floating_point() else found)
    return torch.cat(parts)


class Encoded:
    """A modality seen through a codec: items as people see them on one side, codes on the other.

    Everything that concerns sources (reading, splitting, state) is the plain modality's, whose attributes show through."""

    def __init__(self, plain: Modality, codec: Coding) -> None:
        self.plain, self.codec = plain, codec
        self.spec: Spec = codec.latent
        self._last: tuple[Any, Any] = (None, None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "plain":
            raise AttributeError(name)
        return getattr(self.plain, name)

    def batch(self, rows: NDArray[Any], labels: NDArray[Any] | None, lengths: NDArray[Any] | None) -> Batch:
        """Stored rows -> codes."""
        plain = self.plain.batch(rows, labels, lengths)
        return replace(plain, x=seen(encoded_alike(self.codec, plain.x), self.spec), mask=None)

    def values(self, z: Tensor) -> Tensor:
        """Codes (n, *latent) -> values of items (n, *shape); a draft of Tokens may be shorter than a whole item. The same
        codes asked for again are not decoded again."""
        if self._last[0] is not z:
            self._last = (z, self.codec.decode(z).cpu())
        found: Tensor = self._last[1]
        return found

    def decode(self, z: Tensor) -> list[Any]:
        """Codes -> items as people see them."""
        return self.plain.decode(self.values(z))

    def condition_from_prompt(self, prompt: str, suffix: str = "") -> Any:
        raise takes_no_prompt(self.plain.name, prompt, suffix)


class EncodedDataset:
    """A data set whose batches are codes. What is read from it to be looked at or compared stays as it was."""

    def __init__(self, plain: Dataset, codec: Coding) -> None:
        self.plain, self.codec = plain, codec
        self.modality = Encoded(plain.modality, codec)
        self.spec: Spec = replace(codec.latent, classes=plain.spec.classes)
        self._codes: dict[bytes, Tensor] = {}
        self._bytes = 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "plain":
            raise AttributeError(name)
        return getattr(self.plain, name)

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch:
        """Rows of a step's global batch, as codes."""
        return self._coded(self.plain.batch(step, phase, first, count, size))

    def sweep(self, part: str = "train", limit: int | None = None) -> Iterator[Batch]:
        """One ordered pass, as codes."""
        return map(self._coded, self.plain.sweep(part, limit))

    def scoring(self, part: str, *, limit: float | None = None, **how: Any) -> Iterator[Batch]:
        """Every item of the part once, as codes. limit: stop at about so many values of codes."""
        values = None if limit is None else limit / self._size * self.plain.train_units / max(1, self.plain.train_items)
        return map(self._coded, self.plain.scoring(part, limit=values, **how))

    def _coded(self, batch: Batch) -> Batch:
        import torch

        keys = [hashlib.blake2b(row.numpy(), digest_size=16).digest() for row in batch.x.contiguous()]
        fresh = {key: place for place, key in enumerate(keys) if key not in self._codes}
        found = dict(zip(fresh, encoded_alike(self.codec, batch.x[list(fresh.values())]), strict=True)) if fresh else {}
        codes = torch.stack([self._codes[key] if key in self._codes else found[key] for key in keys])
        for key, code in found.items():
            size = code.numel() * code.element_size()
            if self._bytes + size <= KEPT_BYTES:
                self._codes[key] = code.clone()
                self._bytes += size
        return replace(batch, x=seen(codes, self.spec), mask=None)

    @property
    def train_units(self) -> float:
        """Values of the codes of the train part."""
        return float(self.plain.train_items * self._size)

    @property
    def _size(self) -> int:
        """Values of the codes of one item."""
        return self.spec.length if isinstance(self.spec, Tokens) else math.prod(self.spec.shape)
