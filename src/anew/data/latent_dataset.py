"""Data in the space of a codec: a Grid as a smaller Grid, or as Tokens.

`LatentModality` is the modality of a generator that works in that space, `LatentDataset` the dataset whose batches are
latents. Whatever concerns the items themselves is asked of `base`, the plain modality or dataset behind them.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from anew.core.arrays import Integers, Numbers, Values
from anew.core.specs import Batch, Codec, Condition, Spec, Tokens
from anew.data.dataset import Dataset
from anew.data.modality import Modality, no_prompt_error
from anew.data.types import DataBudget, DecodedItem, Item

if TYPE_CHECKING:
    from torch import Tensor

P = ParamSpec("P")
OwnerT = TypeVar("OwnerT", bound=Modality | Dataset)
ResultT = TypeVar("ResultT")

CODEC_BATCH = 64  # items in each call of a codec: a fixed number, so that latents do not depend on which items are encoded together
CACHE_BYTES = 512 * 2**20  # latents kept in memory; others are encoded again each time


def encode_in_fixed_batches(codec: Codec, x: Tensor) -> Tensor:
    """Latents of items x (n, *shape), each the same whatever it is encoded together with: (n, *latent.shape) float32, or (n, L) int64
    codes, on the CPU."""
    import torch

    latents = []
    for chunk in torch.split(x, CODEC_BATCH):
        padding = chunk.new_zeros((CODEC_BATCH - len(chunk), *chunk.shape[1:]))
        latent = codec.encode(torch.cat((chunk, padding)) if len(padding) else chunk)[: len(chunk)].cpu()
        latents.append(latent.float() if latent.is_floating_point() else latent)
    return torch.cat(latents)


def as_model_input(latents: Tensor, spec: Spec) -> Tensor:
    """Latents (n, ...) as a family takes them: codes (n, L) get the begin token in front, (n, L+1)."""
    import torch

    if not isinstance(spec, Tokens):
        return latents
    begin = latents.new_full((len(latents), 1), spec.special["begin"])
    return torch.cat((begin, latents), 1)


def _of_base(method: Callable[Concatenate[OwnerT, P], ResultT]) -> Callable[Concatenate[OwnerT, P], ResultT]:
    """A method that calls the one of this name of `base`."""

    # `wraps` would also copy the mark of abstract methods.
    @functools.wraps(method, updated=())
    def call(self: OwnerT, /, *args: P.args, **kwargs: P.kwargs) -> ResultT:
        result: ResultT = getattr(self.base, method.__name__)(*args, **kwargs)
        return result

    return call


class LatentModality(Modality):
    """A modality seen through a codec: decoded items and files on one side, latents on the other."""

    def __init__(self, base: Modality, codec: Codec) -> None:
        super().__init__(base.config, generated=base.generated)
        self._base, self.codec = base, codec
        self.name, self.suffixes, self.Config = base.name, base.suffixes, base.Config
        self.unit, self.traits, self.layout = base.unit, base.traits, base.layout
        self.spec = codec.latent

    @property
    def base(self) -> Modality:
        return self._base

    # ---- latents ----

    def batch(self, rows: Numbers, labels: Integers | None, lengths: Integers | None) -> Batch:
        """Stored rows as latents. All count: a mask of the items (which frames of a clip are real) does not apply to latents."""
        batch = self.base.batch(rows, labels, lengths)
        return replace(batch, x=as_model_input(encode_in_fixed_batches(self.codec, batch.x), self.spec), mask=None)

    def decode_latents(self, z: Tensor) -> Tensor:
        """Latents (n, *latent) as values of items (n, *shape); unfinished sequences of codes may be shorter than an item."""
        return self.codec.decode(z).cpu()

    def decode(self, x: Values) -> Sequence[DecodedItem]:
        """Latents (n, *latent) as items."""
        import torch

        return self.base.decode(self.decode_latents(torch.as_tensor(x)))

    def decode_real(self, x: Values) -> Sequence[DecodedItem]:
        import torch

        return self.base.decode_real(self.decode_latents(torch.as_tensor(x)))

    def condition_from_prompt(self, prompt: str, suffix: str = "") -> Tensor | Condition:
        raise no_prompt_error(self.name, prompt, suffix)

    def fit(self, items: Iterable[Item], budget: DataBudget, labels: Sequence[str]) -> Spec:
        """Fit the modality of the items; the codec was trained before."""
        self.base.fit(items, budget, labels)
        return self.spec

    # ---- items: those of the base ----

    validate_header = _of_base(Modality.validate_header)
    remarks = _of_base(Modality.remarks)
    encode = _of_base(Modality.encode)
    encode_many = _of_base(Modality.encode_many)
    to_items = _of_base(Modality.to_items)
    units = _of_base(Modality.units)
    picture = _of_base(Modality.picture)
    save_item = _of_base(Modality.save_item)
    merge_files = _of_base(Modality.merge_files)
    prompt_file = _of_base(Modality.prompt_file)
    calibration_size = _of_base(Modality.calibration_size)
    calibrate = _of_base(Modality.calibrate)
    state = _of_base(Modality.state)
    encoding_state = _of_base(Modality.encoding_state)
    restore = _of_base(Modality.restore)
    save = _of_base(Modality.save)


class LatentDataset(Dataset):
    """A dataset whose batches are latents. Items that are read from it to be shown or compared are those of `base`."""

    def __init__(self, base: Dataset, codec: Codec) -> None:
        vars(self).update(vars(base))  # it reads what the base has opened, and only its batches differ
        self._base, self.codec = base, codec
        self.modality = LatentModality(base.modality, codec)
        self._spec = replace(codec.latent, classes=base.spec.classes)
        self._latents: dict[bytes, Tensor] = {}  # latents by the digest of the item's values
        self._cached_bytes = 0

    @property
    def base(self) -> Dataset:
        return self._base

    # ---- latents ----

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Batch:
        """Rows of a step's global batch, as latents."""
        return self._encoded(self.base.batch(step, phase, first, count, size))

    def one_pass(self, part: str = "train", limit: int | None = None) -> Iterator[Batch]:
        """One ordered pass, as latents."""
        return map(self._encoded, self.base.one_pass(part, limit))

    def scoring(
        self, part: str, *, batch: int = 32, stride: int | None = None, limit: float | None = None
    ) -> Iterator[Batch]:
        """Every item of the part once, as latents. limit: stop at about this many values of latents."""
        if limit is not None:  # the base counts in units of its own
            limit *= self.base.train_units / max(1, self.base.train_items) / self._latent_size
        return map(self._encoded, self.base.scoring(part, batch=batch, stride=stride, limit=limit))

    def _encoded(self, batch: Batch) -> Batch:
        import torch

        keys = [hashlib.blake2b(row.numpy(), digest_size=16).digest() for row in batch.x.contiguous()]
        missing = {key: index for index, key in enumerate(keys) if key not in self._latents}
        fresh: dict[bytes, Tensor] = {}
        if missing:
            latents = encode_in_fixed_batches(self.codec, batch.x[list(missing.values())])
            fresh = dict(zip(missing, latents, strict=True))
        z = torch.stack([self._latents[key] if key in self._latents else fresh[key] for key in keys])
        for key, latent in fresh.items():
            size = latent.numel() * latent.element_size()
            if self._cached_bytes + size <= CACHE_BYTES:
                self._latents[key] = latent.clone()
                self._cached_bytes += size
        return replace(batch, x=as_model_input(z, self.spec), mask=None)

    @property
    def train_units(self) -> float:
        """Values of the latents of the train part."""
        return float(self.base.train_items * self._latent_size)

    @property
    def _latent_size(self) -> int:
        """Values of the latents of one item."""
        return self.spec.length if isinstance(self.spec, Tokens) else math.prod(self.spec.shape)

    # ---- items: those of the base ----

    def fit(self, size: DataBudget) -> Spec:
        """Fit the base; the codec was trained before, so its latents are fixed."""
        self.base.fit(size)
        return self.spec

    items = _of_base(Dataset.items)
    near_duplicate_groups = _of_base(Dataset.near_duplicate_groups)
    state = _of_base(Dataset.state)
