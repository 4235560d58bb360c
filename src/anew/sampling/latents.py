"""Items into a run's own values and latents, and back: what `Model.encode` and `Model.decode` do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anew.core.specs import Codec, Condition, Grid, Tokens
from anew.data.latent_dataset import encode_in_fixed_batches
from anew.data.types import FileSlice, Item
from anew.errors import ConfigError, shorten
from anew.sampling.model import Model, Samples


def read(model: Model, item: Any) -> Tensor:
    """(1, *shape) what the run's family sees of the item in a file, an array, or the bytes of a file."""
    return _values(model, model.modality, item)


def _values(model: Model, modality: Any, item: Any) -> Tensor:
    """(1, *shape) the item as this modality, the run's own or the plain one behind it, gives it."""
    if not isinstance(item, str | Path | bytes | bytearray | memoryview | np.ndarray | FileSlice):
        raise ConfigError(f"{shorten(item)} is no item; give a path, the bytes of a file, or an array")
    named = repr(str(item)) if isinstance(item, str | Path) else "the item given"
    try:
        data = _data(model, Path(item)) if isinstance(item, str | Path) else item
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"{named} cannot be read ({why}); give a file of one {model.modality.traits.singular}"
        ) from None
    one = Item(str(item) if isinstance(item, str | Path) else "item", data)
    try:
        (row,) = modality.encode_many([one])
        if not isinstance(row, str):
            found: Tensor = modality.batch(row[None], None, None).x
            return found.float() if found.is_floating_point() else found
        reason = row
    except ValueError as error:
        reason = str(error)
    raise ConfigError(f"{named} cannot be used: {reason}; give a file of one {model.modality.traits.singular}")


def _data(model: Model, path: Path) -> Any:
    """What `Item.data` is of a file."""
    if not model.modality.traits.reads_file_slices:
        return path.read_bytes()
    path.stat()  # a file that is not there is said here
    return FileSlice(path)


def kept(model: Model, known: Any) -> Condition:
    """What samples keep of an item, given as (item, mask), in the values of the run."""
    if isinstance(known, Condition):
        return known
    name = model.modality.name
    if not isinstance(model.item_spec, Grid):
        raise ConfigError(f"{name} data is not filled in by a mask; give a prompt")
    if model.codec is not None:
        raise ConfigError("this run works on latents, where no pixel can be kept; train diffusion with space=pixel")
    if not isinstance(known, tuple | list) or len(known) != 2:
        raise ConfigError(f"`known` must be a pair: give (item, mask): one {name}, and what of it is kept")
    x, wanted = read(model, known[0])[0], model.spec.shape[1:]
    mask = _mask(known[1], wanted)
    if tuple(mask.shape) == wanted[: mask.dim()]:  # of frames alone: whatever they show
        mask = mask.view(*mask.shape, *[1] * (len(wanted) - mask.dim())).expand(wanted)
    if tuple(mask.shape) != wanted:
        size = tuple(mask.shape)
        raise ConfigError(f"the mask has the size {size}, and samples of this run have {wanted}; give one of that size")
    return Condition(x, mask[None])


def _mask(mask: Any, wanted: tuple[int, ...]) -> Tensor:
    """float32 of any shape."""
    try:
        found = mask if isinstance(mask, Tensor) else torch.from_numpy(np.array(mask))  # a copy: strides may be odd
        if not found.is_complex() and bool(found.isfinite().all()):
            return found.float()
    except (TypeError, ValueError, RuntimeError):
        pass
    raise ConfigError(f"the mask {shorten(mask)} is no array of true and false; give one of the size {wanted}")


def encoded(model: Model, items: Sequence[Any]) -> Tensor:
    """(n, *latent) of items, by the codec of the run or the family that is one."""
    codec = _codec(model)
    if isinstance(items, str | Path | bytes) or not isinstance(items, Sequence | np.ndarray):
        raise ConfigError(f"`items` must be a list of items (got {shorten(items)})")
    if not len(items):
        raise ConfigError("nothing to encode was given; give at least one item")
    values = torch.cat([_values(model, model.modality.base, item) for item in items])
    return encode_in_fixed_batches(codec, values.to(model.device))


def decoded(model: Model, z: Tensor) -> Samples:
    """Items from latents."""
    codec = _codec(model)
    latent = codec.latent
    wanted = (latent.length,) if isinstance(latent, Tokens) else tuple(latent.shape)
    try:
        z = torch.as_tensor(z)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"{shorten(z)} are no latents; give numbers (n, {', '.join(map(str, wanted))})") from None
    if z.ndim != len(wanted) + 1 or tuple(z.shape[1:]) != wanted or not len(z):
        raise ConfigError(
            f"latents of shape {tuple(z.shape)} do not fit this run; give (n, {', '.join(map(str, wanted))})"
        )
    if isinstance(latent, Tokens):
        most = min([latent.vocab, *latent.special.values()]) - 1
        if z.is_floating_point() or int(z.min()) < 0 or int(z.max()) > most:
            raise ConfigError(f"these codes do not fit this run; give whole numbers from 0 to {most}")
    elif z.is_complex() or not bool(z.isfinite().all()):
        raise ConfigError("these latents hold values that are not finite real numbers; give what `encode` made")
    modality = model.modality.base
    x = codec.decode(z.to(model.device) if isinstance(latent, Tokens) else z.float().to(model.device)).cpu()
    items = modality.decode(x)
    return Samples(items, list(map(modality.save_item, items)), [None] * len(z), modality)


def _codec(model: Model) -> Codec:
    """ConfigError where a run has none."""
    if model.codec is not None:
        return model.codec
    codec = model.family
    if codec.codec_config is None or not isinstance(codec, Codec):
        name = model.record.family.name
        raise ConfigError(f"the family {name!r} has no latents to encode into; train vae, or with space=latent")
    return codec
