"""Conversion of items into a run's own values and latents, and back, for `Model.encode` and `Model.decode`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from anew.core.arrays import Numbers
from anew.core.files import clause
from anew.core.specs import Codec, Condition, Grid, Tokens
from anew.data.latent_dataset import encode_in_fixed_batches
from anew.data.modality import Modality
from anew.data.types import FileSlice, Item, ItemData
from anew.errors import ConfigError, shorten
from anew.families.base import families_that
from anew.functional.latents import latent_mask
from anew.sampling.generator import Generator
from anew.sampling.samples import Samples

# An item from the user: a path, a file's bytes, or an array
GivenItem: TypeAlias = str | Path | bytes | Numbers | FileSlice
ITEM_TYPES = str | Path | bytes | bytearray | memoryview | np.ndarray | FileSlice


def values_of(modality: Modality, item: object) -> Tensor:
    """An item (a path, bytes of a file, or an array) in the values of this modality, (1, *shape): latents if it has a codec."""
    row = _encoded_row(modality, item)
    values: Tensor = modality.batch(row[None], None, None).x
    return values.float() if values.is_floating_point() else values


def _encoded_row(modality: Modality, item: object) -> Numbers:
    """Encode an item as the cache of the data does. Raises ConfigError, which says why, if it cannot be used."""
    expected = f"give a file of one {modality.traits.singular}"
    if not isinstance(item, ITEM_TYPES):
        raise ConfigError(f"{shorten(item)} is not an item; give a path, the bytes of a file, or an array")
    name = str(item) if isinstance(item, str | Path) else None
    shown_name = "the item given" if name is None else repr(name)
    try:
        if isinstance(item, str | Path):
            data: ItemData = _file_data(modality, Path(item))
        else:
            data = item if isinstance(item, bytes | np.ndarray | FileSlice) else bytes(item)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        raise ConfigError(f"{shown_name} cannot be read ({clause(error)}); {expected}") from None
    row: Numbers | str
    try:
        (row,) = modality.encode_many([Item(name or "item", data)])
    except ValueError as error:
        row = str(error)
    if isinstance(row, str):
        raise ConfigError(f"{shown_name} cannot be used: {row}; {expected}")
    return row


def _file_data(modality: Modality, path: Path) -> bytes | FileSlice:
    """The value of `Item.data` for a file."""
    if not modality.traits.reads_file_slices:
        return path.read_bytes()
    path.stat()  # a missing file is reported here, by its name
    return FileSlice(path)


def condition_from_mask(generator: Generator, condition: object) -> Condition:
    """The condition that keeps a part of an item.

    Args:
        condition: (item, mask), where the mask is true for what is kept; or a `Condition` in the generator's own values.

    Raises:
        ConfigError: The data is not on a grid, the generator cannot keep a part of an item, or the sizes do not fit.
    """
    if isinstance(condition, Condition):
        return condition
    name = generator.modality.name
    if not isinstance(generator.item_spec, Grid):
        raise ConfigError(f"{name} data is not filled in by a mask; leave `condition` out and give a `prompt`")
    if not generator.fills_in:
        raise ConfigError(
            f"{generator.family_name} cannot keep a part of an item; leave `condition` out, "
            f"or train {families_that(lambda family: family.fills_in)}"
        )
    if not isinstance(condition, tuple | list) or len(condition) != 2:
        raise ConfigError(f"`condition` must be a pair: give (item, mask): one {name}, and what of it is kept")
    item, given_mask = condition
    x = values_of(generator.item_modality, item)[0]  # (C, *axes)
    axes = tuple(x.shape[1:])
    mask = _mask(given_mask, axes)
    if tuple(mask.shape) == axes[: mask.dim()]:  # a mask of whole frames applies to all their pixels
        mask = mask.view(*mask.shape, *[1] * (len(axes) - mask.dim())).expand(axes)
    if tuple(mask.shape) != axes:
        size = tuple(mask.shape)
        raise ConfigError(f"the mask has the size {size}, and samples of this run have {axes}; give one of that size")
    return in_family_space(generator, Condition(x, mask[None]))


def in_family_space(generator: Generator, condition: Condition) -> Condition:
    """A condition on items, (*shape) or (n, *shape), in the values that the family draws.

    Latents are kept if everything around them is given. The rest of what is given is put back into the items after they are
    decoded, as in blended latent diffusion (arXiv 2206.02779)."""
    codec = generator.codec
    if codec is None:
        return condition
    shape = generator.item_spec.shape if isinstance(generator.item_spec, Grid) else ()
    x = condition.x.expand(-1 if condition.x.ndim > len(shape) else 1, *shape)
    mask = torch.ones_like(x) if condition.mask is None else condition.mask.to(x).expand(x.shape)
    z = encode_in_fixed_batches(codec, x.to(generator.device))  # (n, c, h, w)
    return Condition(z, latent_mask(mask, (z.shape[2], z.shape[3])).expand(z.shape), condition)


def _mask(mask: object, expected: tuple[int, ...]) -> Tensor:
    """A given mask as a float32 tensor of any shape. Raises ConfigError if it is not an array of numbers."""
    try:
        # np.array copies: from_numpy does not take negative strides.
        values = mask if isinstance(mask, Tensor) else torch.from_numpy(np.array(mask))
        if not values.is_complex() and bool(values.isfinite().all()):
            return values.float()
    except (TypeError, ValueError, RuntimeError):
        pass
    raise ConfigError(f"the mask must be an array of true and false of the size {expected} (got {shorten(mask)})")


def encode_items(generator: Generator, items: Sequence[object]) -> Tensor:
    """Encode items into latents (n, *latent), by the codec of the generator, or by its family if that is one."""
    codec = _codec(generator)
    if isinstance(items, str | Path | bytes) or not isinstance(items, Sequence | np.ndarray):
        raise ConfigError(f"`items` must be a list of items (got {shorten(items)})")
    if not len(items):
        raise ConfigError("`items` must hold at least one item (got an empty list)")
    if isinstance(items, np.ndarray) and items.dtype == np.uint8 and items.ndim <= _picture_dims(generator):
        raise ConfigError(
            f"`items` must be a list of items (got one array of the shape {items.shape}); give a list that holds it: [item]"
        )
    values = torch.cat([values_of(generator.item_modality, item) for item in items])  # (n, *shape)
    return encode_in_fixed_batches(codec, values.to(generator.device))


def _picture_dims(generator: Generator) -> int:
    """Number of dimensions of a picture or a clip as an array, (H, W), (H, W, C) or (T, H, W, C); 0 for other data."""
    spec = generator.item_spec
    if not isinstance(spec, Grid) or "H" not in spec.axes:
        return 0
    return len(spec.shape) - (spec.shape[0] == 1)


def decode_latents(generator: Generator, latents: object) -> Samples:
    """Decode latents (n, *latent), as those of `encode_items`, into items."""
    codec = _codec(generator)
    z = _checked_latents(codec, latents).to(generator.device)
    x = codec.decode(z).cpu()  # (n, *shape)
    modality: Modality = generator.item_modality
    return Samples(modality.decode_real(x), [None] * len(z), modality)


def _checked_latents(codec: Codec, latents: object) -> Tensor:
    """Latents (n, *latent) as float32, or codes as integers. Raises ConfigError if they do not fit the codec."""
    spec = codec.latent
    shape = (spec.length,) if isinstance(spec, Tokens) else tuple(spec.shape)
    expected = f"give (n, {', '.join(map(str, shape))})"
    try:
        z = torch.as_tensor(latents)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"`latents` must be numbers (got {shorten(latents)}); {expected}") from None
    if z.ndim != len(shape) + 1 or tuple(z.shape[1:]) != shape or not len(z):
        raise ConfigError(f"latents of shape {tuple(z.shape)} do not fit this run; {expected}")
    if isinstance(spec, Tokens):
        largest = min([spec.vocab, *spec.special.values()]) - 1
        if z.is_floating_point() or int(z.min()) < 0 or int(z.max()) > largest:
            raise ConfigError(f"`latents` of this run must be whole numbers from 0 to {largest}")
        return z
    if z.is_complex() or not bool(z.isfinite().all()):
        raise ConfigError("these latents hold values that are not finite real numbers; give what `encode` made")
    return z.float()


def _codec(generator: Generator) -> Codec:
    """The codec of a run, or its family if that is one. Raises ConfigError if there is none."""
    if generator.codec is not None:
        return generator.codec
    family = generator.family
    if not isinstance(generator.item_spec, Grid):
        raise ConfigError(
            f"{generator.modality.name} data has no latents; only runs on images, sounds and clips have them"
        )
    if family.codec_config is None or not isinstance(family, Codec):
        raise ConfigError(
            f"the family {generator.family_name!r} has no latents to encode into; train with space=latent, or train "
            f"{families_that(lambda family: family.generates and family.codec_config is not None)}"
        )
    return family
